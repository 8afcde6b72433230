"""Brackets, commas and texts of a long JSON text, and how deep each stands: found by whole pieces, not letter by letter.

Nothing is parsed and nothing is held but a piece, so that a file of gigabytes is walked through in bounded memory. A backslash
escapes what follows it wherever it stands: outside of texts it is no JSON, and whoever parses what lies around it says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

QUOTE, COMMA = 34, 44
_BACKSLASH = 92
_PIECE = 1 << 18  # bytes that are looked at together: their marks stay in the processor's cache
_IS_MARK = bytes(letter in b'"[]{},' for letter in range(256))
_STEP = np.zeros(256, np.int8)  # what a mark adds to the depth
_STEP[list(b"[{")], _STEP[list(b"]}")] = 1, -1


class Marks(NamedTuple):
    """Marks of a piece in order, side by side in arrays: brackets and commas outside of texts, and the quotes around texts.

    places: from the start of what was fed. before, after: how many brackets are open there; one that closes none counts for nothing.
    """

    places: Any
    letters: Any
    before: Any
    after: Any


class MarkScan:
    """Where a walk through a JSON text stands.

    depth: brackets that are open. in_text: whether a text is.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.in_text = False
        self._escaped = False

    def feed(self, text: bytes, start: int = 0) -> Iterator[Marks]:
        """The marks of the next bytes of the text, which are `text` from `start` on, some at a time."""
        for at in range(start, len(text), _PIECE):
            yield self._marks_of(text[at : at + _PIECE], at)

    def _marks_of(self, piece: bytes, at: int) -> Marks:
        piece = self._without_pairs(piece)
        places = np.flatnonzero(np.frombuffer(piece.translate(_IS_MARK), np.bool_))
        all_letters = np.frombuffer(piece, np.uint8)
        letters = all_letters.take(places)
        escaped = _escaped(all_letters, places, letters) if b'\\"' in piece else None

        # A mark stands outside of texts if an even number of quotes is before it; a quote itself always counts.
        quotes = letters == QUOTE if escaped is None else (letters == QUOTE) & ~escaped
        inside = np.logical_xor.accumulate(quotes) ^ self.in_text
        outside = ~inside | quotes if escaped is None else (~inside | quotes) & ~escaped
        self.in_text = bool(inside[-1]) if len(inside) else self.in_text
        places, letters = places[outside], letters[outside]

        after = np.cumsum(_STEP.take(letters)) + self.depth
        if len(after) and after.min() < 0:  # it never falls below 0
            after -= np.minimum.accumulate(np.minimum(after, 0))
        before = np.empty_like(after)
        before[:1], before[1:] = self.depth, after[:-1]
        self.depth = int(after[-1]) if len(after) else self.depth
        return Marks(places + at, letters, before, after)

    def _without_pairs(self, piece: bytes) -> bytes:
        """The piece without escaped backslashes: what is left of them escapes what follows. What the piece before escaped is gone."""
        if self._escaped and piece.startswith((b'"', b"\\")):
            piece = b"." + piece[1:]
        self._escaped = (len(piece) - len(piece.rstrip(b"\\"))) % 2 == 1
        return piece.replace(b"\\\\", b"..") if b"\\\\" in piece else piece


def _escaped(all_letters: Any, places: Any, letters: Any) -> Any:
    """Which marks are quotes behind a backslash."""
    return (letters == QUOTE) & (all_letters.take(places - 1) == _BACKSLASH) & (places > 0)
