"""Files called .json in a folder: rows where they hold some, and left out and said where they are settings, classes or sidecars."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from folders import jpeg, put
from laws import texts
from opening import tried

from beam_jobs.options import OptionError

ASK = ("--prompt", "What?", "--answer", "{label}", "--verify", "none")
ROWS: list[dict[str, Any]] = [{"image": "a.jpg", "label": "x"}, {"image": "b.jpg", "label": "y"}]
PACKAGE = {"name": "shop", "version": "1.0", "dependencies": {}}


def dumped(value: object, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode()


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(dumped(row) + b"\n" for row in rows)


def told(source: str, *flags: str) -> tuple[list[str], list[str], dict[str, int]]:
    """-> (answers, reasons of rejections, warnings)."""
    blocks = tried(source, *flags)
    answers = [texts({"contents": e.contents})[-1] for block in blocks for e in block.examples]
    reasons = [rejection.reason for block in blocks for rejection in block.rejections]
    warnings: dict[str, int] = {}
    for block in blocks:
        for code, (number, _) in block.warnings.counts.items():
            warnings[code] = warnings.get(code, 0) + number
    return answers, reasons, warnings


def folder(at: Path, files: dict[str, bytes], pictures: tuple[str, ...] = ("a.jpg", "b.jpg")) -> str:
    for name in pictures:
        put(at / name, jpeg())
    for name, data in files.items():
        put(at / name, data)
    return str(at)


@pytest.mark.parametrize("size", ["1024", "262144"])
@pytest.mark.parametrize(
    "name, data",
    [
        ("rows.json", dumped(ROWS)),
        ("rows.json", dumped(ROWS, indent=2)),
        ("rows.json", lines(ROWS)),
        ("zz/rows.json.gz", gzip.compress(dumped([row | {"image": "../" + row["image"]} for row in ROWS]), mtime=0)),
        ("metadata.json", dumped(ROWS)),
    ],
)
def test_rows_beside_pictures_are_read(tmp_path: Path, name: str, data: bytes, size: str) -> None:
    source = folder(tmp_path / "in", {name: data})
    assert told(source, *ASK, "--block_bytes", size) == (["x", "y"], [], {})
    assert told(source, *ASK, "--input_format", "table") == (["x", "y"], [], {})


def test_an_object_a_file_is_a_row_a_file(tmp_path: Path) -> None:
    files = {f"row-{at}.json": dumped(row) for at, row in enumerate(ROWS)}
    assert told(folder(tmp_path / "in", files), *ASK) == (["x", "y"], [], {})


@pytest.mark.parametrize("size", ["1024", "262144"])
def test_what_holds_no_row_is_left_out_and_counted(tmp_path: Path, size: str) -> None:
    files = {
        "a_rows.jsonl": lines([{"image": "a.jpg", "label": "w"}]),
        "classes.json": b'["cat", "dog"]',
        "coco.json": dumped({"images": [{"file_name": "a.jpg"}] * 9000}),
        "empty.json": b"",
        "package.json": dumped(PACKAGE),
        "package-lock.json": dumped(PACKAGE | {"more": "x" * 2000}),
        "packed.json.gz": gzip.compress(dumped(PACKAGE)),
        "rows.json": dumped(ROWS),
        "wrong.json": b"{",
    }
    expected = (["w", "x", "y"], ["not_json"], {"json_without_rows": 5})
    assert told(folder(tmp_path / "in", files), *ASK, "--block_bytes", size) == expected


@pytest.mark.parametrize("size", ["1024", "262144"])
def test_rows_of_gemini_too(tmp_path: Path, size: str) -> None:
    def row(answer: str) -> dict[str, Any]:
        turns = [("user", "q"), ("model", answer)]
        return {"contents": [{"role": role, "parts": [{"text": text}]} for role, text in turns]}

    files = {
        "package.json": dumped(PACKAGE | {"more": "x" * 2000}),
        "rows.json": dumped([row("x"), row("y")], 1),
        "z.jsonl": lines([row("z")]),
    }
    expected = (["x", "y", "z"], [], {"json_without_rows": 1})
    assert told(folder(tmp_path / "in", files), "--block_bytes", size) == expected


def test_sidecars_are_no_rows_beside_rows(tmp_path: Path) -> None:
    files = {"a.json": dumped(ROWS[0]), "b.jpg.json": dumped(ROWS[0]), "rows.json": dumped(ROWS)}
    assert told(folder(tmp_path / "in", files), *ASK) == (["x", "y"], [], {})


@pytest.mark.parametrize(
    "files",
    [
        {"a.json": dumped(ROWS[0]), "b.json": dumped(ROWS[1])},
        {"package.json": dumped(PACKAGE)},
        {"other.json": dumped([{"image": "a.jpg", "title": "x"}])},
        {f"{n:02}.json": dumped(PACKAGE) for n in range(20)} | {"rows.json": dumped(ROWS)},
    ],
)
def test_a_folder_of_images_stays_one(tmp_path: Path, files: dict[str, bytes]) -> None:
    source = folder(tmp_path / "in", files)
    assert told(source, "--prompt", "What?", "--verify", "none") == (["in", "in"], [], {})
    with pytest.raises(OptionError, match="there is no column 'label'; an image of a folder has"):
        tried(source, *ASK)


def test_a_workbook_beside_pictures_is_named(tmp_path: Path) -> None:
    source = folder(tmp_path / "in", {"labels.xls": bytes.fromhex("d0cf11e0a1b11ae1") + bytes(600)})
    with pytest.raises(OptionError) as error:
        tried(source, *ASK)
    assert "; labels.xls: it is an old Office file" in str(error.value)


def test_names_of_splits_are_heard(tmp_path: Path) -> None:
    files = {f"{name}.json": dumped(ROWS) for name in ("train", "val")} | {"test.json": dumped([{"image": "a.jpg"}])}
    blocks = tried(folder(tmp_path / "in", files), *ASK)
    splits = sorted(example.split for block in blocks for example in block.examples)
    assert splits == ["train", "train", "validation", "validation"]
    assert [code for block in blocks for code in block.warnings.counts] == ["test_without_answers"]


def test_on_cloud_storage_behind_many_pictures(cloud: Cloud) -> None:
    for number in range(3):
        cloud.put(f"in/deep/{number}.jpg", jpeg())
    cloud.put("in/package.json", dumped(PACKAGE))
    cloud.put("in/rows.json", dumped([{"image": "deep/0.jpg", "label": "x"}]))
    assert told(f"{cloud.uri}/in/", *ASK) == (["x"], [], {"json_without_rows": 1})
    assert told(f"{cloud.uri}/in/*.json", *ASK) == (["x"], [], {"json_without_rows": 1})
