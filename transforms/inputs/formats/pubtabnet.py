"""PubTabNet's tables: a line of JSON with the structure and cells of a table -> the columns image, split, html and markdown.

    {"filename": "1.png", "split": "train",
     "html": {"structure": {"tokens": ["<tr>", "<td>", "</td>", "</tr>"]}, "cells": [{"tokens": ["A"]}]}}

In its layout an image lies in the folder of its split, beside the file of lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from transforms.core.reasons import RowError

COLUMNS = ("image", "split", "html", "markdown")
_MOST_CELLS = 20_000  # of a table in Markdown, its spans filled
_SPAN = re.compile(r'(colspan|rowspan)="?(\d{1,5})')
_TAG = re.compile(r"<[^>]*>")


def is_pubtabnet(row: dict[str, Any]) -> bool:
    html = row.get("html")
    return isinstance(html, dict) and "structure" in html and "cells" in html and "filename" in row


def columns_of(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a line.

    Raises:
        RowError: bad_record or no_image.
    """
    name, split = row.get("filename"), row.get("split")
    if not isinstance(name, str) or not name.strip():
        raise RowError("no_image", "filename is no text, or a blank one")
    tokens = _tokens(row["html"]["structure"], "structure")
    cells = row["html"]["cells"]
    texts = ["".join(_tokens(cell, "a cell")).strip() for cell in cells] if isinstance(cells, list) else []
    folder = f"{split}/" if isinstance(split, str) and split else ""
    return {
        "image": f"{folder}{name.strip()}",
        "split": split if isinstance(split, str) else "",
        "html": _html(tokens, texts),
        "markdown": _markdown(list(_rows(tokens, texts))),
    }


def _tokens(held: Any, what: str) -> list[str]:
    tokens = held.get("tokens") if isinstance(held, dict) else None
    if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
        raise RowError("bad_record", f"the tokens of {what} are no list of texts")
    return tokens


def _html(tokens: list[str], texts: list[str]) -> str:
    """The table, each cell's text before its end tag."""
    rest, pieces = iter(texts), ["<table>"]
    for token in tokens:
        pieces += [next(rest, ""), token] if token == "</td>" else [token]
    if next(rest, None) is not None:
        raise RowError("bad_record", f"the structure has fewer cells than the {len(texts)} of the table")
    return "".join([*pieces, "</table>"])


def _rows(tokens: list[str], texts: list[str]) -> Iterator[list[tuple[str, int, int]]]:
    """The cells of each row: text, columns and rows that it spans."""
    rest, row, spans = iter(texts), list[tuple[str, int, int]](), dict[str, int]()
    for token in tokens:
        if token == "<tr>":
            row = []
        elif token.startswith("<td"):
            spans = {}
        elif token == "</td>":
            text = _TAG.sub("", next(rest, "")).replace("|", "\\|").replace("\n", " ")
            row.append((text, max(spans.get("colspan", 1), 1), max(spans.get("rowspan", 1), 1)))
        elif token == "</tr>":
            yield row
        spans |= {name: int(number) for name, number in _SPAN.findall(token)}


def _markdown(rows: list[list[tuple[str, int, int]]]) -> str | None:
    """The table in Markdown, whose first row is its head; None if it has too many cells.

    >>> print(_markdown([[("A", 2, 1)], [("b", 1, 1), ("c", 1, 1)]]))
    | A |  |
    | --- | --- |
    | b | c |
    """
    if sum(wide * high for row in rows for _, wide, high in row) > _MOST_CELLS:
        return None
    grid: list[dict[int, str]] = [{} for _ in rows]
    for number, row in enumerate(rows):
        at = 0
        for text, wide, high in row:
            while at in grid[number]:
                at += 1
            for below in grid[number : number + high]:
                below |= dict.fromkeys(range(at, at + wide), "")
            grid[number][at] = text
    width = max((max(row, default=-1) + 1 for row in grid), default=0)
    if width * len(grid) > _MOST_CELLS or not width:
        return None
    lines = ["| " + " | ".join(row.get(at, "") for at in range(width)) + " |" for row in grid]
    return "\n".join([lines[0], "|" + " --- |" * width, *lines[1:]])
