"""How a table file is written, told from its name and first bytes: JSONL, Parquet, or CSV with its delimiter and header.

What an option says is not guessed. A file that cannot be what it must be is a RowError that stands for the whole file.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transforms.core.reasons import RowError
from transforms.core.records import Dialect
from transforms.inputs.cells.csv_quotes import without_blanks
from transforms.inputs.hive_columns import not_in_folders
from transforms.inputs.image_names import is_image_name
from transforms.inputs.registry import CSV, MEANINGS, TABLE, container_of
from transforms.storage.packings import without_ending

HEAD = 64 << 10  # bytes of a file that detection looks at
BOM = codecs.BOM_UTF8
UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
ENCODINGS = (
    "utf-8",
    "latin-1",
    "cp1252",
    "ascii",
)  # in all of them quotes, delimiters and line ends are single ASCII bytes
DELIMITERS = {"comma": ",", "tab": "\t", "semicolon": ";", "pipe": "|"}
_IMAGE_NAMES = (
    "image", "images", "image_uri", "image_url", "image_path", "image_file", "file_name", "filename", "img", "picture",
    "photo", "uri", "url", "gcs_uri", "path", "file",
)  # fmt: skip
_RECORDS = 20  # that are compared
# A byte order mark, and the line in which a spreadsheet names the delimiter.
_PREAMBLE = re.compile(rb'(?:\xef\xbb\xbf)?(?:"?sep=([\t -~])"?(?:\r\n|\r|\n|\Z))?', re.IGNORECASE)
_TSV = (".tsv", ".tab")
_FORMAT = re.compile(r"(.*?)\s*(?:![rsa]|\[.*\]|:[^:]*)+", re.DOTALL)
_NO_NAME = re.compile(r"""["':\n]""")


@dataclass(frozen=True)
class Wanted:
    """What options say of a table's files, and the columns that they name."""

    delimiter: str = ""  # "": told by the file
    header: str = "auto"  # auto | yes | no
    encoding: str = "utf-8"
    columns: tuple[str, ...] = ()
    keep_blanks: bool = False  # around the text of a cell
    every: bool = False  # every column is read, as a function makes those that options name


def dialect_of(uri: str, head: bytes, wanted: Wanted, row_format: str = TABLE.name) -> Dialect:
    """How a JSONL or CSV file is written.

    Args:
        uri: of the file.
        head: its first HEAD bytes, or all of it.
        format: of its rows.

    Raises:
        RowError: utf16, bad_record or missing_column; it stands for the whole file.
    """
    if head.startswith(UTF16):
        raise RowError("utf16", "the file begins with a UTF-16 byte order mark; expected UTF-8")
    container = container_of(uri, head)
    if container.is_lines:
        return Dialect(container.name)
    rows = first_records(uri, head, wanted)
    delimiter, returns = _delimiter(uri, head, wanted), ends_with_returns(head)
    if MEANINGS[row_format].cells:  # no header, and rows of any length
        delimiter = delimiter if wanted.delimiter or _PREAMBLE.match(head)[1] else ","  # type: ignore[index]
        return Dialect(CSV.name, delimiter, wanted.encoding, header=False, carriage_returns=returns)
    by_header = MEANINGS[row_format].by_header  # columns are made of those that the header names
    first, columns = rows[0] if rows else [], [] if by_header else not_in_folders(uri, wanted.columns)
    header = wanted.header == "yes" or (wanted.header == "auto" and has_header(rows, columns))
    names = _named(first) if header else [str(i + 1) for i in range(len(first))]
    try:
        check_columns(names, columns, "the header names" if header else "the file has no header, its columns are")
    except RowError as error:
        raise RowError(error.reason, error.detail + (_without_header(first, columns) if header else "")) from None
    if header:
        twice = [name for name in wanted.columns if [cell.strip() for cell in first].count(name) > 1]
        if twice:
            raise RowError("missing_column", f"the header names {twice[0]!r} twice: rename one of them")
    return Dialect(CSV.name, delimiter, wanted.encoding, tuple(names), header, carriage_returns=returns)


def check_columns(names: Sequence[str], columns: Sequence[str], what: str) -> None:
    """Raises RowError (missing_column) for a column that an option names and a file has not."""
    for column in columns:
        if column not in names and not (column.split(".")[0] in names and "." in column):
            hint = _as_text(column, names)
            raise RowError("missing_column", f"there is no column {column!r}; {what} {shown(names)}{hint}")


def _as_text(column: str, names: Sequence[str]) -> str:
    """What to do where the name of a column is none: a format of Python's, or the text between braces that are no place's."""
    start = _FORMAT.match(column)
    if start and start[1] in names:
        return f"; a place takes no format of Python's: {{{start[1]}}}"
    return f"; braces that are text are written twice: {{{{{column}}}}}" if _NO_NAME.search(column) else ""


def _without_header(first: Sequence[str], columns: Sequence[str]) -> str:
    """What to do where the first record names none of the columns, or looks like values: it may be no header."""
    cells = [cell.strip() for cell in first]
    if any(is_image_name(cell) or _is_number(cell) for cell in cells):
        return "; that looks like a row: if the file has no header, --header no calls its columns 1, 2, ..."
    if not any(column in cells for column in columns) and not any(cell.lower() in _IMAGE_NAMES for cell in cells):
        return "; if that is a row, --header no calls the columns 1, 2, ..."
    return ""


