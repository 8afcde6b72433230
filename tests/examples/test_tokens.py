"""Tokens of text and of images, and the limits of each profile."""

from __future__ import annotations

from dataclasses import replace

import pytest
from gemini_rows import ask, image, model, parse, text, user

from transforms.core.limits import PROFILES, tiles
from transforms.examples.gemini_rules import drop_images
from transforms.examples.tokens import estimate_tokens


@pytest.mark.parametrize(("length", "tokens"), [(2, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_text_counts_four_bytes_a_token_rounded_up(length: int, tokens: int) -> None:
    example = parse({"contents": [user(text("x" * (length - 1))), model(text("y"))]})
    assert estimate_tokens(example, PROFILES["gemini-3"]) == tokens


def test_counted_text_gives_the_tokens_that_counting_it_gives() -> None:
    low, system = {"level": "MEDIA_RESOLUTION_LOW"}, {"parts": [text("é")]}
    for obj, text_bytes in (
        (ask(image(), text("é\u2028"), image(), systemInstruction=system), 5 + 10),
        (ask({"text": "xx", "thought": None}, generationConfig={"mediaResolution": low["level"]}), 2 + 10),
        (ask({**image(), "mediaResolution": low}, text("xx")), -1),
    ):
        example = parse(obj)
        assert example.text_bytes == text_bytes
        for profile in PROFILES.values():
            told, counted = estimate_tokens(example, profile), estimate_tokens(replace(example, text_bytes=-1), profile)
            assert told == counted
        two = [*example.contents, *example.contents]
        assert estimate_tokens(example, profile, contents=two) > estimate_tokens(example, profile)
    example = parse(ask(image("a"), text("1"), image("b"), text("2")))
    drop_images(example, {0})
    assert (example.text_bytes, estimate_tokens(example, PROFILES["gemini-3"])) == (-1, 1120 + 3)


def test_tokens_of_images_follow_the_profile() -> None:
    low, high = {"mediaResolution": "MEDIA_RESOLUTION_LOW"}, {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"}
    plain = parse({"contents": [user(image("a"), image("b"), text("éé")), model(text("yyyy"))]})
    whole = parse({**ask({**image("a"), "mediaResolution": high}, image("b"), text("xxxx")), "generationConfig": low})
    odd = parse(ask(image("a"), text("xx"), generationConfig="?"))
    tuning, three = PROFILES["image-tuning"], PROFILES["gemini-3"]
    sizes = {"a": (960, 540), "b": (384, 384)}
    assert [
        estimate_tokens(plain, tuning),
        estimate_tokens(plain, tuning, sizes),
        estimate_tokens(plain, three),
        estimate_tokens(plain, three, sizes),
        estimate_tokens(whole, tuning, sizes),
        estimate_tokens(whole, three, sizes),
        estimate_tokens(odd, three),
        estimate_tokens(plain, three, None, plain.contents[1:]),
    ] == [514, 514 + 6 * 256, 2242, 2242, 256 + 64 + 4, 2240 + 280 + 4, 1120 + 3, 1]


def test_system_instruction_and_tools_count_as_text() -> None:
    example = parse(ask(text("xx"), systemInstruction={"parts": [text("ssss"), text("ééss")]}, tools=[{"a": 1}]))
    assert estimate_tokens(example, PROFILES["gemini-3"]) == -(-(2 + 10 + 4 + 6 + len('[{"a":1}]')) // 4)


@pytest.mark.parametrize(
    ("size", "number"),
    [((1, 1), 0), ((384, 384), 0), ((385, 384), 4), ((960, 540), 6), ((3072, 3072), 16), ((9000, 9000), 16),
     ((100_000, 1), 12), ((1, 100_000), 12)],
)  # fmt: skip
def test_tiles(size: tuple[int, int], number: int) -> None:
    assert tiles(*size) == number


def test_profiles_state_the_limits() -> None:
    shared = {"max_image_bytes": 20_000_000, "max_file_bytes": 10**9, "max_file_examples": 300_000}
    found = {
        name: (profile.name, profile.max_images, profile.max_validation, profile.max_tokens)
        for name, profile in PROFILES.items()
        if profile.source and {key: getattr(profile, key) for key in shared} == shared
    }
    assert found == {
        "image-tuning": ("image-tuning", 16, 5000, 131_072),
        "gemini-1.5": ("gemini-1.5", 16, 256, 32_000),
        "gemini-2.0": ("gemini-2.0", 30, 5000, 131_072),
        "gemini-2.5": ("gemini-2.5", 30, 5000, 131_072),
        "gemini-3": ("gemini-3", 30, 5000, 131_072),
    }
