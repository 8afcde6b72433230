"""Arrow streams, as Hugging Face's `save_to_disk` writes them: batches -> lines of JSON, whose images are places in the file.

The file is gone through once, a batch at a time. An image is read by its range when its row is, and staged: {"bytes": [start, size],
"path": name} becomes {"path": where it is, "content": its digest}, as Parquet's images do.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from itertools import pairwise
from typing import IO, Any, NamedTuple, cast

import pyarrow as pa

from transforms.core import jsonl
from transforms.core.file_kinds import LOOK, kind_of
from transforms.core.reasons import RowError
from transforms.core.records import Extent, OpenBlock
from transforms.examples.recipe import STAGED
from transforms.inputs.formats.inline_images import Stage
from transforms.inputs.formats.shards.staging import stage_rows, staged_range
from transforms.inputs.parquet.row_sizes import is_binary
from transforms.inputs.parquet.schema import check_type, class_names, holds_bytes
from transforms.inputs.parquet.values import columns_of
from transforms.storage.packings import Damaged
from transforms.storage.ranged_file import RangedFile

_MARK = b"\xff\xff\xff\xff"  # before each message
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3  # kinds of messages
_MOST_HEAD, _MOST_BODY = 16 << 20, 1 << 30  # bytes of a message
_READ = 1 << 20
_ROWS_A_BYTE = 8  # truth values are the smallest that take any
_FAULT = "fault of this row"  # the key of a row that cannot be used, until its images are staged
_ADVICE = "write the dataset as Parquet, as by Dataset.to_parquet"


class _Message(NamedTuple):
    """start: of the message in its file. data: all its bytes."""

    kind: int
    start: int
    data: pa.Buffer


def is_arrow_stream(head: bytes) -> bool:
    """Whether the first bytes of a file are a schema of Arrow's streaming format."""
    try:
        return head.startswith(_MARK) and _told(head[8:])[0] == _SCHEMA
    except (struct.error, Damaged):
        return False


def lines_of(extent: Extent) -> Iterator[bytes]:
    """The rows of a stream, as lines of JSON.

    Raises:
        Damaged: not_rows, it is none, or is stored in a way that is not read; corrupt_packing, it ends early. The rows before
            were given.
    """
    rows: _Rows | None = None
    for message in _messages(extent):
        if message.kind == _SCHEMA:
            with _reading():
                rows = _Rows(pa.ipc.read_schema(message.data))
        elif message.kind == _BATCH and rows is not None:
            with _reading():
                lines = rows.of_batch(message)
            yield from lines
        elif message.kind == _DICTIONARY:
            raise Damaged(f"it holds dictionaries, which are not read: {_ADVICE}", "not_rows")


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """What Arrow raises for bytes in memory that are no message, as damage of the file."""
    try:
        yield
    except Damaged:
        raise
    except (pa.ArrowException, RowError, OSError, ValueError, LookupError, TypeError) as error:
        raise Damaged(f"it is no Arrow stream that can be read: {error}", "not_rows") from None


def _messages(extent: Extent) -> Iterator[_Message]:
    """The messages of a file, from front to back."""
    file = cast(IO[bytes], io.BufferedReader(RangedFile(extent.uri, extent.generation, extent.size), _READ))
    head = file.read(LOOK)
    if not is_arrow_stream(head):
        raise Damaged(f"it is {kind_of(head) or 'no Arrow stream'}", "not_rows")
    start = 0
    while start + 8 <= extent.size:
        file.seek(start)
        prefix = file.read(8)
        length = int.from_bytes(prefix[4:], "little")
        if not prefix.startswith(_MARK) or length > _MOST_HEAD:
            raise Damaged("it is damaged: a batch does not begin where one should", "corrupt_packing")
        if not length:
            return
        told = file.read(length)
        kind, body = _told(told)
        if start + 8 + length + body > extent.size:
            raise Damaged("the file ends before its last batch does", "corrupt_packing")
        if body > _MOST_BODY:
            raise Damaged(f"a batch has {body:,} bytes, at most {_MOST_BODY:,} are read: {_ADVICE}", "not_rows")
        yield _Message(kind, start, pa.py_buffer(prefix + told + file.read(body)))
        start += 8 + length + body


def _told(head: bytes) -> tuple[int, int]:
    """(the kind of a message, the bytes of its body), by the flatbuffer that begins it."""
    try:
        (table,) = struct.unpack_from("<I", head)
        (back,) = struct.unpack_from("<i", head, table)
        size, _, _, kind_at, _, body_at = struct.unpack_from("<6H", head, table - back)
        kind = head[table + kind_at] if size >= 8 and kind_at else 0
        (body,) = struct.unpack_from("<q", head, table + body_at) if size >= 12 and body_at else (0,)
    except (struct.error, IndexError):
        raise Damaged("it is damaged: a batch does not tell its size", "corrupt_packing") from None
    if body < 0:
        raise Damaged("it is damaged: a batch of less than nothing", "corrupt_packing")
    return kind, body