def shown(names: Sequence[str]) -> str:
    return ", ".join(repr(name[:40]) for name in names[:20]) + (", ..." if len(names) > 20 else "") or "nothing"


def first_records(uri: str, head: bytes, wanted: Wanted) -> list[list[str]]:
    """The first whole records of a CSV file, at most 20.

    Raises:
        RowError: bad_record.
    """
    text = _head_text(head, wanted.encoding)
    return _records(text, _delimiter(uri, head, wanted), len(head) < HEAD)


def _head_text(head: bytes, encoding: str) -> str:
    decoder = codecs.getincrementaldecoder(encoding)("replace")  # a row that is not of it is rejected by itself, later
    text = head[preamble_bytes(head) :]
    return decoder.decode(with_newlines(text) if ends_with_returns(head) else text)


def preamble_bytes(head: bytes) -> int:
    """How many bytes stand before the first record: a byte order mark, and a line such as `sep=;`.

    >>> preamble_bytes(b"sep=;\\r\\nid;image"), preamble_bytes(b"sep=;id")
    (7, 0)
    """
    return _PREAMBLE.match(head).end()  # type: ignore[union-attr]


def ends_with_returns(head: bytes) -> bool:
    """Whether lines end with a CR alone, as the first HEAD bytes of a file tell."""
    cut_off = len(head) >= HEAD  # where LF may be the next byte
    return b"\n" not in head and b"\r" in (head[:-1] if cut_off else head)


def with_newlines(text: bytes) -> bytes:
    """Text whose lines end with CR, each of which becomes LF: no offset changes."""
    return text.replace(b"\r", b"\n")


def check_utf8(head: bytes) -> None:
    """Raises RowError (not_utf8) if a CSV file seems to be of another encoding."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD)
    except UnicodeDecodeError as error:
        line = head.count(b"\n", 0, error.start) + 1
        raise RowError(
            "not_utf8",
            f"line {line}: byte 0x{head[error.start]:02x} is not UTF-8; --encoding latin-1 or cp1252 (Windows) reads such "
            "files, and --encoding utf-8 rejects only the rows that hold such bytes",
        ) from None


def _records(text: str, delimiter: str, whole: bool) -> list[list[str]]:
    text = text if delimiter == " " else without_blanks(text, delimiter)
    reader = csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, strict=True)
    found: list[list[str]] = []
    try:
        for record in itertools.islice(filter(has_text, reader), _RECORDS + 1):
            found.append(record)
    except csv.Error as error:
        if not found and delimiter == "\t":  # where a quote may be a letter
            lines = text.splitlines()[:_RECORDS]
            found = [line.split("\t") for line in lines if line.strip()]
        if not found and (whole or "unexpected end" not in str(error)):
            raise RowError("bad_record", f"line {reader.line_num}: {error}; is this a CSV file?") from None
    else:
        if not whole and len(found) <= _RECORDS and len(found) > 1:
            found.pop()  # cut off by the end of the head
    return found[:_RECORDS]


def has_text(record: Sequence[str]) -> bool:
    """Whether a record is more than a blank line, which a spreadsheet writes as `,,,`."""
    return any(cell and not cell.isspace() for cell in record)


def _delimiter(uri: str, head: bytes, wanted: Wanted) -> str:
    """What an option or the file itself says, or else the delimiter that cuts the first records into the most columns, all alike."""
    if wanted.delimiter:
        return wanted.delimiter
    if stated := _PREAMBLE.match(head)[1]:  # type: ignore[index]
        return stated.decode()
    name = without_ending(uri)
    if name.endswith(_TSV):
        return "\t"
    text, best, most = _head_text(head, wanted.encoding), ",", 1
    for delimiter in DELIMITERS.values():
        try:
            sizes = [len(record) for record in _records(text, delimiter, len(head) < HEAD)]
        except RowError:
            continue
        alike = sizes.count(sizes[0]) if sizes else 0
        # One ragged record in ten does not hide a delimiter.
        if sizes and sizes[0] > most and alike * 10 >= len(sizes) * 9:
            best, most = delimiter, sizes[0]
    return best


def has_header(records: Sequence[Sequence[str]], columns: Sequence[str]) -> bool:
    """Whether the first record names columns: those that options name, or else if nothing in it looks like a value."""
    if not records:
        return False
    first = [cell.strip() for cell in records[0]]
    named = [column for column in columns if not column.isdecimal()]
    if named or columns:
        return bool(named) or any(column in first for column in columns)
    return not any(is_image_name(cell) or _is_number(cell) for cell in first) and any(first)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _named(first: Sequence[str]) -> list[str]:
    """Names of a header's columns: a blank one by its number, a second one of a name with `(2)`."""
    names, times = [], Counter[str]()
    for number, cell in enumerate(first, 1):
        name = cell.strip() or str(number)
        times[name] += 1
        names.append(f"{name} ({times[name]})" if times[name] > 1 else name)
    return names


def image_column_of(names: Sequence[str], values: Mapping[str, object]) -> str:
    """The column of images, by its name, or else by the values of one row.

    Raises:
      RowError: missing_column, there is none.
    """
    lower = {name.lower(): name for name in reversed(names)}
    for name in _IMAGE_NAMES:
        if name in lower:
            return lower[name]
    for name, value in values.items():
        if is_image_name(value):
            return name
    detail = f"no column looks like one of images: name it with --image_column; there are {shown(names)}"
    raise RowError("missing_column", detail)
