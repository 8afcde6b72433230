"""Parquet files: a whole file -> Blocks of rows, a Block -> columns of JSON values; rejects: corrupt_parquet, missing_column,
too_deep, line_too_long, bad_record.

A block is some row groups, named by their rows. A row group of many rows without image bytes is decoded once, by the worker that cuts,
and travels as Arrow slices; one with bytes is read in ranges, since images never travel. Only the columns that are used are read.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transforms.core.arrow_stream import stream
from transforms.core.reasons import RowError
from transforms.core.records import Block, Dialect, Fault
from transforms.inputs.cells.csv_dialect import check_columns
from transforms.inputs.hive_columns import hive_columns
from transforms.inputs.parquet.files import DAMAGE, IN_PIECES, damaged, footer_of, open_parquet, row_bytes
from transforms.inputs.parquet.row_sizes import PIECE, Names, is_texts, runs
from transforms.inputs.parquet.schema import check_type, holds_bytes
from transforms.inputs.parquet.values import Stage, columns_of, text_sizes
from transforms.inputs.registry import PARQUET

_MOST_ROWS = 4096  # of a block
_IMAGES_AT_ONCE = 16  # rows whose images are in memory together, at most
_IMAGE_BYTES, _TEXT_BYTES = 64 << 20, 16 << 20  # that are decoded together, unless a row alone has more
_MOST_TEXT = 256 << 20  # bytes of text in a block
_LARGE_GROUP = 256 << 20  # bytes of row groups that are not read whole before they are decoded
_TOO_LONG = b"too long"  # key of a raw block's metadata: the rows whose text did not travel, and its bytes

Values = tuple[list[list[Any]], dict[int, RowError]]  # columns, and why some rows of them cannot be used


def used_columns(schema: pa.Schema, wanted: tuple[str, ...], uri: str) -> list[str]:
    """Names of the columns that are read: those that options name and no folder of the file tells, or that hold a part that they name.

    Raises:
      RowError: missing_column, too_deep or corrupt_parquet.
    """
    names = schema.names
    wanted = tuple(name for name in wanted if name in names or name not in hive_columns(uri))
    check_columns(names, wanted, "the columns are")
    used = list(dict.fromkeys(name if name in names else name.split(".")[0] for name in wanted))
    for name in used:
        if names.count(name) > 1:
            raise RowError("missing_column", f"the file names the column {name!r} twice: rename one of them")
        check_type(name, schema.field(name).type)
    return used


def _all_readable(schema: pa.Schema, images: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(field.name for field in schema if field.name in images or not holds_bytes(field.type))


def parquet_blocks(
    block: Block, block_bytes: int, max_line_bytes: int, wanted: tuple[str, ...] | None, images: tuple[str, ...]
) -> Iterator[Block]:
    """A whole file -> its blocks. The extents of blocks count rows.

    Args:
      wanted: columns that options name; None: every column is read, but those of bytes that are none of `images`.

    Raises:
      RowError: corrupt_parquet, too_deep or missing_column.
    """
    extent, (index, name, _) = block.extents[0], block.order
    footer = footer_of(extent)
    columns = used_columns(
        footer.schema, _all_readable(footer.schema, images) if wanted is None else wanted, extent.uri
    )
    bulky = bool(footer.bulky(columns, images))
    dialect = Dialect(PARQUET.name, names=tuple(columns), classes=any(column in footer.classes for column in columns))

    def made(start: int, end: int, raw: bytes | None = None) -> Block:
        part = replace(extent, start=start, end=end)
        return replace(block, order=(index, name, start), extents=(part,), raw=raw, dialect=dialect)

    start = at = held = 0
    for number, end in enumerate(footer.ends):
        rows, size = end - at, footer.metadata.row_group(number).total_byte_size
        fits = min(max(block_bytes * rows // max(size, 1), 64), _MOST_ROWS)
        if at > start and (held + size > block_bytes or end - start > _MOST_ROWS):
            yield made(start, at)
            start, held = at, 0
        if rows > (_MOST_ROWS if bulky else 2 * fits):
            if at > start:
                yield made(start, at)
            if bulky:
                for first in range(at, end, _MOST_ROWS):
                    yield made(first, min(first + _MOST_ROWS, end))
            else:
                first = at
                try:
                    fits = min(
                        fits, max(_MOST_TEXT // max(row_bytes(extent, number, columns, _MOST_TEXT // fits), 1), 1)
                    )
                    file = open_parquet(extent)
                    for batch in file.iter_batches(batch_size=fits, row_groups=[number], columns=columns):
                        yield made(first, first + len(batch), _packed(batch, columns, footer.classes, max_line_bytes))
                        first += len(batch)
                    if first < end:
                        raise EOFError("the row group has fewer rows than its footer says")
                except (*DAMAGE, RowError) as error:
                    found = error if isinstance(error, RowError) else damaged(error)
                    yield replace(made(first, end), fault=Fault(found.reason, found.detail), lines=end - first)
            start, held = end, 0
        else:
            held += size
        at = end
    if at > start:
        yield made(start, at)


def _packed(batch: pa.RecordBatch, columns: list[str], names: Names, max_line_bytes: int) -> bytes:
    """Rows as they travel: without the file's metadata, without texts that are too long, and long ones that repeat once."""
    batch, metadata = _bare(batch, columns), {}
    sizes = text_sizes(batch, frozenset(), names)
    if (pc.max(sizes).as_py() or 0) > max_line_bytes:
        told = sizes.to_pylist()
        batch = batch.take(
            pa.array([None if size > max_line_bytes else row for row, size in enumerate(told)], pa.int64())
        )
        long = {row: size for row, size in enumerate(told) if size > max_line_bytes}
        metadata = {_TOO_LONG: json.dumps(long)}
    if batch.nbytes > PIECE:
        made = [column.dictionary_encode() if is_texts(column.type) else column for column in batch.columns]
        batch = pa.RecordBatch.from_arrays(made, names=columns)
    return stream(batch.replace_schema_metadata(metadata or None))


