"""Find images and examples again in other lines: packed runs of 64-bit hashes of each block -> FindingTally of what repeats.

A reference is never an element, and no hash crosses a shuffle: a block's are packed into one file of the scratch folder, parted by
their first bits into some buckets, and a bucket is read from all blocks and sorted as one array: with 8 buckets some 35 MB for 20
million references. Equal hashes are candidates: whoever tells of them confirms them by the images themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np

from transforms.core.finding_codes import COMMON_EXAMPLES
from transforms.dataset.findings.tally import MOST_TOLD, Finding, FindingTally, Place
from transforms.storage import store_for
from transforms.storage.parallel import read_ranges

IMAGES, EXAMPLES = "images", "examples"
_DTYPES = {
    IMAGES: np.dtype([("hash", "<u8"), ("line", "<u4"), ("number", "<u2")]),
    EXAMPLES: np.dtype([("hash", "<u8"), ("answer", "<u8"), ("line", "<u4")]),
}
MOST_NUMBERS = 1 << 16  # images of a line that a packed record can tell apart
_BUCKET_BITS = 3
BUCKETS = 1 << _BUCKET_BITS


class Run(NamedTuple):
    """The hashes of one block's extent.

    kind: IMAGES or EXAMPLES. place: the extent's. data: packed records, bucket by bucket. bounds: bytes of `data` at which each bucket
    begins, and its end.
    """

    kind: str
    place: Place
    data: bytes
    bounds: tuple[int, ...]


class StoredRun(NamedTuple):
    """A run in a file: bucket i lies in its bytes [bounds[i], bounds[i + 1])."""

    kind: str
    place: Place
    uri: str
    bounds: tuple[int, ...]


def packed_run(kind: str, place: Place, records: Any) -> Run:
    """The hashes of one extent of a block, parted by their first bits.

    Args:
      kind: IMAGES, of which a record is (identity's hash, line, number of the image in it); or EXAMPLES, of which it is (question's
        hash, answer's hash, line). A list of them, or a tuple of three columns.
      place: the extent's.
    """
    columns = _columns(kind, records)
    packed = columns[np.argsort(columns["hash"], kind="stable")]  # np.sort by a field takes ten times as long
    firsts = np.arange(BUCKETS, dtype=np.uint64) << np.uint64(64 - _BUCKET_BITS)
    begins = np.searchsorted(packed["hash"], firsts)
    bounds = tuple(int(begin) * packed.itemsize for begin in (*begins, len(packed)))
    return Run(kind, place, packed.tobytes(), bounds)


def record_bytes(kind: str) -> int:
    """Bytes of a packed record."""
    return _DTYPES[kind].itemsize


def _columns(kind: str, records: Any) -> Any:
    dtype = _DTYPES[kind]
    if isinstance(records, list):
        return np.array(records, dtype)
    packed = np.empty(len(records[0]), dtype)
    for name, column in zip(dtype.names or (), records, strict=True):
        packed[name] = column
    return packed


def store_runs(runs: Sequence[Run], scratch: str) -> list[StoredRun]:
    """Write the runs of a block to one file, whose name digests what it holds, so that each execution writes the same."""
    if not runs:
        return []
    data = b"".join(run.data for run in runs)
    uri = f"{scratch}/{blake2b(data, digest_size=16).hexdigest()}.hashes"
    store_for(uri).create(uri, data)
    stored, begin = [], 0
    for run in runs:
        stored.append(StoredRun(run.kind, run.place, uri, tuple(begin + bound for bound in run.bounds)))
        begin += len(run.data)
    return stored


def read_bucket(runs: Iterable[StoredRun], kind: str, bucket: int) -> list[tuple[Place, bytes]]:
    """The records of one bucket of all blocks, each with its extent's place."""
    wanted = [run for run in runs if run.kind == kind and run.bounds[bucket] < run.bounds[bucket + 1]]
    ranges = [(run.uri, run.bounds[bucket], run.bounds[bucket + 1]) for run in wanted]
    return [(run.place, data) for run, data in zip(wanted, read_ranges(ranges))]


def compare_runs(kind: str, runs: Iterable[tuple[Place, bytes]], examples: int) -> FindingTally:
    """What repeats in one bucket.

    Args:
      kind: IMAGES or EXAMPLES.
      runs: of all blocks.
      examples: of the whole dataset.
    """
    ordered = sorted(runs)
    if not ordered:
        return FindingTally()
    places = [place for place, _ in ordered]
    arrays = [np.frombuffer(data, _DTYPES[kind]) for _, data in ordered]
    records = np.concatenate(arrays)
    owners = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
    repeated = _repeats(records["hash"])
    bucket = _Bucket(records[repeated], owners[repeated], places)
    tally = FindingTally()
    if len(bucket.records):
        (_compare_images if kind == IMAGES else _compare_examples)(bucket, examples, tally)
    return tally


def _repeats(hashes: Any) -> Any:
    """Which of an array's values stand in it more than once, as a mask."""
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    alike = ordered[1:] == ordered[:-1]
    repeated = np.zeros(len(hashes), bool)
    repeated[order[1:][alike]] = repeated[order[:-1][alike]] = True
    return repeated


@dataclass
class _Bucket:
    """Records that repeat; `owners` are places in `places` of the run that each is of."""

    records: Any
    owners: Any
    places: list[Place]

    def place(self, at: int) -> Place:
        record, place = self.records[at], self.places[int(self.owners[at])]
        number = int(record["number"]) if "number" in self.records.dtype.names else 0
        return place._replace(line=int(record["line"]), number=number)

    def ordered(self, *columns: Any) -> Any:
        """Places of the records, sorted by columns, of which the first counts most, and then by where they stand."""
        numbers = self.records["number"] if "number" in self.records.dtype.names else self.owners
        return np.lexsort((numbers, self.records["line"], self.owners, *reversed(columns)))

    def firsts(self, order: Any, *columns: Any) -> Any:
        """For each of the ordered records the first one of those that are equal to it in all columns."""
        changes = np.zeros(len(order), bool)
        changes[0] = True
        for column in columns:
            changes[1:] |= column[order][1:] != column[order][:-1]
        begun = np.maximum.accumulate(np.where(changes, np.arange(len(order)), 0))
        return order[begun]

    def tell(self, code: str, found: Any, others: Any, tally: FindingTally) -> None:
        """Count findings, and keep the first of them with what each is compared with."""
        if not len(found):
            return
        tally.counts[code] += len(found)
        lines = self.records["line"][found]
        first = np.lexsort((lines, self.owners[found]))[:MOST_TOLD]
        pairs = [(int(found[at]), int(others[at])) for at in first]
        tally.findings[code] = [Finding(self.place(at), other=self.place(other)) for at, other in pairs]


def _compare_images(bucket: _Bucket, examples: int, tally: FindingTally) -> None:
    """Images that are everywhere are told once each; of the others, those that a split has of one before it."""
    hashes = bucket.records["hash"]
    lines = bucket.owners.astype(np.uint64) << np.uint64(32) | bucket.records["line"]
    most = max(COMMON_EXAMPLES, examples // 100)
    values, counts = np.unique(hashes, return_counts=True)
    common = []
    for value in values[counts > most]:
        alike = np.flatnonzero(hashes == value)
        number = len(np.unique(lines[alike]))
        if number > most:
            common.append(value)
            first = alike[np.lexsort((bucket.records["line"][alike], bucket.owners[alike]))[0]]
            detail = f"in {number:,} of {examples:,} examples"
            tally.add("common_image", Finding(bucket.place(int(first)), detail=detail))

    splits = np.array([place.split for place in bucket.places])[bucket.owners]
    order = bucket.ordered(hashes)
    firsts = bucket.firsts(order, hashes)
    leaks = (splits[order] != splits[firsts]) & ~np.isin(hashes[order], common)
    bucket.tell("image_in_two_splits", order[leaks], firsts[leaks], tally)


def _compare_examples(bucket: _Bucket, examples: int, tally: FindingTally) -> None:
    """Equal questions: with an answer that was given before, or with another one than the first."""
    hashes, answers = bucket.records["hash"], bucket.records["answer"]
    order = bucket.ordered(hashes, answers)
    firsts = bucket.firsts(order, hashes, answers)
    again = order != firsts
    bucket.tell("duplicate_example", order[again], firsts[again], tally)

    new = np.zeros(len(hashes), bool)
    new[order[~again]] = True  # the first with its answer
    order = bucket.ordered(hashes)
    firsts = bucket.firsts(order, hashes)
    other = (order != firsts) & new[order]
    bucket.tell("conflicting_answers", order[other], firsts[other], tally)
