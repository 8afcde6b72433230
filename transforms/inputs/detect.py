"""Look at the first files of every input: options -> options that know what each is, and lines that say what was found.

What was found is said with the option that overrides it; what cannot be is an error before anything is written. Of a table its
columns are held against those that options name.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import replace

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Extent, Input
from transforms.examples.splits import split_word
from transforms.inputs.csv_dialect import (
    Wanted,
    check_columns,
    check_utf8,
    dialect_of,
    first_records,
    image_column_of,
    no_text,
    shown,
)
from transforms.inputs.cutting import head_of
from transforms.inputs.left_out import in_words, left_out_of
from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.parquet.blocks import used_columns
from transforms.inputs.parquet.files import footer_of
from transforms.inputs.parquet.schema import holds_bytes
from transforms.inputs.patterns import first_files, is_dataset, is_folder, list_pattern, static_folder
from transforms.inputs.registry import CONTAINERS, DEFAULT, MEANINGS, TABLE, Meaning, container_of
from transforms.storage import exists, store_for
from transforms.storage.api import NotFound, Stat, is_local

_TEMPLATES = ("prompt", "answer", "system", "image_column")
_SPLIT_FOLDERS = ("train", "training", "validation", "validate", "val", "test")
_METADATA = ("metadata.csv", "metadata.jsonl")  # the former first
_IMAGE = "bytes.png"  # stands for the bytes of an image
_LOOKED_AT = 100  # lines of JSON
_AUTO = "auto"  # --input_format: told by names and first bytes
_MANY = 10_000  # files of a folder of images, among which no dataset was found


def detect(options: InputOptions) -> tuple[InputOptions, list[str]]:
    """The same options with what each input is and the columns of images; what to say, nothing if all are Gemini's rows.

    Raises:
      InputError: an input has no file, or is not what options say.
    """
    looks = [look for pattern in options.input for look in look_at(pattern, options)]
    given = [name for name in _TEMPLATES if getattr(options, name)]
    if given and not any(look.meaning.by_templates or look.replay for look in looks):
        raise InputError(
            f"--{given[0]} is for rows of tables and folders, but {options.input[0]} holds {looks[0].meaning.rows}: leave it "
            "out, or name another --input_format"
        )
    options, split = split_folders(options, looks)
    decides = next((look.meaning.split_column for look in looks if look.meaning.split_column), "")
    others = any(look.meaning.by_templates and look.meaning.split_column != decides for look in looks)
    if decides and not others and not (options.split_by or options.split_column):
        options = replace(options, split_column=decides)
        split.append(f"{decides} decides the split where it is given (--split_column {decides})")
    if not options.upright and any(look.boxes(options) for look in looks):
        options = replace(options, upright=True)
        split.append(
            "images with a rotation tag are rewritten upright (--upright): boxes are of the picture as it is shown"
        )
    for look in looks:
        options = look.fill(options)
    options = replace(options, inputs=tuple(look.input for look in looks))
    if all(look.meaning is DEFAULT for look in looks):
        return options, unknown_columns(options, looks)
    return options, [look.said for look in looks] + split + unknown_columns(options, looks)


def unknown_columns(options: InputOptions, looks: list[Look]) -> list[str]:
    """Warnings: columns that are to decide the split and stand in none of the first rows, which Gemini's rows need not have."""
    return [
        f"! the first rows of {look.pattern} have no {getattr(options, name)!r} (--{name})"
        for look in looks
        if not look.meaning.by_templates and not look.replay
        for name in ("split_by", "split_column")
        if getattr(options, name) and getattr(options, name) not in look.first_keys()
    ]


def look_at(pattern: str, options: InputOptions) -> list[Look]:
    """An input as what it is; a folder of images with metadata beside them is the tables that these are."""
    look = Look(pattern, options)
    if not look.meaning.of_files or not is_folder(pattern):
        return [look]
    places = split_places(look.base, options)
    tables = [
        Look(uri, replace(options, input_format=TABLE.name)) for uri in metadata_files([look.base, *places.values()])
    ]
    for table in tables:
        table.base = look.base
    return tables or [look]


def metadata_files(folders: Iterable[str]) -> list[str]:
    """Hugging Face's convention: metadata.csv or .jsonl in a folder of images, or in each of its folders of a split."""
    return [uri for folder in folders for name in _METADATA if exists(uri := f"{folder}/{name}")]


def split_places(folder: str, options: InputOptions) -> dict[str, str]:
    """Where folders of a split may lie, by name: a dataset may be called `test` too."""
    places = {name: f"{folder}/{name}" for name in _SPLIT_FOLDERS}
    return {name: place for name, place in places.items() if place not in (options.output, *options.left_out)}


