"""Look at the first files of every input: options -> options that know what each is, and lines that say what was found.

What was found is said with the option that overrides it; what cannot be is an error before anything is written. Of a table its
columns are held against those that options name.
"""

from __future__ import annotations

import itertools
import os
import posixpath
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Extent, Input
from transforms.core.warning_codes import Notice
from transforms.examples.prompt_templates import is_path, parse_template
from transforms.inputs.automl import COLUMNS, has_box, is_automl_object, is_automl_row
from transforms.inputs.csv_dialect import (
    Wanted,
    check_columns,
    check_utf8,
    dialect_of,
    first_records,
    image_column_of,
    kind_of,
    lacks_answer,
    no_text,
    shown,
)
from transforms.inputs.cutting import SUFFIXES, head_of
from transforms.inputs.hive_columns import hive_columns
from transforms.inputs.json_array import head_lines
from transforms.inputs.left_out import in_words, left_out_of
from transforms.inputs.metadata_files import find_metadata, is_metadata
from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.parquet.blocks import used_columns
from transforms.inputs.parquet.files import Footer, footer_of
from transforms.inputs.parquet.schema import holds_bytes
from transforms.inputs.patterns import (
    first_files,
    first_image,
    is_dataset,
    is_folder,
    list_pattern,
    rows_on_top,
    static_folder,
)
from transforms.inputs.split_survey import survey_splits
from transforms.storage import abilities
from transforms.storage.api import NotFound, Stat

_TEMPLATES = ("prompt", "answer", "system", "image_column")
_IMAGE = "bytes.png"  # stands for the bytes of an image
_LOOKED_AT = 100  # lines of JSON
_LOOKED_FOR_IMAGES = 1000  # names, to find an image that no metadata file stands above
_SAID = 5  # metadata files of a folder that are told
_MANY = 10_000  # files of a folder of images, among which no dataset was found


def detect(options: InputOptions) -> tuple[InputOptions, list[str]]:
    """The same options with what each input is and the columns of images; what to say, nothing if all are Gemini's rows.

    Raises:
      InputError: an input has no file, or is not what options say.
    """
    looks = [look for pattern in options.input for look in look_at(pattern, options)]
    given = [name for name in _TEMPLATES if getattr(options, name)]
    if given and not any(look.format != "gemini" or look.replay for look in looks):
        raise InputError(
            f"--{given[0]} is for rows of tables and folders, but {options.input[0]} holds Gemini's rows: leave it out, or "
            "name another --input_format"
        )
    formats = {look.format for look in looks}
    if "automl" in formats <= {"automl", "gemini"} and not (options.split_by or options.split_column):
        options = replace(options, split_column="ml_use")
        split = ["ml_use decides the split where it is given (--split_column ml_use)"]
    else:
        names, split = survey_splits(options, rows=formats != {"folder"})
        options = replace(options, names_of_splits=names)
    if not options.upright and any(look.boxes(options) for look in looks):
        options = replace(options, upright=True)
        split.append(
            "images with a rotation tag are rewritten upright (--upright): boxes are of the picture as it is shown"
        )
    for look in looks:
        options = look.fill(options)
    notices = tuple(notice for look in looks for notice in look.notices)
    options = replace(options, inputs=tuple(look.input for look in looks), notices=(*options.notices, *notices))
    if all(look.format == "gemini" for look in looks):
        return options, split + unknown_columns(options, looks)
    told = [look.said for look in looks if not look.quiet]
    if len(told) < len(looks):
        told.append(f"and {len(looks) - len(told):,} more metadata files")
    return options, told + split + unknown_columns(options, looks)


def unknown_columns(options: InputOptions, looks: list[Look]) -> list[str]:
    """Warnings: columns that are to decide the split and stand in none of the first rows, which Gemini's rows need not have."""
    return [
        f"! the first rows of {look.pattern} have no {getattr(options, name)!r} (--{name})"
        for look in looks
        if look.format == "gemini" and not look.replay
        for name in ("split_by", "split_column")
        if getattr(options, name) and getattr(options, name) not in look.first_keys()
    ]


def look_at(pattern: str, options: InputOptions) -> list[Look]:
    """An input as what it is; a folder of images with metadata files is the tables that these are, and the images beside them."""
    look = Look(pattern, options)
    if look.format != "folder" or not is_folder(pattern):
        return [look]
    metadata = find_metadata(look.base, (*look.left_out, options.output))
    if not metadata.whole:
        look.notices.append(Notice("metadata_not_sought", example=pattern))
    if not metadata.uris:
        return [look]

    tables = [Look(uri, replace(options, input_format="table")) for uri in metadata.uris]
    for table in tables:
        table.base, table.nearer = look.base, metadata.nearer(table.pattern)
    for table in tables[_SAID:]:
        table.quiet = True
    tables[0].notices = look.notices
    look.left_out += metadata.folders
    image = first_image(pattern, (*look.left_out, options.output), _LOOKED_FOR_IMAGES)
    if not image:
        return tables
    columns = set(options.recipe.columns if options.recipe else ()) - set(options.image_column)
    if columns <= {"image", "sidecar"}:
        look.beside_tables = True
        return [*tables, look]
    look.notices.append(Notice("images_without_metadata", example=image))
    return tables


