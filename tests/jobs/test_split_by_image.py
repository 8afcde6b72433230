"""What --split_by image says and refuses, and what caps leave of groups."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import png, put, row, write_lines
from laws import counters, lines, texts, uris

from beam_jobs.__main__ import main

LOGO = "gs://b/logo.png"


def groups() -> list[dict[str, Any]]:
    """40 groups of four rows that share an image, a row of text, 30 rows in a chain, and 15 that have the logo besides their own."""
    rows = [
        row(f"{group} {i}", [f"gs://b/{group}.png", f"gs://b/{group}-{i}.png"]) for group in range(40) for i in range(4)
    ]
    rows += [row(f"chain {i}", [f"gs://b/c{i}.png", f"gs://b/c{i + 1}.png"]) for i in range(30)]
    rows += [row(f"logo {i}", [LOGO, f"gs://b/logo-{i}.png"]) for i in range(15)]
    return [*rows, row("text alone")]


def test_caps_cut_whole_groups_and_what_joins_too_much_is_told(run: Callable[..., laws.Folder], tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in/rows.jsonl", groups())
    options = (
        "--verify",
        "none",
        "--splits",
        "train=0.5,validation=0.4,test=0.1",
        "--max_validation",
        "38",
        "--block_bytes",
        "4096",
    )
    found = run(source, "--split_by", "image", *options)
    kept, unused = (
        {texts(line)[0]: uris(line)[0] for line in lines(found, split)} for split in ("validation", "validation-unused")
    )
    assert len(kept) > 30 and len(unused) > 4
    for one, other in itertools.combinations(
        (lines(found, "train"), [*lines(found, "validation")], lines(found, "validation-unused")), 2
    ):
        shared = {uri for line in one for uri in uris(line)} & {uri for line in other for uri in uris(line)}
        assert shared <= {LOGO}
    told = {one["code"]: (one["count"], one["example"]) for one in found["manifest.json"]["warnings"]}
    assert told["image_common"] == (15, LOGO)
    assert told["image_group_large"] == (30, str(tmp_path / "in/rows.jsonl"))
    assert counters(found)["split_group_missing"] == 1
    assert found["manifest.json"]["image_identity"] == "the URI alone"
    assert found["manifest.json"]["options"]["join_common"] is False


@pytest.mark.parametrize("flags", [(), ("--split_names", "ignore")])
def test_splits_that_names_tell_are_refused(
    flags: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "valid"):
        put(tmp_path / f"in/{split}/cat/{split}.png", png(seed=len(split)))
    asked = ("--prompt", "What?", "--answer", "{path.parent}", "--split_by", "image", "--preview", "1", *flags)
    status = main(["prepare", "--input", f"{tmp_path}/in/", *asked])
    said = capsys.readouterr()
    if flags:
        assert status == 0 and "each is shown in the split of its own images" in said.out
    else:
        assert status == 2
        assert "folders decide the split: train 1 (train); validation 1 (valid)" in said.err
        assert "image_in_two_splits" in said.err and "--split_names ignore" in said.err


def test_a_stream_is_told_why_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stream", "--watch", f"{tmp_path}/in/", "--output", f"{tmp_path}/out", "--split_by", "image"]) == 2
    assert "looks at all examples before it splits them, which a stream never has" in capsys.readouterr().err
