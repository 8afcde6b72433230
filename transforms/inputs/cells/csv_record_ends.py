"""Where the records of a CSV file end: bytes -> offsets. A quoted field may hold line ends, so only a scan from the start can tell.

Counting quotes tells it, as long as each opening quote stands where a field begins, or behind one blank there; a stretch in which one
does not (`5" screen`) is walked through letter by letter, as the csv module reads it: a quote inside an unquoted field is a letter.
Blanks before a quote are skipped.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

_NEWLINE, _BLANK, _QUOTE = 10, 32, 34
_START, _FIELD, _QUOTED, _CLOSED = range(
    4
)  # at the start of a field or behind blanks there, inside one, inside quotes, after a closing quote


class RecordEnds:
    """Takes a file's bytes in pieces, from its start or that of a record -> where records end.

    Args: quoted: whether a quote begins a quoted field; else each line is a record.
    """

    def __init__(self, delimiter: str, position: int = 0, quoted: bool = True) -> None:
        self._delimiter, self._quotes = delimiter.encode()[0], quoted
        self._tokens = re.compile(rb'["\n' + re.escape(delimiter.encode()) + rb"]")
        self._state, self._position = _START, position
        self.skips_blanks = False  # whether there was a quote behind blanks that are skipped

    @property
    def inside_quotes(self) -> bool:
        return self._state == _QUOTED

    def feed(self, chunk: bytes) -> np.ndarray:
        """Offsets right behind the line ends that end a record."""
        letters = np.frombuffer(chunk, np.uint8)
        lines = np.flatnonzero(letters == _NEWLINE)
        quotes = np.flatnonzero(letters == _QUOTE) if self._quotes else lines[:0]
        start, self._position = self._position, self._position + len(chunk)
        if not len(chunk):
            return lines
        inside = int(self._state == _QUOTED)
        if len(quotes):
            if not self._regular(letters, quotes[inside::2]):
                return np.array(list(self._walk(chunk)), np.int64) + start
            lines = lines[(np.searchsorted(quotes, lines) + inside) % 2 == 0]
        elif inside:
            return lines[:0]
        if (inside + len(quotes)) % 2:
            self._state = _QUOTED
        else:
            self._state = self._state_behind(chunk)
        return lines + (1 + start)

    def _state_behind(self, chunk: bytes) -> int:
        """The state at the end of a chunk that ends outside quotes."""
        begun = chunk.rstrip(b" ") if self._delimiter != _BLANK else chunk
        if not begun:
            return _START if self._state == _START else _FIELD
        if begun[-1] in (self._delimiter, _NEWLINE):
            return _START
        return _CLOSED if begun[-1] == _QUOTE and len(begun) == len(chunk) else _FIELD

    def _regular(self, letters: np.ndarray, opening: np.ndarray) -> bool:
        """Whether quotes that open by their number stand at the start of a field, behind one blank there, or double the one before."""
        if len(opening) and opening[0] == 0:
            if self._state not in (_START, _CLOSED):
                return False
            opening = opening[1:]
        before = letters[opening - 1]
        regular = (before == self._delimiter) | (before == _NEWLINE) | (before == _QUOTE)
        if regular.all():
            return True
        odd = opening[~regular]
        if self._delimiter == _BLANK or odd[0] == 1:
            return False
        before = letters[odd - 2]
        if np.all((letters[odd - 1] == _BLANK) & ((before == self._delimiter) | (before == _NEWLINE))):
            self.skips_blanks = True
            return True
        return False

    def _walk(self, chunk: bytes) -> Iterator[int]:
        state, at = self._state, 0
        for found in self._tokens.finditer(chunk):
            token, place = found[0], found.start()
            state = self._state_after(state, chunk[at:place])
            if token == b'"' and place > at and state == _START:
                self.skips_blanks = True
            at = place + 1
            if state == _QUOTED:
                state = _CLOSED if token == b'"' else _QUOTED
            elif token == b'"':
                state = _QUOTED if state in (_START, _CLOSED) else _FIELD
            else:
                state = _START
                if token == b"\n":
                    yield at
        self._state = self._state_after(state, chunk[at:])

    def _state_after(self, state: int, letters: bytes) -> int:
        """The state behind letters that are no token."""
        if not letters or state in (_QUOTED, _FIELD):
            return state
        skipped = state == _START and self._delimiter != _BLANK and not letters.strip(b" ")
        return _START if skipped else _FIELD


@dataclass(frozen=True, slots=True)
class Range:
    """Whole records [start, end), or one that is too long: then there is no data, but a number of lines."""

    start: int
    end: int
    data: bytes = b""
    lines: int = 0


def cut_records(
    chunks: Iterable[bytes], delimiter: str, block_bytes: int, longest: int, quoted: bool = True
) -> Iterator[Range]:
    """A file's bytes -> ranges of whole records, each of some `block_bytes`; memory is bounded by `longest`.

    Args:
      chunks: the file from its start.
      longest: bytes of a record, with its line end; a longer one is a range of its own.
      quoted: as RecordEnds takes it.
    """
    scan = RecordEnds(delimiter, quoted=quoted)
    start = last = position = 0  # of the range, of the record under way, of what was read
    held, skipping, lines, chunk = bytearray(), False, 0, b""
    for chunk in chunks:
        if not position and chunk.startswith(BOM_UTF8):
            scan = RecordEnds(delimiter, len(BOM_UTF8), quoted)  # a quote behind the mark begins a field
            ends = scan.feed(chunk[len(BOM_UTF8) :])
        else:
            ends = scan.feed(chunk)
        before, position = position, position + len(chunk)
        if skipping:
            if not len(ends):
                lines += chunk.count(b"\n")
                continue
            end = int(ends[0])
            yield Range(start, end, lines=lines + chunk.count(b"\n", 0, end - before))
            start = last = end
            chunk, ends, skipping = chunk[end - before :], ends[1:], False
        held += chunk
        while len(ends):
            at = int(np.searchsorted(ends, start + block_bytes))
            if at == len(ends):
                last = int(ends[-1])
                break
            end, previous = int(ends[at]), int(ends[at - 1]) if at else last
            yield from _ranges(held, start, previous, end, longest)
            del held[: end - start]
            start = last = end
            ends = ends[at + 1 :]
        if position - last > longest:
            if last > start:
                yield Range(start, last, bytes(held[: last - start]))
            lines, skipping = held.count(b"\n", last - start), True
            held.clear()
            start = last
    if skipping:
        yield Range(start, position, lines=lines + (not chunk.endswith(b"\n")))
    elif position > start:
        yield Range(start, position, bytes(held))


def _ranges(held: bytearray, start: int, last: int, end: int, longest: int) -> Iterator[Range]:
    """The bytes [start, end), held from `start` on, as one range; or two, if the last record, from `last` on, is too long."""
    if end - last <= longest:
        yield Range(start, end, bytes(held[: end - start]))
        return
    if last > start:
        yield Range(start, last, bytes(held[: last - start]))
    yield Range(last, end, lines=held.count(b"\n", last - start, end - start))
