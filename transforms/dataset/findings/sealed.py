"""What a check would find in a dataset, told by its seal: the notes of blocks (written.py) -> `dataset.findings` of the manifest.

    gather   a segment's notes, without the lines that caps leave out -> counts, and hashes packed into a file (repeats.py)
    tell     what all segments gathered, and the dataset's files -> counts of each code, and some leaks

No line and no image is read again, so that two images with one identity are taken for equal: what rests on that is not confirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.core.arrow_stream import slices, table
from transforms.core.finding_codes import ALL, AUTO, MOST_CLASSES, ROWS
from transforms.core.limits import Profile
from transforms.core.output_names import WORK
from transforms.core.records import Receipt
from transforms.dataset.findings.repeats import (
    BUCKETS,
    EXAMPLES,
    IMAGES,
    MOST_NUMBERS,
    Run,
    StoredRun,
    compare_runs,
    packed_run,
    read_bucket,
    record_bytes,
    store_runs,
)
from transforms.dataset.findings.tally import Answers, Finding, FindingTally, Place, SplitTally, first_findings
from transforms.dataset.findings.whole import NOWHERE, RowFile, whole_findings
from transforms.dataset.findings.written import KIND
from transforms.dataset.join import Joined
from transforms.dataset.seal_plan import Cuts, is_file_of
from transforms.dataset.segment_lines import groups_of
from transforms.examples.splits import NAMES
from transforms.storage import store_for
from transforms.storage.parallel import read_each

MOST_REFERENCES = 20_000_000  # to images, up to which lines are compared unless it is asked for
_LEAK = "image_in_two_splits"
_LEAKS = 6  # of different images that are told one by one
_SLICE_BITS = 32  # of a line's number in its segment
_LINES = "lines"  # the kind of a run of lines' ids
_LINE = np.dtype([("id", "<u8"), ("piece", "<i4")])


@dataclass
class Gathered:
    """What the notes of a segment came to. references: to images whose hashes lie in `runs`."""

    tally: FindingTally
    runs: list[StoredRun] = field(default_factory=list)
    references: int = 0


@dataclass(frozen=True)
class FindingsSealer:
    """Tells the findings of a dataset.

    level: rows, all or auto (finding_codes.py). folder: of the output. identity: what images are told apart by, in words.
    """

    level: str
    profile: Profile
    folder: str
    identity: str

    def gather(self, grouped: tuple[int, Iterable[Receipt]], cuts: Cuts) -> Gathered:
        """Counts of a segment, and its hashes, packed into some files."""
        segment, receipts = grouped
        ordered = sorted(receipts, key=lambda receipt: receipt.order)
        parts = [part.name for receipt in ordered for part in receipt.parts if part.kind == KIND]
        gathered, first = Gathered(FindingTally()), 0
        for rows in map(pa.Table.combine_chunks, slices(map(table, read_each(parts, at_once=8)))):
            groups, runs = groups_of(rows, cuts), list[Run]()
            for split in range(len(NAMES)):
                of_split = rows.filter(pa.array(groups == split))
                if len(of_split):
                    self._count(of_split, split, gathered.tally)
                    if self.level != ROWS:
                        runs += _runs(of_split, Place(split, "", segment << _SLICE_BITS | first))
            gathered.runs += store_runs(runs, f"{self.folder}/{WORK}/findings")
            first += len(rows)
        gathered.references = sum(_records(run) for run in gathered.runs if run.kind == IMAGES)
        return gathered

    def _count(self, rows: pa.Table, split: int, tally: FindingTally) -> None:
        images = rows["images"].to_numpy()
        over, too_many = rows["over_tokens"].to_numpy(), images > self.profile.max_images
        counts = {"over_tokens": over.sum(), "too_many_images": too_many.sum()}
        counts |= {
            code: rows[column].to_numpy().sum()
            for code, column in (("rotated_image", "rotated"), ("small_image", "small"), ("extreme_shape", "extreme"))
        }
        tally.counts.update({code: int(number) for code, number in counts.items() if number})
        counted = tally.splits.setdefault(split, SplitTally())
        counted.with_errors += int((over | too_many).sum())
        counted.images += int(images.sum())
        _add_answers(counted.answers, rows["answer"].to_numpy())
        tally.image_counts |= set(np.unique(images).tolist())
        if local := int(rows["local"].to_numpy().sum()):
            tally.local += local
            tally.first_local = Finding(Place(NOWHERE, ""))

    def tell(self, gathered: Sequence[Gathered], files: Iterable[Joined]) -> dict[str, Any]:
        """`dataset.findings`: {"level": what was compared, "identity", "counts": by code, "leaks"}.

        Args:
          gathered: of all segments. files: of the dataset.
        """
        tally = FindingTally()
        for one in gathered:
            tally.update(one.tally)
        row_files = []
        for file in files:
            for split, name in enumerate(NAMES):
                if is_file_of(file.name, name):
                    row_files.append(RowFile(file.name, split, file.size))
                    counted = tally.splits.setdefault(split, SplitTally())
                    counted.examples += file.lines
                    counted.file_examples[file.name] = file.lines
        level = self.level
        if level == AUTO:
            level = ALL if sum(one.references for one in gathered) <= MOST_REFERENCES else ROWS
        runs = [run for one in gathered for run in one.runs]
        if level == ALL:
            _compare(runs, tally)
        for code, finding in whole_findings(tally, tuple(row_files), self.profile):
            tally.add(code, finding)
        counts = {code: number for code, number in sorted(tally.counts.items()) if number}
        told: dict[str, Any] = {"level": level, "identity": self.identity if level == ALL else "", "counts": counts}
        if leaks := _told_leaks(first_findings(tally.findings.get(_LEAK, [])), runs):
            told["leaks"] = leaks
        return told


def _add_answers(answers: Answers, hashes: np.ndarray) -> None:
    """Count answers; of more than can be classes only how many there are."""
    values, counts = np.unique(hashes, return_counts=True)
    for answer, count in zip(values[: MOST_CLASSES + 1].tolist(), counts.tolist()):
        answers.add(answer, "", count)
    answers.total += int(counts[MOST_CLASSES + 1 :].sum())


def _runs(rows: pa.Table, place: Place) -> list[Run]:
    """The hashes of lines of one split; a line's number at `place` is that in `rows`."""
    numbers = np.arange(len(rows))
    runs = [packed_run(EXAMPLES, place, (rows["question"].to_numpy(), rows["answer"].to_numpy(), numbers))]
    lists = rows["hashes"].combine_chunks()
    per_line = lists.value_lengths().to_numpy()
    if hashes := lists.flatten():
        first = np.repeat(np.cumsum(per_line) - per_line, per_line)
        number = np.arange(len(hashes)) - first
        few = number < MOST_NUMBERS
        runs.append(packed_run(IMAGES, place, (hashes.to_numpy()[few], np.repeat(numbers, per_line)[few], number[few])))
    lines = np.empty(len(rows), _LINE)
    lines["id"], lines["piece"] = rows["id"].to_numpy(), rows["piece"].to_numpy()
    runs.append(Run(_LINES, place, lines.tobytes(), (0, lines.nbytes)))
    return runs


