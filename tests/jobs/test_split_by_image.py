"""What --split_by image says and refuses, and what caps leave of groups."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import png, put, row, write_lines
from laws import counters, lines, texts, uris

from beam_jobs.__main__ import main
from beam_jobs.job import Job
from beam_jobs.settings import parse
from transforms.dataset.claim import Claim
from transforms.images.identity import ADDRESS, CHECKSUM, HEAD_AND_TAIL, IDENTITIES

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


def test_windows_are_merged_by_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of two windows that share an image stand in one split, and all stand where one job would have put them."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    rows = groups()
    write_lines(raw / "a.jsonl", rows[::2])
    time.sleep(1.1)
    write_lines(raw / "b.jsonl", rows[1::2])
    splits = ("--verify", "none", "--splits", "train=0.5,validation=0.4,test=0.1")
    assert (
        main(["stream", "--watch", str(raw), "--output", str(out), "--stop_after=1s", "--window", "1s", *splits]) == 0
    )
    by_image = ("--split_by", "image", "--max_validation", "38")
    assert main(["merge", str(out), "--output", str(tmp_path / "merged"), *by_image]) == 0
    assert main(["prepare", "--input", str(raw), "--output", str(tmp_path / "batch"), *by_image, *splits]) == 0
    merged, batch = laws.sealed(tmp_path / "merged"), laws.sealed(tmp_path / "batch")
    for split in ("train", "validation", "test", "validation-unused"):
        assert sorted(merged[f"{split}.jsonl"].splitlines()) == sorted(batch[f"{split}.jsonl"].splitlines()), split
    assert counters(merged) == counters(batch)
    told = [{one["code"]: one["count"] for one in found["manifest.json"]["warnings"]} for found in (merged, batch)]
    assert told[0] == told[1] and {"image_common", "image_group_large"} <= told[0].keys()
    assert merged["manifest.json"]["options"]["split_by"] == "image"

    capsys.readouterr()
    assert main(["merge", str(out), "--output", str(tmp_path / "merged")]) == 2
    assert "--split_by was image and is not given" in capsys.readouterr().err
    assert main(["merge", str(out), "--output", str(tmp_path / "other"), "--split_by", "label"]) == 2
    assert "takes image alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("inputs", "flags", "identity"),
    [
        ("gs://bucket/a.jsonl,gs://bucket/c.jsonl", (), CHECKSUM),
        ("gs://bucket/a.jsonl,/in/c.jsonl", (), HEAD_AND_TAIL),
        ("/in/c.jsonl", (), HEAD_AND_TAIL),
        ("gs://bucket/a.jsonl", ("--verify", "none"), ""),
    ],
)
def test_images_are_told_apart_in_one_way_a_run(inputs: str, flags: tuple[str, ...], identity: str) -> None:
    argv = ["--input", inputs, "--output", "gs://bucket/out", *flags]
    job = Job(parse([*argv, "--split_by", "image"]), Claim("run", 1, False), remote=False)
    assert job.inspector.identify == identity
    assert job.dataset["image_identity"] == IDENTITIES[identity or ADDRESS]
    usual = Job(parse(argv), Claim("run", 1, False), remote=False)
    assert "image_identity" not in usual.dataset