class _Rows:
    """Makes lines of batches of one schema."""

    def __init__(self, schema: pa.Schema) -> None:
        for field in schema:
            check_type(field.name, field.type)
        self._schema, self._names = schema, class_names(schema.metadata or {})
        self._files = frozenset(field.name for field in schema if holds_bytes(field.type))

    def of_batch(self, message: _Message) -> list[bytes]:
        batch = pa.ipc.read_record_batch(pa.ipc.read_message(message.data), self._schema)
        batch.validate(full=True)
        for column in batch.columns:
            _check_length(column, _ROWS_A_BYTE * message.data.size)
        others = batch.select([name for name in batch.schema.names if name not in self._files])
        values, faults = columns_of(others, frozenset(), self._names, _not_staged)
        by_name = dict(zip(others.schema.names, values))
        by_name |= {name: _places(batch.column(name), message) for name in self._files}
        lines = []
        for row in range(len(batch)):
            columns = {name: by_name[name][row] for name in batch.schema.names}
            if fault := faults.get(row):
                columns[_FAULT] = [fault.reason, fault.detail]
            lines.append(jsonl.dumps(columns) + b"\n")
        return lines


def _check_length(column: pa.Array, most: int) -> None:
    """Raises Damaged for values that are more than the bytes of their batch can be: nulls take none."""
    if len(column) > most:
        raise Damaged(f"a batch claims {len(column):,} values, more than its bytes can be", "not_rows")
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        _check_length(column.values, most)
    elif pa.types.is_fixed_size_list(column.type):
        _check_length(column.flatten(), most)
    elif pa.types.is_map(column.type):
        _check_length(column.items, most)
    elif pa.types.is_struct(column.type):
        for at in range(column.type.num_fields):
            _check_length(column.field(at), most)


def _not_staged(data: bytes) -> tuple[str, str]:
    raise AssertionError("images are told by their places")


def _places(column: pa.Array, message: _Message) -> list[Any]:
    """The values of a column of files, with the places of their bytes in the file instead of these."""
    kind, valid = column.type, column.is_valid().to_pylist()
    if not valid:
        return []
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        items, ends = _places(column.values, message), column.offsets.to_pylist()
        return [items[ends[row] : ends[row + 1]] if ok else None for row, ok in enumerate(valid)]
    if pa.types.is_struct(kind):
        files = _places(column.field("bytes"), message)
        has_path = kind.get_field_index("path") >= 0 and pa.types.is_string(kind.field("path").type)
        paths = column.field("path").to_pylist() if has_path else [None] * len(column)
        named = zip(valid, files, paths)
        return [{"bytes": file and file["bytes"], "path": path} if ok else None for ok, file, path in named]
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)) or not is_binary(kind):
        raise Damaged(f"bytes of the type {kind} are not read: {_ADVICE}", "not_rows")
    _, offsets, data = column.buffers()
    wide = pa.types.is_large_binary(kind)
    ends = pa.Array.from_buffers(
        pa.int64() if wide else pa.int32(), len(column) + 1, [None, offsets], offset=column.offset
    ).to_pylist()
    within = data.address - message.data.address if data else 0
    if not 0 <= within <= message.data.size:
        raise Damaged(f"its batches are compressed, which is not read: {_ADVICE}", "not_rows")
    first = message.start + within
    places = ([first + start, end - start] for start, end in pairwise(ends))
    return [{"bytes": place, "path": None} if ok else None for ok, place in zip(valid, places)]


def stage_images(opened: OpenBlock, stage: Stage) -> OpenBlock:
    """The rows of a block with their images staged.

    Args:
        stage: takes the bytes of an image -> (where it is now, the name of its content).
    """

    def staged(columns: dict[str, Any], uri: str) -> dict[str, Any]:
        if isinstance(fault := columns.pop(_FAULT, None), list):
            raise RowError(*fault)
        return {name: _staged(value, uri, opened, stage) for name, value in columns.items()}

    return stage_rows(opened, staged)


def _staged(value: Any, uri: str, opened: OpenBlock, stage: Stage) -> Any:
    """A value with what stands in its places staged; null where an image has neither bytes nor a path."""
    if isinstance(value, list):
        return [_staged(item, uri, opened, stage) for item in value]
    if not isinstance(value, dict) or value.keys() != {"bytes", "path"}:
        return value
    place = value["bytes"]
    if place is None:
        return {"path": value["path"]} if value["path"] else None
    if not place[1]:
        return None
    path, content = staged_range(uri, opened, place, stage)
    return {"path": path, STAGED: content}
