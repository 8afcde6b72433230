"""Templates of prompts and answers: text with places for a row's values -> text. Never `str.format`: attributes leak.

    {column}            the value; of a list its items, separated by commas; of another nested value its JSON
    {column.key.0}      inside a nested value
    {path.parent}       of the row's image: the name of the folder that holds it; also path, path.name, path.stem,
                        and path.1, path.2, ...: the folders below the input, from the top
    {column|json}       the value as JSON
    {a,b,c|object}      a JSON object of several columns
    {"a, b"}            a name that holds one of { } | , "
    {{ and }}           a brace

A null is an empty text, and null in JSON.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import WrongRequest

_FILTERS = ("json", "object")
_PATH = re.compile(r"path(?:\.(?:parent|stem|name|[1-9]\d*))?")
_NAME = re.compile(r'\s*(?:"([^"]+)"|([^{}|,"]*[^{}|,"\s]))\s*')

_JSON = re.compile(r"""\{\s*(?:"[^"]*"|'[^']*')\s*:""")
_BRACES = re.compile(r"\{[^\W\d][\w .,-]*(?:\|\s*\w+\s*)?\}|[{}]")


class TemplateError(WrongRequest):
    """A template that cannot be read. The text says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Field:
    """One place: names of columns, and how their values are written (`""`, `json` or `object`)."""

    names: tuple[str, ...]
    filter: str = ""

    def render(self, columns: Mapping[str, Any], path: str) -> str:
        if self.filter == "object":
            try:
                return jsonl.text({name: columns[name] for name in self.names})
            except KeyError:
                return jsonl.text({name: value_of(columns, name, path) for name in self.names})
        value = value_of(columns, self.names[0], path)
        return jsonl.text(value) if self.filter else as_text(value)


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed template: texts and places in turn."""

    pieces: tuple[str | Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns it names, in order, each once."""
        return tuple(dict.fromkeys(n for piece in self.pieces if isinstance(piece, Field) for n in piece.names))

    def render(self, columns: Mapping[str, Any], path: str = "") -> str:
        """The text for one row.

        Args:
            columns: the row; a name that it lacks is null.
            path: of the row's image, relative to the input where it can be.
        """
        if len(self.pieces) == 1:  # most are one text, or one place
            piece = self.pieces[0]
            return piece if isinstance(piece, str) else piece.render(columns, path)
        return "".join([p if p.__class__ is str else p.render(columns, path) for p in self.pieces])  # type: ignore


def parse_template(text: str) -> Template:
    """Read a template.

    Braces of JSON are no places: the error says how they are written.

    >>> parse_template("{{{a} and {b,c|object}").render({"a": 1, "b": [2], "c": None})
    '{1 and {"b":[2],"c":null}'

    Raises:
        TemplateError: a brace without its other, a place without a name, or a filter there is not.
    """
    try:
        return _parsed(text)
    except TemplateError:
        if not _JSON.search(text):
            raise
    raise TemplateError(f"braces that are text, as those of JSON, are written twice: {doubled_braces(text)}")


def doubled_braces(text: str) -> str:
    """A template whose braces are doubled, but for those of plain places.

    >>> doubled_braces('{"colour": "{colour}"}')
    '{{"colour": "{colour}"}}'
    """
    return _BRACES.sub(lambda match: match[0] if len(match[0]) > 1 else 2 * match[0], text)


def _parsed(text: str) -> Template:
    pieces: list[str | Field] = []
    held, at = "", 0
    while at < len(text):
        letter = text[at]
        if letter in "{}" and text[at + 1 : at + 2] == letter:
            held, at = held + letter, at + 2
        elif letter == "}":
            raise TemplateError(f"character {at + 1} is a }} that closes nothing; a brace itself is written }}}}")
        elif letter == "{":
            if held:
                pieces.append(held)
            field, at = _field(text, at + 1)
            pieces.append(field)
            held = ""
        else:
            held, at = held + letter, at + 1
    return Template((*pieces, held) if held or not pieces else tuple(pieces))


def _field(text: str, at: int) -> tuple[Field, int]:
    """The place whose names begin at a character -> it, and where the text goes on."""
    start, names = at, []
    while True:
        found = _NAME.match(text, at)
        if not found:
            raise TemplateError(
                f"the place at character {start} needs the name of a column: {{column}} or {{{{ for a brace"
            )
        names.append(found[1] or found[2])
        at = found.end()
        if text[at : at + 1] != ",":
            break
        at += 1
    close = text.find("}", at)
    if close < 0:
        raise TemplateError(f"the {{ at character {start} is not closed; a brace itself is written {{{{")
    rest = text[at:close].strip()
    filter_name = rest[1:].strip() if rest.startswith("|") else rest
    if rest and (not rest.startswith("|") or filter_name not in _FILTERS):
        raise TemplateError(f"{{{text[start:close]}}}: {filter_name[:40]!r} is no filter; there are |json and |object")
    if len(names) > 1 and filter_name != "object":
        raise TemplateError(f"{{{text[start:close]}}}: several columns need |object")
    return Field(tuple(names), filter_name), close + 1


def is_path(name: str) -> bool:
    """Whether a name is one of the image's path and not (unless a column is called so) of a column."""
    return _PATH.fullmatch(name) is not None


def asks_for(names: Iterable[str], column: str) -> bool:
    """Whether one of the names in templates is a column, or something inside of it."""
    return any(name.partition(".")[0] == column for name in names)


def value_of(columns: Mapping[str, Any], name: str, path: str) -> Any:
    """What a name stands for: a column, else a part of a nested one, else a part of the path, else None."""
    if name in columns:
        return columns[name]
    if "." in name:
        first, *steps = name.split(".")
        if first in columns:
            return _inside(columns[first], steps)
    return path_part(path, name) if path and is_path(name) else None


def _inside(value: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdecimal():
            value = value[int(step)] if int(step) < len(value) else None
        else:
            return None
    return value


@lru_cache(maxsize=64)
def _folders(folder: str) -> list[str]:
    _, scheme, named = folder.partition("://")
    if scheme:  # the bucket is no folder
        folder = named.partition("/")[2]
    return [name for name in folder.split("/") if name not in ("", ".")]


def path_part(path: str, name: str) -> str | None:
    """A part of an image's path, or None if it has no such folder.

    >>> [path_part("train/cat/1.b.jpg", f"path.{part}") for part in ("parent", "stem", "name", 1, 2, 3)]
    ['cat', '1.b', '1.b.jpg', 'train', 'cat', None]
    """
    folder, base = posixpath.split(path)
    part = name[len("path.") :]
    if not part:
        return path
    if part == "name":
        return base
    if part == "stem":
        return posixpath.splitext(base)[0]
    folders = _folders(folder)
    if part == "parent":
        return folders[-1] if folders else None
    return folders[int(part) - 1] if int(part) <= len(folders) else None


def as_text(value: Any) -> str:
    """A value as it stands in a sentence."""
    if value.__class__ is str:
        return str(value)
    if value is None:
        return ""
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(map(as_text, value))
    return jsonl.text(value)
