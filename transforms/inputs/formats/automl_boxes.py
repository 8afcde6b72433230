"""Vertex AutoML's object detection in CSV: a whole file, one box a row -> Blocks of images with all their boxes, which travel.

The rows of an image may stand anywhere in its file, so one worker gathers them, in the order in which images first appear. It reads
the file a range at a time and holds of each row what is needed, in two or three times the bytes of the text.
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import numpy as np

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Block, Dialect, Extent, OpenBlock, Record, Rejection, Row
from transforms.inputs.formats.automl import group_boxes
from transforms.inputs.formats.boxes import FAULT
from transforms.inputs.registry import GATHERED

_MOST = 1 << 30  # bytes of a file's text
_MOST_BOXES = 16 << 20  # bytes of the rows of an image, which are objects all at once


def not_endless(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a file as it comes.

    Raises:
      RowError: bad_record, there is more than one worker should hold of it.
    """
    left = _MOST
    for chunk in chunks:
        left -= len(chunk)
        if left < 0:
            raise RowError(
                "bad_record",
                f"over {_MOST:,} bytes of boxes, which one worker would have to hold: part the file by images",
            )
        yield chunk


def grouped_blocks(
    block: Block, ranges: Iterable[Block], read: Callable[[Block], OpenBlock], block_bytes: int
) -> Iterator[Block]:
    """The rows of a whole file, read range by range -> blocks of images."""
    extent, (index, name, _) = block.extents[0], block.order
    gathered, before = _Gathered(), 0
    for some in ranges:
        opened = read(some)
        found: list[Row | Rejection] = [*opened.rows, *opened.rejections]
        for row in sorted(found, key=_offset):
            gathered.add(row, before)
        before += opened.lines[-1][1]
    held: list[bytes] = []
    size = start = 0

    def made(end: int) -> Block:
        part = replace(extent, start=start, end=end)
        raw = b"\n".join(held)
        return replace(block, order=(index, name, start), extents=(part,), raw=raw, dialect=Dialect(GATHERED.name))

    for offset, line in gathered.lines():
        if held and size + len(line) > block_bytes:
            yield made(offset)
            held, size, start = [], 0, offset
        held.append(line)
        size += len(line)
    if held:
        yield made(extent.size)


def _offset(row: Row | Rejection) -> int:
    return row.row.offset if isinstance(row, Rejection) else row.offset


class _Gathered:
    """Rows of a whole file: each some bytes, and a hash that those of an image share."""

    def __init__(self) -> None:
        self._rows, self._ends, self._hashes = bytearray(), array("Q"), bytearray()
        self._told: dict[tuple[str, str], int] = {}  # what rejections say, which repeats

    def add(self, row: Row | Rejection, before: int) -> None:
        """Take a row whose lines are counted from a line of the file."""
        held: tuple[Any, ...]
        if isinstance(row, Rejection):
            why, of = self._told.setdefault((row.reason, row.detail), len(self._told)), row.row
            key, held = b"", (of.offset, of.line + before, why, of.raw)
        else:
            assert isinstance(row, Record)
            image, boxes = row.columns["image"], row.columns["boxes"] or ()
            packed = tuple((*box["box_2d"], box["label"]) for box in boxes)
            fault = row.columns.get(FAULT, "")
            key = image.encode()
            held = (row.offset, row.line + before, image, row.columns["ml_use"], packed, fault)
        self._rows += marshal.dumps(held)
        self._ends.append(len(self._rows))
        self._hashes += blake2b(key or b"%d" % held[0], digest_size=16).digest()

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """(offset, line of a block) of each image and rejection, in the order in which they first appear."""
        hashes = np.frombuffer(self._hashes, np.uint64).reshape(-1, 2)
        order = np.lexsort(hashes.T)  # rows with one hash stay in order
        hashes, sizes = hashes[order], np.diff(np.frombuffer(self._ends, np.uint64), prepend=np.uint64(0))
        starts = np.flatnonzero(np.append(True, (hashes[1:] != hashes[:-1]).any(1))) if len(order) else order
        groups = list(zip(starts.tolist(), [*starts[1:].tolist(), len(order)]))
        reasons = list(self._told)
        for group in np.argsort(order[starts]).tolist():
            start, end = groups[group]
            numbers = order[start:end]
            offset, line, *rest = self._row(numbers[0])
            if len(rest) == 2:
                yield offset, _rejected(offset, line, reasons[rest[0]], rest[1])
            elif end - start > 1 and sizes[numbers].sum() > _MOST_BOXES:
                detail = f"{rest[0][:200]} has {end - start:,} boxes, in over {_MOST_BOXES:,} bytes"
                yield offset, _rejected(offset, line, ("line_too_long", detail), b"")
            else:
                columns = group_boxes(_columns(*self._row(number)[2:]) for number in numbers)
                yield offset, jsonl.dumps({"offset": offset, "line": line, "columns": columns})

    def _row(self, number: int) -> tuple[Any, ...]:
        row: tuple[Any, ...] = marshal.loads(self._rows[self._ends[number - 1] if number else 0 : self._ends[number]])
        return row


def _rejected(offset: int, line: int, why: tuple[str, str], raw: bytes) -> bytes:
    told = {"offset": offset, "line": line, "reason": why[0], "detail": why[1]}
    return jsonl.dumps(told | {"raw": raw.decode("latin-1")})


def _columns(image: str, use: str, packed: tuple[tuple[Any, ...], ...], fault: str) -> dict[str, Any]:
    boxes = [{"box_2d": list(corners), "label": label} for *corners, label in packed]
    return {"image": image, "ml_use": use, "boxes": boxes} | ({FAULT: fault} if fault else {})


def read_grouped(opened: OpenBlock, extent: Extent, data: bytes) -> None:
    """Take the images of a block made by `grouped_blocks`; their lines count from the start of the file."""
    for line in data.split(b"\n"):
        told = jsonl.loads(line)
        if "reason" in told:
            row = Row(extent.uri, told["offset"], told["line"], told["raw"].encode("latin-1"))
            opened.rejections.append(Rejection(row, told["reason"], told["detail"]))
        else:
            record = Record(extent.uri, told["offset"], told["line"], b"", told["columns"], opened.block.format)
            opened.rows.append(record)
    opened.lines.append((extent.uri, 0))
