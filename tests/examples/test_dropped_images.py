"""Images that are dropped: their captions go along, and an example that loses too much is rejected."""

from __future__ import annotations

from typing import Any

import pytest
from gemini_rows import image, model, parse, text, user

from transforms.core.reasons import RowError
from transforms.core.records import Example
from transforms.examples.gemini_rules import drop_images


def captioned() -> dict[str, Any]:
    first = user(image("a"), text("A."), image("b"), text("B."), text("Compare."))
    return {"contents": [first, model(text("y")), user(image("c")), model(text("z"))]}


def kept(example: Example) -> list[list[str]]:
    return [
        [part["text"] if "text" in part else part["fileData"]["fileUri"] for part in turn["parts"]]
        for turn in example.contents
    ]


@pytest.mark.parametrize(
    ("bad", "left"),
    [
        (set(), [["a", "A.", "b", "B.", "Compare."], ["y"], ["c"], ["z"]]),
        ({0}, [["b", "B.", "Compare."], ["y"], ["c"], ["z"]]),
        ({1}, [["a", "A.", "Compare."], ["y"], ["c"], ["z"]]),
        ({0, 1}, [["Compare."], ["y"], ["c"], ["z"]]),
    ],
)
def test_a_dropped_image_takes_its_caption_along(bad: set[int], left: list[list[str]]) -> None:
    example = parse(captioned())
    drop_images(example, bad)
    assert kept(example) == left
    assert [data["fileUri"] for data in example.images] == [name for turn in left for name in turn if name in "abc"]
    assert example.id == parse(captioned()).id


@pytest.mark.parametrize(
    ("bad", "reason", "detail"),
    [
        ({2}, "empty_turn", "contents[2] held nothing but images that cannot be used"),
        ({0, 2}, "empty_turn", "contents[2] held nothing but images that cannot be used"),
        ({0, 1, 2}, "no_images_left", "none of the 3 images can be used"),
    ],
)
def test_an_example_that_loses_too_much_is_rejected_unchanged(bad: set[int], reason: str, detail: str) -> None:
    example = parse(captioned())
    with pytest.raises(RowError) as caught:
        drop_images(example, bad)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)
    assert example == parse(captioned())
