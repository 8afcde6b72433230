"""Folders and files as other tools write them, which hold what is meant in another place or form: what to do instead."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Mapping

from transforms.core.records import NO_LINKS
from transforms.inputs.patterns import first_image
from transforms.inputs.registry import IMAGES, TAR_SHARDS
from transforms.storage import exists

_SHARD = re.compile(r"\d{5,}\.parquet")
_NAMES = 100  # of a shard's folder, among which an image is looked for


def format_of_shards(uri: str) -> str:
    """What a folder that img2dataset wrote is read as, of which `uri` is a table: it holds addresses, and the images lie beside it.

    -> the name of a format; "" if it is no such folder.
    """
    _, name = posixpath.split(uri)
    if not _SHARD.fullmatch(name):
        return ""
    shard = uri.removesuffix(".parquet")
    if exists(f"{shard}.tar"):
        return TAR_SHARDS
    return IMAGES.name if first_image(f"{shard}/", (), NO_LINKS, _NAMES) else ""


def advice_on_shards(folder: str) -> str:
    """What to do where columns are asked for that only img2dataset's tables have."""
    return (
        f"img2dataset wrote {folder}: its tables hold the addresses that images came from, and these lie in folders beside them. "
        "--input_format folder makes a row of each image, and --answer '{sidecar.caption}' takes its caption"
    )


def advice_on_object(first: Mapping[str, object], columns: Collection[str]) -> str:
    """What to do with JSON whose one object holds the rows, by its keys and their values; "" if it may be a row itself.

    Args:
      columns: that are asked for; an object that has one of them holds no lists of rows.
    """
    tables = [set(value) for value in first.values() if isinstance(value, dict)]
    if len(tables) == len(first) > 1 and tables[0] and all(table == tables[0] for table in tables):
        return "it holds a table by its columns: write it by rows (of pandas: df.to_json(path, orient='records'))"
    lists = [key for key, value in first.items() if _is_list_of_objects(value)]
    if not lists or any(name in first or name.partition(".")[0] in first for name in columns):
        return ""
    if len(lists) == 1:
        return f"its rows seem to stand under {lists[0]!r}: write that list alone into the file"
    names = ", ".join(map(repr, lists[:5]))
    return f"it is one object of several lists ({names}): write one row for each image, as JSON lines or CSV"


def _is_list_of_objects(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)
