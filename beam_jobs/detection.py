"""Look at the first file of each input: what its rows are, and how a table is written. Settings -> Settings, and what was found.

What was found is said, with the option that overrides it; what cannot be is an OptionError before anything is written.
"""

from __future__ import annotations

from dataclasses import replace

from beam_jobs.options import OptionError
from beam_jobs.settings import Settings
from transforms.core import jsonl
from transforms.core.dialects import (
    Wanted,
    check_columns,
    check_utf8,
    dialect_of,
    first_records,
    is_image_name,
    kind_of,
    shown,
)
from transforms.core.examples import REJECTED
from transforms.core.reasons import RowError
from transforms.core.records import Extent
from transforms.cutting import head_of
from transforms.listing import first_file, is_folder
from transforms.storage import NotFound, Stat, is_local

_IMAGE_NAMES = (
    "image", "images", "image_uri", "image_url", "image_path", "image_file", "file_name", "filename", "img", "picture",
    "photo", "uri", "url", "gcs_uri", "path", "file",
)  # fmt: skip
_LOOKED_AT = 100  # lines of JSON


def detect(settings: Settings) -> tuple[Settings, list[str]]:
    """The same settings with the format of every input and the columns of images; a line about each, unless all are Gemini's.

    Raises:
      OptionError: an input has no file, or is not what options say.
    """
    looks = [_Look(pattern, settings) for pattern in settings.input]
    formats = tuple(look.format for look in looks)
    given = [name for name in ("prompt", "answer", "system", "image_column") if getattr(settings, name)]
    if given and not any(look.format != "gemini" or look.replay for look in looks):
        raise OptionError(
            f"--{given[0]} is for rows of tables, but {settings.input[0]} holds Gemini's rows: leave it out, or name another "
            "--input_format"
        )
    for look in looks:
        if look.format == "table":
            settings = look.table(settings)
    return replace(settings, formats=formats), [look.said for look in looks] if set(formats) != {"gemini"} else []


class _Look:
    """What the first file of one input says."""

    def __init__(self, pattern: str, settings: Settings) -> None:
        self.pattern, self.replay = pattern, False
        self._encoding = settings.encoding
        self._templates = bool(settings.prompt or settings.answer or settings.image_column)
        found = self._first(settings)
        self._extent = Extent(found.uri, found.generation, found.size, 0, found.size)
        self._head = head_of(self._extent)
        self.format = self._format(settings)
        what = "rejected rows, to be tried again" if self.replay else "Gemini's rows, one a line"
        self.said = f"{pattern}: {what} (--input_format)"

    def _first(self, settings: Settings) -> Stat:
        named, output = settings.input_format, settings.output
        formats = ("gemini", "table") if named == "auto" else (named,)
        if self._templates:
            formats = formats[::-1]
        for format in formats:
            try:
                found = first_file(self.pattern, output, format)
            except NotFound:
                found = None
            if found:
                return found
        hint = (
            ""
            if is_local(self.pattern) or self.pattern.endswith("/")
            else "; a gs:// folder is named with a / at its end"
        )
        endings = "*.jsonl and *.jsonl.gz" if named == "gemini" else "*.jsonl, *.csv and *.tsv, also with .gz"
        raise OptionError(f"--input {self.pattern} finds no file to read (of a folder: {endings}{hint})")

    def _format(self, settings: Settings) -> str:
        kind, named = kind_of(self._extent.uri, self._head), settings.input_format
        if kind == "csv":
            plain = (
                not is_folder(self.pattern)
                and not self._templates
                and not self._extent.uri.lower().endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz", ".tab"))
            )
            return "gemini" if named == "gemini" or (named == "auto" and plain) else "table"
        keys = set(self._keys())
        if "tuneset" in keys:
            self.replay = True
            return "gemini"
        if named != "auto":
            return named
        return "table" if self._templates and "contents" not in keys else "gemini"

    def _keys(self) -> dict[str, object]:
        """Keys of the first lines of JSON, in order, each with a value."""
        keys: dict[str, object] = {}
        for line in self._head.split(b"\n")[:_LOOKED_AT]:
            try:
                obj = jsonl.loads(line)
            except RowError:
                continue
            if obj.get("tuneset") != REJECTED:
                obj.pop("tuneset", None)
            keys = {**obj, **keys}
        return keys

    def table(self, settings: Settings) -> Settings:
        """Settings with the columns of images, held against the columns that are there."""
        uri = self._extent.uri
        try:
            names, values = self._columns(uri, settings.wanted)
            for option in ("prompt", "answer"):
                if not getattr(settings, option):
                    raise OptionError(
                        f"{uri} is a table with the columns {shown(names)}: --{option} is missing. For example: "
                        "--prompt 'What is this?' --answer '{" + (names[-1] if names else "label") + "}'"
                    )
            if not settings.image_column:
                settings = replace(settings, image_column=(self._image_column(names, values),))
            assert settings.recipe
            check_columns(names, settings.recipe.columns, "the columns are")
        except RowError as error:
            raise OptionError(f"{uri}: {error.detail}") from None
        self.said += f"; images in {shown(settings.image_column)} (--image_column)"
        return settings

    def _columns(self, uri: str, wanted: Wanted) -> tuple[list[str], dict[str, object]]:
        """Names of the columns, and the values of one row."""
        dialect = dialect_of(uri, self._head, wanted)
        if dialect.kind == "csv" and self._encoding == "auto":
            check_utf8(self._head)
        start = f"{self.pattern}: a table (--input_format)"
        if dialect.kind == "jsonl":
            self.said = f"{start} of JSON lines"
            keys = self._keys()
            return list(keys), keys
        records = first_records(uri, self._head, replace(wanted, delimiter=dialect.delimiter))
        rows = records[1:] if dialect.header else records
        self.said = (
            f"{start} in CSV; delimiter {dialect.delimiter!r} (--delimiter), {'a' if dialect.header else 'no'} header "
            f"(--header), {dialect.encoding} (--encoding)"
        )
        return list(dialect.names), dict(zip(dialect.names, rows[0] if rows else ()))

    def _image_column(self, names: list[str], values: dict[str, object]) -> str:
        lower = {name.lower(): name for name in reversed(names)}
        for name in _IMAGE_NAMES:
            if name in lower:
                return lower[name]
        for name, value in values.items():
            if is_image_name(value):
                return name
        raise RowError(
            "missing_column",
            f"no column looks like one of images: name it with --image_column; there are {shown(names)}",
        )
