"""`tuneset export` and `tuneset formats`: the way back, and what can be read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from cloud import Cloud
from folders import jpeg, put, row, write_lines

from beam_jobs.__main__ import main
from beam_jobs.commands import export as export_command
from transforms.core.reasons import RowError
from transforms.inputs.formats.openai_rows import openai_row
from transforms.inputs.registry import MEANINGS

Run = Callable[..., laws.Folder]
SPLITS = ("train", "validation", "test")


def rows(folder: Path, count: int = 30) -> str:
    for n in range(3):
        put(folder / f"{n}.jpg", jpeg(seed=n))
    many = [
        row(f"Question {n}?", [f"{n % 3}.jpg"] * (n % 4), f"answer {n} é", split=SPLITS[n % 3]) for n in range(count)
    ]
    many[0]["systemInstruction"] = {"role": "system", "parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    many[1]["contents"] += [
        {"role": "user", "parts": [{"text": "Sure?"}]},
        {"role": "model", "parts": [{"text": "a"}, {"text": "b"}]},
    ]
    many[2]["generationConfig"] = {"mediaResolution": "MEDIA_RESOLUTION_LOW"}
    return write_lines(folder / "rows.jsonl", many)


def test_what_was_exported_is_read_again_as_the_same(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(export_command, "_PART", 500)
    monkeypatch.setattr(export_command, "_CHUNK", 100)
    first = run(rows(tmp_path / "in"), "--split_column", "split")
    capfd.readouterr()
    argv = ["export", str(tmp_path / "out"), "--to", "openai", "--output", str(tmp_path / "export")]
    assert main(argv) == 0
    assert [line.split()[1] for line in capfd.readouterr().out.splitlines()] == ["10"] * 3
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == sorted(f"{split}.jsonl" for split in SPLITS)
    again = run(f"{tmp_path}/export/*.jsonl", "--allow_prefix", str(tmp_path / "in"), output="again")
    assert {split: laws.lines(again, split) for split in SPLITS} == {
        split: laws.lines(first, split) for split in SPLITS
    }
    assert main(argv) == 2 and "is there already" in capfd.readouterr().err


def test_a_dataset_is_exported_within_a_bucket(run: Run, cloud: Cloud, tmp_path: Path) -> None:
    run(rows(tmp_path / "in"), "--split_column", "split")
    cloud.upload(tmp_path / "out", "set")
    assert main(["export", f"{cloud.uri}/set", "--to", "openai", "--output", f"{cloud.uri}/export"]) == 0
    told = cloud.blobs("export/")
    assert sorted(told) == sorted(f"{split}.jsonl" for split in SPLITS)
    assert all(b'{"messages":' in blob.download_as_bytes() for blob in told.values())


MEDIUM = {"level": "MEDIA_RESOLUTION_MEDIUM"}


@pytest.mark.parametrize(
    "line",
    [
        {"contents": [], "tools": [{"functionDeclarations": []}]},
        {"contents": [], "generationConfig": {"topP": 0.5}},
        {
            "contents": [
                {
                    "role": "user",
                    "parts": [{"fileData": {"fileUri": "a"}, "mediaResolution": MEDIUM}],
                }
            ]
        },
    ],
)
def test_what_has_no_place_is_refused(line: dict[str, Any]) -> None:
    with pytest.raises(RowError, match="has no place in OpenAI's rows"):
        openai_row(line)


def test_a_line_without_a_place_is_left_out_and_said(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    lines = [row("?", [], str(n)) for n in range(2)]
    lines[0]["generationConfig"] = {"topP": 0.5}
    run(write_lines(tmp_path / "rows.jsonl", lines), "--splits", "train=1")
    capfd.readouterr()
    assert main(["export", str(tmp_path / "out"), "--to", "openai", "--output", str(tmp_path / "export")]) == 0
    assert "! 1 lines of train are left out: generationConfig has no place" in capfd.readouterr().err
    (told,) = (tmp_path / "export/train.jsonl").read_bytes().splitlines()
    assert json.loads(told)["messages"][-1] == {"role": "assistant", "content": "1"}


def test_what_is_no_dataset_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), "--to", "openai", "--output", str(tmp_path / "export")]) == 2
    assert "expected the folder of a sealed dataset" in capfd.readouterr().err


def test_formats_are_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["formats"]) == 0
    assert [line.split()[0] for line in capfd.readouterr().out.splitlines()] == list(MEANINGS)
