"""A JSON array, or objects over several lines, as lines of JSON, byte for byte: commas between items become line ends, and line ends
inside them blanks.

So each item is a line, at the offset where it stands in the file, and whoever reads lines reads it: with the same limits, in bounded
memory, and an item that is damaged costs itself alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from transforms.storage.packings import Damaged

_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*(?:[\[{\]]|\Z)")
_OBJECTS = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\{[ \t]*\r?\n[ \t\r\n]*[\"}]")
_FLAT = bytes.maketrans(b"\r\n", b"  ")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[\[\]{},]')
_REST = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*("?)')


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
    if scan.depth != 0:
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
        self.depth, self.follows = 0, False
        self._begun = self._in_text = self._escaped = False

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes of the file -> as many bytes of lines."""
        flat = chunk.translate(_FLAT)
        out, at, outside = bytearray(flat), 0, 0  # outside: where the bytes between objects begin
        if self._in_text and flat:
            at = int(self._escaped)
            rest = _REST.match(flat, at)
            assert rest
            self._after_text(flat[at:], rest)
            at = len(flat) if self._in_text else rest.end()
        for token in _TOKEN.finditer(flat, at):
            letter, place = flat[token.start()], token.start()
            if letter == 34:
                self._after_text(flat, token)
                if self._in_text:
                    break
            elif letter == 44:
                if self.depth == 1 and self.of_array:
                    out[place] = 10
            elif letter in b"[{":
                if not self.depth:
                    self._begin(out, chunk, outside, place)
                self.depth += 1
            elif self.depth:
                self.depth -= 1
                if not self.depth and self.of_array:
                    out[place] = 10
                    self.follows = bool(flat[place + 1 :].strip())
                outside = place + 1
        if not self.depth and not self.of_array and not self._in_text:
            out[outside:] = chunk[outside:]
        return bytes(out)

    def _begin(self, out: bytearray, chunk: bytes, outside: int, place: int) -> None:
        """What stands at `place` begins the array, or an object: line ends between objects stay such."""
        if not self.of_array:
            out[outside:place] = chunk[outside:place]
        elif not self._begun:
            self._begun, out[place] = True, 32

    def _after_text(self, flat: bytes, text: re.Match[bytes]) -> None:
        """Note whether a text that stands in `flat` goes on in the next chunk, and whether that begins with an escaped letter."""
        self._in_text = not text[1]
        self._escaped = self._in_text and (len(flat) - len(flat.rstrip(b"\\"))) % 2 == 1
