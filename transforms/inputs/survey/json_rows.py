"""Whether .json files of a folder hold rows: some of them are opened, before the work -> the first one that does."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain, islice
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Extent
from transforms.inputs.cutting import opened_head
from transforms.inputs.formats.json_files import fault_of_json, is_json
from transforms.inputs.formats.sidecars import sidecars_apart
from transforms.inputs.json_array import head_lines
from transforms.inputs.name_kinds import unread_place
from transforms.inputs.options import InputOptions
from transforms.inputs.patterns import is_folder, list_pattern, static_folder
from transforms.inputs.registry import MEANINGS, Meaning
from transforms.inputs.survey.small_looks import NOT_THERE, names_in
from transforms.storage import store_for
from transforms.storage.api import Forbidden, NotAFile, NotFound, Stat

_NAMES, _READS = 1000, 20  # that are looked at of a folder or glob
_FEW = 30  # names, where a prompt alone asks for rows
_LINES = 100  # of a file, that tell its columns
_OF_NO_COLUMN = ("path", "sidecar")


def find_json_rows(pattern: str, without: Collection[str], options: InputOptions) -> Stat | None:
    """The first .json file of a folder or glob that holds rows as options ask for them; None if none of the first ones does.

    With a function that makes rows: any rows.
    With templates: rows that have every column that these name, or with a prompt alone rows of a meaning that has its own answers.
    Without: rows of a meaning that needs none.
    """
    every = options.wanted.every
    columns = [name for name in options.wanted.columns if name.partition(".")[0] not in _OF_NO_COLUMN]
    templates = bool(options.prompt or options.answer or options.image_column)
    own_answers = templates and not (columns or every or options.answer or options.image_column)
    if templates and (len(columns) < len(options.wanted.columns) or not (columns or every or own_answers)):
        return None
    candidates = _on_top(pattern) if own_answers else _candidates(pattern, without)
    for file in islice(candidates, _READS):
        try:
            extent = Extent(file.uri, file.generation, file.size, 0, file.size, file.encoding)
            keys, head = _keys_of(extent)
        except NOT_THERE:
            continue
        if every and keys:
            return file
        if columns and all(keys.keys() & {name, name.partition(".")[0]} for name in columns):
            return file
        if own_answers and any(meaning.by_templates and meaning.tells(keys) for meaning in MEANINGS.values()):
            return file
        if not templates and any(_is_of(meaning, file.uri, head, keys) for meaning in MEANINGS.values()):
            return file
    return None


def _on_top(pattern: str) -> Iterator[Stat]:
    """The .json files among the very first names right in a folder; most hold images, and nothing else is asked of them."""
    names = names_in(pattern.rstrip("/"), _FEW) if is_folder(pattern) else []
    return (file for file in names if is_json(file.uri))


def _candidates(pattern: str, without: Collection[str]) -> Iterator[Stat]:
    """The .json files among the first names of a pattern, a folder's own ones before deeper ones; none that lies beside its image."""
    root = static_folder(pattern).rstrip("/")
    try:
        on_top = list(islice(store_for(root).list(root, deep=False), _NAMES)) if is_folder(pattern) else []
        deeper = list(islice(list_pattern(pattern, without=without), _NAMES))
    except (Forbidden, NotAFile, NotFound):  # if it matters, the listing of the input says so
        return
    seen: set[str] = set()
    listed = (
        sidecars_apart((file, unread_place(file.uri[len(root) :].lstrip("/"))) for file in some)
        for some in (on_top, deeper)
    )
    for file, kind in chain.from_iterable(listed):
        if not kind and is_json(file.uri) and file.uri not in seen:
            seen.add(file.uri)
            yield file


def _keys_of(extent: Extent) -> tuple[dict[str, Any], bytes]:
    """-> (keys of the first rows, each with a value; the first bytes of the file)."""
    _, head = opened_head(extent)
    keys: dict[str, Any] = {}
    for line in islice(head_lines(head).split(b"\n"), _LINES):
        try:
            keys = {**jsonl.loads(line), **keys}
        except RowError:
            continue
    return keys, head


def _is_of(meaning: Meaning, uri: str, head: bytes, keys: dict[str, Any]) -> bool:
    needs_none = not meaning.by_templates
    tells = meaning.tells(keys) or "contents" in keys or "tuneset" in keys
    return needs_none and tells and fault_of_json(uri, head, meaning, ()) is None
