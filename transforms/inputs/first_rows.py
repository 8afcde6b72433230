"""The first rows of a file, as its first bytes tell them: lines of JSON, or records of CSV by its header."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.inputs.cells.csv_dialect import Wanted, first_records
from transforms.inputs.json_array import head_lines
from transforms.inputs.registry import Container, Meaning
from transforms.inputs.row_function import RowFunction

_LINES = 100  # of JSON that are looked at
# A bracket, a key with the first byte of its value if that is a bracket, or another text, which may be cut off.
_TOKEN = re.compile(rb'"(?P<key>(?:[^"\\]|\\.)*)"\s*:\s*(?P<value>[\[{])?|"(?:[^"\\]|\\.)*(?:"|\Z)|[\[\]{}]', re.DOTALL)


def first_rows(uri: str, head: bytes, container: Container, wanted: Wanted) -> Iterator[dict[str, Any]]:
    """The rows that can be read, none of a file that is no text.

    Args:
        head: the first bytes of the file, decompressed or converted.
    """
    if container.is_lines:
        lines = head_lines(head).split(b"\n")[:_LINES]
        for line in lines:
            with contextlib.suppress(RowError):
                yield jsonl.loads(line)
        if len(lines) == 1 and (keys := begun_object(lines[0])):
            yield keys
    elif not container.is_columnar and not container.file_columns:
        with contextlib.suppress(RowError):
            header, *records = first_records(uri, head, wanted) or [[]]
            yield from (dict(zip(map(str.strip, header), map(str.strip, record))) for record in records)


def begun_object(line: bytes) -> dict[str, Any]:
    """The keys of an object that is cut off, each with an empty value of its kind; none of a whole one, which can be parsed.

    >>> begun_object(b'{"id": 7, "messages": [{"role": "us')
    {'id': None, 'messages': []}
    """
    keys: dict[str, Any] = {}
    depth = 0
    for token in _TOKEN.finditer(line.removeprefix(b"\xef\xbb\xbf")):
        text, kind = token["key"], token["value"] or token[0][:1]
        if text is not None and depth == 1:
            keys[text.decode(errors="replace")] = {b"[": [], b"{": {}}.get(token["value"])
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(kind, 0)
        if text is None and depth <= 0:
            return {}
    return keys


def made_rows(rows: Iterable[dict[str, Any]], function: RowFunction | None) -> Iterator[dict[str, Any]]:
    """What a person's function makes of rows, as far as it can; without one, or of a rejected line, the rows themselves."""
    for row in rows:
        if function is None or "tuneset" in row:
            yield row
            continue
        with contextlib.suppress(RowError):
            yield from function.made_of(row)


def columns_of_rows(rows: Iterable[dict[str, Any]], meaning: Meaning) -> tuple[str, ...]:
    """The columns that a meaning makes of some rows, each once."""
    names: dict[str, None] = {}
    for row in rows:
        with contextlib.suppress(RowError):
            names |= dict.fromkeys(meaning.object(row) if meaning.object else row)
    return tuple(names)
