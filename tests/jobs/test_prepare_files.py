"""Numbered files of a split, cut at the limits of the model's profile."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from folders import assert_equal_folders, png, row
from laws import counters, texts
from prepared import Run, all_lines, in_folder, questions

from transforms.core import limits as core_limits
from transforms.core.limits import PROFILES
from transforms.dataset import seal_plan


def small_profile(monkeypatch: pytest.MonkeyPatch, **limits: Any) -> None:
    profile = dataclasses.replace(PROFILES["image-tuning"], **limits)
    monkeypatch.setitem(core_limits.PROFILES, "image-tuning", profile)


@pytest.mark.parametrize("limit, files", [(11, [11, 1]), (12, [12]), (13, [12]), (5, [5, 5, 2])])
def test_a_file_holds_at_most_the_examples_of_the_profile(
    run_rows: Run, monkeypatch: pytest.MonkeyPatch, limit: int, files: list[int]
) -> None:
    small_profile(monkeypatch, max_file_examples=limit)
    found = run_rows(questions(12), "--splits", "train=1", "--block_bytes", "1024")
    train = {name: data for name, data in found.items() if name.startswith("train")}
    names = (
        [f"train-{k:05d}-of-{len(files):05d}.jsonl" for k in range(len(files))] if len(files) > 1 else ["train.jsonl"]
    )
    assert {name: data.count(b"\n") for name, data in train.items()} == dict(zip(names, files))
    assert [texts(json.loads(line))[0] for line in all_lines(found)] == [f"question {n}" for n in range(12)]
    assert ("! train_files_in_order:" in found["screen"]) is (len(files) > 1)


@pytest.mark.parametrize("over, files", [(-1, [3, 3, 3, 1]), (0, [4, 4, 2]), (1, [4, 4, 2])])
def test_a_file_is_cut_at_the_last_line_within_the_bytes_of_the_profile(
    run_rows: Run, monkeypatch: pytest.MonkeyPatch, over: int, files: list[int]
) -> None:
    rows = questions(10)
    size = len(json.dumps(rows[0], separators=(",", ":"))) + 1
    small_profile(monkeypatch, max_file_bytes=4 * size + over)
    found = run_rows(rows, "--splits", "train=1", "--block_bytes", "1024")
    assert [data.count(b"\n") for name, data in sorted(found.items()) if name.startswith("train")] == files


def test_caps_and_cuts_fall_together(run_rows: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small_profile(monkeypatch, max_file_examples=4)
    named = list(in_folder(tmp_path, **{f"x{number}_png": png(seed=number) for number in range(5)}).values())
    rows = [row(f"question {n}", named[: n % 6], split=("val", "train", "test")[n % 3]) for n in range(60)]
    options = ("--split_column", "split", "--max_validation", "10", "--max_images", "2", "--block_bytes", "2048")
    found = run_rows(rows, *options, "--sample", "50")
    splits = found["manifest.json"]["splits"]
    for split in ("train", "test", "validation"):
        counts = [d.count(b"\n") for n, d in sorted(found.items()) if n.startswith(f"{split}-0")]
        assert sum(counts) == splits[split] and set(counts[:-1]) == {4} and 0 < counts[-1] <= 4
    assert 0 < splits["validation"] <= 10 and counters(found)["validation_unused"] > 0


@pytest.mark.parametrize("flags", [(), ("--max_validation", "5", "--sample", "90")], ids=["all", "capped"])
def test_segments_do_not_show(
    run_rows: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...]
) -> None:
    """One file over many segments: its line numbers, its rejected rows and the cuts of files go on from one to the next."""
    small_profile(monkeypatch, max_file_examples=17)
    named = list(in_folder(tmp_path, a_png=png(seed=1), b_png=png(seed=2)).values())
    rows = [row(f"question {n}", named[: n % 3]) if n % 11 else {"contents": []} for n in range(150)]
    options = ("--block_bytes", "1024", *flags)
    whole = run_rows(rows, *options)
    assert whole["manifest.json"]["counters"]["examples_rejected"] == 14
    monkeypatch.setattr(seal_plan, "SEGMENT_BLOCKS", 2)
    again = run_rows(rows, *options, "--overwrite")
    for folder in (whole, again):
        folder.pop("screen")
    assert_equal_folders(again, whole)
