"""Files called .json: which hold rows, and which are the settings, lists of classes and the like that lie beside them.

An array of objects holds rows, and so do lines of JSON. One object is a row if it has something that a row is asked for, and ends
within the first HEAD bytes.
"""

from __future__ import annotations

from collections.abc import Collection

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Fault
from transforms.inputs.cells.csv_dialect import HEAD
from transforms.inputs.json_array import head_lines, is_array
from transforms.inputs.registry import DEFAULT, LINES, Meaning

LEFT_OUT = "json_without_rows"  # the warning's code
_GEMINI = ("contents", "tuneset")


def is_json(uri: str) -> bool:
    """Whether a file is called .json, or so and packed."""
    return uri.lower().endswith(LINES.unsure_suffixes)


def fault_of_json(uri: str, head: bytes, meaning: Meaning, columns: Collection[str]) -> Fault | None:
    """What stands for a .json file that holds no row; None for one that may, and for files of other names.

    Args:
      head: the first HEAD bytes of the file, or all of them.
      columns: that options name.
    """
    if not is_json(uri) or is_array(head):
        return None
    lines = [line for line in head_lines(head).split(b"\n") if line.strip()]
    if len(lines) != 1:
        return None
    try:
        keys = jsonl.loads(lines[0]).keys()
    except RowError as error:
        goes_on = len(head) >= HEAD
        return Fault(LEFT_OUT, error.detail) if goes_on or error.reason == "not_an_object" else None
    return (
        None if is_asked_for(keys, meaning, columns) else Fault(LEFT_OUT, "it is one object, and has nothing of a row")
    )


def is_asked_for(keys: Collection[str], meaning: Meaning, columns: Collection[str]) -> bool:
    """Whether an object has something that a row of a meaning is asked for."""
    if any(key in keys for key in _GEMINI):
        return True
    if meaning is DEFAULT:
        return False
    if meaning.own_columns:
        return any(name in keys or name.partition(".")[0] in keys for name in columns)
    return meaning.tells(dict.fromkeys(keys))
