"""The end of a check: blocks that were inspected -> what was found in them, compared across blocks and told in one file.

Nothing is written but to a scratch folder: the hashes of blocks, and what was found, which comes back to who started the check as one
file, since counters, the only other way from workers of any runner, hold no texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton

from transforms.core.records import OpenBlock
from transforms.dataset.findings.repeats import (
    BUCKETS,
    EXAMPLES,
    IMAGES,
    StoredRun,
    compare_runs,
    read_bucket,
    store_runs,
)
from transforms.dataset.findings.report import summary, told_findings
from transforms.dataset.findings.rows import Expectations, find_in_block
from transforms.dataset.findings.tally import Finding, FindingTally, Place
from transforms.dataset.findings.whole import NOWHERE, RowFile, whole_findings
from transforms.images.confirming import confirm
from transforms.images.identity import ADDRESS, IDENTITIES
from transforms.images.inspection import Inspector
from transforms.steps.billing import StorageDoFn, billed
from transforms.storage import patiently, store_for
from transforms.storage.api import Access, Forbidden, NotFound
from transforms.storage.uris import bucket_uri

RESULT = "findings.json"  # in the scratch folder
_MOST_BUCKETS = 100  # that are asked for


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Makes one report of all that was found.

    files: of rows. inspector, max_line_bytes: as the trunk has them.
    """

    expected: Expectations
    files: tuple[RowFile, ...]
    inspector: Inspector
    max_line_bytes: int

    def __call__(self, tally: FindingTally) -> dict[str, Any]:
        """Findings and their summary, and some leaks with their images, as JSON."""
        leaks = confirm(tally, self.inspector, self.max_line_bytes)
        for code, finding in whole_findings(tally, self.files, self.expected.profile):
            tally.add(code, finding)
        for code, finding in unreadable_buckets(tally):
            tally.add(code, finding)
        identity = IDENTITIES[self.inspector.identify or ADDRESS]
        found = {"findings": told_findings(tally), "summary": summary(tally, self.files, identity)}
        return {**found, "leaks": leaks}


def unreadable_buckets(tally: FindingTally) -> Iterator[tuple[str, Finding]]:
    """Buckets of which no image could be read, and which cannot be listed either."""
    nothing_read = [bucket for bucket, (could, _) in sorted(tally.buckets.items()) if not could]
    for bucket in nothing_read[:_MOST_BUCKETS]:
        uri = bucket_uri(bucket)
        try:
            next(iter(store_for(uri).list(uri, deep=False, page=1)), None)
        except (NotFound, Forbidden) as error:
            references = tally.buckets[bucket][1]
            yield "bucket_unreadable", Finding(Place(NOWHERE, ""), uri, f"{references:,} references: {error}")


@dataclass(kw_only=True)
class FindFaults(beam.PTransform):
    """OpenBlock after inspection -> the report of all, written to the scratch folder.

    Args:
      judge: what the dataset is held against, and what makes the report.
      scratch: a folder that the workers can write to.
    """

    judge: Judge
    scratch: str
    access: Access

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[str]:
        find = _FindInBlock(self.judge.expected, self.scratch, self.access)
        found = blocks | "Find in blocks" >> beam.ParDo(find).with_outputs("runs", main="tallies")
        total = found.tallies | "Add up blocks" >> beam.CombineGlobally(AddTallies())
        compare = beam.Map(billed(self.access, _compare), AsList(found.runs), AsSingleton(total))
        repeats = (
            blocks.pipeline
            | "Buckets" >> beam.Create([(kind, bucket) for kind in (IMAGES, EXAMPLES) for bucket in range(BUCKETS)])
            | "Compare hashes" >> compare
        )
        write = billed(self.access, _write)
        return (
            (total, repeats)
            | "All findings" >> beam.Flatten()
            | "Add up" >> beam.CombineGlobally(AddTallies())
            | "Judge" >> beam.Map(write, self.judge, self.scratch)
        )


class _FindInBlock(StorageDoFn):
    def __init__(self, expected: Expectations, scratch: str, access: Access) -> None:
        super().__init__(access)
        self._expected, self._scratch = expected, scratch

    def process(self, opened: OpenBlock) -> Iterator[Any]:
        tally, runs = find_in_block(opened, self._expected)
        yield tally
        for stored in patiently(store_runs, runs, self._scratch):
            yield beam.pvalue.TaggedOutput("runs", stored)


def _compare(bucket: tuple[str, int], runs: Sequence[StoredRun], total: FindingTally) -> FindingTally:
    kind, number = bucket
    examples = sum(split.examples for split in total.splits.values())
    return compare_runs(kind, patiently(read_bucket, runs, kind, number), examples)


class AddTallies(beam.CombineFn):
    """Tallies of any parts -> that of them all."""

    def create_accumulator(self) -> FindingTally:
        return FindingTally()

    def add_input(self, mutable_accumulator: FindingTally, element: FindingTally) -> FindingTally:
        mutable_accumulator.update(element)
        return mutable_accumulator

    def merge_accumulators(self, accumulators: Iterable[FindingTally]) -> FindingTally:
        merged = FindingTally()
        for accumulator in accumulators:
            merged.update(accumulator)
        return merged

    def extract_output(self, accumulator: FindingTally) -> FindingTally:
        return accumulator


def _write(tally: FindingTally, judge: Judge, scratch: str) -> str:
    """Write the report, unless another execution did -> its URI."""
    uri = f"{scratch}/{RESULT}"
    data = json.dumps(patiently(judge, tally)).encode()
    store_for(uri).create(uri, data, "application/json")
    return uri
