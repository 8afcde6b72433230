"""Objects in the arrays of one JSON object are found however it is fed, and however damaged it is."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.inputs.formats.joined.json_items import items
from transforms.storage.packings import Damaged

TEXTS = st.text('"\\[]{},:ab \n', max_size=60).map(str.encode)
ROW = b'{"a": "}\\"{", "b": [{}]}'


@settings(max_examples=200)
@given(
    st.lists(st.sampled_from([b'"info": {"images": "x"}', b'"n": 1', b'"m": [1, [2]]', b'"k": "["']), max_size=4), TEXTS
)
def test_items_of_an_object_are_the_same_however_it_is_fed(others: list[bytes], rest: bytes) -> None:
    text = b"{" + b", ".join([*others, b'"images": [' + ROW + b", " + ROW + b"]", *others]) + b"}" + rest
    told = [outcome([text[at : at + step] for at in range(0, len(text), step)]) for step in (1, 2, 7, 10_000)]
    assert told[0][0] == [("images", ROW)] * 2
    assert all(one == other for one, other in itertools.pairwise(told))


def outcome(chunks: list[bytes]) -> tuple[list[tuple[str, bytes]], str]:
    """The items of a file, and why it ends early."""
    rows = []
    try:
        for row in items(chunks):
            rows.append(row)
    except Damaged as error:
        return rows, str(error)
    return rows, ""
