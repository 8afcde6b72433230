"""What a Parquet file's values are as JSON: Arrow batches -> columns of JSON values. Image bytes are taken out on the way.

Dates and times become ISO texts, decimals texts, maps objects, NaN null, binary texts if they are UTF-8. Integers of a column that
Hugging Face's metadata calls a ClassLabel become their names.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

import pyarrow as pa

from transforms.core.tables import STAGED

Stage = Callable[[bytes], tuple[str, str]]  # an image's bytes -> where it is now, and the digest of its content


def class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Names of the classes of each ClassLabel column, as Hugging Face's `datasets` writes them into a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {
            name: feature["names"]
            for name, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and isinstance(feature["names"], list)
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column of images holds files: binary, a struct with `bytes`, or a list of either."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return holds_bytes(kind.value_type)
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and is_binary(field.type) for field in kind)
    return is_binary(kind)


def is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


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


def columns_of(
    batch: pa.RecordBatch, images: Iterable[str], names: dict[str, list[str]], stage: Stage
) -> list[list[Any]]:
    """The columns of a batch as JSON values.

    Args:
        images: columns whose bytes are images.
        names: of the classes of columns of integers.
        stage: takes an image's bytes.
    """
    found = []
    staged = set(images)
    for field, column in zip(batch.schema, batch.columns):
        values = column.to_pylist()
        if field.name in staged and holds_bytes(field.type):
            values = [image_value(value, stage) for value in values]
        elif field.name in names:
            values = [_class(value, names[field.name]) for value in values]
        elif not is_plain(field.type):
            values = list(map(json_value, values))
        found.append(values)
    return found


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


def _class(value: Any, names: list[str]) -> Any:
    known = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if known else None if value == -1 else value


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
