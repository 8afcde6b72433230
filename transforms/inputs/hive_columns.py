"""Columns that a file's folders tell, as Hive, Spark and Dask write them: `label=cat/part-0.parquet`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote

from transforms.core.places import is_text

_NULL = "__HIVE_DEFAULT_PARTITION__"


@lru_cache(maxsize=256)
def hive_columns(uri: str) -> Mapping[str, str | None]:
    """Values by column, each the same for all rows of a file; of two folders that name one, the deeper counts.

    >>> dict(hive_columns("/data/label=red%20cat/year=__HIVE_DEFAULT_PARTITION__/part-0.parquet"))
    {'label': 'red cat', 'year': None}
    """
    columns: dict[str, str | None] = {}
    for folder in uri.split("/")[:-1]:
        name, equals, value = map(unquote, folder.partition("="))
        if equals and name and is_text(name) and is_text(value):
            columns[name] = None if value == _NULL else value
    return MappingProxyType(columns)


def not_in_folders(uri: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Those of some columns that a file's folders do not tell."""
    told = hive_columns(uri)
    return tuple(name for name in columns if name not in told)
