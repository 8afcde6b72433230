"""Metadata files of a folder of images, wherever the Hub's convention puts them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import jpeg, put, write_lines
from laws import Folder, lines, rejections, texts, uris

from beam_jobs.commands.prepare import prepare
from beam_jobs.job import Job
from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms.dataset.claim import Claim
from transforms.inputs.metadata_files import find_metadata
from transforms.steps.listing import ListBlocks, listed_blocks

Run = Callable[..., Folder]
ASK = ("--prompt", "x", "--answer", "{text}", "--splits", "train=1", "--max_rejected_fraction", "1")


def answers(found: Folder) -> dict[str, str]:
    return {"/".join(uris(line)[0].split("/")[-2:]): texts(line)[-1] for line in lines(found, "train")}


def plan_of(source: Path, *flags: str) -> Job:
    argv = ["--input", str(source), "--output", f"{source}-out", *flags]
    return Job(look_at_inputs(on_this_machine(parse(argv)))[0], Claim("run", 1, False), False)


def keys_of(source: Path, *flags: str) -> dict[str, str]:
    plan = plan_of(source, *flags)
    blocks = listed_blocks(ListBlocks(inputs=plan.inputs, cutter=plan.cutter, output=plan.settings.output))
    return {block.extents[0].uri: plan.keys(block) for block in blocks}


def test_metadata_of_every_kind_in_class_folders_names_their_images(run: Run, tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "dog/images/2.jpg", "train/deep/3.jpg", "cat/unnamed.jpg"):
        put(tmp_path / "in" / name, jpeg())
    put(tmp_path / "in/cat/metadata.csv", b"file_name,text\n1.jpg,a cat\n")
    write_lines(tmp_path / "in/dog/images/metadata.jsonl", [{"file_name": "2.jpg", "text": "a dog"}])
    table = pa.table({"id": ["x.jpg"], "file_name": ["deep/3.jpg"], "text": ["a bird"]})
    pq.write_table(table, tmp_path / "in/train/metadata.parquet")
    found = run(tmp_path / "in", *ASK)
    assert answers(found) == {"cat/1.jpg": "a cat", "images/2.jpg": "a dog", "deep/3.jpg": "a bird"}
    assert rejections(found) == []


def test_the_nearest_metadata_file_speaks_for_an_image(run: Run, tmp_path: Path) -> None:
    for name in ("cat/1.jpg", "dog/2.jpg"):
        put(tmp_path / "in" / name, jpeg())
    put(tmp_path / "in/metadata.csv", b"file_name,text\ncat/1.jpg,far\ndog/2.jpg,dog\n")
    alone = keys_of(tmp_path / "in", *ASK)
    put(tmp_path / "in/cat/metadata.csv", b"file_name,text\n1.jpg,near\n")
    both = keys_of(tmp_path / "in", *ASK)
    assert both[f"{tmp_path}/in/metadata.csv"] != alone[f"{tmp_path}/in/metadata.csv"]
    found = run(tmp_path / "in", *ASK)
    assert answers(found) == {"cat/1.jpg": "near", "dog/2.jpg": "dog"}
    assert Counter(r["reason"] for r in rejections(found)) == {"nearer_metadata": 1}


def test_images_without_metadata_are_read_if_no_template_names_a_column_else_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "in/cat/1.jpg", jpeg())
    put(tmp_path / "in/dog/2.jpg", jpeg())
    put(tmp_path / "in/cat/metadata.csv", b"file_name,text\n1.jpg,a cat\n")
    inputs = plan_of(tmp_path / "in", "--prompt", "x", "--answer", "{path.parent}").inputs
    assert [(one.pattern, one.format, one.left_out) for one in inputs] == [
        (f"{tmp_path}/in/cat/metadata.csv", "table", ()),
        (f"{tmp_path}/in", "folder", (f"{tmp_path}/in/cat",)),
    ]
    assert prepare(["--input", f"{tmp_path}/in", "--output", f"{tmp_path}/out", *ASK]) == 0
    said = "! images_without_metadata: images lie in folders without a metadata file, and templates name columns: they are left out"
    assert f"{said} ({tmp_path}/in/dog/2.jpg)" in capfd.readouterr().out
    run = json.loads((tmp_path / "out/manifest.json").read_bytes())["run"]
    assert [(one["code"], one["example"]) for one in run["warnings"]] == [
        ("images_without_metadata", f"{tmp_path}/in/dog/2.jpg")
    ]


def test_a_table_on_top_is_seen_whatever_sorts_before_it(tmp_path: Path) -> None:
    for number in range(1500):
        put(tmp_path / f"in/images/{number:04}.jpg", b"")
    put(tmp_path / "in/train.csv", b"image,label\nimages/0000.jpg,cat\n")
    (one_input,) = plan_of(tmp_path / "in", "--prompt", "x", "--answer", "{label}").inputs
    assert (one_input.pattern, one_input.format) == (f"{tmp_path}/in", "table")


def test_metadata_below_hidden_system_and_left_out_folders_is_not_found(tmp_path: Path) -> None:
    for name in (".git", "@eaDir", "ours", "a/b/c", "a/b/c/d", "seen"):
        put(tmp_path / name / "metadata.csv", b"")
    found = find_metadata(str(tmp_path), [f"{tmp_path}/ours"])
    assert found.uris == tuple(f"{tmp_path}/{name}/metadata.csv" for name in ("a/b/c", "seen"))
    assert found.whole
