"""The objects that stand in the arrays of one JSON object, as they come: `{"images": [{...}, ...], "annotations": [...]}`.

Such a file may have gigabytes. It is gone through once, in pieces, and of it one object is held at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

import numpy as np

from transforms.core.json_marks import COMMA, QUOTE, MarkScan
from transforms.storage.packings import Damaged

_ARRAY, _OBJECT = b"[{"
_MOST = 16 << 20  # bytes of an object
LARGE = 1 << 63  # ids below it are their own keys
_ITEM_DEPTH = 3  # of an object in an array in the object that is the file


class ItemScan:
    """Where a walk through a file stands.

    keys: of the file's arrays that have begun.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        self._scan = MarkScan()
        self._key = ""  # the last text right inside the file's object
        self._text = b""  # the object, or the text right inside the file's, that goes on in the next bytes
        self._item = self._quote = -1  # where in it one of these begins, or -1

    @property
    def ends(self) -> bool:
        """Whether the file's object has begun, and is closed."""
        return bool(self.keys) and not self._scan.depth

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """The next bytes of the file -> the key of the array and the text of each object that ends in them.

        Raises:
            Damaged: line_too_long or not_json.
        """
        text = self._text + chunk
        for marks in self._scan.feed(text, len(self._text)):
            deep = np.maximum(marks.before, marks.after)  # of a bracket: its own level
            told = (deep == _ITEM_DEPTH) & (marks.before != marks.after)
            told |= (deep < _ITEM_DEPTH) & (marks.letters != COMMA)
            columns = (column[told].tolist() for column in marks)
            for place, letter, before, after in zip(*columns):
                if letter == QUOTE:
                    self._at_quote(text, place, before)
                elif before < after:
                    self._at_opening(letter, place, after)
                elif not before:
                    raise Damaged("a bracket is closed that was not opened", "not_json")
                elif before == _ITEM_DEPTH and self._item >= 0:
                    yield self._key, text[self._item : place + 1]
                    self._item = -1
        self._keep(text)

    def _at_quote(self, text: bytes, place: int, depth: int) -> None:
        """A text right inside the file's object begins or ends."""
        if depth != 1:
            return
        if self._quote < 0:
            self._quote = place
        else:
            self._key = text[self._quote + 1 : place].decode("utf-8", "replace")
            self._quote = -1

    def _at_opening(self, letter: int, place: int, depth: int) -> None:
        if depth == 1 and self.keys:
            raise Damaged("something follows the end of the file's object", "not_json")
        if depth == _ITEM_DEPTH and letter == _OBJECT:
            self._item = place
        elif depth == _ITEM_DEPTH - 1 and letter == _ARRAY:
            self.keys.append(self._key)

    def _keep(self, text: bytes) -> None:
        """Keep what goes on in the next bytes."""
        begins = max(self._item, self._quote)
        self._text = text[begins:] if begins >= 0 else b""
        self._item, self._quote = min(self._item, 0), min(self._quote, 0)
        if len(self._text) > _MOST:
            raise Damaged(f"an object of {self._key!r} has over {_MOST:,} bytes", "line_too_long")


def items(chunks: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """The key of the array and the text of each object of a file.

    >>> list(items([b'{"info": {"a": [{}]}, "images": [{"id', b'": 1}, {"id": 2}], "n": []}']))
    [('images', b'{"id": 1}'), ('images', b'{"id": 2}')]

    Raises:
        Damaged: as ItemScan.feed; or the file ends before its object does.
    """
    scan = ItemScan()
    for chunk in chunks:
        yield from scan.feed(chunk)
    if not scan.ends:
        raise Damaged("the file ends before its JSON does, or holds no array of objects", "not_json")


def key_of(value: Any, what: str) -> int:
    """An id as a number of 64 bits: itself, or the hash of a text."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGE:
        return value
    if isinstance(value, str | int):
        return int.from_bytes(blake2b(repr(value).encode(), digest_size=8).digest(), "big") | LARGE
    raise Damaged(f"{what} is {str(value)[:40]!r}, neither a number nor a text", "bad_record")
