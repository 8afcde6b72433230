"""How committed blocks become one dataset, as arithmetic: cuts, summaries, the plan. No file is touched here.

Receipts are grouped into *segments*, runs of neighbouring blocks (cut at blocks whose key says so), so that no single key holds
everything. Each segment is summed up; one plan, made from the sums alone, says where every segment's lines go; then the segments
are written side by side.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any

from transforms.core.counters import broken_laws
from transforms.core.listing_tally import ListingTally
from transforms.core.places import keep_buckets
from transforms.core.reasons import REASONS
from transforms.core.records import Receipt, SortKey
from transforms.core.warning_codes import WarningCounts

# Output groups: the three splits, and validation lines beyond the cap.
GROUPS = ("train", "validation", "test", "validation-unused")
SEGMENT_BLOCKS = 128  # blocks in a segment, on average
TABLE_ROWS = 1_000_000  # rows after which a Parquet file is numbered
EVERYTHING = 1 << 64


@dataclass(frozen=True)
class Cuts:
    """What caps leave: lines with rank(id) < sample; of them, in validation, those with number < validation."""

    sample: int = EVERYTHING
    validation: int = EVERYTHING

    @property
    def active(self) -> bool:
        return self.sample < EVERYTHING or self.validation < EVERYTHING


def threshold(values: Iterable[int], keep: int) -> int:
    """The value below which at most `keep` of the values lie, equal ones together: the most that can be kept.

    >>> threshold([5, 1, 9, 7], 2), threshold([5, 1, 5], 2), threshold([5, 1], 2) == 1 << 64
    (7, 5, True)
    """
    smallest = nsmallest(keep + 1, values)
    return smallest[keep] if len(smallest) > keep else EVERYTHING


def is_boundary(receipt: Receipt) -> bool:
    """Whether a segment begins at this block: its key says so, whatever stands around it."""
    return int(receipt.key[:8], 16) % SEGMENT_BLOCKS == 0


def segment_of(order: SortKey, boundaries: Sequence[SortKey]) -> int:
    return bisect_right(boundaries, order)


@dataclass
class Summary:
    """What the plan needs to know of a segment. Lists run over its blocks, in order."""

    segment: int
    counters: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    lines: list[list[int]] = field(default_factory=lambda: [[] for _ in GROUPS])
    sizes: list[list[int]] = field(default_factory=lambda: [[] for _ in GROUPS])  # bytes
    tables: list[str] = field(default_factory=list)  # each block's examples part ("" if it has none)
    tail: tuple[str, int] = ("", 0)  # source, and physical lines, of the trailing run of one source
    one_source: bool = True
    images: int = 0  # rows of images.parquet
    rejected: int = 0  # rows of rejected.jsonl
    buckets: set[str] = field(default_factory=set)  # that its lines name
    warnings: WarningCounts = field(default_factory=WarningCounts)


def note_sources(summary: Summary, receipt: Receipt) -> None:
    for source, lines in receipt.lines:
        if summary.tail[0] == source:
            summary.tail = (source, summary.tail[1] + lines)
        else:
            if summary.tail[0]:
                summary.one_source = False
            summary.tail = (source, lines)


def first_lines(receipts: list[Receipt], carry: tuple[str, int]) -> list[list[int]]:
    """For each receipt of a segment, in order, and each of its extents: lines of its source that stand before it.

    Args:
      carry: source that the blocks before end with, and lines of it so far.
    """
    source, before = carry
    found = []
    for receipt in receipts:
        firsts = []
        for name, count in receipt.lines:
            before = before if name == source else 0
            firsts.append(before)
            source, before = name, before + count
        found.append(firsts)
    return found


def source_carries(summaries: Iterable[Summary]) -> dict[int, tuple[str, int]]:
    """For each segment: the source that the segments before it end with, and the lines of it so far."""
    carries, carry = {}, ("", 0)
    for s in sorted(summaries, key=lambda s: s.segment):
        carries[s.segment] = carry
        if s.tail[0]:
            before = carry[1] if s.one_source and s.tail[0] == carry[0] else 0
            carry = (s.tail[0], s.tail[1] + before)
    return carries


@dataclass
class Place:
    """Where a segment's lines of one group begin, and after which of its lines a new file does."""

    file: int = 0
    line: int = 0  # lines before, in that file
    offset: int = 0  # bytes before, in that file
    cuts: list[int] = field(default_factory=list)  # line indexes within the segment's group
    full: list[tuple[int, int]] = field(
        default_factory=list
    )  # where everything ends: (lines, bytes) of the files before


