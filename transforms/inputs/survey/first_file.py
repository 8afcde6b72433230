"""Which file of an input tells what it is: the first of rows, else of images; looked for by names, .json files by their content."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from transforms.inputs.formats.json_files import is_json
from transforms.inputs.metadata_files import is_metadata
from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.patterns import first_files, is_folder, is_glob, rows_on_top
from transforms.inputs.registry import MEANINGS
from transforms.inputs.survey.json_rows import find_json_rows
from transforms.inputs.survey.nothing_found import nothing_found
from transforms.storage.api import NotFound, Stat

AUTO = "auto"  # --input_format: told by names and first bytes


@dataclass(frozen=True)
class FirstFile:
    """The file that tells what an input is.

    format: as far as names tell it, else AUTO. gives_json: whether .json files of the folder were found to hold rows.
    """

    file: Stat
    format: str
    gives_json: bool = False


def first_file_of(pattern: str, left_out: tuple[str, ...], options: InputOptions) -> FirstFile:
    """The first file of an input.

    Args:
        left_out: folders below it that are not read.

    Raises:
        InputError: there is none.
    """
    named, folder, without = options.input_format, is_folder(pattern), (*left_out, options.output)
    by_name = [meaning for meaning in MEANINGS.values() if meaning.by_name]
    templates = bool(options.prompt or options.answer or options.image_column)
    lines = [m.name for m in by_name if not m.of_files and (templates or not m.by_templates)]

    def enough(found: dict[str, Stat]) -> bool:
        if named != AUTO:
            return bool(found)
        return any(name in found and not is_metadata(found[name].uri) for name in lines)

    formats = [meaning.name for meaning in by_name] if named == AUTO else [named]
    try:
        on_top = [name for name in formats if not MEANINGS[name].of_files]
        found = rows_on_top(pattern, on_top) if folder else {}
        if not any(name in found for name in (lines if named == AUTO else formats)):
            found = first_files(pattern, formats, without, enough, options.links)
    except NotFound:
        found = {}

    images, rows = _split_off(found)
    others = [file.uri for file in rows.values()]
    json = find_json_rows(pattern, without, options) if _may_be_json(pattern, named, others) else None
    gives_json = json is not None and folder
    if json and not (others and folder):
        return FirstFile(json, named, gives_json)
    if found and named != AUTO:
        return FirstFile(next(iter(found.values())), named, gives_json)
    if not found:
        raise InputError(nothing_found(pattern, left_out, options))
    if images and all(is_metadata(uri) for uri in others):
        name, file = next(iter(images.items()))
        return FirstFile(file, name, gives_json)
    name = next((name for name in rows if name), next(iter(found)))
    return FirstFile(found[name], name if name in images else AUTO, gives_json)


def _may_be_json(pattern: str, named: str, others: Collection[str]) -> bool:
    """Whether .json files are to be looked into, where these are the other first files of rows: those go first in a glob."""
    able = named == AUTO or MEANINGS[named].unsure_suffixes
    if not able or not (is_folder(pattern) or is_glob(pattern)) or any(map(is_metadata, others)):
        return False
    return not (others and is_glob(pattern) and not is_json(next(iter(others))))


def _split_off(found: dict[str, Stat]) -> tuple[dict[str, Stat], dict[str, Stat]]:
    """The first files by format, apart: those that are a row each, and those that hold rows."""
    images = {name: file for name, file in found.items() if name in MEANINGS and MEANINGS[name].of_files}
    return images, {name: file for name, file in found.items() if name not in images}
