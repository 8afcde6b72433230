"""Running `tuneset prepare`: when nothing is sealed, running again, claims, failures, and what is said of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import bmp, put, read_folder, row, write_lines
from laws import counters, rejections
from prepared import Run, in_folder, questions

from beam_jobs.commands.prepare import prepare
from transforms.dataset.claim import take_claim


def some_bad(good: int, bad: int) -> list[dict[str, Any]]:
    return questions(good) + [{"contents": []} for _ in range(bad)]


@pytest.mark.parametrize("good, bad, seals", [(50, 49, True), (90, 10, True), (89, 11, False)])
def test_over_max_rejected_fraction_nothing_is_sealed(
    tmp_path: Path,
    unsealed: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
    good: int,
    bad: int,
    seals: bool,
) -> None:
    source, output = write_lines(tmp_path / "in.jsonl", some_bad(good, bad)), tmp_path / "out"
    command = ["--input", source, "--output", str(output), "--block_bytes", "2048"]
    if seals:
        assert prepare(command) == 0
        assert counters(laws.sealed(output))["examples_rejected"] == bad
        return
    status, said = unsealed(*command)
    assert said.startswith(
        "tuneset: not sealed. 11 of 100 examples were rejected, more than --max_rejected_fraction 0.1"
    )
    assert (status, said.count("\n")) == (1, 1)
    assert (output / "rejected.jsonl").read_bytes().count(b"\n") == 11
    assert sorted(path.name for path in output.iterdir()) == ["_tuneset", "rejected.jsonl"]
    # Nothing is read again once the fraction is raised.
    monkeypatch.setattr("transforms.steps.writer.read_block", None)
    assert prepare([*command, "--max_rejected_fraction", "0.11"]) == 0
    assert counters(laws.sealed(output))["examples_rejected"] == 11


def test_without_one_good_row_nothing_is_sealed(tmp_path: Path, unsealed: Callable[..., tuple[int, str]]) -> None:
    none = "None of the 3 rows can be used (missing_contents 3). missing_contents: "
    for name, rows, why in (("bad", some_bad(0, 3), none), ("empty", [], "The input holds no row.")):
        source = write_lines(tmp_path / f"{name}.jsonl", rows)
        status, said = unsealed("--input", source, "--output", str(tmp_path / name), "--max_rejected_fraction", "1")
        assert status == 1 and f"tuneset: not sealed. {why}" in said
        assert not (tmp_path / name / "manifest.json").exists()


def test_block_bytes_and_keep_blocks_show_in_the_work_folder(run_rows: Run, tmp_path: Path) -> None:
    found = run_rows(questions(40), "--block_bytes", "1024", "--keep_blocks", "--threads", "3")
    size = os.path.getsize(tmp_path / "in" / "rows.jsonl")
    work = [name for name in found if name.startswith("_tuneset/")]
    assert sum(name.endswith(".receipt") for name in work) == -(-size // 1024)
    kinds = {"receipt", "train", "validation", "examples", "findings"}
    assert {name.rpartition(".")[2] for name in work} == kinds
    assert not (tmp_path / "out/_tuneset/claim.json").exists()


def test_a_line_over_max_line_bytes_is_rejected_by_its_place(run_rows: Run) -> None:
    rows = [row("x" * 2000), *questions(2), row("x" * 2001)]
    found = run_rows(rows, "--max_line_bytes", str(len(json.dumps(rows[0]))))
    ((told),) = rejections(found)
    assert (told["reason"], told["line"]) == ("line_too_long", 4)
    assert told["offset"] == sum(len(json.dumps(one)) + 1 for one in rows[:3])
    assert "row" not in told and "row_base64" not in told


def test_a_sealed_folder_is_left_alone_unless_it_is_overwritten(
    run_rows: Run, tmp_path: Path, unsealed: Callable[..., tuple[int, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    named = in_folder(tmp_path, a_bmp=bmp())
    rows = [row("one", list(named.values())), *questions(3)]
    splits = ("--splits", "train=0.5,validation=0.25,test=0.25")
    run_rows(rows, *splits)
    put(tmp_path / "out/notes.txt", b"mine")
    before = {path: path.stat() for path in (tmp_path / "out").rglob("*")}
    source, output = str(tmp_path / "in/rows.jsonl"), str(tmp_path / "out")
    assert prepare(["--input", source, "--output", output, *splits]) == 0
    assert "was sealed by the same command before" in capfd.readouterr().out
    status, said = unsealed("--input", source, "--output", output)
    assert (
        status == 2
        and "holds a sealed dataset that another command made (--splits was " in said
        and "--overwrite" in said
    )
    assert {path: path.stat() for path in (tmp_path / "out").rglob("*")} == before
    # With other options: what they do not make is gone, and what is not ours stays.
    write_lines(source, questions(4))
    assert prepare(["--input", source, "--output", output, "--overwrite"]) == 0
    after = read_folder(output)
    assert after.pop("notes.txt") == b"mine"
    assert sorted(after) == [
        "examples.parquet",
        "images.parquet",
        "manifest.json",
        "rejected.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]
    assert counters(after)["examples_read"] == 4


def test_no_wait_returns_once_the_job_is_submitted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "in.jsonl", questions(3))
    assert prepare(["--input", source, "--output", str(tmp_path / "out"), "--no_wait"]) == 2
    assert "with FnApiRunner the job ends with this process" in capfd.readouterr().err
    monkeypatch.setattr("beam_jobs.commands.prepare.is_remote", lambda settings: True)
    assert prepare(["--input", source, "--output", str(tmp_path / "out"), "--no_wait"]) == 0
    assert "\nSubmitted" in "\n" + capfd.readouterr().out


def test_a_claimed_folder_is_told_and_taken_over_on_demand(
    tmp_path: Path, unsealed: Callable[..., tuple[int, str]], capfd: pytest.CaptureFixture[str]
) -> None:
    source, output = write_lines(tmp_path / "in.jsonl", questions(3)), str(tmp_path / "out")
    take_claim(output, "other-run", take_over=False)
    status, said = unsealed("--input", source, "--output", output)
    assert status == 1 and "is being written by another job: run other-run" in said and "--take_over" in said
    assert prepare(["--input", source, "--output", output, "--take_over"]) == 0
    laws.sealed(output)


def boom(*_: object) -> None:
    raise RuntimeError("boom")


def test_a_failure_is_one_paragraph_and_verbose_shows_the_rest(
    tmp_path: Path, unsealed: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, output = write_lines(tmp_path / "in.jsonl", questions(3)), str(tmp_path / "out")
    monkeypatch.setattr("transforms.steps.writer.read_block", boom)
    status, said = unsealed("--input", source, "--output", output)
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith("tuneset: not sealed. ") and "boom" in said and "the same command goes on" in said
    status, loud = unsealed("--input", source, "--output", output, "--verbose")
    assert status == 1 and "Traceback" in loud and loud.splitlines()[-1].startswith("tuneset: not sealed.")
    monkeypatch.undo()
    assert prepare(["--input", source, "--output", output]) == 0
    laws.sealed(output)


def test_a_sweep_that_fails_does_not_unseal(
    tmp_path: Path, unsealed: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["--input", write_lines(tmp_path / "in.jsonl", questions(3)), "--output", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr("transforms.steps.clean_up.sweep_folder", boom)
        status, said = unsealed(*command)
    assert (
        (status, said.count("\n")) == (1, 1) and said.startswith("tuneset: sealed, but not swept. ") and "boom" in said
    )
    assert (tmp_path / "out/_tuneset").exists()
    assert prepare(command) == 0
    assert not (tmp_path / "out/_tuneset").exists()
    laws.sealed(tmp_path / "out")


@pytest.mark.parametrize("harm", ["emptied", "removed"])
def test_parts_that_were_harmed_between_two_runs_are_told(
    tmp_path: Path, unsealed: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    command = ["--input", write_lines(tmp_path / "in.jsonl", questions(3)), "--output", str(tmp_path / "out")]
    with monkeypatch.context() as patch:
        patch.setattr("transforms.steps.seal.manifest", lambda *_: 1 / 0)
        assert unsealed(*command)[0] == 1
    (part,) = (tmp_path / "out/_tuneset").rglob("*.train")
    part.write_bytes(b"") if harm == "emptied" else part.unlink()
    for _ in range(2):
        status, said = unsealed(*command)
        assert (status, said.count("\n")) == (1, 1) and part.name in said
        assert "--overwrite begins anew" in said and "the same command goes on" not in said
    assert prepare([*command, "--overwrite"]) == 0
    laws.sealed(tmp_path / "out")


def test_the_input_format_may_be_named(run_rows: Run) -> None:
    assert counters(run_rows(questions(3), "--input_format", "gemini"))["examples_written"] == 3
