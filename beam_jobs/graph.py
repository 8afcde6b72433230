"""The floor plan: how the rooms are joined. Read from top to bottom it is the product.

    front    patterns -> blocks -+-> committed before -------------------------------------------+
    trunk                        +-> read -> build -> inspect -> hold -+-> ready ----> finish ---+-> all receipts
                                                                       +-> wait ---+             |
                                                                       +-> fit ----+-> recall -> finish
    seal     all receipts -> dataset -> sweep

Under --split_by image all blocks are looked at ahead of that (front -> read -> build -> inspect -> looks -> groups): the trunk then
has each block with the groups of its examples, and takes what the look found in the place of inspection.

finish = split -> assign -> publish -> commit. Only descriptors, orders and receipts cross a shuffle; rows and images never do.
`--dry_run` runs front and trunk with a writer that writes nothing, `--preview` calls the same steps for one block after another.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import NamedTuple

import apache_beam as beam

from beam_jobs.job import Job
from transforms.core.records import Block, FitOrder, OpenBlock, Receipt
from transforms.dataset.shared_images.hashes import looked_at
from transforms.examples.image_groups import BY_IMAGE
from transforms.steps.clean_up import SweepBlocks
from transforms.steps.compare import CompareNights
from transforms.steps.finish import AssignSplits, CommitBlocks, PublishImages, SplitExamples
from transforms.steps.fit import FitImages, HoldForFitting, TakeFitted, wait_for_images
from transforms.steps.image_groups import GroupByImages
from transforms.steps.listing import ListBlocks
from transforms.steps.looks import KeepLooks, TakeLooks
from transforms.steps.running_counts import CountingWriter
from transforms.steps.seal import SealDataset
from transforms.steps.skip import SkipCommitted
from transforms.steps.trunk import BuildExamples, InspectImages, ReadRows
from transforms.steps.writer import StorageWriter, Writer


def build(pipeline: beam.Pipeline, plan: Job) -> beam.PCollection[str]:
    """Lay out the batch job -> the manifest's URI, once the dataset is sealed."""
    p = plan
    blocks, tallies = pipeline | "List" >> front(p)
    steps = trunk_steps(p, StorageWriter(p.rewriter, p.caps, p.notes))
    earlier, damaged_looks, take_looks = p.earlier, [], None
    if p.settings.split_by == BY_IMAGE:
        blocks, damage = blocks | "Look ahead" >> LookAhead(p, steps)
        damaged_looks.append(damage)
        earlier = replace(p.earlier, looked=True) if p.earlier else None
        take_looks = TakeLooks(inspector=p.inspector, access=p.access)
    done, todo, damaged = blocks | "Skip what is committed" >> SkipCommitted(
        receipt_store=p.receipt_store, key=p.keys, earlier=earlier, counts=p.counts
    )
    worked = trunk(todo, steps, take_looks)
    receipts = (done, *worked.receipts) | "All receipts" >> beam.Flatten()
    inputs = [receipts, tallies]
    if p.earlier:
        if damaged_looks:
            damaged = (damaged, *damaged_looks) | "All damage" >> beam.Flatten()
        inputs.append(
            (blocks, receipts, damaged) | "Compare nights" >> CompareNights(night=p.earlier.night, key=p.keys)
        )
    sealed = tuple(inputs) | "Seal" >> seal(p)
    sweep = SweepBlocks(
        folder=p.settings.output, run=p.receipt_store.run, keep_blocks=p.settings.keep_blocks, access=p.access
    )
    _ = sealed | "Clean up" >> sweep
    return sealed


class LookAhead(beam.PTransform):
    """Blocks -> (the Blocks with their groups, damaged parts of an earlier night's looks), once all have been looked at."""

    def __init__(self, plan: Job, steps: TrunkSteps) -> None:
        super().__init__()
        self._plan, self._steps = plan, steps

    def expand(self, blocks: beam.PCollection[Block]) -> tuple[beam.PCollection[Block], beam.PCollection[str]]:
        p, steps = self._plan, self._steps
        store, earlier = p.receipt_store.looks, p.earlier.looks if p.earlier else None
        done, todo, damaged = blocks | "Skip what was looked at" >> SkipCommitted(
            receipt_store=store, key=p.keys, earlier=earlier, counts=p.counts, counted_as="blocks_looked_at"
        )
        looked = (
            todo
            | "Read" >> steps.read
            | "Build" >> steps.build
            | "Inspect" >> replace(steps.inspect, known=earlier)
            | "Keep" >> KeepLooks(inspector=p.inspector, looks=store, counts=p.counts)
        )
        looks = (done, looked) | "All looks" >> beam.Flatten() | "What was seen" >> beam.Map(looked_at)
        by_key = blocks | "Blocks by key" >> beam.Map(lambda block: (p.keys(block), block))
        grouped = (by_key, looks) | "Group" >> GroupByImages(
            folder=p.settings.output, joining=p.joining, access=p.access
        )
        with_groups = beam.MapTuple(lambda block, groups: replace(block, groups=groups)).with_output_types(Block)
        return grouped | "With groups" >> with_groups, damaged


