"""The images of a block's examples as one packed run of hashes: what a look at a block leaves for --split_by image.

A run is sorted by hash, so that one range of it holds what begins with the same bits: blocks are compared range by range.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from transforms.core.records import Receipt, SortKey
from transforms.dataset.block_files import pack, unpack
from transforms.storage.parallel import read_each, read_ranges

HASHES, FACTS = "hashes", "facts"  # kinds of the parts that a look leaves
_RECORD = np.dtype([("hash", "<u8"), ("example", "<u4")])
RECORD_BYTES = _RECORD.itemsize  # of a reference
_ALONE = np.uint32(1 << 31)  # in `example`: the image is the only one of its example
_RANGE_BITS = 6
RANGES = 1 << _RANGE_BITS
_BOUNDS, _EXAMPLES = "bounds", "examples"  # numbers in a look's receipt


class LookedAt(NamedTuple):
    """What a look at one block came to.

    hashes, facts: URIs of its parts, "" where there are none. bounds: see `bound`, packed.
    """

    order: SortKey
    key: str
    examples: int
    hashes: str
    facts: str
    bounds: bytes

    def bound(self, number: int) -> int:
        """Bytes of `hashes` before a range; RANGES: before the end."""
        return int.from_bytes(self.bounds[8 * number : 8 * number + 8], "big")


class Records(NamedTuple):
    """Images of one block's examples, as columns: hash, index of the example in its block, whether it is that example's only one."""

    hashes: Any
    examples: Any
    alone: Any


def pack_hashes(images: Sequence[Collection[int]]) -> tuple[bytes, dict[str, bytes]]:
    """A block's run, and the numbers that its receipt tells.

    Args:
      images: for each example, in order, hashes of its distinct images.
    """
    hashes = np.fromiter((one for some in images for one in some), np.uint64)
    counts = np.fromiter(map(len, images), np.int64, len(images))
    owners = np.repeat(np.arange(len(images), dtype=np.uint32), counts)
    owners[np.repeat(counts == 1, counts)] |= _ALONE
    order = np.lexsort((owners, hashes))
    run = np.empty(len(hashes), _RECORD)
    run["hash"], run["example"] = hashes[order], owners[order]

    firsts = np.arange(RANGES, dtype=np.uint64) << np.uint64(64 - _RANGE_BITS)
    begins = np.searchsorted(run["hash"], firsts)
    bounds = [int(begin) * run.itemsize for begin in (*begins, len(run))]
    return run.tobytes(), {_BOUNDS: pack(bounds), _EXAMPLES: pack([len(images)])}


def looked_at(receipt: Receipt) -> LookedAt:
    """What the receipt of a look tells."""
    parts = {part.kind: part.name for part in receipt.parts}
    return look_of(receipt.order, receipt.key, dict(receipt.ids), parts.get(HASHES, ""), parts.get(FACTS, ""))


def look_of(order: SortKey, key: str, numbers: Mapping[str, bytes], hashes: str, facts: str = "") -> LookedAt:
    """What a look came to, by the numbers that pack_hashes tells of it and the URIs of its parts."""
    (examples,) = unpack(numbers[_EXAMPLES])
    return LookedAt(order, key, examples, hashes, facts, numbers[_BOUNDS])


def read_range(blocks: Sequence[LookedAt], first: int, end: int) -> Iterator[tuple[int, Records]]:
    """The records of some ranges, of each block that has any: (place of the block among `blocks`, records)."""
    places = [place for place, block in enumerate(blocks) if block.bound(first) < block.bound(end)]
    wanted = [(blocks[place].hashes, blocks[place].bound(first), blocks[place].bound(end)) for place in places]
    return zip(places, map(_records, read_ranges(wanted)))


def read_whole(blocks: Iterable[LookedAt]) -> Iterator[Records]:
    """The records of each block; none of them may be without."""
    return map(_records, read_each([block.hashes for block in blocks]))


def no_records() -> Records:
    return _records(b"")


def _records(data: bytes) -> Records:
    run = np.frombuffer(data, _RECORD)
    return Records(run["hash"], run["example"] & ~_ALONE, run["example"] >= _ALONE)
