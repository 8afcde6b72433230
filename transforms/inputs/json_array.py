"""A JSON array as lines of JSON, byte for byte: commas between its items become line ends, and line ends inside them blanks.

So each item is a line, at the offset where it stands in the file, and whoever reads lines reads it: with the same limits, in bounded
memory, and an item that is damaged costs itself alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from transforms.storage.packings import Damaged

_ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?[ \t\r\n]*\[[ \t\r\n]*(?:[\[{\]]|\Z)")
_FLAT = bytes.maketrans(b"\r\n", b"  ")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)|[\[\]{},]')
_REST = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*("?)')


def is_array(head: bytes) -> bool:
    """Whether a file begins as an array of objects.

    >>> is_array(b' [ {"a": 1}'), is_array(b"[1] a.jpg,label")
    (True, False)
    """
    return _ARRAY.match(head) is not None


def as_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The text of a file, from its start; that of a JSON array as lines.

    Raises:
      Damaged: not_json, an array does not end, or something follows it.
    """
    parts = iter(chunks)
    first = next(parts, b"")
    if not is_array(first):
        yield first
        yield from parts
        return
    scan = _ArrayScan()
    yield scan.feed(first)
    yield from map(scan.feed, parts)
    if scan.depth != 0:
        raise Damaged("the array is not closed before the file ends", "not_json")
    if scan.follows:
        raise Damaged("something follows the end of the array", "not_json")


def head_lines(head: bytes) -> bytes:
    """The first bytes of a file as lines, whatever may follow."""
    return _ArrayScan().feed(head) if is_array(head) else head


class _ArrayScan:
    """Where a walk through an array stands."""

    def __init__(self) -> None:
        self.depth, self.follows = 0, False
        self._begun = self._in_text = self._escaped = False

    def feed(self, chunk: bytes) -> bytes:
        """The next bytes of the file -> as many bytes of lines."""
        flat = chunk.translate(_FLAT)
        out, at = bytearray(flat), 0
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
                if self.depth == 1:
                    out[place] = 10
            elif letter in b"[{":
                self.depth += 1
                if self.depth == 1 and not self._begun:
                    self._begun, out[place] = True, 32
            elif self.depth:
                self.depth -= 1
                if not self.depth:
                    out[place] = 10
                    self.follows = bool(flat[place + 1 :].strip())
        return bytes(out)

    def _after_text(self, flat: bytes, text: re.Match[bytes]) -> None:
        """Note whether a text that stands in `flat` goes on in the next chunk, and whether that begins with an escaped letter."""
        self._in_text = not text[1]
        self._escaped = self._in_text and (len(flat) - len(flat.rstrip(b"\\"))) % 2 == 1
