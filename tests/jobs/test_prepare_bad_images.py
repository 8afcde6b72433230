"""What an unusable image, or too many tokens, cost an example under the options of `tuneset prepare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from folders import bmp, png, row
from laws import counters, rejections, texts, uris
from prepared import Run, all_lines, fates, in_folder

from transforms.core.limits import PROFILES


def captioned(name: str, images: Sequence[tuple[str, str]], task: str = "Compare.") -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    for uri, caption in images:
        parts += [{"fileData": {"mimeType": "image/png", "fileUri": uri}}, {"text": caption}]
    turns = [{"role": "user", "parts": [*parts, {"text": task}]}, {"role": "model", "parts": [{"text": name}]}]
    return {"contents": turns}


def test_a_bad_image_costs_its_example_or_itself(run_rows: Run, tmp_path: Path) -> None:
    named = in_folder(tmp_path, a_png=png(), b_png=b"no image", c_png=png(seed=2))
    a, b, c = named.values()
    alone = {"fileData": {"mimeType": "image/png", "fileUri": b}}
    two_turns = row("first", [a])["contents"] + [
        {"role": "user", "parts": [alone]},
        {"role": "model", "parts": [{"text": "seen"}]},
    ]
    rows = [
        captioned("mixed", [(a, "front"), (b, "side"), (c, "back")]),
        captioned("none left", [(b, "one"), (b, "two")]),
        {"contents": two_turns},
        captioned("good", [(a, "one"), (c, "two")]),
        row("text alone"),
    ]
    found = run_rows(rows)
    assert [r["reason"] for r in rejections(found)] == ["not_an_image"] * 3
    assert [r["image"] for r in rejections(found)] == [b] * 3
    assert fates(found) == {"rejected": 4, "unused": 3, "untouched": 2}

    # Dropped before they are counted against the limit, which "mixed" then obeys.
    limit = ("--max_images", "2", "--on_too_many_images", "reject")
    found = run_rows(rows, "--on_bad_image", "drop_image", *limit, output="two")
    assert [(r["reason"], r["line"], r["image"]) for r in rejections(found)] == [
        ("no_images_left", 2, b),
        ("empty_turn", 3, b),
    ]
    assert all("not_an_image" in r["detail"] for r in rejections(found))
    assert fates(found) == {"dropped": 4, "unused": 1, "untouched": 4}
    written = {texts(line)[-1]: line for line in map(json.loads, all_lines(found))}
    assert set(written) == {"mixed", "good", "yes"}
    assert (uris(written["mixed"]), texts(written["mixed"])) == ([a, c], ["front", "back", "Compare.", "mixed"])
    assert counters(found)["examples_without_images"] == 1


def test_an_image_that_cannot_be_fitted_follows_the_same_policy(run_rows: Run, tmp_path: Path) -> None:
    cut = bmp(200, 200)[:50_000]  # its header is good, so only the fitter finds out
    named = in_folder(tmp_path, a_png=png(), bad_bmp=cut, good_bmp=bmp(seed=3))
    a, bad, good = named.values()
    rows = [captioned("mixed", [(a, "one"), (bad, "two"), (good, "three")]), row("plain", [a])]
    found = run_rows(rows)
    assert [r["image"] for r in rejections(found)] == [bad]
    assert fates(found) == {"rejected": 1, "unused": 2, "untouched": 1}
    found = run_rows(rows, "--on_bad_image", "drop_image", output="two")
    assert fates(found) == {"dropped": 1, "converted": 1, "untouched": 2}
    mixed = next(line for line in map(json.loads, all_lines(found)) if texts(line)[-1] == "mixed")
    assert texts(mixed) == ["one", "three", "Compare.", "mixed"] and uris(mixed)[0] == a


def test_too_many_tokens_are_a_warning_or_a_rejection(run_rows: Run) -> None:
    limit = PROFILES["gemini-1.5"].max_tokens
    answer = "yes"  # 4 bytes a token, rounded up: question and answer fill them together
    rows = [row("x" * (4 * limit + over - len(answer)), answer=answer) for over in (-1, 0, 1)]
    found = run_rows(rows, "--model", "gemini-1.5", "--splits", "train=1")
    assert [e["tokens"] for e in found["examples.parquet"]] == [limit, limit, limit + 1]
    assert counters(found)["examples_over_tokens"] == 1 and "may hold more tokens" in found["screen"]
    found = run_rows(rows, "--model", "gemini-1.5", "--on_too_many_tokens", "reject", output="two")
    assert [(r["reason"], r["line"]) for r in rejections(found)] == [("too_many_tokens", 3)]
