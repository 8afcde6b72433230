"""Splitting an example with too many images, and which text belongs to which image."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.examples import pieces as examples_pieces
from transforms.examples.pieces import captions, split_contents

quick = settings(max_examples=150)


def part(word: str) -> dict[str, Any]:
    """`<name>` is an image, anything else a text."""
    return {"fileData": {"mimeType": "image/png", "fileUri": word}} if word[0] == "<" else {"text": word}


def turns(*exchanges: list[str]) -> list[dict[str, Any]]:
    """Exchanges given by the words of their user turn; the model answers `!` and the number of the exchange."""
    contents = []
    for number, words in enumerate(exchanges):
        contents.append({"role": "user", "parts": [part(word) for word in words]})
        contents.append({"role": "model", "parts": [{"text": f"!{number}"}]})
    return contents


def words(contents: list[dict[str, Any]]) -> list[str]:
    return [p["text"] if "text" in p else p["fileData"]["fileUri"] for turn in contents for p in turn["parts"]]


def images(count: int, start: int = 0) -> list[str]:
    return [f"<{n}>" for n in range(start, start + count)]


def sizes(exchanges: list[int], max_images: int) -> list[list[int]]:
    """Image counts of the exchanges in each piece."""
    contents = turns(*([*images(count), "?"] for count in exchanges))
    found = []
    for piece in split_contents(contents, max_images):
        users = [turn for turn in piece if turn["role"] == "user"]
        found.append([sum("fileData" in p for p in turn["parts"]) for turn in users])
    return found


@pytest.mark.parametrize(
    ("count", "pieces"),
    [(0, [0]), (1, [1]), (15, [15]), (16, [16]), (17, [9, 8]), (31, [16, 15]), (32, [16, 16]), (33, [11, 11, 11]),
     (40, [14, 13, 13]), (48, [16, 16, 16]), (49, [13, 12, 12, 12])],
)  # fmt: skip
def test_one_exchange_is_cut_into_parts_that_differ_by_one_at_most(count: int, pieces: list[int]) -> None:
    assert sizes([count], 16) == [[piece] for piece in pieces]


@pytest.mark.parametrize(
    ("exchanges", "pieces"),
    [
        ([8, 8], [[8, 8]]),
        ([8, 9], [[8], [9]]),
        ([6, 6, 6], [[6, 6], [6]]),  # two pieces, of which the larger first
        ([5, 5, 5, 5], [[5, 5], [5, 5]]),  # two pieces as even as can be, not 15 and 5
        ([1, 9, 6, 1, 1], [[1, 9], [6, 1, 1]]),  # 10 and 8, not 16 and 2
        ([16, 0, 16], [[16, 0], [16]]),
        ([0, 0, 16, 1], [[0, 0, 16], [1]]),
        ([2] * 17, [[2] * 6, [2] * 6, [2] * 5]),
        ([3, 17, 3], [[3], [9], [8], [3]]),  # an exchange over the limit stands alone
        ([3, 4, 40, 0], [[3, 4], [14], [13], [13], [0]]),
        ([17, 33], [[9], [8], [11], [11], [11]]),
    ],
)
def test_exchanges_within_the_limit_share_pieces(exchanges: list[int], pieces: list[list[int]]) -> None:
    assert sizes(exchanges, 16) == pieces


def test_within_the_limit_the_contents_are_the_piece() -> None:
    contents = turns([*images(10), "?"], [*images(6), "?"])
    assert split_contents(contents, 16)[0] is contents
    assert len(split_contents(contents, 16)) == 1


def test_forty_captioned_images() -> None:
    user = ["Here are 40 photos."]
    for n in range(40):
        user += [f"<{n}>", f"Photo {n}.", f"Taken in {n}."]
    pieces = split_contents(turns([*user, "Sort them.", "Be brief."]), 16)
    spans = [(0, 14), (14, 27), (27, 40)]
    assert [words(piece) for piece in pieces] == [
        [
            "Here are 40 photos.",
            *(word for n in range(start, end) for word in (f"<{n}>", f"Photo {n}.", f"Taken in {n}.")),
            "Sort them.",
            "Be brief.",
            "!0",
        ]
        for start, end in spans
    ]
    assert [[turn["role"] for turn in piece] for piece in pieces] == [["user", "model"]] * 3


def test_forty_labelled_images() -> None:
    user = ["Compare."]
    for n in range(40):
        user += [f"Image {n}:", f"<{n}>"]
    pieces = split_contents(turns([*user, "Which is odd?"]), 16)
    assert [words(piece) for piece in pieces] == [
        ["Compare.", *(word for n in range(a, b) for word in (f"Image {n}:", f"<{n}>")), "Which is odd?", "!0"]
        for a, b in [(0, 14), (14, 27), (27, 40)]
    ]


@pytest.mark.parametrize(
    ("user", "tied"),
    [
        (["?"], {}),
        (["?", "<a>", "x", "y"], {"<a>": []}),
        (["<a>", "<b>", "?"], {"<a>": [], "<b>": []}),
        # after the image: the last one has as many as those before it each have
        (["<a>", "A", "<b>", "B"], {"<a>": ["A"], "<b>": ["B"]}),
        (["<a>", "A", "<b>", "B", "?"], {"<a>": ["A"], "<b>": ["B"]}),
        (["<a>", "A", "1", "<b>", "B", "2", "?"], {"<a>": ["A", "1"], "<b>": ["B", "2"]}),
        (["<a>", "A", "1", "<b>", "B"], {"<a>": ["A", "1"], "<b>": ["B"]}),
        (["<a>", "A", "<b>"], {"<a>": ["A"], "<b>": []}),
        (["<a>", "A", "<b>", "<c>", "?"], {"<a>": ["A"], "<b>": [], "<c>": []}),
        (["<a>", "A", "<b>", "B", "1", "<c>", "C", "?"], {"<a>": ["A"], "<b>": ["B", "1"], "<c>": ["C"]}),
        (["Photos", "<a>", "A", "<b>", "B", "?"], {"<a>": ["A"], "<b>": ["B"]}),
        # before the image: the text before the first one is the same, digits aside
        (["Image 1:", "<a>", "Image 2:", "<b>", "?"], {"<a>": ["Image 1:"], "<b>": ["Image 2:"]}),
        (["?", "Image 9:", "<a>", "Image 10:", "<b>"], {"<a>": ["Image 9:"], "<b>": ["Image 10:"]}),
        (["1", "<a>", "2", "<b>", "3"], {"<a>": ["1"], "<b>": ["2"]}),
        (["Image 1:", "<a>", "Picture 2:", "<b>", "?"], {"<a>": ["Picture 2:"], "<b>": ["?"]}),
        (["Image 1:", "<a>", "?"], {"<a>": []}),
        # both
        (
            ["Image 1:", "<a>", "red", "Image 2:", "<b>", "blue", "?"],
            {"<a>": ["Image 1:", "red"], "<b>": ["Image 2:", "blue"]},
        ),
    ],
)
def test_which_text_is_tied_to_which_image(user: list[str], tied: dict[str, list[str]]) -> None:
    found = captions([part(word) for word in user])
    assert {user[image]: [user[text] for text in texts] for image, texts in found.items()} == tied


def test_the_order_within_a_turn_is_kept_and_other_keys_too() -> None:
    contents = turns(["Look:", "<a>", "A", "<b>", "B", "<c>", "C", "So?"])
    contents[0]["parts"][1]["mediaResolution"] = {"level": "MEDIA_RESOLUTION_LOW"}
    first, second = split_contents(contents, 2)
    assert [words(first), words(second)] == [
        ["Look:", "<a>", "A", "<b>", "B", "So?", "!0"],
        ["Look:", "<c>", "C", "So?", "!0"],
    ]
    assert first[0]["parts"][1] is contents[0]["parts"][1]
    assert (first[1], len(contents[0]["parts"])) == (contents[1], 8)


def test_no_room_for_an_image_is_an_error() -> None:
    with pytest.raises(ValueError, match="max_images is 0"):
        split_contents(turns(["<a>", "?"]), 0)


def best(counts: list[int], max_images: int) -> list[int]:
    """Piece sizes by trying every way to cut a row of exchanges."""
    ways = []
    for cuts in itertools.product([False, True], repeat=len(counts) - 1):
        pieces = [counts[0]]
        for cut, count in zip(cuts, counts[1:], strict=True):
            if cut:
                pieces.append(count)
            else:
                pieces[-1] += count
        if max(pieces) <= max_images:
            ways.append((len(pieces), max(pieces), [-piece for piece in pieces]))
    return [-piece for piece in min(ways)[2]]


@quick
@given(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.integers(7, 12))
def test_packing_is_the_best_of_all(counts: list[int], max_images: int) -> None:
    assert [sum(piece) for piece in sizes(counts, max_images)] == best(counts, max_images)


shapes = st.lists(st.lists(st.sampled_from(["<", "t", "Image "]), min_size=1, max_size=25), min_size=1, max_size=5)


@quick
@given(shapes, st.integers(1, 9))
def test_nothing_is_lost_and_no_piece_is_too_large(shape: list[list[str]], max_images: int) -> None:
    numbers = itertools.count()
    exchanges = [[f"<{next(numbers)}>" if w == "<" else f"{w}{next(numbers)}" for w in user] for user in shape]
    pieces = split_contents(turns(*exchanges), max_images)
    found = [words(piece) for piece in pieces]
    assert all(sum(word[0] == "<" for word in piece) <= max_images for piece in found)
    assert [word for piece in found for word in piece if word[0] == "<"] == [
        word for user in exchanges for word in user if word[0] == "<"
    ]
    assert {word for piece in found for word in piece} == set(words(turns(*exchanges)))
    order = {word: at for at, word in enumerate(words(turns(*exchanges)))}
    for piece, named in zip(pieces, found, strict=True):
        assert [turn["role"] for turn in piece] == ["user", "model"] * (len(piece) // 2)
        assert all(turn["parts"] for turn in piece)
        assert [order[word] for word in named] == sorted(order[word] for word in named)


def test_thousands_of_exchanges_are_quick() -> None:
    began = time.process_time()
    pieces = sizes([1 + n % 5 for n in range(5000)], 16)
    assert (sum(map(len, pieces)), time.process_time() - began < 2) == (5000, True)


@pytest.mark.timeout(30)
def test_cutting_looks_at_each_part_once_and_not_for_every_piece() -> None:
    count = 30_000  # squared, this would take minutes
    pieces = split_contents(turns([word for n in range(count) for word in (f"<{n}>", f"{n}.")]), 1)
    assert [words(piece) for piece in (pieces[0], pieces[-1])] == [["<0>", "0.", "!0"], ["<29999>", "29999.", "!0"]]
    assert len(pieces) == count


def test_what_pieces_repeat_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    cut, packed = turns([*images(9), "a long task"]), turns(images(2), images(2), images(2))
    repeated = 5 * len(jsonl.dumps([cut[1:], [part("a long task")]]))
    for contents, head, most in ((cut, 0, repeated), (cut, 7, repeated + 5 * 7), (packed, 100, 3 * 100)):
        monkeypatch.setattr(examples_pieces, "MOST_REPEATED", most)
        assert len(split_contents(contents, 2, head)) == (5 if contents is cut else 3)
        monkeypatch.setattr(examples_pieces, "MOST_REPEATED", most - 1)
        with pytest.raises(RowError) as caught:
            split_contents(contents, 2, head)
        assert caught.value.reason == "too_many_images"
        assert f"which would repeat {most} bytes of text: at most {most - 1}" in str(caught.value)


def test_texts_of_megabytes_are_not_repeated_before_they_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples_pieces, "_cut", None)
    many = turns([*images(5000), *["task"] * 10_000])
    with pytest.raises(RowError, match="5,000 pieces or more"):
        split_contents(many, 1)
