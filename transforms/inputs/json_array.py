"""A JSON array, or objects over several lines, as lines of JSON, byte for byte: commas between items become line ends, and line ends
inside them blanks.

So each item is a line, at the offset where it stands in the file, and whoever reads lines reads it: with the same limits, in bounded
memory, and an item that is damaged costs itself alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import numpy as np

from transforms.core.json_marks import COMMA, MarkScan
from transforms.storage.packings import Damaged

_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*(?:[\[{\]]|\Z)")
_OBJECTS = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\{[ \t]*\r?\n[ \t\r\n]*[\"}]")
_FLAT = bytes.maketrans(b"\r\n", b"  ")
_LINE_END, _BLANK = b"\n "


def is_array(head: bytes) -> bool:
    """Whether a file begins as an array of objects.

    >>> is_array(b' [ {"a": 1}'), is_array(b"[1] a.jpg,label")
    (True, False)
    """
    return _ARRAY.match(head) is not None


def is_indented(head: bytes) -> bool:
    """Whether a file begins as an object over several lines, as no line of JSON does; others may follow it.

    >>> is_indented(b'{\\n  "a": 1\\n}'), is_indented(b'{"a": 1}\\n')
    (True, False)
    """
    return _OBJECTS.match(head) is not None


def spans_lines(head: bytes) -> bool:
    """Whether items of a file may stand in several lines, so that it is read from front to back."""
    return is_array(head) or is_indented(head)


def as_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a file, from its start; that of a JSON array, or of objects over several lines, as lines.

    Raises:
      Damaged: not_json, an array or object does not end, or something follows an array.
    """
    parts = iter(chunks)
    first = next(parts, b"")
    if not spans_lines(first):
        yield first
        yield from parts
        return
    scan = _ItemScan(is_array(first))
    yield scan.feed(first)
    yield from map(scan.feed, parts)
    if not scan.ends:
        what = "array" if scan.of_array else "object"
        raise Damaged(f"the {what} is not closed before the file ends", "not_json")
    if scan.follows:
        raise Damaged("something follows the end of the array", "not_json")


def head_lines(head: bytes) -> bytes:
    """The first bytes of a file as lines, whatever may follow."""
    return _ItemScan(is_array(head)).feed(head) if spans_lines(head) else head


class _ItemScan:
    """Where a walk through an array, or through objects, stands."""

    def __init__(self, of_array: bool) -> None:
        self.of_array = of_array
        self.follows = False
        self._scan = MarkScan()
        self._begun = False

    @property
    def ends(self) -> bool:
        """Whether all that was begun is closed."""
        return not self._scan.depth

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes of the file -> as many bytes of lines."""
        flat = chunk.translate(_FLAT)
        return self._items(flat) if self.of_array else self._objects(chunk, flat)

    def _items(self, flat: bytes) -> bytes:
        """The bracket that begins the array becomes a blank; its commas, and the bracket that ends it, line ends."""
        out = bytearray(flat)
        letters = np.frombuffer(out, np.uint8)
        for marks in self._scan.feed(flat):
            letters[marks.places[(marks.letters == COMMA) & (marks.before == 1)]] = _LINE_END
            ends = marks.places[(marks.before == 1) & (marks.after == 0)]
            letters[ends] = _LINE_END
            if len(ends):
                self.follows = bool(flat[int(ends[-1]) + 1 :].strip())
            if not self._begun and len(starts := marks.places[marks.before < marks.after]):
                self._begun, letters[starts[0]] = True, _BLANK
        return bytes(out)

    def _objects(self, chunk: bytes, flat: bytes) -> bytes:
        """Line ends between objects stay such."""
        out, outside = bytearray(flat), 0  # outside: where the bytes between objects begin
        for marks in self._scan.feed(flat):
            edges = (marks.before != marks.after) & ((marks.before == 0) | (marks.after == 0))
            for place, begins in zip(marks.places[edges].tolist(), (marks.before[edges] == 0).tolist()):
                if begins:
                    out[outside:place] = chunk[outside:place]
                else:
                    outside = place + 1
        if self.ends and not self._scan.in_text:
            out[outside:] = chunk[outside:]
        return bytes(out)
