"""Seal: Receipts -> one dataset. Joins exactly the parts that the receipts name; the manifest is written last, conditionally.

    receipts -> segments -> summaries -> one plan -> segments written side by side -> files joined -> manifest -> (reshuffle) sweep

What is decided is arithmetic and stands in dataset/seal_plan.py; a segment's bytes are made in dataset/segments.py.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsList, AsSingleton

from transforms.core.listing_tally import ListingTally, added_up
from transforms.core.output_names import FAILURE, MANIFEST, WORK
from transforms.core.records import Receipt, SortKey
from transforms.dataset import block_files, seal_plan
from transforms.dataset.block_files import Caps
from transforms.dataset.findings.sealed import FindingsSealer, Gathered
from transforms.dataset.join import Joined, join_chunks
from transforms.dataset.manifest import file_entry, file_names, manifest
from transforms.dataset.receipts import from_parts
from transforms.dataset.seal_plan import Cuts, SealPlan, Summary
from transforms.dataset.segments import Chunk, SegmentWriter, Unsealed
from transforms.dataset.shuffle import scatter, sort_bucket, without_lines
from transforms.dataset.tuning.validation import share_bound
from transforms.dataset.upload_list import UploadLister
from transforms.examples.splits import rank
from transforms.steps.billing import billed
from transforms.storage import patiently, read_existing, store_for


@dataclass(kw_only=True)
class SealDataset(beam.PTransform):
    """Receipts -> the manifest, once it is written.

    Args:
      writer: where to, and how segments are written.
      caps: of validation and sample.
      names: splits that were asked for, each of which has a file even if it is empty.
      max_lines, max_bytes: of an output file (the profile's).
      max_rejected_fraction: the breaker.
      dataset: what the manifest says of inputs and options.
      run: what it says of this run.
      by_class: whether rows stand in the order of their classes.
      uploads: lists the images that have to be uploaded, if the dataset is to be.
      findings: tells what a check would find in the dataset, if it is to be told.
    """

    writer: SegmentWriter
    caps: Caps
    names: tuple[str, ...]
    max_lines: int
    max_bytes: int
    max_rejected_fraction: float
    shuffle_seed: str = ""
    dataset: dict[str, Any] = field(default_factory=dict)
    run: dict[str, Any] = field(default_factory=dict)
    by_class: bool = False
    uploads: UploadLister | None = None
    findings: FindingsSealer | None = None

    def expand(self, inputs: tuple[beam.PCollection, ...]) -> beam.PCollection[str]:
        """Args: inputs: receipts, tallies of the names listed, and if there is an earlier night what CompareNights tells."""
        receipts, tallies, *night = inputs
        access = self.writer.access
        root = receipts.pipeline | "Once" >> beam.Create([None], reshuffle=False)
        cuts = self._cuts(receipts)
        segments = receipts | "Segment" >> GroupSegments()
        if self.shuffle_seed:
            shuffle = ShuffleLines(writer=self.writer, seed=self.shuffle_seed)
            segments = (receipts, segments) | "Shuffle" >> shuffle | "Segment again" >> GroupSegments()
        if self.caps.by_share:
            cuts = self._cut_by_share(receipts, segments, cuts)
        summaries = segments | "Sum up" >> beam.Map(
            billed(access, lambda *given: from_parts(self.writer.sum_up, *given)), AsSingleton(cuts)
        )
        plan = root | "Plan" >> beam.Map(
            billed(access, lambda _, *given: self.plan_of(*given)),
            AsList(summaries),
            AsIter(tallies),
            AsSingleton(cuts),
        )
        write = beam.FlatMap(
            billed(access, lambda *given: from_parts(self._write, *given)), AsSingleton(plan), AsSingleton(cuts)
        )
        chunks = segments | "Write segments" >> write
        named = plan | "Name files" >> beam.FlatMap(file_names, self.writer.images, self.names)
        files = (
            (chunks, named)
            | "All chunks" >> beam.Flatten()  # (file key, Chunk)
            | "Group files" >> beam.GroupByKey()
            | "Join files" >> beam.Map(billed(access, lambda grouped: from_parts(join_chunks, grouped, self.writer)))
        )
        more = {"night": AsSingleton(night[0])} if night else {}
        if lister := self.uploads:
            write_list = beam.Map(
                billed(access, lambda *given: patiently(lister.write, *given)), AsList(files), AsSingleton(plan)
            )
            more["uploads"] = AsSingleton(root | "List uploads" >> write_list)
        if sealer := self.findings:
            gathered = segments | "Gather findings" >> beam.Map(
                billed(access, lambda *given: from_parts(sealer.gather, *given)), AsSingleton(cuts)
            )
            more["gathered"] = AsList(gathered)
        return root | "Write manifest" >> beam.Map(
            billed(access, lambda *given, **more: patiently(partial(self._manifest, **more), *given)),
            AsList(files),
            AsSingleton(plan),
            **more,
        )

    def _write(self, *given: Any) -> list[tuple[str, Chunk]]:
        return list(self.writer.write(*given))

    def _cuts(self, receipts: beam.PCollection[Receipt]) -> beam.PCollection[Cuts]:
        pipeline, caps = receipts.pipeline, self.caps
        cuts = pipeline | "No cuts" >> beam.Create([Cuts()], reshuffle=False)
        if caps.sample is not None:
            sample = receipts | "Sample ids" >> beam.FlatMap(ids_of, "sample", Cuts())
            ranks = sample | "Smallest ranks" >> beam.CombineGlobally(Smallest(caps.sample)).without_defaults()
            cuts = cuts | "Cut sample" >> beam.Map(cut, "sample", caps.sample, AsIter(ranks))
        if caps.validation is not None and not caps.by_share:
            ids = receipts | "Validation ids" >> beam.FlatMap(ids_of, "validation", AsSingleton(cuts))
            smallest = ids | "Smallest ids" >> beam.CombineGlobally(Smallest(caps.validation)).without_defaults()
            cuts = cuts | "Cut validation" >> beam.Map(cut, "validation", caps.validation, AsIter(smallest))
        return cuts

    def _cut_by_share(
        self, receipts: beam.PCollection[Receipt], segments: beam.PCollection, cuts: beam.PCollection[Cuts]
    ) -> beam.PCollection[Cuts]:
        """Cut validation by the training files, which are known only once lines are sampled and shuffled.

        Args:
          cuts: of the sample.
        """
        keep = self.caps.validation or 0
        lines = receipts | "Validation ids" >> beam.FlatMap(lines_of_validation, AsSingleton(cuts))
        smallest = lines | "Smallest ids" >> beam.CombineGlobally(Smallest(keep)).without_defaults()
        named = (
            receipts | "Named validation" >> beam.FlatMap(named_validation) | "Any named" >> beam.CombineGlobally(any)
        )
        sizes = segments | "Sum up training" >> beam.Map(
            billed(self.writer.access, lambda *given: from_parts(self.writer.sum_up, *given)), AsSingleton(cuts)
        )
        train = (
            receipts.pipeline
            | "One draft" >> beam.Create([None], reshuffle=False)
            | "Training files"
            >> beam.Map(billed(self.writer.access, self._train_files), AsList(sizes), AsSingleton(cuts))
        )
        return cuts | "Cut validation" >> beam.Map(
            cut_by_share, keep, AsIter(smallest), AsSingleton(train), AsSingleton(named)
        )

    def _train_files(self, _: None, summaries: list[Summary], cuts: Cuts) -> list[tuple[int, int]]:
        """(lines, bytes) of each training file."""
        return self._draft(summaries, cuts).train_files

    def _draft(self, summaries: list[Summary], cuts: Cuts) -> SealPlan:
        return seal_plan.make_plan(
            summaries,
            max_lines=self.max_lines,
            max_bytes=self.max_bytes,
            sampled=cuts.sample < Cuts.sample,
            line_sizes=lambda table, group: self.writer.line_sizes(table, group, cuts),
        )

    def plan_of(self, summaries: list[Summary], tallies: Iterable[ListingTally], cuts: Cuts) -> SealPlan:
        """Where everything goes, and whether it may."""
        plan = self._draft(summaries, cuts)
        plan.take_listing(added_up(tallies))
        fault_of = seal_plan.fault_of_part if self.writer.claimed else seal_plan.fault_of
        plan.fault = fault_of(plan, self.max_rejected_fraction, f"{self.writer.folder}/rejected.jsonl")
        return plan

    def _manifest(
        self,
        _: None,
        files: list[Joined],
        plan: SealPlan,
        night: Any = None,
        uploads: Joined | None = None,
        gathered: Sequence[Gathered] = (),
    ) -> str:
        self.writer.check_claim()
        folder = self.writer.folder
        store = store_for(folder)
        if plan.fault:
            store.replace(f"{folder}/{WORK}/{FAILURE}", json.dumps({"unsealed": plan.fault}).encode(), "")
            raise Unsealed(plan.fault)
        more = {"upload_list": file_entry(uploads)} if uploads else {}
        if self.findings:
            more["findings"] = self.findings.tell(gathered, files)
        return self.put_manifest(files, plan, more, {"night": night} if night else {})

    def put_manifest(self, files: list[Joined], plan: SealPlan, dataset: dict[str, Any], run: dict[str, Any]) -> str:
        """Write the manifest, last of all -> its URI.

        Args:
          dataset, run: what it says beside `self.dataset` and `self.run`.

        Raises:
          Unsealed: another dataset has been sealed in the folder.
        """
        run = self.run | {"finished": time.time(), "left_out_endings": plan.endings} | run
        body = manifest(files, plan, self.names, self.dataset | dataset, run, self.by_class)
        data = (json.dumps(body, indent=1, sort_keys=True) + "\n").encode()
        path = f"{self.writer.folder}/{MANIFEST}"
        if not store_for(path).create(path, data):  # a retry of this step, or another execution of it
            stored = json.loads(read_existing(path)[0])
            if stored["dataset"] != json.loads(data)["dataset"]:
                raise Unsealed(f"{path} already names another dataset: two jobs wrote to one folder")
        return path


class GroupSegments(beam.PTransform):
    """Receipts -> (segment, [Receipt]): runs of neighbouring blocks, none of which holds everything."""

    def expand(self, receipts: beam.PCollection[Receipt]) -> beam.PCollection:
        boundaries = (
            receipts
            | "Boundaries" >> beam.Filter(seal_plan.is_boundary)
            | "Their places" >> beam.Map(lambda receipt: receipt.order)
            | "All places" >> beam.combiners.ToList()
            | "In order" >> beam.Map(sorted)
        )
        segments = receipts | "To segments" >> beam.Map(to_segment, AsSingleton(boundaries))
        return segments | "Group segments" >> beam.GroupByKey()


def to_segment(receipt: Receipt, boundaries: list[SortKey]) -> tuple[int, Receipt]:
    return seal_plan.segment_of(receipt.order, boundaries), receipt


class Smallest(beam.CombineFn):
    """The smallest `keep` + 1 of many packed lists of numbers: enough to know where to cut."""

    def __init__(self, keep: int) -> None:
        self._keep = keep + 1

    def create_accumulator(self) -> list[int]:
        return []

    def add_input(self, held: list[int], more: Sequence[int]) -> list[int]:
        held.extend(more)
        return self.compact(held) if len(held) > 4 * self._keep else held

    def merge_accumulators(self, many: Iterable[list[int]]) -> list[int]:
        return self.compact([number for held in many for number in held])

    def compact(self, held: list[int]) -> list[int]:
        return sorted(held)[: self._keep]

    def extract_output(self, held: list[int]) -> list[int]:
        return self.compact(held)


def ids_of(receipt: Receipt, cap: str, cuts: Cuts) -> Iterator[list[int]]:
    """What a block offers to a cap: ranks for the sample, ids of sampled lines for validation."""
    packed = dict(receipt.ids)
    if cap not in packed:
        return
    if cap == "sample":
        yield [rank(one) for one in block_files.unpack(packed[cap])]
    else:
        yield [number for number, one in _validation_of(packed) if rank(one) < cuts.sample]


def _validation_of(packed: dict[str, bytes]) -> Iterator[tuple[int, int]]:
    """(number, id) of a block's lines of validation: one and the same, unless groups of examples are kept together."""
    numbers = packed["validation"]
    return zip(block_files.unpack(numbers), block_files.unpack(packed.get("validation_ids", numbers)))


def cut(cuts: Cuts, cap: str, keep: int, smallest: Iterable[list[int]]) -> Cuts:
    bound = seal_plan.threshold((number for numbers in smallest for number in numbers), keep)
    return Cuts(sample=bound, validation=cuts.validation) if cap == "sample" else Cuts(cuts.sample, bound)


def lines_of_validation(receipt: Receipt, cuts: Cuts) -> Iterator[list[tuple[int, int]]]:
    """(number, bytes) of a block's sampled lines of validation."""
    packed = dict(receipt.ids)
    if "validation" in packed:
        lines = zip(_validation_of(packed), block_files.unpack(packed["validation_bytes"]))
        yield [(number, size) for (number, one), size in lines if rank(one) < cuts.sample]


def named_validation(receipt: Receipt) -> Iterator[bool]:
    """Something, if the data names a line of validation of a block."""
    if "validation_named" in dict(receipt.ids):
        yield True


def cut_by_share(
    cuts: Cuts,
    keep: int,
    smallest: Iterable[list[tuple[int, int]]],
    train_files: list[tuple[int, int]],
    named: bool,
) -> Cuts:
    """Cut validation as the training files demand, but never where the data names it."""
    if named:
        return cuts
    return Cuts(cuts.sample, share_bound([line for lines in smallest for line in lines], train_files, keep))


@dataclass(kw_only=True)
class ShuffleLines(beam.PTransform):
    """Receipts, and the same grouped by segment -> receipts whose lines stand in the order of the seed."""

    writer: SegmentWriter
    seed: str

    def expand(self, inputs: tuple[beam.PCollection[Receipt], beam.PCollection]) -> beam.PCollection[Receipt]:
        receipts, segments = inputs
        summaries = segments | "Sum up for shuffling" >> beam.Map(
            billed(self.writer.access, self.writer.sum_up), Cuts()
        )
        shuffled = (
            segments
            | "Scatter"
            >> beam.FlatMap(billed(self.writer.access, scatter), self.writer, self.seed.encode(), AsList(summaries))
            | "Group buckets" >> beam.GroupByKey()  # (bucket, [(segment, object)])
            | "Sort buckets" >> beam.Map(billed(self.writer.access, sort_bucket), self.writer)
        )
        others = receipts | "All but lines" >> beam.Map(without_lines)
        return (shuffled, others) | "Shuffled and others" >> beam.Flatten()
