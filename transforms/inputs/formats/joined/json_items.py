"""The objects that stand in the arrays of one JSON object, as they come: `{"images": [{...}, ...], "annotations": [...]}`.

Such a file may have gigabytes. It is gone through once, in pieces, and of it one object is held at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Any

from transforms.storage.packings import Damaged

_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[\[\]{}]', re.DOTALL)
_MOST = 16 << 20  # bytes of an object
LARGE = 1 << 63  # ids below it are their own keys
_ITEM_DEPTH = 3  # of an object in an array in the object that is the file


class ItemScan:
    """Where a walk through a file stands.

    keys: of the file's arrays that have begun. depth: 0 before the file's object begins and after its end.
    """

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.depth = 0
        self._key = ""  # the last text right inside the file's object
        self._text = b""  # what is still to be walked through
        self._item = -1  # where in it an object begins, or -1
        self._at = 0  # how far it was walked through

    def feed(self, chunk: bytes) -> Iterator[tuple[str, bytes]]:
        """The next bytes of the file -> the key of the array and the text of each object that ends in them.

        Raises:
            Damaged: line_too_long or not_json.
        """
        text = self._text + chunk
        at = len(text)
        for token in _TOKEN.finditer(text, self._at):
            letter = text[token.start()]
            if letter == 34:
                if not token[1]:  # it goes on in the next chunk
                    at = token.start()
                    break
                if self.depth == 1:
                    self._key = text[token.start() + 1 : token.end() - 1].decode("utf-8", "replace")
            elif letter in b"[{":
                self.depth += 1
                if self.depth == _ITEM_DEPTH and letter == 123:
                    self._item = token.start()
                elif self.depth == _ITEM_DEPTH - 1 and letter == 91:
                    self.keys.append(self._key)
            else:
                self.depth -= 1
                if self.depth < 0:
                    raise Damaged("a bracket is closed that was not opened", "not_json")
                if self.depth == _ITEM_DEPTH - 1 and self._item >= 0:
                    yield self._key, text[self._item : token.end()]
                    self._item = -1
        kept = at if self._item < 0 else self._item
        self._text, self._at = text[kept:], at - kept
        self._item = -1 if self._item < 0 else 0
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
    if scan.depth or not scan.keys:
        raise Damaged("the file ends before its JSON does, or holds no array of objects", "not_json")


def key_of(value: Any, what: str) -> int:
    """An id as a number of 64 bits: itself, or the hash of a text."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGE:
        return value
    if isinstance(value, str | int):
        return int.from_bytes(blake2b(repr(value).encode(), digest_size=8).digest(), "big") | LARGE
    raise Damaged(f"{what} is {str(value)[:40]!r}, neither a number nor a text", "bad_record")
