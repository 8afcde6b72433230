"""Parquet files: a whole file -> Blocks of rows, a Block -> columns of JSON values; rejects: corrupt_parquet, missing_column.

A block is some row groups, named by their rows. A row group of many rows without image bytes is decoded once, by the worker that cuts,
and travels as Arrow slices; one with bytes is read in ranges, since images never travel. Only the columns that are used are read.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.core.dialects import check_columns
from transforms.core.outputs import stream
from transforms.core.parquet import Stage, class_names, columns_of, holds_bytes
from transforms.core.reasons import RowError
from transforms.core.records import Block, Dialect, Extent
from transforms.storage import store_for

_MOST_ROWS = 4096  # of a block
_ROWS_A_BYTE = (
    1000  # of a file, at most: no column of images is so dense, and a claimed number costs a block for each 4,096
)
_BYTES_AT_ONCE = 16  # rows whose images are in memory together
DAMAGE = (pa.ArrowException, OSError, EOFError)


class _Ranged(io.RawIOBase):
    """One version of a stored object as a file that can be sought."""

    def __init__(self, uri: str, generation: str, size: int) -> None:
        self._uri, self._generation, self._size, self._at = uri, generation, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if end <= self._at:
            return b""
        data = store_for(self._uri).read(self._uri, self._at, end, self._generation)[0]
        self._at += len(data)
        return data


@lru_cache(maxsize=8)
def _footer(uri: str, generation: str, size: int) -> pq.FileMetaData:
    return pq.read_metadata(_Ranged(uri, generation, size))


def open_parquet(extent: Extent) -> pq.ParquetFile:
    """A Parquet file; its footer is read once a process.

    Raises:
      RowError: corrupt_parquet.
    """
    try:
        footer = _footer(extent.uri, extent.generation, extent.size)
        return pq.ParquetFile(_Ranged(extent.uri, extent.generation, extent.size), metadata=footer)
    except DAMAGE as error:
        raise damaged(error) from None


def damaged(error: BaseException) -> RowError:
    said = str(error).strip().splitlines()
    return RowError("corrupt_parquet", f"it cannot be read as Parquet: {(said or [type(error).__name__])[0][:200]}")


def used_columns(schema: pa.Schema, wanted: tuple[str, ...]) -> list[str]:
    """Names of the columns that are read: those that options name, or that hold a part that they name.

    Raises:
      RowError: missing_column.
    """
    check_columns(schema.names, wanted, "the columns are")
    used = list(dict.fromkeys(name if name in schema.names else name.split(".")[0] for name in wanted))
    for name in used:
        if schema.names.count(name) > 1:
            raise RowError("missing_column", f"the file names the column {name!r} twice: rename one of them")
    return used


def parquet_blocks(block: Block, block_bytes: int, wanted: tuple[str, ...], images: tuple[str, ...]) -> Iterator[Block]:
    """A whole file -> its blocks. The extents of blocks count rows.

    Raises:
      RowError: corrupt_parquet or missing_column.
    """
    extent, (index, name, _) = block.extents[0], block.order
    file = open_parquet(extent)
    schema, footer = file.schema_arrow, file.metadata
    columns = used_columns(schema, wanted)
    bulky = any(holds_bytes(schema.field(name).type) for name in columns if name in images)

    def made(start: int, end: int, raw: bytes | None = None) -> Block:
        part = replace(extent, start=start, end=end)
        dialect = Dialect("parquet", names=tuple(columns))
        return replace(block, order=(index, name, start), extents=(part,), raw=raw, dialect=dialect)

    start = at = held = 0
    for number in range(footer.num_row_groups):
        group = footer.row_group(number)
        rows, size = group.num_rows, group.total_byte_size
        if not 0 <= rows <= _ROWS_A_BYTE * extent.size:
            raise RowError(
                "corrupt_parquet", f"row group {number} claims {rows:,} rows in a file of {extent.size:,} bytes"
            )
        fits = min(max(block_bytes * rows // max(size, 1), 64), _MOST_ROWS)
        if at > start and (held + size > block_bytes or at - start + rows > _MOST_ROWS):
            yield made(start, at)
            start, held = at, 0
        if rows > (_MOST_ROWS if bulky else 2 * fits):
            if at > start:
                yield made(start, at)
            if bulky:
                for first in range(at, at + rows, _MOST_ROWS):
                    yield made(first, min(first + _MOST_ROWS, at + rows))
            else:
                first = at
                try:
                    for batch in file.iter_batches(batch_size=fits, row_groups=[number], columns=columns):
                        yield made(first, first + len(batch), stream(batch))
                        first += len(batch)
                except DAMAGE as error:
                    fault = damaged(error)
                    yield replace(
                        made(first, at + rows), fault=f"{fault.reason}: {fault.detail}", lines=at + rows - first
                    )
            start, held = at + rows, 0
        else:
            held += size
        at += rows
    if at > start:
        yield made(start, at)


def parquet_columns(block: Block, images: tuple[str, ...], stage: Stage) -> Iterator[list[list[Any]]]:
    """The columns of a block, as JSON values, some rows at a time.

    Raises:
      RowError: corrupt_parquet.
    """
    assert block.dialect
    try:
        for batch in _batches(block, images):
            yield columns_of(batch, images, class_names(batch.schema), stage)
    except DAMAGE as error:
        raise damaged(error) from None


def _batches(block: Block, images: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    assert block.dialect
    extent = block.extents[0]
    if block.raw is not None:
        yield from pa.ipc.open_stream(block.raw)
        return
    file = open_parquet(extent)
    columns = list(block.dialect.names)
    bulky = any(holds_bytes(file.schema_arrow.field(name).type) for name in columns if name in images)
    groups: list[int] = []
    at = first = 0
    for number in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(number).num_rows
        if at < extent.end and at + rows > extent.start:
            first = first if groups else at
            groups.append(number)
        at += rows
    at = first
    size = _BYTES_AT_ONCE if bulky else _MOST_ROWS
    for batch in file.iter_batches(batch_size=size, row_groups=groups, columns=columns):
        start, end = max(extent.start - at, 0), min(extent.end - at, len(batch))
        if end > start:
            yield batch.slice(start, end - start)
        at += len(batch)
        if at >= extent.end:
            return
