"""Vertex AutoML's object detection in CSV: a whole file, one box a row -> Blocks of images with all their boxes, which travel.

The rows of an image may stand anywhere in its file, so one worker reads the file whole and gathers them, in the order in which images
first appear. Such a file holds some hundred bytes a box.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from transforms.core import jsonl
from transforms.core.automl import group_boxes
from transforms.core.records import Block, Dialect, Extent, OpenBlock, Record, Rejection, Row

GROUPED = "grouped"  # the kind of the blocks made here: JSON lines, each an image with its place in the file


def grouped_blocks(block: Block, read: OpenBlock, block_bytes: int) -> Iterator[Block]:
    """The rows of a whole file -> blocks of images."""
    extent, (index, name, _) = block.extents[0], block.order
    lines = sorted([*_images(read.rows), *map(_rejected, read.rejections)])
    held: list[bytes] = []
    size = start = 0

    def made(end: int) -> Block:
        part = replace(extent, start=start, end=end)
        raw = b"\n".join(held)
        return replace(block, order=(index, name, start), extents=(part,), raw=raw, dialect=Dialect(GROUPED))

    for offset, line in lines:
        if held and size + len(line) > block_bytes:
            yield made(offset)
            held, size, start = [], 0, offset
        held.append(line)
        size += len(line)
    if held:
        yield made(extent.size)


def _images(rows: list[Row]) -> Iterator[tuple[int, bytes]]:
    gathered: dict[str, list[Record]] = {}
    for row in rows:
        assert isinstance(row, Record)
        gathered.setdefault(row.columns["image"], []).append(row)
    for records in gathered.values():
        columns = group_boxes(record.columns for record in records)
        first = records[0]
        yield first.offset, jsonl.dumps({"offset": first.offset, "line": first.line, "columns": columns})


def _rejected(rejection: Rejection) -> tuple[int, bytes]:
    row = rejection.row
    told = {"offset": row.offset, "line": row.line, "reason": rejection.reason, "detail": rejection.detail}
    return row.offset, jsonl.dumps(told | {"raw": row.raw.decode("latin-1")})


def read_grouped(opened: OpenBlock, extent: Extent, data: bytes) -> None:
    """Take the images of a block made by `grouped_blocks`; their lines count from the start of the file."""
    for line in data.split(b"\n"):
        told = jsonl.loads(line)
        if "reason" in told:
            row = Row(extent.uri, told["offset"], told["line"], told["raw"].encode("latin-1"))
            opened.rejections.append(Rejection(row, "read", told["reason"], told["detail"]))
        else:
            record = Record(extent.uri, told["offset"], told["line"], b"", told["columns"], opened.block.format)
            opened.rows.append(record)
    opened.lines.append((extent.uri, 0))
