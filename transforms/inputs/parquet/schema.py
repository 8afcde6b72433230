"""What the schema of a Parquet file says: names of classes, which columns hold images, and how deeply a type nests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from transforms.core.places import is_text
from transforms.core.reasons import RowError
from transforms.inputs.parquet.row_sizes import Labels, is_binary

MAX_DEPTH = 100  # of a column's type: Arrow and json follow nesting by recursion
_MOST_METADATA = 16 << 20  # bytes of Hugging Face's metadata that are parsed


def class_names(metadata: Mapping[bytes, bytes]) -> dict[str, Labels]:
    """Names of the classes of each column that is or holds a ClassLabel, by the metadata that Hugging Face's `datasets` writes.

    Raises:
        RowError: corrupt_parquet, the metadata is too long to be parsed.
    """
    told = metadata.get(b"huggingface", b"")
    if len(told) > _MOST_METADATA:
        detail = f"its huggingface metadata has {len(told):,} bytes; at most {_MOST_METADATA:,} are parsed"
        raise RowError("corrupt_parquet", detail)
    try:
        features = json.loads(told)["info"]["features"]
        return {name: labels for name, feature in features.items() if (labels := _labels(feature))}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def _labels(feature: Any) -> Labels:
    """Names of the classes in a feature, whose lists are passed over: a list of structs may be stored as a struct of lists."""
    if isinstance(feature, list):
        return _labels(feature[0]) if len(feature) == 1 else []
    if not isinstance(feature, dict):
        return []
    kind = feature.get("_type")
    if kind == "ClassLabel":
        names = feature.get("names")
        return names if isinstance(names, list) and all(isinstance(one, str) and is_text(one) for one in names) else []
    if isinstance(kind, str):
        return _labels(feature.get("feature"))
    return {name: labels for name, inner in feature.items() if (labels := _labels(inner))}


def check_type(name: str, kind: pa.DataType, depth: int = 1) -> None:
    """Raises RowError (too_deep, corrupt_parquet) for a column whose type nests too deeply, or names a field in no UTF-8."""
    if depth > MAX_DEPTH:
        raise RowError("too_deep", f"the column {name!r} nests deeper than {MAX_DEPTH} levels")
    if isinstance(kind, pa.BaseExtensionType):
        check_type(name, kind.storage_type, depth)
    elif pa.types.is_dictionary(kind):
        check_type(name, kind.value_type, depth)
    for field in _fields(kind):
        try:
            str(field.name)
        except UnicodeDecodeError as error:
            raise RowError(
                "corrupt_parquet", f"a field of the column {name!r} has a name in no UTF-8: {error}"
            ) from None
        check_type(name, field.type, depth + 1)


def _fields(kind: pa.DataType) -> list[pa.Field]:
    if pa.types.is_struct(kind):
        return list(kind)
    if pa.types.is_map(kind):
        return [kind.key_field, kind.item_field]
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return [kind.value_field] if lists else []


def holds_bytes(kind: pa.DataType) -> bool:
    """Whether a column of images holds files: binary, a struct with `bytes`, or a list of either."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return holds_bytes(kind.value_type)
    if pa.types.is_struct(kind):
        return any(field.name == "bytes" and is_binary(field.type) for field in kind)
    return is_binary(kind)


def keys_of_schema(schema: pa.Schema) -> dict[str, object]:
    """The names of columns, each with an empty value of its kind as far as that tells what rows mean: lists of objects."""
    return {field.name: [] if _is_list_of_objects(field.type) else None for field in schema}


def _is_list_of_objects(kind: pa.DataType) -> bool:
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    return bool(is_list and pa.types.is_struct(kind.value_type))