def _records(run: StoredRun) -> int:
    """How many references to images a run holds."""
    return (run.bounds[-1] - run.bounds[0]) // record_bytes(run.kind)


def _compare(runs: Sequence[StoredRun], tally: FindingTally) -> None:
    """Add what repeats, a bucket at a time."""
    examples = sum(split.examples for split in tally.splits.values())
    for kind in (IMAGES, EXAMPLES):
        for bucket in range(BUCKETS):
            tally.update(compare_runs(kind, read_bucket(runs, kind, bucket), examples))


def _told_leaks(leaks: Sequence[Finding], runs: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """Some leaks, each of another image: where it is, and where it is too."""
    lines = {run.place: run for run in runs if run.kind == _LINES}
    by_first = {leak.other: leak for leak in reversed(leaks)}
    first = sorted(by_first.values(), key=lambda leak: leak.place)[:_LEAKS]
    return [{"here": _told_place(leak.place, lines), "there": _told_place(leak.other, lines)} for leak in first]


def _told_place(place: Place | None, lines: dict[Place, StoredRun]) -> dict[str, Any]:
    """A place as examples.parquet names its line: {"split", "id", "piece", "image": 1-based}."""
    assert place, "a leak without its other"
    run = lines[place._replace(line=0, number=0)]
    begin = run.bounds[0] + place.line * _LINE.itemsize
    data = store_for(run.uri).read(run.uri, begin, begin + _LINE.itemsize)[0]
    example_id, piece = np.frombuffer(data, _LINE)[0].tolist()
    return {"split": NAMES[place.split], "id": f"{example_id:016x}", "piece": piece, "image": place.number + 1}
