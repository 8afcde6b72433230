"""The names of images in one text of a table: a name, or several as spreadsheets, pandas and Python write lists.

a.jpg                        one name, whatever it holds
["a.jpg", "b.jpg"]           JSON
['a.jpg', 'b.jpg']           Python, numpy (no commas) and tuples; None is no name
a.jpg;b.jpg  a.jpg|b.jpg     also with commas or line ends, if every piece has an image's ending, or every piece is a URI
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from transforms.core import jsonl
from transforms.core.media_types import has_image_ending
from transforms.core.reasons import RowError
from transforms.examples.prompt_templates import TemplateError, is_path, parse_template, value_of

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


_template = lru_cache(parse_template)


def is_image_template(name: str) -> bool:
    """Whether an item of --image_column is a template of an image's name, and not a column."""
    return "{" in name


def check_image_column(name: str) -> None:
    """Raises ValueError (TemplateError is one) for an item of --image_column that can be neither a column nor a template."""
    if is_image_template(name) and any(map(is_path, _template(name).names)):
        raise TemplateError(
            "parts of the path are those of the image that is to be named here: expected names of columns"
        )


def columns_of_images(items: Iterable[str]) -> tuple[str, ...]:
    """The columns that the items of --image_column need.

    >>> columns_of_images(["image", "masks/{id}.{ending}"])
    ('image', 'id', 'ending')
    """
    return tuple(name for item in items for name in (_template(item).names if is_image_template(item) else (item,)))


def image_value(item: str, columns: Mapping[str, Any]) -> Any:
    """What an item of --image_column holds for a row: the value of a column, or the one name that a template comes to.

    A template of which a value is missing names no image.
    """
    if item in columns or not is_image_template(item):
        return value_of(columns, item, "")
    template = _template(item)
    if any(value_of(columns, name, "") in (None, "") for name in template.names):
        return None
    return [template.render(columns)]