def split_folders(options: InputOptions, looks: list[Look]) -> tuple[InputOptions, list[str]]:
    """Let folders called train, validation, test decide the split, if all inputs have them and no option decides it."""
    if options.split_by or options.split_column or not all(look.base for look in looks):
        return options, []
    there: dict[str, None] = {}
    for base in dict.fromkeys(look.base for look in looks):
        places = split_places(base, options)
        names = [name for name, place in places.items() if next(store_for(base).list(place), None)]
        if len({split_word(name) for name in names}) < 2:
            return options, []
        there.update(dict.fromkeys(names))
    return replace(options, split_column="path.1"), [
        f"folders {', '.join(there)} decide the split (--split_column path.1)"
    ]


class Look:
    """What one input is. `said` tells a person, with the options that override it."""

    def __init__(self, pattern: str, options: InputOptions) -> None:
        self.pattern, self.replay, self.base = pattern, False, ""
        self._left_out = left_out_of(pattern, options.left_out)
        self._templates = bool(options.prompt or options.answer or options.image_column)
        named, file = self._first(options)
        self._extent = Extent(file.uri, file.generation, file.size, 0, file.size, file.encoding)
        if named != _AUTO and MEANINGS[named].of_files:
            self.meaning, self.base = MEANINGS[named], static_folder(pattern).rstrip("/")
            self.said = f"{pattern}: {self.meaning.said} (--input_format)"
            return
        self._head = head_of(self._extent)
        if kind := no_text(self._head):
            raise InputError(f"{file.uri} is {kind}: expected JSON lines, CSV or TSV in UTF-8, Parquet, or images")
        self.meaning = self._meaning(named, options)
        what = "rejected rows, to be tried again" if self.replay else self.meaning.said
        self.said = f"{pattern}: {what} (--input_format)"

    @property
    def input(self) -> Input:
        return Input(self.pattern, self.meaning.name, self.base, self._left_out)

    def _first(self, options: InputOptions) -> tuple[str, Stat]:
        """The format, as far as names tell it, and the first file of it."""
        named, folder = options.input_format, is_folder(self.pattern)
        by_name = [meaning for meaning in MEANINGS.values() if meaning.by_name]
        lines = [m.name for m in by_name if not m.of_files and (self._templates or not m.by_templates)]

        def enough(found: dict[str, Stat], number: int) -> bool:
            if named != _AUTO:
                return bool(found)
            rows = any(name in found and not _is_metadata(found[name].uri) for name in lines)
            return not folder or rows or (bool(_split_off(found)[0]) and number > _MANY)

        formats = [meaning.name for meaning in by_name] if named == _AUTO else [named]
        try:
            found = first_files(self.pattern, formats, (*self._left_out, options.output), enough)
        except NotFound:
            found = {}
        if found and named != _AUTO:
            return named, next(iter(found.values()))
        if found:
            images, rows = _split_off(found)
            if images and all(_is_metadata(file.uri) for file in rows.values()):
                return next(iter(images.items()))
            name = next((name for name in rows if name), next(iter(found)))
            return (name if name in images else _AUTO), found[name]
        raise InputError(self._nothing(named, options))

    def _nothing(self, named: str, options: InputOptions) -> str:
        """What is said of an input without a file to read."""
        start, hint = f"--input {self.pattern} finds no file to read", ""
        if self._left_out:
            hint = f"; left out what Tuneset wrote: {in_words(self._left_out)}"
        elif is_local(self.pattern):
            if static_folder(self.pattern) != os.path.dirname(self.pattern) or os.path.exists(self.pattern):
                other = next(list_pattern(self.pattern, without=(options.output,)), None)
                hint = f"; {posixpath.basename(other.uri)} is none of them" if other else ""
            elif not os.path.lexists(self.pattern):
                comma = (
                    "; commas part inputs: for one in a name write ?, as in 'a?b/*'" if len(options.input) > 1 else ""
                )
                return f"{start}: there is nothing of this name{comma}"
        elif not self.pattern.endswith("/"):
            hint = "; a gs:// folder is named with a / at its end"
        given = MEANINGS[named].files if named in MEANINGS else "*.jsonl, *.csv, *.tsv, *.parquet, or images"
        return f"{start} (of a folder: {given}, text also with .gz{hint})"

    def _meaning(self, named: str, options: InputOptions) -> Meaning:
        container = container_of(self._extent.uri, self._head)
        able = [meaning for meaning in MEANINGS.values() if container in meaning.containers]
        if len(able) == 1:
            return able[0]
        keys = self.first_keys() if container.is_lines else {}
        if "tuneset" in keys:
            self.replay = True
            return DEFAULT
        if named != _AUTO:
            return MEANINGS[named]
        for meaning in able:
            asked = meaning.by_templates or not self._templates
            if asked and (meaning.tells(keys) or self._tells_by_cells(meaning, options)):
                return meaning
        if container.is_lines:
            return TABLE if self._templates and "contents" not in keys else DEFAULT
        is_plain = not self._templates and not is_dataset(self._extent.uri, TABLE.name)
        return DEFAULT if is_plain else TABLE

    def _tells_by_cells(self, meaning: Meaning, options: InputOptions) -> bool:
        """Whether the first record of CSV is of a meaning, unless options name columns that this has not."""
        if not meaning.is_record or container_of(self._extent.uri, self._head).is_lines:
            return False
        try:
            records = first_records(self._extent.uri, self._head, options.wanted)
        except RowError:
            return False
        columns = options.recipe.columns if options.recipe else options.image_column
        return bool(records) and meaning.is_record(records[0]) and set(columns) <= set(meaning.columns or ())

    def boxes(self, options: InputOptions) -> bool:
        """Whether the first rows are of object detection."""
        if not self.meaning.is_box:
            return False
        if container_of(self._extent.uri, self._head).is_lines:
            return self.meaning.box_key in self.first_keys()
        return any(map(self.meaning.is_box, first_records(self._extent.uri, self._head, options.wanted)))

    def first_keys(self) -> dict[str, object]:
        """Keys of the first lines of JSON, in order, each with a value."""
        keys: dict[str, object] = {}
        for line in self._head.split(b"\n")[:_LOOKED_AT]:
            try:
                keys = {**jsonl.loads(line), **keys}
            except RowError:
                continue
        return keys

    def fill(self, options: InputOptions) -> InputOptions:
        """InputOptions with what this input tells: the columns of a table's images.

        Raises:
          InputError: what it needs is not given, or is not there.
        """
        meaning = self.meaning
        if not meaning.by_templates:
            return options
        if meaning.columns is None:
            return self._table(options)
        self._check_recipe(options, meaning.rows, meaning.columns, meaning.have)
        if not options.answer:
            self.said += f"; answers are {meaning.answers[self.boxes(options)]}"
        return options

    def _check_recipe(self, options: InputOptions, what: str, columns: Sequence[str], there_are: str) -> None:
        """Of rows whose columns are always the same."""
        if not options.recipe:
            raise InputError(f"{self.pattern} holds {what}: --prompt is missing. For example: --prompt 'What is this?'")
        try:
            check_columns(columns, options.recipe.columns, there_are)
        except RowError as error:
            raise InputError(f"{self.pattern}: {error.detail}") from None

    def _table(self, options: InputOptions) -> InputOptions:
        uri = self._extent.uri
        try:
            names, values = self._columns(uri, options)
            for option in ("prompt", "answer"):
                if not getattr(options, option):
                    raise InputError(
                        f"{uri} is a table with the columns {shown(names)}: --{option} is missing. For example: "
                        "--prompt 'What is this?' --answer '{" + (names[-1] if names else "label") + "}'"
                    )
            if not options.image_column:
                options = replace(options, image_column=(image_column_of(names, values),))
            assert options.recipe
            check_columns(names, options.recipe.columns, "the columns are")
        except RowError as error:
            raise InputError(f"{uri}: {error.detail}") from None
        self.said += f"; images in {shown(options.image_column)} (--image_column)"
        return options

    def _columns(self, uri: str, options: InputOptions) -> tuple[list[str], dict[str, object]]:
        """Names of the columns, and the values of one row."""
        wanted: Wanted = options.wanted
        if not self._head.strip():
            raise RowError(
                "missing_column", "there is no row to tell the columns by: is the file empty, or its .gz damaged?"
            )
        if container_of(uri, self._head).is_columnar:
            self.said = f"{self.pattern}: a table (--input_format) in Parquet"
            schema = footer_of(self._extent).schema
            used_columns(schema, wanted.columns)
            return schema.names, {field.name: _IMAGE for field in schema if holds_bytes(field.type)}
        dialect = dialect_of(uri, self._head, wanted)
        start = f"{self.pattern}: a table (--input_format)"
        if CONTAINERS[dialect.kind].is_lines:
            self.said = f"{start} of JSON lines"
            keys = self.first_keys()
            return list(keys), keys
        if options.encoding == "auto":
            check_utf8(self._head)
        records = first_records(uri, self._head, replace(wanted, delimiter=dialect.delimiter))
        rows = records[1:] if dialect.header else records
        self.said = (
            f"{start} in CSV; delimiter {dialect.delimiter!r} (--delimiter), {'a' if dialect.header else 'no'} header "
            f"(--header), {dialect.encoding} (--encoding)"
        )
        return list(dialect.names), dict(zip(dialect.names, rows[0] if rows else ()))


def _split_off(found: dict[str, Stat]) -> tuple[dict[str, Stat], dict[str, Stat]]:
    """The first files by format, apart: those that are a row each, and those that hold rows."""
    images = {name: file for name, file in found.items() if name in MEANINGS and MEANINGS[name].of_files}
    return images, {name: file for name, file in found.items() if name not in images}


def _is_metadata(uri: str) -> bool:
    return uri.rpartition("/")[2] in _METADATA