def _bare(batch: pa.RecordBatch, columns: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([batch.column(name) for name in columns], names=columns)


def parquet_columns(block: Block, images: tuple[str, ...], stage: Stage, max_line_bytes: int) -> Iterator[Values]:
    """The columns of a block, as JSON values, some rows at a time.

    Args:
      max_line_bytes: a row with more text is not used.

    Raises:
      RowError: corrupt_parquet.
    """
    assert block.dialect
    names: Names = footer_of(block.extents[0]).classes if block.dialect.classes else {}
    bulky = (
        frozenset[str]() if block.raw is not None else footer_of(block.extents[0]).bulky(block.dialect.names, images)
    )
    room = _MOST_TEXT
    try:
        for batch in _batches(block, bulky):
            sizes = text_sizes(batch, bulky, names)
            if long := json.loads((batch.schema.metadata or {}).get(_TOO_LONG, b"{}")):
                sizes = pa.array([long.get(str(row), size) for row, size in enumerate(sizes.to_pylist())], pa.int64())
            for start, end, size in runs(sizes, max_line_bytes, PIECE):
                if size > max_line_bytes and end == start + 1:
                    yield _refused(batch, 1, f"the row has {size:,} bytes of text; at most {max_line_bytes:,} are read")
                elif size > room:
                    room = -1
                    said = (
                        f"the rows of its block have more than {_MOST_TEXT:,} bytes of text: write smaller row groups"
                    )
                    yield _refused(batch, end - start, said)
                else:
                    room -= size
                    some = batch if end - start == len(batch) else batch.take(pa.array(range(start, end), pa.int64()))
                    yield columns_of(some, bulky, names, stage)
    except DAMAGE as error:
        raise damaged(error) from None


def _refused(batch: pa.RecordBatch, rows: int, detail: str) -> Values:
    fault = RowError("line_too_long", detail)
    return [[None] * rows for _ in batch.columns], dict.fromkeys(range(rows), fault)


def _batches(block: Block, bulky: frozenset[str]) -> Iterator[pa.RecordBatch]:
    assert block.dialect
    extent, columns = block.extents[0], list(block.dialect.names)
    if block.raw is not None:
        yield from pa.ipc.open_stream(block.raw)
        return
    footer = footer_of(extent)
    first = bisect_right(footer.ends, extent.start)
    groups = list(range(first, bisect_left(footer.ends, extent.end) + 1))
    # Dictionaries are kept, as each row of theirs would else be a text of its own; but not where a group is read in many batches:
    # to what they hold is added what they do not, and all of it is copied with every batch.
    texts = [] if bulky else footer.dictionaries(groups, columns)
    at = footer.ends[first - 1] if first else 0
    most, room, enough = (_IMAGES_AT_ONCE, _IMAGE_BYTES, 4) if bulky else (_MOST_ROWS, _TEXT_BYTES, _MOST_ROWS)
    # To look into the dictionaries of images costs more than to read four rows at a time.
    widest = max(row_bytes(extent, number, columns, room // enough, texts) for number in groups)
    large = sum(footer.metadata.row_group(number).total_byte_size for number in groups) > _LARGE_GROUP
    file = open_parquet(extent, read_dictionary=texts, **(IN_PIECES if large else {}))
    size = min(max(room // max(widest, 1), 1), most)
    for batch in file.iter_batches(batch_size=size, row_groups=groups, columns=columns):
        start, end = max(extent.start - at, 0), min(extent.end - at, len(batch))
        if end > start:
            yield _bare(batch.slice(start, end - start), columns)
        at += len(batch)
        if at >= extent.end:
            return
