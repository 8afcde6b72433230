"""Examples that the default cuts or rejects, though a model that can be tuned would take them whole: counted, and the model named."""

from __future__ import annotations

from typing import Any

import pytest

from transforms.core import jsonl
from transforms.core.limits import PROFILES, TUNABLE, TUNING_REGIONS, profiles_in_words
from transforms.core.records import Block, OpenBlock, Row
from transforms.core.warning_codes import WARNINGS, model_notices
from transforms.examples.gemini_rules import parse_example
from transforms.examples.tally import split_examples


def cut(images: int, model: str = "image-tuning", max_images: int = 0, words: int = 1, may_split: bool = True) -> int:
    """How many of two equal examples are said to be cut by the default."""
    parts: list[dict[str, Any]] = [{"text": "word" * words}]
    parts += [{"fileData": {"mimeType": "image/png", "fileUri": f"gs://b/{n}.png"}} for n in range(images)]
    turns = [{"role": "user", "parts": parts}, {"role": "model", "parts": [{"text": "yes"}]}]
    raw = jsonl.dumps({"contents": turns})
    opened = OpenBlock(Block((0, b"", 0), (), "gemini"), "key")
    opened.examples = [
        parse_example(Row(name, 0, 1, raw), seed=b"0", check_types=None) for name in ("b.jsonl", "a.jsonl")
    ]
    profile = PROFILES[model]
    split_examples(opened, max_images or profile.max_images, may_split, False, profile)
    count, example = opened.warnings.counts.get("examples_cut_by_default", (0, "a.jsonl"))
    assert example == "a.jsonl"
    return count


@pytest.mark.parametrize("images, count", [(15, 0), (16, 0), (17, 2), (29, 2), (30, 2), (31, 0)])
def test_examples_that_the_default_cuts_and_a_tunable_model_takes(images: int, count: int) -> None:
    assert cut(images) == cut(images, may_split=False) == count


def test_only_the_default_is_said_to_cut() -> None:
    assert cut(20, model="gemini-1.5") == 0  # somebody chose it
    assert cut(20, max_images=15) == 0  # somebody chose the limit, which holds for any model
    assert cut(31, model="gemini-3") == cut(31, model="gemini-2.5") == 0


def test_a_model_takes_no_example_whole_that_has_too_many_tokens() -> None:
    tokens = 131_072 - 17 * 1120 - 1  # and one for the answer; a word is one
    assert [cut(17, words=words) for words in (tokens - 1, tokens, tokens + 1)] == [2, 2, 0]


def test_the_warning_names_the_model() -> None:
    assert WARNINGS["examples_cut_by_default"].hint == "--model gemini-3 takes them whole."
    assert "image-tuning" in WARNINGS["examples_cut_by_default"].meaning


def test_profiles_say_whether_their_models_can_be_tuned() -> None:
    status = {name: profile.status.name if profile.status else "" for name, profile in PROFILES.items()}
    assert status == {
        "image-tuning": "",
        "gemini-1.5": "retired",
        "gemini-2.0": "retired",
        "gemini-2.5": "unknown",
        "gemini-3": "preview",
    }
    for profile in PROFILES.values():
        if profile.status:
            assert profile.status.date == "2026-11-29" and profile.status.source.startswith("https://")
    assert [profile.name for profile in TUNABLE] == ["gemini-3"]
    assert PROFILES["gemini-3"].models == ("gemini-3.1-flash-lite", "gemini-3.5-flash")
    assert TUNING_REGIONS == ("us-central1", "europe-west4")
    assert "gemini-2.0: 30 images an example, retired, as of 2026-11-29" in profiles_in_words()


def test_a_warning_of_a_model_says_what_is_known_and_what_to_use() -> None:
    told = {name: [notice.line for notice in model_notices(profile)] for name, profile in PROFILES.items()}
    assert told["image-tuning"] == told["gemini-3"] == []
    (line,) = told["gemini-2.0"]
    assert line.startswith(
        "! model_retired: the model is retired, so no tuning job takes it (--model gemini-2.0: since 2026-06-01"
    )
    assert line.endswith("--model gemini-3 makes a dataset for one that can be tuned.")
    assert told["gemini-2.5"][0].startswith(
        "! model_unknown: it is not known whether the model can still be tuned (--model gemini-2.5"
    )
