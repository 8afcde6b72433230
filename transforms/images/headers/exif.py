"""Tags of a TIFF directory, which is also how EXIF is written in JPEG, PNG and WebP: bytes -> size and orientation."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from typing import Literal

Order = Literal["little", "big"]

_VALUE_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}  # TIFF field type -> bytes: BYTE, SHORT, LONG, LONG8
_WANTED = frozenset((WIDTH := 256, LENGTH := 257, ORIENTATION := 274))  # TIFF 6.0 tags
_IFD_TAGS = {(o, n): struct.Struct(f"{c}H{n - 2}x") for o, c in (("little", "<"), ("big", ">")) for n in (12, 20)}


def exif_orientation(data: bytes, start: int, end: int) -> int:
    """EXIF orientation in the TIFF structure data[start:end]; 1 if it holds none. Only its first directory is read."""
    if data.startswith(b"Exif\0\0", start):  # JPEG's prefix: many writers of PNG and WebP keep it
        start += 6
    magic = data[start : start + 4]
    if end - start < 8 or magic not in (b"II*\0", b"MM\0*"):
        return 1
    order: Order = "little" if magic == b"II*\0" else "big"
    entries = start + int.from_bytes(data[start + 4 : start + 8], order) + 2
    count = min(int.from_bytes(data[entries - 2 : entries], order), (end - entries) // 12)
    orientation = tags_of(data, entries, count, order, 12).get(ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def tags_of(data: bytes, start: int, count: int, order: Order, entry: int) -> dict[int, int]:
    """The wanted tags among `count` directory entries of `entry` bytes (12, or 20 in BigTIFF), as integers."""
    tags: dict[int, int] = {}
    for tag, at in entries_of(data, start, count, order, entry, _WANTED):
        value = at + (8 if entry == 12 else 12)
        width = _VALUE_SIZES.get(int.from_bytes(data[at + 2 : at + 4], order), 0)
        tags[tag] = int.from_bytes(data[value : value + width], order)
    return tags


def entries_of(
    data: bytes, start: int, count: int, order: Order, entry: int, wanted: Collection[int]
) -> Iterator[tuple[int, int]]:
    """(tag, its first byte) of the wanted ones among `count` directory entries of `entry` bytes."""
    if count < 1:
        return
    for i, (tag,) in enumerate(_IFD_TAGS[order, entry].iter_unpack(data[start : start + count * entry])):
        if tag in wanted:
            yield tag, start + i * entry
