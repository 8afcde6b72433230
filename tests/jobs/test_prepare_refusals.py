"""Wrong options of `tuneset prepare`: exit status 2, one paragraph, and nothing is touched."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import laws
import pytest
from folders import put, write_lines
from prepared import Run, questions

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from beam_jobs.options import OPTIONS

WRONG = {
    "--max_images 0x": "--max_images",
    "--max_images -1": "--max_images -1: expected at least 1",
    "--max_image_bytes 1023": "--max_image_bytes 1023: expected at least 1024",
    "--block_bytes 0": "--block_bytes 0",
    "--max_line_bytes 1": "--max_line_bytes 1",
    "--threads 0": "--threads 0",
    "--types gif": "--types gif: expected some of png, jpeg",
    "--types webp": "--types must hold jpeg or png",
    "--verify closely": "--verify",
    "--input_format csv": "--input_format",
    "--model gemini-0": "--model",
    "--splits train=0.5": "add up to 0.5",
    "--splits train=0.9,dev=0.1": "'dev'",
    "--split_by images": "expected image, or another column",
    "--split_by image --split_column b": "into different splits",
    "--split_by a --join_common": "it needs --split_by image",
    "--split_by a --split_column b": "give one of them",
    "--sample 0": "--sample 0",
    "--sample 1.5": "--sample 1.5",
    "--sample nan": "--sample nan",
    "--sample 1e3": "--sample 1e3",
    "--sample -3": "--sample",
    "--uri_prefix /data": "--uri_prefix /data",
    "--verify none --upright": "--upright",
    "--verify none --on_bad_image drop_image": "drop_image",
    "--on_bad_image ignore": "--on_bad_image",
    "--on_too_many_images cut": "--on_too_many_images",
    "--on_too_many_tokens cut": "--on_too_many_tokens",
    "--max_rejected_fraction 1.1": "--max_rejected_fraction 1.1",
    "--max_rejected_fraction nan": "--max_rejected_fraction nan",
    f"--seed {'x' * 65}": "--seed",
    # A slip of the pen is not an option of Beam's.
    "--max_imagess 3": "--max_images",
    "--max_image 3": "--max_image",
    "--uprigth": "--upright",
    "--direct_num_worker 2": "--direct_num_workers",
    "--direct_num_workers two": "--direct_num_workers",
    "--runner Nope": "Nope",
    "b.jsonl c.jsonl": "b.jsonl",  # a pattern without quotes, expanded by the shell
}


@pytest.mark.parametrize("flags", WRONG)
def test_a_wrong_option_is_told_before_anything_is_done(
    tmp_path: Path, unsealed: Callable[..., tuple[int, str]], flags: str
) -> None:
    source, output = write_lines(tmp_path / "in.jsonl", questions(3)), tmp_path / "out"
    status, said = unsealed("--input", source, "--output", str(output), *flags.split())
    assert (status, said.count("\n")) == (2, 1) and said.startswith("tuneset: ") and WRONG[flags] in said
    assert not output.exists()


def test_what_is_missing_is_told(tmp_path: Path, unsealed: Callable[..., tuple[int, str]]) -> None:
    source, output = write_lines(tmp_path / "in" / "a.jsonl", questions(3)), str(tmp_path / "out")
    put(tmp_path / "none/notes.txt", b"x")
    for command, said in (
        (("--output", output), "--input is missing"),
        (("--input", source), "--output is missing"),
        (("--input", str(tmp_path / "no.jsonl"), "--output", output), "finds no file"),
        (("--input", str(tmp_path / "no*.jsonl"), "--output", output), "finds no file"),
        (("--input", str(tmp_path / "none"), "--output", output), "finds no file"),
        (("--input", f"{source},{tmp_path}/no.jsonl", "--output", output), "finds no file"),
        (("--input", f"http://x/{source}", "--output", output), "expected a local path or gs://"),
        (("--input", source, "--output", "s3://bucket/x"), "expected a local path or gs://"),
        (("--input", source, "--output", output, "--image_folder", "http://x"), "expected a local path or gs://"),
        (("--input", source, "--output", output, "--runner", "DataflowRunner"), "is local"),
        (("--input", source, "--output", "gs://data/x", "--uri_prefix", "gs://data/y"), "--uri_prefix is for a local"),
        (("--input", source, "--output", source), "in/a.jsonl"),
    ):
        status, err = unsealed(*command)
        assert (status, err.count("\n")) == (2, 1) and said in err, command
    assert not (tmp_path / "out").exists()


def test_an_input_inside_the_output_is_an_error_and_the_other_way_round_is_not(
    run_rows: Run, tmp_path: Path, unsealed: Callable[..., tuple[int, str]]
) -> None:
    source = write_lines(tmp_path / "in" / "rows.jsonl", questions(3))
    for given in (source, f"{tmp_path}/in/*.jsonl", f"{tmp_path}/in", f"{tmp_path}/in/deep/../rows.jsonl"):
        status, said = unsealed("--input", given, "--output", f"{tmp_path}/in")
        assert status == 2 and "lies inside --output" in said
    assert os.listdir(tmp_path / "in") == ["rows.jsonl"]
    found = run_rows(f"{tmp_path}/in", output="in/dataset")
    write_lines(tmp_path / "in/dataset/notes.jsonl", questions(2, first=50))  # what lies there is no input
    assert prepare(["--input", f"{tmp_path}/in", "--output", f"{tmp_path}/in/dataset", "--overwrite"]) == 0
    again = json.loads((tmp_path / "in/dataset/manifest.json").read_bytes())["dataset"]
    assert found["manifest.json"] == again and again["counters"]["examples_read"] == 3


def test_a_dataset_that_another_job_sealed_meanwhile_is_left_alone(
    run_rows: Run, tmp_path: Path, unsealed: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_lines(tmp_path / "rows.jsonl", questions(3))
    run_rows(source)
    before = (tmp_path / "out/manifest.json").stat().st_ino, (tmp_path / "out/train.jsonl").stat().st_ino
    with monkeypatch.context() as patch:
        for look in ("asked_before", "sealed_before"):  # as it was when this job looked
            patch.setattr(f"beam_jobs.commands.prepare.{look}", lambda _: None)
        status, said = unsealed("--input", source, "--output", f"{tmp_path}/out")
    assert status == 1 and "Another job sealed" in said
    assert before == ((tmp_path / "out/manifest.json").stat().st_ino, (tmp_path / "out/train.jsonl").stat().st_ino)
    assert prepare(["--input", source, "--output", f"{tmp_path}/out"]) == 0  # its claim is not in the way


def test_a_folder_that_holds_what_no_run_explains_is_not_written_to(
    tmp_path: Path, unsealed: Callable[..., tuple[int, str]]
) -> None:
    source = write_lines(tmp_path / "in.jsonl", questions(3))
    put(tmp_path / "out/train.jsonl", b"somebody's\n")
    status, said = unsealed("--input", source, "--output", str(tmp_path / "out"))
    assert status == 2 and "holds train.jsonl" in said and "--overwrite" in said
    assert (tmp_path / "out/train.jsonl").read_bytes() == b"somebody's\n"
    assert prepare(["--input", source, "--output", str(tmp_path / "out"), "--overwrite"]) == 0
    laws.sealed(tmp_path / "out")


def test_help_is_grouped_and_names_every_option_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "--help", "all"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    for option in OPTIONS:
        assert f"--{option.name}" in said
        if isinstance(option.default, str) and option.default:
            assert f"(default {option.default})" in said
    assert all(f"{group}:" in said for group in {option.group for option in OPTIONS})
