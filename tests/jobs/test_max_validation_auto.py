"""`--max_validation auto` in whole jobs: at most 20 % of the training file's bytes, and nothing of a split that the data names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import assert_equal_folders, row, write_lines

from beam_jobs.__main__ import main
from transforms.core import limits
from transforms.dataset.tuning.validation import share_bound

Run = Callable[..., laws.Folder]
HALVES = ("--splits", "train=0.5,validation=0.5")
AUTO = ("--max_validation", "auto")


def questions(count: int, **columns: Any) -> list[dict[str, Any]]:
    return [row(f"question {number} " + "long " * (number % 7), **columns) for number in range(count)]


def validation_lines(found: laws.Folder, *splits: str) -> list[tuple[int, int]]:
    """(id, bytes) of the lines of some splits, in the order of their ids."""
    rows = found["examples.parquet"]
    return sorted((int(one["id"], 16), one["bytes"]) for one in rows if one["split"] in splits)


def train_sizes(found: laws.Folder) -> list[tuple[int, int]]:
    files = found["manifest.json"]["files"]
    return [(f["lines"], f["bytes"]) for f in files if f["name"].startswith("train")]


def check_share(found: laws.Folder) -> None:
    """Validation holds the smallest ids that the smallest training file allows, and one line more would be too many."""
    kept, every = validation_lines(found, "validation"), validation_lines(found, "validation", "validation-unused")
    bound = share_bound(every, train_sizes(found), 5000)
    assert kept == [line for line in every if line[0] < bound] and 0 < len(kept) < len(every)
    most = min(size for _, size in train_sizes(found)) // 5
    assert sum(size for _, size in kept) <= most < sum(size for _, size in every[: len(kept) + 1])
    codes = [warning["code"] for warning in found["manifest.json"]["warnings"]]
    assert "validation_unused" in codes and "validation_bytes" not in codes


def test_validation_is_cut_to_a_share_whatever_the_blocks(run: Run, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in/rows.jsonl", questions(60))
    found = run(source, *HALVES, *AUTO)
    check_share(found)
    assert found["manifest.json"]["options"]["max_validation"] == "auto"
    small = run(source, *HALVES, *AUTO, "--block_bytes", "1024", "--overwrite")
    assert_equal_folders(found, small, same_blocks=False)
    usual = run(source, *HALVES, output="usual")  # the profile's number stays the default
    assert len(validation_lines(usual, "validation")) == len(validation_lines(found, "validation", "validation-unused"))
    assert "validation_bytes" in [warning["code"] for warning in usual["manifest.json"]["warnings"]]


def test_a_sample_a_shuffle_and_numbered_files(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_lines(tmp_path / "in/rows.jsonl", questions(90))
    check_share(run(source, *HALVES, *AUTO, "--sample", "70", "--shuffle_seed", "a", "--block_bytes", "1024"))
    profile = dataclasses.replace(limits.PROFILES["image-tuning"], max_file_examples=30)
    monkeypatch.setitem(limits.PROFILES, "image-tuning", profile)
    found = run(source, *HALVES, *AUTO, "--shuffle_seed", "a", output="numbered")
    assert len(train_sizes(found)) == 2
    check_share(found)


@pytest.mark.parametrize("how", ["column", "folders", "column for train alone"])
def test_a_split_that_the_data_names_is_never_cut(how: str, run: Run, tmp_path: Path) -> None:
    flags: tuple[str, ...] = ("--split_column", "split")
    if how == "column":
        rows = [*questions(20, split="train"), *[row(f"v{number}", split="val") for number in range(20)]]
        source = write_lines(tmp_path / "in/rows.jsonl", rows)
    elif how == "folders":
        for name in ("train", "valid"):
            source = write_lines(tmp_path / f"in/{name}/rows.jsonl", [row(f"{name} {number}") for number in range(20)])
        source, flags = f"{tmp_path}/in/*/rows.jsonl", ()
    else:  # validation is the hash's
        rows = [*questions(10, split="train"), *questions(40)[10:]]
        source = write_lines(tmp_path / "in/rows.jsonl", rows)
    found = run(source, *HALVES, *AUTO, *flags)
    if how == "column for train alone":
        check_share(found)
    else:
        assert len(validation_lines(found, "validation")) == 20 and "validation-unused.jsonl" not in found


@pytest.mark.parametrize("value", ["-2", "Auto", "1.5", "autos"])
def test_what_is_neither_a_number_nor_auto(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--input", "a", "--output", "b", "--max_validation", value]) == 2
    assert f"--max_validation {value}: expected " in capsys.readouterr().err


def test_the_template_takes_it() -> None:
    from re import fullmatch

    spec = json.loads((Path(__file__).parents[2] / "dataflow_templates/batch_metadata.json").read_bytes())
    (regex,) = next(one for one in spec["parameters"] if one["name"] == "max_validation")["regexes"]
    taken = [bool(fullmatch(regex, value)) for value in ("-1", "0", "5000", "auto", "", "-2", "autos", "1.5")]
    assert taken == [True] * 4 + [False] * 4