def front(plan: Job) -> ListBlocks:
    """Patterns -> (blocks, tallies of the names listed)."""
    return ListBlocks(
        inputs=plan.inputs,
        cutter=plan.cutter,
        output=plan.settings.output,
        access=plan.access,
        counts=plan.counts,
    )


@dataclass(frozen=True, kw_only=True)
class TrunkSteps:
    """The steps of the trunk, each with its options, in the order in which a block takes them.

    fit is taken by orders; recall, by blocks that had to wait for them, after they are read and built again.
    """

    read: ReadRows
    build: BuildExamples
    inspect: InspectImages
    hold: HoldForFitting
    fit: FitImages
    recall: TakeFitted
    split: SplitExamples
    assign: AssignSplits
    publish: PublishImages
    commit: CommitBlocks


def trunk_steps(plan: Job, writer: Writer) -> TrunkSteps:
    """The only place where options are handed to the trunk.

    Args:
      writer: StorageWriter of a job, TrialWriter of a dry run or a preview.
    """
    p, s = plan, plan.settings
    writer = CountingWriter(writer, p.counts)
    # Elsewhere a core has a process of its own; here one process has all cores.
    at_once, min_ram = (2, "4GB") if p.remote else ((os.cpu_count() or 1) + 1, "")
    return TrunkSteps(
        read=ReadRows(key=p.keys, tables=p.tables, writer=writer),
        build=BuildExamples(
            seed=p.seed,
            check_types=p.check_types,
            sample_below=p.sample_below,
            recipe=s.recipe,
            part_resolution=s.profile.part_resolution,
            function=s.row_function,
        ),
        inspect=InspectImages(
            inspector=replace(p.inspector, copier=writer.copier), known=p.known_images, access=p.access
        ),
        hold=HoldForFitting(writer=writer),
        fit=FitImages(writer=writer, at_once=at_once, min_ram=min_ram),
        recall=TakeFitted(rewriter=p.rewriter),
        split=SplitExamples(
            max_images=s.max_images,
            on_too_many_images=s.on_too_many_images,
            on_too_many_tokens=s.on_too_many_tokens,
            model=s.model,
        ),
        assign=AssignSplits(
            splits=s.fractions,
            seed=p.seed,
            split_by=s.split_by,
            split_column=s.split_column,
            names=s.names_of_splits,
        ),
        publish=PublishImages(rewriter=p.rewriter, warn_types=s.profile.warn_types),
        commit=CommitBlocks(writer=writer),
    )


class Worked(NamedTuple):
    """What comes out of the trunk.

    receipts: of blocks that were ready, and of those that had to wait. fitted: each distinct order, once it has its outcome.
    """

    receipts: tuple[beam.PCollection[Receipt], beam.PCollection[Receipt]]
    fitted: beam.PCollection[FitOrder]


def trunk(blocks: beam.PCollection[Block], steps: TrunkSteps, take_looks: TakeLooks | None = None) -> Worked:
    """Work blocks up to their receipts, in whatever windows they are: none waits for another's.

    Args:
      take_looks: in the place of inspection, where blocks were looked at ahead.
    """
    opened = blocks | "Read" >> steps.read | "Build" >> steps.build | "Inspect" >> (take_looks or steps.inspect)
    ready, waiting, orders = opened | "Hold" >> steps.hold
    fitted = orders | "Fit" >> steps.fit
    all_fitted = fitted | "All images fitted" >> beam.FlatMap(lambda order: ()).with_output_types(tuple[str, Block])
    recalled = (
        (waiting, all_fitted)
        | "Wait for images" >> wait_for_images()
        | "Read again" >> steps.read
        | "Build again" >> steps.build
        | "Recall" >> steps.recall
    )
    receipts = (ready | "Finish ready" >> Finish(steps), recalled | "Finish recalled" >> Finish(steps))
    return Worked(receipts, fitted)


class Finish(beam.PTransform):
    """OpenBlock -> Receipt. Applied to each branch by itself: to merge them first would make their rows travel."""

    def __init__(self, steps: TrunkSteps) -> None:
        super().__init__()
        self._steps = steps

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[Receipt]:
        steps = self._steps
        return (
            blocks
            | "Split" >> steps.split
            | "Assign" >> steps.assign
            | "Publish" >> steps.publish
            | "Commit" >> steps.commit
        )


def seal(plan: Job) -> SealDataset:
    """Receipts, and tallies of the names listed -> the manifest's URI."""
    p, s = plan, plan.settings
    return SealDataset(
        writer=p.writer,
        caps=p.caps,
        names=s.fractions.names,
        shuffle_seed=s.shuffle_seed,
        max_lines=s.profile.max_file_examples,
        max_bytes=s.profile.max_file_bytes,
        max_rejected_fraction=s.max_rejected_fraction,
        dataset=p.dataset,
        run=p.run,
        by_class=p.by_class,
        uploads=p.uploads,
        findings=p.findings,
    )
