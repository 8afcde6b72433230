"""Roboflow's multiclass CSV (`_classes.csv`): a file name and a 0 or 1 for each class -> the columns image, label and labels."""

from __future__ import annotations

from typing import Any

from transforms.core.reasons import RowError

COLUMNS = ("image", "label", "labels", "answer")
_IMAGE = "filename"
_NO, _YES = ("0", "0.0", ""), ("1", "1.0")


def is_multiclass(row: dict[str, Any]) -> bool:
    """Whether a row, by the header of its file, looks like one of these."""
    names = list(row)
    return len(names) > 1 and names[0] == _IMAGE and all(str(row[name]) in (*_NO, *_YES) for name in names[1:])


def columns_of(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row; without a class there is no answer.

    Raises:
        RowError: bad_record.
    """
    other = next((name for name, value in row.items() if name != _IMAGE and str(value) not in (*_NO, *_YES)), None)
    if other is not None:
        raise RowError("bad_record", f"{other[:40]!r} is {str(row[other])[:40]!r}, neither 0 nor 1")
    labels = [name for name, value in row.items() if str(value) in _YES and name != _IMAGE]
    return {
        "image": row.get(_IMAGE),
        "label": labels[0] if labels else None,
        "labels": labels,
        "answer": ", ".join(labels) or None,
    }
