"""Files that are something else than their names say: name and first bytes -> what is said of one that holds no rows that are read."""

from __future__ import annotations

from transforms.core.file_kinds import LOOK, no_rows
from transforms.core.reasons import RowError
from transforms.core.records import Fault
from transforms.inputs.registry import CSV, LINES, PARQUET, container_of

REASON = "not_rows"
_PACKED_PARQUET = "it is Parquet that is compressed, or called so: it is read as it is, with the ending .parquet"
READ = "JSON lines, CSV or TSV in UTF-8, Parquet and images are read"


def fault_of_bytes(uri: str, head: bytes, packed: bool = False) -> str:
    """What a file is whose bytes hold no rows, and what to do; "" of one that may hold some.

    Args:
      head: its first bytes, decompressed: LOOK of them, or the whole file.
      packed: whether the file itself is compressed.

    >>> fault_of_bytes("rows.csv", b'{"image": "a.jpg"}'), fault_of_bytes("rows.csv", b"image,label")
    ('it is JSON lines, and no CSV: give it the ending .jsonl', '')
    """
    head = head[:LOOK]
    if PARQUET.starts(head):
        return _PACKED_PARQUET if packed else ""
    if kind := no_rows(head):
        return f"it is {kind}"
    container = container_of(uri, head)
    if container is CSV and LINES.starts(head) and head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b'{"', b'[{"')):
        return "it is JSON lines, and no CSV: give it the ending .jsonl"
    if container is PARQUET and head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "it is text, and no Parquet: give it the ending .csv or .jsonl"
    return ""


def fault_of_lines(head: bytes) -> Fault | None:
    """What stands for a whole file that is read as lines of JSON, whatever its name; None if it may hold some.

    Args:
      head: as `fault_of_bytes` takes it.
    """
    kind = no_rows(head)
    return Fault(REASON, f"it is {kind}") if kind else None


def check_text(uri: str, head: bytes) -> None:
    """As `check_bytes`, of a small file that is read with others, as text."""
    if PARQUET.starts(head):
        raise RowError(REASON, "it is Parquet: give it the ending .parquet")
    check_bytes(uri, head)


def check_bytes(uri: str, head: bytes, packed: bool = False) -> None:
    """Raises RowError (not_rows) for a file that holds no rows, whatever its name says; it stands for the whole file."""
    if fault := fault_of_bytes(uri, head, packed):
        raise RowError(REASON, fault)
