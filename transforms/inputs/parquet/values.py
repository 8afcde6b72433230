"""What a Parquet file's values are as JSON: Arrow batches -> columns of JSON values. Image bytes are taken out on the way.

Dates and times become ISO texts, to the microsecond; decimals texts, maps objects, NaN null, binary texts if they are UTF-8. Integers
that Hugging Face's metadata calls a ClassLabel become their names, at whatever depth of a column. A cell that is no value costs its
own row alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transforms.core.reasons import RowError
from transforms.examples.recipe import STAGED
from transforms.inputs.parquet.row_sizes import Labels, Names, has_classes, label_sizes, row_sizes

Stage = Callable[[bytes], tuple[str, str]]  # an image's bytes -> where it is now, and the digest of its content

_LARGEST_CELL = 1 << 30  # bytes of the images of one cell: a larger image is not rewritten either
# What Arrow raises for cells that Python has no value for: bad UTF-8, dates beyond the year 9999, unknown time zones, ...
_UNUSABLE = (ValueError, TypeError, KeyError, ArithmeticError, RecursionError, pa.ArrowException)


def is_plain(kind: pa.DataType) -> bool:
    """Whether Arrow's Python values of a type are JSON values as they stand."""
    if pa.types.is_dictionary(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return is_plain(kind.value_type)
    if pa.types.is_struct(kind):
        return all(is_plain(field.type) for field in kind)
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_null(kind)
    )


def _told(kind: pa.DataType) -> pa.DataType:
    """The type that a column is read as: without dictionaries, and times to the microsecond, which is what Python has."""
    if pa.types.is_dictionary(kind):
        return _told(kind.value_type)
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return pa.timestamp("us", kind.tz)
    if pa.types.is_time64(kind) or (pa.types.is_duration(kind) and kind.unit == "ns"):
        return pa.time64("us") if pa.types.is_time64(kind) else pa.duration("us")
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_told(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(_told(kind.key_type), _told(kind.item_type), kind.keys_sorted)
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(kind.value_field.with_type(_told(kind.value_type)), kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        made = pa.list_ if pa.types.is_list(kind) else pa.large_list
        return made(kind.value_field.with_type(_told(kind.value_type)))
    return kind


def as_told(column: pa.Array) -> pa.Array:
    kind = _told(column.type)
    if kind.equals(column.type):
        return column
    try:
        return column.cast(kind, safe=False)
    except pa.ArrowException:
        return column  # then each cell is tried by itself


def text_sizes(batch: pa.RecordBatch, images: frozenset[str], names: Names) -> pa.Array:
    """Bytes of text in each row of a batch: what counts against the longest line. Numbers alone are not counted."""
    total = pa.repeat(pa.scalar(0, pa.int64()), len(batch))
    for field, column in zip(batch.schema, batch.columns):
        if field.name in names:
            total = pc.add(total, label_sizes(column, names[field.name]))
        if field.name in names and has_classes(field.type):
            continue
        if field.type.num_fields or not pa.types.is_primitive(field.type):
            total = pc.add(total, row_sizes(column, field.name not in images))
    return total


def columns_of(
    batch: pa.RecordBatch, images: frozenset[str], names: Names, stage: Stage
) -> tuple[list[list[Any]], dict[int, RowError]]:
    """The columns of a batch as JSON values, and why some of its rows cannot be used: their values are null.

    Args:
        images: columns that hold images' bytes.
        names: of the classes of columns of integers.
        stage: takes an image's bytes.
    """
    faults: dict[int, RowError] = {}
    found: dict[str, list[Any]] = {}
    for field, column in zip(batch.schema, batch.columns):
        if field.name not in images:
            found[field.name] = _values(field.name, as_told(column), names.get(field.name), faults)
    for name in batch.schema.names:
        if name in images:  # last, so that no image of a row is staged that is not used
            found[name] = _staged(name, batch.column(name), stage, faults)
    return [found[name] for name in batch.schema.names], faults


def _values(name: str, column: pa.Array, labels: Labels | None, faults: dict[int, RowError]) -> list[Any]:
    plain = is_plain(column.type)

    def told(value: Any) -> Any:
        value = value if plain else json_value(value)
        return value if labels is None else _with_names(value, labels)

    try:
        values = column.to_pylist()
        return values if plain and labels is None else list(map(told, values))
    except _UNUSABLE:
        return [_cell(name, column, row, told, faults) for row in range(len(column))]


def _cell(name: str, column: pa.Array, row: int, told: Callable[[Any], Any], faults: dict[int, RowError]) -> Any:
    try:
        return told(column[row].as_py())
    except _UNUSABLE as error:
        said = (str(error).splitlines() or [""])[0][:200]
        faults[row] = RowError(
            "bad_record", f"the column {name!r} holds no usable value: {type(error).__name__}: {said}"
        )
        return None


def _staged(name: str, column: pa.Array, stage: Stage, faults: dict[int, RowError]) -> list[Any]:
    """One image after the other, so that no two are in memory as Python's bytes."""
    values = []
    for row, size in enumerate(row_sizes(column).to_pylist()):
        if size > _LARGEST_CELL:
            detail = f"the images in the column {name!r} have {size:,} bytes; at most {_LARGEST_CELL:,} are read"
            faults[row] = RowError("line_too_long", detail)
        value = None if row in faults else _cell(name, column, row, lambda value: value, faults)
        values.append(image_value(value, stage))
    return values


def image_value(value: Any, stage: Stage) -> Any:
    """A value of a column of images with its bytes put elsewhere: {"path", "content"}, a path, a list of them, or null."""
    if isinstance(value, list):
        return [image_value(item, stage) for item in value]
    if isinstance(value, dict):
        data = value.get("bytes")
        if data is None:
            return {"path": value["path"]} if isinstance(value.get("path"), str) else None
        value = data
    if not value:
        return None
    uri, content = stage(value)
    return {"path": uri, STAGED: content}


def _with_names(value: Any, labels: Labels) -> Any:
    """A JSON value with names of classes in place of their numbers, at whatever depth; -1 is null."""
    if isinstance(value, list):
        return [_with_names(item, labels) for item in value]
    if isinstance(labels, dict):
        if not isinstance(value, dict):
            return value
        return {name: _with_names(item, labels[name]) if name in labels else item for name, item in value.items()}
    known = isinstance(value, int) and 0 <= value < len(labels)
    return labels[value] if known else None if value == -1 and labels else value


def json_value(value: Any) -> Any:
    """One Arrow value as JSON."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):  # a map
            return {str(json_value(key)): json_value(item) for key, item in value}
        return list(map(json_value, value))
    if isinstance(value, dict):
        return {key: json_value(item) for key, item in value.items()}
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    return (
        value.isoformat() if hasattr(value, "isoformat") else str(value)
    )  # dates and times; decimals, UUIDs and the like