class Look:
    """What one input is. `said` tells a person, with the options that override it."""

    def __init__(self, pattern: str, options: InputOptions) -> None:
        self.pattern, self.replay, self.base = pattern, False, ""
        self._passed_over: list[str] = []
        self.left_out = left_out_of(pattern, options.left_out)
        self.nearer: tuple[str, ...] = ()
        self.notices: list[Notice] = []
        self.quiet = False  # one of many, of which the first are told
        self.beside_tables = False  # images that no metadata file speaks for: what templates ask for was looked at
        self._templates = bool(options.prompt or options.answer or options.image_column)
        named, file = self._first(options)
        self._extent = Extent(file.uri, file.generation, file.size, 0, file.size, file.encoding)
        if named == "folder":
            self.format, self.base = "folder", static_folder(pattern).rstrip("/")
            self.said = f"{pattern}: images, one a row (--input_format)"
            return
        self._head = head_of(self._extent)
        if kind := no_text(self._head):
            raise InputError(f"{file.uri} is {kind}: expected JSON lines, CSV or TSV in UTF-8, Parquet, or images")
        self.format = self._format(named, options)
        what = "rejected rows, to be tried again" if self.replay else "Gemini's rows, one a line"
        self.said = f"{pattern}: {what} (--input_format)"

    @property
    def input(self) -> Input:
        return Input(self.pattern, self.format, self.base, self.left_out, self.nearer)

    def _first(self, options: InputOptions) -> tuple[str, Stat]:
        """The format, as far as names tell it, and the first file of it."""
        named, folder = options.input_format, is_folder(self.pattern)
        lines = ("gemini", "table") if self._templates else ("gemini",)

        def enough(found: dict[str, Stat], number: int) -> bool:
            if named != "auto":
                return bool(found) if not folder else any(name in found for name in _GIVEN_BY[named])
            rows = any(name in found and not is_metadata(found[name].uri) for name in lines)
            return not folder or rows or ("folder" in found and number > _MANY)

        try:
            wanted = lines if named == "auto" else _GIVEN_BY[named]
            found = rows_on_top(self.pattern) if folder and named != "folder" else {}
            if not any(name in found for name in wanted):
                found = first_files(self.pattern, (*self.left_out, options.output), enough)
        except NotFound:
            found = {}
        if named != "auto":
            file = next((found[name] for name in _GIVEN_BY[named] if name in found), None)
            file = file or (None if folder or not found else next(iter(found.values())))
            if file:
                return named, file
        elif found:
            if "folder" in found and all(is_metadata(f.uri) for name, f in found.items() if name != "folder"):
                return "folder", found["folder"]
            name = next((name for name in found if name in ("gemini", "table")), next(iter(found)))
            return ("folder" if name == "folder" else "auto"), found[name]
        raise InputError(self._nothing(named, options))

    def _nothing(self, named: str, options: InputOptions) -> str:
        """What is said of an input without a file to read."""
        start, hint = f"--input {self.pattern} finds no file to read", ""
        if self.left_out:
            hint = f"; left out what Tuneset wrote: {in_words(self.left_out)}"
        elif abilities(self.pattern).has_paths:
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
        endings = {
            "gemini": "*.jsonl",
            "automl": "*.jsonl and *.csv",
            "table": "*.jsonl, *.csv, *.tsv and *.parquet",
            "folder": "*.jpg, *.png and other images",
        }
        given = endings.get(named, "*.jsonl, *.csv, *.tsv, *.parquet, or images")
        return f"{start} (of a folder: {given}, text also with .gz, .bz2, .xz or .zst{hint})"

    def _format(self, named: str, options: InputOptions) -> str:
        kind = kind_of(self._extent.uri, self._head)
        if kind == "parquet":
            return "table"
        if kind == "csv":
            if named == "automl" or (named == "auto" and self._automl_cells(options)):
                return "automl"
            plain = not self._templates and not self._extent.uri.lower().endswith(SUFFIXES["table"])
            return "gemini" if named == "gemini" or (named == "auto" and plain) else "table"
        keys = self.first_keys()
        if "tuneset" in keys:
            self.replay = True
            return "gemini"
        if named != "auto":
            return named
        if is_automl_object(keys):
            return "automl"
        return "table" if self._templates and "contents" not in keys else "gemini"

    def _automl_cells(self, options: InputOptions) -> bool:
        """Whether CSV is AutoML's: by its first row, unless options name columns that AutoML has not."""
        try:
            records = first_records(self._extent.uri, self._head, options.wanted)
        except RowError:
            return False
        columns = options.recipe.columns if options.recipe else options.image_column
        return bool(records) and is_automl_row(records[0]) and set(columns) <= set(COLUMNS)

    def boxes(self, options: InputOptions) -> bool:
        """Whether the first rows are of object detection."""
        if self.format != "automl":
            return False
        if kind_of(self._extent.uri, self._head) == "jsonl":
            return "boundingBoxAnnotations" in self.first_keys()
        return any(map(has_box, first_records(self._extent.uri, self._head, options.wanted)))

    def first_keys(self) -> dict[str, object]:
        """Keys of the first lines of JSON, in order, each with a value."""
        keys: dict[str, object] = {}
        for line in head_lines(self._head).split(b"\n")[:_LOOKED_AT]:
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
        if self.format == "table":
            try:
                return self._table(options)
            except InputError as error:
                if not self._passes_over_test(options, error):
                    raise
            return self.fill(options) if self._extent.uri not in self._passed_over else options
        if self.format == "automl":
            self._check_recipe(options, "AutoML's rows", COLUMNS, "AutoML's rows have")
            answer = "{boxes|json}" if self.boxes(options) else "{labels}"
            self.said = f"{self.pattern}: AutoML's rows (--input_format)"
            self.said += "" if options.answer else f"; answers are --answer '{answer}'"
        if self.format == "folder":
            has = "an image of a folder has path, sidecar and"
            if not self.beside_tables:
                self._check_recipe(options, "images", ("image", "sidecar"), has)
            self.said += "" if options.answer else "; answers are the names of their folders (--answer '{path.parent}')"
        return options

    def _passes_over_test(self, options: InputOptions, error: InputError) -> bool:
        """Whether the file is a test without answers, which is left out; if so, the input's first other file takes its place."""
        uri, answers = self._extent.uri, options.recipe.answers if options.recipe else ()
        detail = str(error).removeprefix(f"{uri}: ")
        if not lacks_answer(detail, answers) or options.names_of_splits.of_file(uri) != "test":
            return False
        self._passed_over.append(uri)
        self.said = f"{uri}: a test without the column of the answer, left out"
        for file in islice(list_pattern(self.pattern, without=(*self.left_out, options.output)), _MANY):
            if is_dataset(file.uri, "table") and options.names_of_splits.of_file(file.uri) != "test":
                self._extent = Extent(file.uri, file.generation, file.size, 0, file.size, file.encoding)
                self._head = head_of(self._extent)
                break
        return True

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
                named = "file_name" if self.base and "file_name" in names else image_column_of(names, values)
                options = replace(options, image_column=(named,))
            assert options.recipe
            check_columns(names, options.recipe.columns, "the columns are")
            if kind_of(uri, self._head) == "parquet":
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
        if kind_of(uri, self._head) == "parquet":
            self.said = f"{self.pattern}: a table (--input_format) in Parquet"
            schema = footer_of(self._extent).schema
            used_columns(schema, wanted.columns, uri)
            return [*schema.names, *hive_columns(uri)], {
                field.name: _IMAGE for field in schema if holds_bytes(field.type)
            }
        dialect = dialect_of(uri, self._head, wanted)
        start = f"{self.pattern}: a table (--input_format)"
        if dialect.kind == "jsonl":
            self.said = f"{start} of JSON lines"
            keys = self.first_keys()
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
        return [*dialect.names, *hive_columns(uri)], first_cells


def check_folders_of_bytes(footer: Footer, options: InputOptions) -> None:
    """Raises RowError (missing_column) where a template asks for the path of images that stand in the file itself."""
    bulky = footer.bulky(footer.schema.names, options.image_column)
    if all(footer.only_names(column) for column in bulky):
        return
    others = [name for name in footer.schema.names if name not in options.image_column]
    for option in ("prompt", "answer", "system"):
        template = parse_template(getattr(options, option))
        if asked := next((name for name in template.names if is_path(name) and name not in others), ""):
            raise RowError(
                "missing_column",
                f"--{option} asks for {{{asked}}}, but the images stand in the file itself, and have no folder: name a column, "
                f"as --{option} '{{{others[-1] if others else 'label'}}}'; the columns are {shown(footer.schema.names)}",
            )


# Formats whose files a folder gives when it is read in one.
_GIVEN_BY = {"gemini": ("gemini",), "automl": ("gemini", "table"), "table": ("gemini", "table"), "folder": ("folder",)}
