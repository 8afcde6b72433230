"""What one input is, by names and first bytes of its first file: its format, and of a table its columns.

What is found is said with the option that overrides it; what cannot be is an error before anything is written.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from transforms.core.reasons import RowError
from transforms.core.records import Extent, Fault, Input
from transforms.core.warning_codes import Notice
from transforms.inputs.cells.csv_dialect import (
    Wanted,
    check_columns,
    check_utf8,
    dialect_of,
    first_records,
    image_column_of,
    shown,
)
from transforms.inputs.cutting import opened_head
from transforms.inputs.first_rows import columns_of_rows, first_rows, made_rows
from transforms.inputs.formats.unanswered import Unanswered
from transforms.inputs.hive_columns import hive_columns
from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.parquet.blocks import used_columns
from transforms.inputs.parquet.files import footer_of
from transforms.inputs.parquet.folders import check_folders_of_bytes
from transforms.inputs.parquet.schema import holds_bytes, keys_of_schema
from transforms.inputs.patterns import (
    is_dataset,
    is_folder,
    list_pattern,
    static_folder,
)
from transforms.inputs.registry import CONTAINERS, DEFAULT, MEANINGS, TABLE, Meaning, container_of
from transforms.inputs.survey.first_file import AUTO, first_file_of
from transforms.inputs.survey.layouts import advice_on_object, format_of_shards
from transforms.inputs.survey.left_out import left_out_of
from transforms.inputs.survey.not_rows import READ, fault_of_bytes, fault_of_lines
from transforms.inputs.survey.nothing_found import rows_beside
from transforms.storage.compressed_members import is_packed

_IMAGE = "bytes.png"  # stands for the bytes of an image
_SOUGHT = 1000  # names, to find a table that is no test


class InputDetector:
    """What one input is. `said` tells a person, with the options that override it."""

    def __init__(self, pattern: str, options: InputOptions) -> None:
        self.pattern, self.replay, self.base = pattern, False, ""
        self._passed_over: list[str] = []
        self.shards, self.has_captions = "", False
        self.left_out, self._links = left_out_of(pattern, options.left_out), options.links
        self.nearer: tuple[str, ...] = ()
        self.notices: list[Notice] = []
        self.quiet = False  # one of many, of which the first are told
        self.beside_tables = False  # images that no metadata file speaks for: what templates ask for was looked at
        self._wanted, self._function = options.wanted, options.row_function
        self._templates = bool(options.prompt or options.answer or options.image_column)
        first = first_file_of(pattern, self.left_out, options)
        named, file = first.format, first.file
        self.json = first.gives_json  # whether .json files hold rows
        self._extent = Extent(file.uri, file.generation, file.size, 0, file.size, file.encoding)
        if named != AUTO and MEANINGS[named].of_files:
            self.meaning, self.base = MEANINGS[named], static_folder(pattern).rstrip("/")
            self.said = f"{pattern}: {self.meaning.said} (--input_format)"
            return
        self._read_head(named)
        self.meaning = self._meaning(named, options)
        told_by_names = options.input_format == AUTO and is_folder(pattern) and not options.image_column
        self.shards = format_of_shards(file.uri) if told_by_names else ""  # what img2dataset's folder is read as
        what = "rejected rows, to be tried again" if self.replay else self.meaning.said
        self.said = f"{pattern}: {what} (--input_format)"

    def _read_head(self, named: str = "") -> None:
        """Raises InputError: the file holds no rows, whatever its name says."""
        faults: list[Fault] = []
        self._extent, self._head = opened_head(self._extent, faults)
        extent, self._container = self._extent, container_of(self._extent.uri, self._head, self._extent.encoding)
        if self._container.convert and faults and not self._head:
            raise InputError(f"{extent.uri}: {faults[0].detail} ({READ})")
        if self._container.file_columns:
            return
        only_lines = named in MEANINGS and MEANINGS[named].only_lines
        fault = fault_of_lines(self._head) if only_lines else fault_of_bytes(extent.uri, self._head, is_packed(extent))
        if fault:
            raise InputError(f"{extent.uri}: {fault} ({READ})")

    @property
    def input(self) -> Input:
        return Input(self.pattern, self.meaning.name, self.base, self.left_out, self.nearer, self._links, self.json)

    def _meaning(self, named: str, options: InputOptions) -> Meaning:
        container = self._container
        able = [meaning for meaning in MEANINGS.values() if container in meaning.containers]
        if len(able) == 1:
            return able[0]
        if container.is_columnar or container.convert:
            return self._meaning_of_columns(able, named)
        keys = self.first_keys()
        if "tuneset" in keys:
            self.replay = True
            return DEFAULT
        if named != AUTO:
            return MEANINGS[named]
        for meaning in able:
            asked = meaning.by_templates or not self._templates
            by_keys = container.is_lines or (meaning.by_header and meaning.has_columns(options.asked_columns))
            if asked and ((by_keys and meaning.tells(keys)) or self._tells_by_cells(meaning, options)):
                return meaning
        if container.is_lines:
            return TABLE if self._templates and "contents" not in keys else DEFAULT
        is_plain = not self._templates and not is_dataset(self._extent.uri, TABLE.name, self.json)
        return DEFAULT if is_plain else TABLE

    def _meaning_of_columns(self, able: list[Meaning], named: str) -> Meaning:
        """What rows mean whose file tells its columns: of these what was named, or what they say, else a table's."""
        if named in (meaning.name for meaning in able):
            return MEANINGS[named]
        keys = self.first_keys()
        told = (one for one in able if not one.by_templates and not self._templates and one.tells(keys))
        return next(told, TABLE)

    def _tells_by_cells(self, meaning: Meaning, options: InputOptions) -> bool:
        """Whether the first record of CSV is of a meaning, unless options name columns that this has not."""
        if not meaning.is_record or self._container.is_lines:
            return False
        try:
            records = first_records(self._extent.uri, self._head, options.wanted)
        except RowError:
            return False
        return bool(records) and meaning.is_record(records[0]) and meaning.has_columns(options.asked_columns)

    def boxes(self, options: InputOptions) -> bool:
        """Whether the first rows are of object detection."""
        meaning = self.meaning
        if not meaning.is_box or self._container.is_lines:
            drawn = meaning.draws_boxes is not None and any(map(meaning.draws_boxes, self._first_rows()))
            return meaning.always_boxes or drawn
        return any(map(meaning.is_box, first_records(self._extent.uri, self._head, options.wanted)))

    def first_keys(self) -> dict[str, object]:
        """Keys of the first rows, in order, each with a value."""
        keys: dict[str, object] = {}
        if self._container.is_columnar:
            with contextlib.suppress(RowError):  # a damaged footer is told where its columns are needed
                return keys_of_schema(footer_of(self._extent).schema)
        for row in self._first_rows():
            keys = {**row, **keys}
        return keys

    def _first_rows(self) -> Iterator[dict[str, Any]]:
        """The first lines of JSON as a person's function makes them, or the first records of CSV as they stand."""
        rows = first_rows(self._extent.uri, self._head, self._container, self._wanted)
        return made_rows(rows, self._function) if self._container.is_lines else rows

    def _columns_of_meaning(self) -> Sequence[str]:
        """Columns of rows whose meaning names them, or of the first ones; none where a function decides and made no row."""
        if self._function and self.meaning.of_files:
            return ()
        told = None if self._function else self.meaning.columns
        return told or columns_of_rows(self._first_rows(), self.meaning)

    def fill(self, options: InputOptions) -> InputOptions:
        """InputOptions with what this input tells: the columns of a table's images.

        Raises:
          InputError: what it needs is not given, or is not there.
        """
        meaning = self.meaning
        if not meaning.by_templates:
            return options
        if meaning.own_columns:
            try:
                return self._table(options)
            except InputError as error:
                if not self._passes_over_test(options, error):
                    raise
            return self.fill(options) if self._extent.uri not in self._passed_over else options
        if not self.beside_tables:
            self._check_recipe(options, self._columns_of_meaning())
        if not options.answer:
            self.said += f"; answers are {meaning.answers[self.boxes(options)]}"
        return options

    def _passes_over_test(self, options: InputOptions, error: InputError) -> bool:
        """Whether the file is a test without answers, which is left out; if so, the input's first other file takes its place."""
        uri, answers = self._extent.uri, options.recipe.answers if options.recipe else ()
        detail = str(error).removeprefix(f"{uri}: ")
        if not Unanswered(answers, options.names_of_splits).is_meant(uri, detail):
            return False
        self._passed_over.append(uri)
        self.said = f"{uri}: a test without the column of the answer, left out"
        for file in islice(list_pattern(self.pattern, (*self.left_out, options.output), options.links), _SOUGHT):
            if is_dataset(file.uri, TABLE.name, self.json) and options.names_of_splits.of_file(file.uri) != "test":
                self._extent = Extent(file.uri, file.generation, file.size, 0, file.size, file.encoding)
                self._read_head()
                break
        return True

    def _check_recipe(self, options: InputOptions, columns: Sequence[str]) -> None:
        """Of rows that have these columns."""
        if not options.recipe:
            example = "--prompt is missing. For example: --prompt 'What is this?'"
            raise InputError(f"{self.pattern} holds {self.meaning.rows}: {example}")
        if self._function and not columns:
            return
        try:
            check_columns(columns, options.recipe.columns, self.meaning.have)
        except RowError as error:
            beside = rows_beside(self.pattern, options.output) if self.meaning.of_files else ""
            raise InputError(f"{self.pattern}: {error.detail}{beside}") from None

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
                named = "file_name" if self.base and "file_name" in names else image_column_of(names, values)
                options = replace(options, image_column=(named,))
            assert options.recipe
            if not self._function or (names and not self._container.is_columnar):
                check_columns(names, options.recipe.columns, "the columns are")
            if self._container.is_columnar:
                check_folders_of_bytes(footer_of(self._extent), options)
        except RowError as error:
            raise InputError(f"{uri}: {error.detail}") from None
        self.said += f"; images in {shown(options.image_column)} (--image_column)"
        return options

    def _columns(self, uri: str, options: InputOptions) -> tuple[list[str], dict[str, object]]:
        """Names of the columns, and the values of one row."""
        wanted: Wanted = options.wanted
        if not self._head.strip():
            raise RowError(
                "missing_column",
                "there is no row to tell the columns by: is the file empty, or what it is compressed with damaged?",
            )
        if self._container.is_columnar:
            self.said = f"{self.pattern}: a table (--input_format) in Parquet"
            schema = footer_of(self._extent).schema
            used_columns(schema, wanted.columns, uri)
            return [*schema.names, *hive_columns(uri)], {
                field.name: _IMAGE for field in schema if holds_bytes(field.type)
            }
        dialect = dialect_of(uri, self._head, wanted)
        start = f"{self.pattern}: a table (--input_format)"
        if CONTAINERS[dialect.kind].is_lines:
            self.said = f"{start} {f'in {title}' if (title := self._container.title) else 'of JSON lines'}"
            keys = self.first_keys()
            if advice := advice_on_object(keys, wanted.columns):
                raise RowError("missing_column", advice)
            return [*keys, *hive_columns(uri)], keys
        if options.encoding == "auto":
            check_utf8(self._head)
        records = first_records(uri, self._head, replace(wanted, delimiter=dialect.delimiter))
        rows = records[1:] if dialect.header else records
        self.said = (
            f"{start} in CSV; delimiter {dialect.delimiter!r} (--delimiter), {'a' if dialect.header else 'no'} header "
            f"(--header), {dialect.encoding} (--encoding)"
        )
        columns = zip(dialect.names, itertools.zip_longest(*rows, fillvalue="")) if rows else ()
        first_cells: dict[str, object] = {name: next(filter(str.strip, cells), "") for name, cells in columns}
        if self._function:
            told = hive_columns(uri)
            made = list(made_rows(({**told, **dict(zip(dialect.names, cells))} for cells in rows), self._function))
            return [*dict.fromkeys(name for row in made for name in row)], made[0] if made else {}
        return [*dialect.names, *hive_columns(uri)], first_cells
