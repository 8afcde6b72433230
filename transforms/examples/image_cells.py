"""The names of images in one text of a table: a name, or several as spreadsheets, pandas and Python write lists.

a.jpg                        one name, whatever it holds
["a.jpg", "b.jpg"]           JSON
['a.jpg', 'b.jpg']           Python, numpy (no commas) and tuples; None is no name
a.jpg;b.jpg  a.jpg|b.jpg     also with commas or line ends, if every piece has an image's ending, or every piece is a URI
"""

from __future__ import annotations

import re
from typing import Any

from transforms.core import jsonl
from transforms.core.media_types import has_image_ending
from transforms.core.reasons import RowError

_ITEM = r"""'[^'\\]*(?:\\.[^'\\]*)*'|"[^"\\]*(?:\\.[^"\\]*)*"|None|nan"""
_ITEMS = re.compile(_ITEM)
# Each gap has one reading only, so that no cell takes long.
_GAP = r"(?:\s*,\s*|\s+|(?=[\])]))"
_PYTHON = re.compile(rf"(?:array\()?[\[(]\s*(?:(?:{_ITEM}){_GAP})*[\])](?:,\s*dtype=\w+)?\)?", re.DOTALL)
_SEPARATORS = re.compile(r"[;|,\n]")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://\S")


def names_in(text: str) -> Any:
    """What a text of a column of images holds: a list of names, or of what else stands in JSON.

    >>> names_in("['a.jpg' 'b.jpg']"), names_in("a.jpg; b.png"), names_in("Doe, John.jpg"), names_in(" ")
    (['a.jpg', 'b.jpg'], ['a.jpg', 'b.png'], ['Doe, John.jpg'], [])
    """
    text = text.strip()
    if not text:
        return []
    if text.startswith("["):
        try:
            return jsonl.loads(b'{"list":' + text.encode() + b"}")["list"]
        except RowError:
            pass  # it may be Python's
    if text[0] in "[(a" and text[-1] in "])" and _PYTHON.fullmatch(text):
        items = [item for item in _ITEMS.findall(text.partition("dtype=")[0]) if item[0] in "'\""]
        return [re.sub(r"\\(.)", r"\1", item[1:-1]) for item in items]
    for separator in dict.fromkeys(_SEPARATORS.findall(text)):
        pieces = [piece.strip() for piece in text.split(separator) if piece.strip()]
        if len(pieces) > 1 and (all(map(has_image_ending, pieces)) or all(map(_URI.match, pieces))):
            return pieces
    return [text]
