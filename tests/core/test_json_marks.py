"""Marks of JSON are those that a walk letter by letter finds, however the text is fed, and however damaged it is."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from transforms.core import json_marks
from transforms.core.json_marks import MarkScan

TEXTS = st.text('"\\[]{},:ab \n', max_size=60).map(str.encode)


def letter_by_letter(text: bytes) -> list[tuple[int, int, int, int]]:
    """(place, letter, depth before, depth after) of each mark."""
    marks, depth, in_text, escaped = [], 0, False, False
    for place, letter in enumerate(text):
        before = depth
        if escaped and letter in b'"\\':
            escaped = False
            continue
        escaped = letter == ord("\\")
        if letter == ord('"'):
            in_text = not in_text
        elif in_text or letter not in b"[]{},":
            continue
        elif letter in b"[{":
            depth += 1
        elif letter in b"]}":
            depth = max(depth - 1, 0)
        marks.append((place, letter, before, depth))
    return marks


def scanned(text: bytes, step: int) -> list[tuple[int, int, int, int]]:
    scan, marks = MarkScan(), []
    for at in range(0, len(text), step):
        for some in scan.feed(text[: at + step], at):
            marks += zip(*(column.tolist() for column in some))
    return marks


@settings(max_examples=500)
@given(TEXTS, st.integers(1, 9))
@example(b'[{"a\\\\": "},{\\"", "b": []}]]]{', 1)
@example(b'{\\"a\\": 1}\\\\"', 2)
def test_marks_are_those_of_a_walk_letter_by_letter(text: bytes, step: int) -> None:
    assert scanned(text, step) == letter_by_letter(text)


def test_pieces_are_joined_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_marks, "_PIECE", 3)
    text = b'[{"a": "x\\\\\\"},{", "b": [1, 2]}, {}]'
    assert scanned(text, 1000) == letter_by_letter(text)
