"""What a look before the work finds, and what it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import jpeg, put, row, write_lines

from beam_jobs.commands.prepare import prepare
from beam_jobs.options import OptionError
from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse


def findings(source: Path | str, *flags: str) -> dict[str, tuple[int, str]]:
    argv = ["--input", str(source), "--output", "/nowhere/out", *flags]
    settings, _ = look_at_inputs(on_this_machine(parse(argv)))
    return {notice.code: (notice.count, notice.example) for notice in settings.notices}


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        put(folder / name, b"")
    return folder


def test_a_yolo_layout_answers_with_technical_names(tmp_path: Path) -> None:
    names = [f"images/{split}/{number}.jpg" for split in ("train", "val") for number in range(2)]
    found = findings(pictures(tmp_path / "in", *names), "--prompt", "x")
    assert found == {"answers_technical": (4, "train")}


@pytest.mark.parametrize("folder", ["2023-05", "9f86d081884c7d65", "IMG_0.jpg", "JPEGImages", "00000", "Images"])
def test_dates_hashes_and_folders_of_files_are_no_classes(tmp_path: Path, folder: str) -> None:
    source = pictures(tmp_path / "in", f"cat/{folder}/1.jpg", f"dog/{folder}/2.jpg")
    found = findings(source, "--prompt", "x")
    assert found == {"answers_technical": (2, folder)}


def test_classes_are_quiet_though_each_fills_the_first_names(tmp_path: Path) -> None:
    source = pictures(tmp_path / "in", *(f"{name}/{n:04}.jpg" for name in ("beef", "cat") for n in range(700)))
    assert findings(source, "--prompt", "x") == {}


def test_of_answers_all_equal_three_are_told_and_two_are_not(tmp_path: Path) -> None:
    rows = [row("q", answer="same") for _ in range(2)]
    assert findings(write_lines(tmp_path / "two.jsonl", rows)) == {}
    assert findings(write_lines(tmp_path / "three.jsonl", [*rows, rows[0]])) == {"answers_equal": (3, "same")}


def test_a_template_without_braces_and_an_unused_column_of_images(tmp_path: Path) -> None:
    lines = "".join(f"{n}.jpg,{n}_mask.png,{n}\n" for n in range(3))
    source = put(tmp_path / "t.csv", f"image,mask,label\n{lines}".encode())
    assert findings(source, "--prompt", "x", "--answer", "label") == {
        "answers_equal": (3, "label"),
        "template_literal": (1, "--answer '{label}'"),
        "images_unused": (1, "mask"),
    }
    used = ("--image_column", "image,mask")
    assert findings(source, "--prompt", "x", "--answer", "{label}", *used) == {}


def test_an_unread_table_beside_images_is_told_on_the_screen_and_in_the_manifest(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "in/cat/1.jpg", jpeg())
    put(tmp_path / "in/cat/labels.csv", b"image,label\n1.jpg,cat\n")
    put(tmp_path / "in/cat/2.jpg_large", jpeg())
    argv = ["--input", f"{tmp_path}/in", "--input_format", "folder", "--prompt", "x", "--splits", "train=1"]
    assert prepare([*argv, "--output", f"{tmp_path}/out"]) == 0
    said = capfd.readouterr().out
    assert f"! tables_unread: 1 table beside the images that nothing reads ({tmp_path}/in/cat/labels.csv)" in said
    assert f"    left out 1 x .jpg_large: {tmp_path}/in/cat/2.jpg_large\n" in said
    manifest = json.loads((tmp_path / "out/manifest.json").read_bytes())
    assert [one["code"] for one in manifest["run"]["warnings"]] == ["tables_unread"]
    counted = {one["code"]: (one["count"], one["example"]) for one in manifest["dataset"]["warnings"]}
    assert counted["left_out_almost_image"] == (1, f"{tmp_path}/in/cat/2.jpg_large")
    assert counted["left_out_table"] == (1, f"{tmp_path}/in/cat/labels.csv")
    assert manifest["dataset"]["counters"]["names_listed"] == 3


def test_images_in_parquet_have_no_folder(tmp_path: Path) -> None:
    images = [{"bytes": jpeg(), "path": "cat/1.jpg"}] * 2
    pq.write_table(pa.table({"image": images, "label": ["a", "b"]}), tmp_path / "t.parquet")
    with pytest.raises(OptionError, match=r"\{path.parent\}.* no folder.*--answer '\{label\}'"):
        findings(tmp_path / "t.parquet", "--prompt", "x", "--answer", "{path.parent}")
    assert findings(tmp_path / "t.parquet", "--prompt", "x", "--answer", "{label}") == {}
    named = [{"bytes": None, "path": f"{kind}/1.jpg"} for kind in ("cat", "dog")]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    pq.write_table(pa.table({"image": pa.array(named, kind)}), tmp_path / "named.parquet")
    assert findings(tmp_path / "named.parquet", "--prompt", "x", "--answer", "{path.parent}") == {}