@dataclass
class SealPlan:
    """Where everything goes, and whether it may."""

    places: dict[int, list[Place]] = field(default_factory=dict)  # by segment, then group
    files: list[int] = field(default_factory=lambda: [1] * len(GROUPS))  # how many each group needs
    train_files: list[tuple[int, int]] = field(default_factory=list)  # (lines, bytes) of each
    carry: dict[int, tuple[str, int]] = field(default_factory=dict)  # source and lines of it before the segment
    rows: list[dict[int, int]] = field(default_factory=lambda: [{} for _ in GROUPS])  # lines by group and segment
    images: dict[int, int] = field(default_factory=dict)  # rows of images.parquet by segment
    counters: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    buckets: set[str] = field(default_factory=set)
    warnings: WarningCounts = field(default_factory=WarningCounts)
    lines: list[int] = field(default_factory=lambda: [0] * len(GROUPS))
    fault: str = ""  # why the dataset may not be sealed: then only rejected.jsonl is written
    endings: list[dict[str, Any]] = field(default_factory=list)  # the most frequent of what was listed and not read

    def take_listing(self, tally: ListingTally) -> None:
        """Count what became of the names that the inputs list."""
        self.counters.update(tally.counters)
        self.warnings.update(tally.warnings.counts)
        self.endings = tally.frequent_endings()

    def tables(self, stem: str) -> int:
        """How many numbered Parquet files `examples` or `images` has."""
        rows = sum(self.lines) if stem == "examples" else sum(self.images.values())
        return max(1, -(-rows // TABLE_ROWS))

    def table_of(self, stem: str, group: int, segment: int) -> int:
        """The number of the Parquet file that a segment's rows of a group go to: whole chunks, in line order."""
        if stem == "images":
            before = sum(rows for index, rows in self.images.items() if index < segment)
        else:
            before = sum(self.lines[:group])
            before += sum(rows for index, rows in self.rows[group].items() if index < segment)
        return before // TABLE_ROWS


def make_plan(
    summaries: Iterable[Summary],
    *,
    max_lines: int,
    max_bytes: int,
    sampled: bool,
    line_sizes: Callable[[str, int], Sequence[int]],
) -> SealPlan:
    """Sum up the segments and cut the files.

    Args:
      summaries: of all segments, in any order.
      max_lines: examples a file may hold.
      max_bytes: bytes a file may hold.
      sampled: lines were left out by a cut; otherwise none may be missing (a law of the ledger).
      line_sizes: (examples part, group) -> bytes of each of its lines; asked only where a file is cut.
    """
    plan = SealPlan()
    summaries = list(summaries)
    plan.carry = source_carries(summaries)
    ends = [Place() for _ in GROUPS]
    for s in sorted(summaries, key=lambda s: s.segment):
        plan.counters.update(s.counters)
        plan.reasons.update(s.reasons)
        keep_buckets(plan.buckets, s.buckets)
        plan.warnings.update(s.warnings.counts)
        plan.images[s.segment] = s.images
        plan.places[s.segment] = [Place(e.file, e.line, e.offset) for e in ends]
        for group, end in enumerate(ends):
            total, size = sum(s.lines[group]), sum(s.sizes[group])
            plan.rows[group][s.segment] = total
            plan.lines[group] += total
            if end.line + total <= max_lines and end.offset + size <= max_bytes:
                end.line += total
                end.offset += size
            else:
                _cut(plan.places[s.segment][group], end, s, group, max_lines, max_bytes, line_sizes)
    plan.files = [e.file + 1 for e in ends]
    plan.train_files = [*ends[0].full, (ends[0].line, ends[0].offset)]
    if sampled:
        plan.counters["examples_sampled_out"] += plan.counters["examples_written"] - sum(plan.lines)
    plan.counters["validation_unused"] = plan.lines[3]
    plan.counters["examples_written"] = sum(plan.lines[:3])
    return plan


def _cut(
    place: Place,
    end: Place,
    s: Summary,
    group: int,
    max_lines: int,
    max_bytes: int,
    line_sizes: Callable[[str, int], Sequence[int]],
) -> None:
    """Walk a segment that does not fit whole: block by block, and line by line where a cut falls."""
    index = 0
    for lines, size, table in zip(s.lines[group], s.sizes[group], s.tables):
        if end.line + lines <= max_lines and end.offset + size <= max_bytes:
            end.line += lines
            end.offset += size
            index += lines
            continue
        for one in line_sizes(table, group):
            if end.line and (end.line + 1 > max_lines or end.offset + one > max_bytes):
                place.cuts.append(index)
                end.full.append((end.line, end.offset))
                end.file, end.line, end.offset = end.file + 1, 0, 0
            end.line += 1
            end.offset += one
            index += 1


def file_name(stem: str, suffix: str, number: int, count: int) -> str:
    """train.jsonl, or train-00000-of-00003.jsonl when a limit forces several."""
    return f"{stem}{suffix}" if count == 1 else f"{stem}-{number:05d}-of-{count:05d}{suffix}"


def is_file_of(name: str, stem: str) -> bool:
    """Whether a file of a dataset holds lines of a split, all of them or, if it is numbered, some.

    >>> [is_file_of(name, "train") for name in ("train.jsonl", "train-00000-of-00002.jsonl", "validation.jsonl")]
    [True, True, False]
    """
    return re.fullmatch(rf"{re.escape(stem)}(-\d+-of-\d+)?\.jsonl", name) is not None


def fault_of(plan: SealPlan, max_rejected_fraction: float, rejections: str) -> str:
    """Why the dataset may not be sealed, as a sentence or two for a person, or ""; `rejections`: URI of the rejected rows."""
    read, rejected = plan.counters["examples_read"], plan.counters["examples_rejected"]
    if read and read == rejected and not broken_laws(plan.counters):
        common, why = _common(plan, rejections)
        return f"None of the {read:,} rows can be used ({common}). {why}"
    if not read:
        return fault_of_part(plan, max_rejected_fraction, rejections) or "The input holds no row."
    return fault_of_part(plan, max_rejected_fraction, rejections)


def fault_of_part(plan: SealPlan, max_rejected_fraction: float, rejections: str) -> str:
    """As `fault_of`, of a part of a dataset, such as a window: few rows may all be rejected."""
    counters = plan.counters
    if laws := broken_laws(counters):
        return f"The ledger does not balance, which is a fault of Tuneset: {'; '.join(laws)}."
    read, rejected = counters["examples_read"], counters["examples_rejected"]
    if read >= 100 and rejected > max_rejected_fraction * read:
        common, why = _common(plan, rejections)
        return (
            f"{rejected:,} of {read:,} examples were rejected, more than --max_rejected_fraction {max_rejected_fraction:g} "
            f"allows ({common}). {why} Mend the cause, or raise the fraction; the same command then goes on from where this "
            "run stopped."
        )
    return ""


def _common(plan: SealPlan, rejections: str) -> tuple[str, str]:
    """The most frequent reasons with their counts, and what the first of them means."""
    reasons = plan.reasons.most_common(3)
    why = "".join(f"{reason}: {REASONS[reason].help} {rejections} says why, row by row." for reason, _ in reasons[:1])
    return ", ".join(f"{reason} {number:,}" for reason, number in reasons), why
