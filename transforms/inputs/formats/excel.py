"""Excel workbooks (.xlsx): the first sheet as lines of JSON, a row a line, by openpyxl's read-only mode.

The first row that holds anything names the columns. Line 7 is row 7 of the sheet, whatever is blank before it. Formulas are what Excel
last made of them, dates are told as ISO 8601.
"""

from __future__ import annotations

import datetime
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, cast
from xml.etree.ElementTree import ParseError

from transforms.core import jsonl
from transforms.core.file_kinds import LOOK, kind_of
from transforms.core.records import Extent
from transforms.storage.packings import Damaged
from transforms.storage.ranged_file import RangedFile

_REASON = "not_rows"
_MISSING = (
    "it is an Excel workbook, which openpyxl reads: pip install 'tuneset[excel]', or save its sheet as CSV (UTF-8)"
)
_FIRST_MEMBERS = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/")
_MOST = 1 << 30  # bytes that a member may come to
_MOST_SHARED = 256 << 20  # of the texts that cells share, which openpyxl holds
_READ = 1 << 20
# What openpyxl raises for files that are damaged or no workbooks.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    ParseError,
    KeyError,
    IndexError,
    AttributeError,
    TypeError,
    ValueError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    struct.error,
)


def is_workbook(head: bytes) -> bool:
    """Whether the first bytes of a file are those of an Office file."""
    return head.startswith(b"PK\3\4") and head[30 : 30 + int.from_bytes(head[26:28], "little")].startswith(
        _FIRST_MEMBERS
    )


def lines_of(extent: Extent) -> Iterator[bytes]:
    """The rows of the first sheet, as lines of JSON.

    Raises:
        Damaged: not_rows, it is no workbook, is damaged, or openpyxl is not installed; what came before was given.
    """
    try:
        import openpyxl
    except ImportError:
        raise Damaged(_MISSING, _REASON) from None
    file = cast(IO[bytes], io.BufferedReader(RangedFile(extent.uri, extent.generation, extent.size), _READ))
    head = file.read(LOOK)
    if not is_workbook(head) and (kind := kind_of(head)):
        raise Damaged(f"it is {kind}", _REASON)
    try:
        _check_sizes(file)
        book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # a file may say any
        yield from _lines(sheet.iter_rows(values_only=True))
    except Damaged:
        raise
    except _DAMAGE as error:
        raise Damaged(f"it is no Excel workbook (.xlsx) that can be read: {error}", _REASON) from None


def _check_sizes(file: IO[bytes]) -> None:
    """Raises Damaged for a workbook whose parts come to more than is read."""
    with zipfile.ZipFile(file) as parts:
        for part in parts.infolist():
            if part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Damaged(f"{part.filename} in it is packed as no workbook's parts are", _REASON)
            most = _MOST_SHARED if part.filename.endswith("sharedStrings.xml") else _MOST
            if part.file_size > most:
                raise Damaged(
                    f"{part.filename} in it comes to {part.file_size:,} bytes, at most {most:,} are read", _REASON
                )
            if part.filename.endswith(".xml") and b"<!DOCTYPE" in parts.open(part).read(4096):
                raise Damaged(f"{part.filename} in it declares a document type, as no workbook does", _REASON)


def _lines(rows: Iterator[Sequence[Any]]) -> Iterator[bytes]:
    names: list[str] = []
    for row in rows:
        cells = [_json(cell) for cell in row]
        if all(cell is None or cell == "" for cell in cells):
            yield b"\n"
        elif not names:
            names = ["" if cell is None else str(cell).strip() for cell in cells]
            twice = [name for name in names if name and names.count(name) > 1]
            if twice:
                raise Damaged(
                    f"the first row names the column {twice[0]!r} twice: rename one of them", "missing_column"
                )
            yield b"\n"
        else:
            yield jsonl.dumps({name: cell for name, cell in zip(names, cells) if name}) + b"\n"


def _json(cell: Any) -> Any:
    """A cell's value as JSON has it."""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, datetime.datetime) and cell.time() == datetime.time():
        return cell.date().isoformat()
    if isinstance(cell, datetime.datetime | datetime.date | datetime.time):
        return cell.isoformat()
    if isinstance(cell, datetime.timedelta):
        return str(cell)
    return cell if cell is None or isinstance(cell, bool | int | float) else str(cell)
