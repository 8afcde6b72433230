"""Findings on their way from blocks to a report: what adds up, in any order, to the same.

Finding      one occurrence: a code, and where
Place        where an example stands: its file's block, and the line in it
FindingTally findings with their counts, and what is known of splits, files and buckets
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from transforms.core.finding_codes import MOST_CLASSES
from transforms.core.records import Extent

MOST_TOLD = 1000  # findings of one code that are told one by one; all are counted
_ROOM = 2 * MOST_TOLD  # of them that are held before the smallest are chosen
_LONGEST_ANSWER = 80  # characters of an answer that are kept to be shown


class Place(NamedTuple):
    """Where a line stands, or one of its images.

    split: its place in SPLITS. start: of its block's extent in the file, in bytes. line: 1-based, in that extent; 0: the whole file.
    number: of the image among the line's, from 0.
    """

    split: int
    file: str
    start: int = 0
    line: int = 0
    number: int = 0


class Finding(NamedTuple):
    """One occurrence of a code. `other` is the place that it is compared with, where there is one."""

    place: Place
    image: str = ""
    detail: str = ""
    other: Place | None = None


@dataclass(slots=True)
class Answers:
    """How often each answer of a split stands in it, as long as they are few enough to be classes."""

    counts: Counter[int] = field(default_factory=Counter)  # by hash
    shown: dict[int, str] = field(default_factory=dict)  # the beginning of each, by hash
    total: int = 0
    many: bool = False  # more than MOST_CLASSES

    def add(self, answer: int, text: str, count: int = 1) -> None:
        self.total += count
        if self.many:
            return
        self.counts[answer] += count
        self.shown[answer] = text[:_LONGEST_ANSWER]
        if len(self.counts) > MOST_CLASSES:
            self._forget()

    def update(self, others: Answers) -> None:
        if others.many:
            self.total += others.total
            self._forget()
        for answer, count in others.counts.items():
            self.add(answer, others.shown[answer], count)

    def _forget(self) -> None:
        self.many = True
        self.counts, self.shown = Counter(), {}


@dataclass(slots=True)
class SplitTally:
    """What was counted of one split; file_examples by the file's URI."""

    examples: int = 0
    with_errors: int = 0
    images: int = 0
    file_examples: Counter[str] = field(default_factory=Counter)
    answers: Answers = field(default_factory=Answers)

    def update(self, others: SplitTally) -> None:
        self.examples += others.examples
        self.with_errors += others.with_errors
        self.images += others.images
        self.file_examples.update(others.file_examples)
        self.answers.update(others.answers)


@dataclass(slots=True)
class FindingTally:
    """Findings and counts of some blocks, or of all.

    findings: of each code the first MOST_TOLD by place, or a few more.
    extents: of row files by URI and start, with their physical lines; None: it cannot be read by itself, being compressed.
    buckets: references to images that could, and that could not be read.
    image_counts: how many images examples hold.
    local: references to images of this machine, and the first.
    """

    counts: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    extents: dict[tuple[str, int], tuple[Extent | None, int]] = field(default_factory=dict)
    splits: dict[int, SplitTally] = field(default_factory=dict)
    buckets: dict[str, tuple[int, int]] = field(default_factory=dict)
    image_counts: set[int] = field(default_factory=set)
    local: int = 0
    first_local: Finding | None = None

    def add(self, code: str, finding: Finding) -> None:
        self.counts[code] += 1
        kept = self.findings.setdefault(code, [])
        kept.append(finding)
        if len(kept) > _ROOM:
            self.findings[code] = first_findings(kept)

    def add_local(self, finding: Finding) -> None:
        self.local += 1
        self._take_local(finding)

    def add_read(self, bucket: str, readable: bool) -> None:
        could, could_not = self.buckets.get(bucket, (0, 0))
        self.buckets[bucket] = could + readable, could_not + (not readable)

    def update(self, others: FindingTally) -> None:
        """Add what was found elsewhere."""
        self.counts.update(others.counts)
        for code, findings in others.findings.items():
            both = [*self.findings.get(code, ()), *findings]
            self.findings[code] = both if len(both) <= _ROOM else first_findings(both)
        self.extents.update(others.extents)
        for split, counted in others.splits.items():
            self.splits.setdefault(split, SplitTally()).update(counted)
        for bucket, (could, could_not) in others.buckets.items():
            before = self.buckets.get(bucket, (0, 0))
            self.buckets[bucket] = before[0] + could, before[1] + could_not
        self.image_counts |= others.image_counts
        self.local += others.local
        if others.first_local:
            self._take_local(others.first_local)

    def _take_local(self, finding: Finding) -> None:
        if self.first_local is None or finding.place < self.first_local.place:
            self.first_local = finding


def first_findings(findings: list[Finding]) -> list[Finding]:
    """The first MOST_TOLD, by place and then by what they say."""
    return sorted(findings, key=lambda one: (one.place, one.image, one.detail))[:MOST_TOLD]
