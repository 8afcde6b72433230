"""What a person is told of the tuning service by whole jobs: retired models, examples that the default cuts, what comes next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from folders import png, put, row, write_lines
from tuning_calls import check_tuning

from beam_jobs.__main__ import main

Told = pytest.CaptureFixture[str]


def rows(folder: Path) -> str:
    """One example at the default's limit, one just above, and one that no model takes whole."""
    put(folder / "a.png", png())
    return write_lines(folder / "rows.jsonl", [row(f"{count} images", ["a.png"] * count) for count in (16, 17, 31)])


def prepared(capsys: Told, *argv: str | Path) -> tuple[str, list[str]]:
    """Run `tuneset prepare` -> what it says, and the codes of its warnings."""
    assert main(["prepare", *map(str, argv)]) == 0, capsys.readouterr().err
    said = capsys.readouterr().out
    return said, [line.split(":")[0].removeprefix("! ") for line in said.splitlines() if line.startswith("! ")]


def test_a_retired_model_works_and_warns_from_the_start(tmp_path: Path, capsys: Told) -> None:
    argv = ("--input", rows(tmp_path / "in"), "--output", tmp_path / "out", "--splits", "train=1", "--model")
    said, codes = prepared(capsys, *argv, "gemini-2.0")
    assert codes.count("model_retired") == 2 and said.index("! model_retired") < said.index("Sealed ")
    assert "examples_cut_by_default" not in codes  # somebody chose the model
    dataset = json.loads((tmp_path / "out/manifest.json").read_bytes())["dataset"]
    assert "model_retired" in [warning["code"] for warning in dataset["warnings"]]
    assert (dataset["model_status"]["name"], dataset["model_status"]["date"]) == ("retired", "2026-11-29")
    assert dataset["model_status"]["source"].startswith("https://")
    for model, told in (("gemini-2.5", ["model_unknown"]), ("gemini-3.5-flash", []), ("image-tuning", [])):
        _, codes = prepared(capsys, *argv, model, "--preview", "1")
        assert [code for code in codes if code.startswith("model_")] == told


def test_examples_that_the_default_cuts_are_counted_before_and_after(tmp_path: Path, capsys: Told) -> None:
    argv = ("--input", rows(tmp_path / "in"), "--output", tmp_path / "out", "--splits", "train=1")
    for flags in (("--dry_run",), ()):
        said, codes = prepared(capsys, *argv, *flags)
        assert "! examples_cut_by_default: 1 example held more images than image-tuning takes" in said
        assert "--model gemini-3 takes them whole." in said and "model_retired" not in codes
    dataset = json.loads((tmp_path / "out/manifest.json").read_bytes())["dataset"]
    assert "model_status" not in dataset and dataset["counters"]["examples_split"] == 2
    _, codes = prepared(capsys, *argv, "--overwrite", "--model", "gemini-3")
    assert "examples_cut_by_default" not in codes and "examples_split" in codes


def test_what_comes_next_stands_in_the_manifest_as_on_the_screen(cloud: Cloud, tmp_path: Path, capsys: Told) -> None:
    cloud.put("raw/a.png", png())
    source = write_lines(tmp_path / "rows.jsonl", [row(f"what is {n}?", [f"{cloud.uri}/raw/a.png"]) for n in range(40)])
    said, _ = prepared(
        capsys, "--input", source, "--output", f"{cloud.uri}/set", "--splits", "train=0.8,validation=0.2"
    )
    steps: dict[str, Any] = json.loads(cloud.bucket.blob("set/manifest.json").download_as_bytes())["run"]["next"]
    assert sorted(steps) == ["explain", "grants", "service_agent", "tune"]
    for step in steps.values():
        assert step["text"] in said
        for line in (*step.get("commands", ()), *step.get("python", "").splitlines()):
            assert f"\n  {line}".rstrip() in said
    uris = (f"{cloud.uri}/set/train.jsonl", f"{cloud.uri}/set/validation.jsonl")
    check_tuning(steps["tune"]["python"] + steps["explain"]["python"], uris)
    assert all(cloud.bucket.blob(uri.removeprefix(f"{cloud.uri}/")).exists() for uri in uris)
    said, _ = prepared(capsys, "--input", source, "--output", tmp_path / "out")
    steps = json.loads((tmp_path / "out/manifest.json").read_bytes())["run"]["next"]
    assert sorted(steps) == ["explain", "grants", "service_agent", "tune", "upload"] and steps["upload"]["text"] in said
