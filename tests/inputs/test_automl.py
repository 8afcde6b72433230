"""Vertex AutoML's datasets as input: rows of every shape in its documentation, and the boxes of object detection."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import jpeg, put, write_lines
from laws import counters, lines, rejections, texts, uris
from PIL import Image

from beam_jobs.commands.prepare import prepare
from transforms.core.reasons import RowError
from transforms.core.records import Block, Extent
from transforms.inputs.cells.csv_dialect import Wanted
from transforms.inputs.cutting import Cutter
from transforms.inputs.formats import automl_boxes
from transforms.inputs.formats.automl import cells_columns, group_boxes, has_box, is_automl_row, object_columns
from transforms.storage import store_for

ASK = ("--prompt", "What is it?", "--verify", "none", "--splits", "train=1")
SPLITS = ("train", "validation", "test")
Run = Callable[..., laws.Folder]


def answers(found: laws.Folder) -> dict[str, dict[str, str]]:
    """Split -> name of the image -> answer."""
    there = [split for split in SPLITS if f"{split}.jsonl" in found]
    return {
        split: {uris(line)[0].rpartition("/")[2]: texts(line)[-1] for line in lines(found, split)} for split in there
    }


@pytest.mark.parametrize(
    "cells, columns",
    [
        (["gs://b/a.png"], ("", [], None)),
        (["gs://b/a.png", ""], ("", [], None)),
        (["gs://b/a.png", "daisy"], ("", ["daisy"], None)),
        (["TRAINING", "gs://b/a.png", "daisy", "rose"], ("TRAINING", ["daisy", "rose"], None)),
        (["unassigned", " gs://b/a.png ", " Baked goods "], ("unassigned", ["Baked goods"], None)),
        (["", "gs://b/a.png", "7"], ("", ["7"], None)),
        (["gs://b/a.png", *"12345678x"], ("", list("12345678x"), None)),
        (["gs://b/a.png", "NEGATIVE_IMAGE"], ("", ["NEGATIVE_IMAGE"], [])),
        (
            ["test", "gs://b/a.png", "car", "0.1", "0.2", "", "", "0.3", "0.4", "", ""],
            ("test", ["car"], [{"box_2d": [200, 100, 400, 300], "label": "car"}]),
        ),
        (
            ["gs://b/a.png", "car", "0.1", "0.2", "", "", "0.3", "0.4"],
            ("", ["car"], [{"box_2d": [200, 100, 400, 300], "label": "car"}]),
        ),
        (
            ["gs://b/a.png", "car", "0.1", "0.2", "0.3", "0.2", "0.3", "0.9995", "0.1", "0.9995"],
            ("", ["car"], [{"box_2d": [200, 100, 1000, 300], "label": "car"}]),
        ),
        (
            ["gs://b/a.png", "car", "1.003", "0.4", "", "", "0.3", "-0.001", "", ""],
            ("", ["car"], [{"box_2d": [0, 300, 400, 1000], "label": "car"}]),
        ),
    ],
)
def test_every_row_of_csv_has_a_meaning(cells: list[str], columns: tuple[str, list[str], Any]) -> None:
    found = cells_columns(cells)
    assert is_automl_row(cells) and found["image"] == "gs://b/a.png"
    assert (found["ml_use"], found["labels"], found["boxes"]) == columns
    assert found["label"] == (columns[1][0] if columns[1] else None)
    assert has_box(cells) == bool(columns[2])


@pytest.mark.parametrize(
    "cells", [["image", "label"], ["a.png", "x"], ["holdout", "gs://b/a.png"], ["", ""], [], ["train"]]
)
def test_other_rows_are_not_automl(cells: list[str]) -> None:
    assert not is_automl_row(cells)


@pytest.mark.parametrize(
    "cells, detail",
    [
        (["gs://b/a.png", "", "0.1", "0.2", "", "", "0.3", "0.4", "", ""], "a box has no label"),
        (["gs://b/a.png", "car", "10", "20", "", "", "30", "40", "", ""], "expected numbers from 0 to 1"),
        (["gs://b/a.png", "car", "nan", "0.2", "", "", "0.3", "0.4", "", ""], "expected numbers from 0 to 1"),
        (["gs://b/a.png", "car", "0.1", "", "0.2", "", "0.3", "", "0.4", ""], "expected x and y in turn"),
    ],
)
def test_a_bad_box_is_noted_for_its_image(cells: list[str], detail: str) -> None:
    good = cells_columns(["gs://b/a.png", "car", "0.1", "0.2", "", "", "0.3", "0.4", "", ""])
    assert detail in group_boxes([good, cells_columns(cells)])["fault"]


def annotated(**more: Any) -> dict[str, Any]:
    return {"imageGcsUri": "gs://b/a.png", **more}


BOX = {"displayName": "car", "xMin": "0.1", "yMin": 0.2, "xMax": "0.3", "yMax": 0.4}


@pytest.mark.parametrize(
    "obj, columns",
    [
        (annotated(), ("", [], None)),
        (annotated(classificationAnnotation={"displayName": "daisy"}), ("", ["daisy"], None)),
        (annotated(classificationAnnotations=[{"displayName": "a"}, {"display_name": "b"}]), ("", ["a", "b"], None)),
        (annotated(classificationAnnotations=[]), ("", [], None)),
        (
            annotated(
                boundingBoxAnnotations=[BOX], dataItemResourceLabels={"aiplatform.googleapis.com/ml_use": "test"}
            ),
            ("test", ["car"], [{"box_2d": [200, 100, 400, 300], "label": "car"}]),
        ),
        (annotated(boundingBoxAnnotations=[]), ("", [], [])),
        ({"image_gcs_uri": "gs://b/a.png", "dataItemResourceLabels": {"other": "x"}}, ("", [], None)),
    ],
)
def test_every_line_of_json_has_a_meaning(obj: dict[str, Any], columns: tuple[str, list[str], Any]) -> None:
    found = object_columns(obj)
    assert (found["image"], found["ml_use"], found["labels"], found["boxes"]) == ("gs://b/a.png", *columns)


@pytest.mark.parametrize(
    "obj, reason",
    [
        ({"imageGcsUri": 7}, "no_image"),
        ({"imageGcsUri": " "}, "no_image"),
        (annotated(classificationAnnotations="daisy"), "bad_record"),
        (annotated(classificationAnnotation={}), "bad_record"),
        (annotated(boundingBoxAnnotations=[{**BOX, "xMin": None}]), "bad_box"),
        (annotated(boundingBoxAnnotations=[{**BOX, "xMin": "left"}]), "bad_box"),
        (annotated(boundingBoxAnnotations=[{**BOX, "xMax": 2}]), "bad_box"),
    ],
)
def test_lines_that_mean_nothing_are_rejected(obj: dict[str, Any], reason: str) -> None:
    with pytest.raises(RowError) as caught:
        object_columns(obj)
    assert caught.value.reason == reason


def test_a_migration_of_csv(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = (
        b"TRAINING,gs://b/1.jpg,daisy\nvalidation,gs://b/2.jpg,rose,red\nTest,gs://b/3.png,daisy\n"
        b"gs://b/4.jpg,tulip\nUNASSIGNED,gs://b/5.jpg,tulip\ngs://b/6.jpg\nHOLDOUT,gs://b/7.jpg,daisy\nlocal/8.jpg,daisy\n\n"
    )
    found = run(put(tmp_path / "flowers.csv", data), *ASK, "--max_rejected_fraction", "1")
    assert answers(found) == {
        "train": {"1.jpg": "daisy", "4.jpg": "tulip", "5.jpg": "tulip"},
        "validation": {"2.jpg": "rose, red"},
        "test": {"3.png": "daisy"},
    }
    assert [(r["line"], r["reason"]) for r in rejections(found)] == [
        (6, "empty_answer"), (7, "unknown_split"), (8, "bad_record"),
    ]  # fmt: skip
    assert (
        capfd.readouterr()
        .out.replace(str(tmp_path), ".")
        .startswith(
            "./flowers.csv: AutoML's rows (--input_format); answers are --answer '{labels}'\n"
            "ml_use decides the split where it is given (--split_column ml_use)\n"
        )
    )


def test_a_migration_of_an_export(run: Run, tmp_path: Path) -> None:
    use = {"aiplatform.googleapis.com/ml_use": "validation"}
    rows = [
        annotated(classificationAnnotation={"displayName": "daisy"}, dataItemResourceLabels=use),
        {"imageGcsUri": "gs://b/b.jpg", "classificationAnnotations": [{"displayName": "x"}, {"displayName": "y"}]},
        {"imageGcsUri": "gs://b/c.jpg", "boundingBoxAnnotations": [{**BOX, "xMin": 9}]},
    ]
    source = write_lines(tmp_path / "export.jsonl", rows)
    found = run(source, *ASK, "--answer", "{labels|json}", "--max_rejected_fraction", "1")
    assert answers(found) == {"train": {"b.jpg": '["x","y"]'}, "validation": {"a.png": '["daisy"]'}}
    (lost,) = rejections(found)
    assert (lost["reason"], lost["format"], lost["row"]) == ("bad_box", "automl", rows[2])
    mended = (
        (tmp_path / "out/rejected.jsonl").read_text().replace('"xMin":9', '"xMin":0').replace('"xMin": 9', '"xMin":0')
    )
    again = run(put(tmp_path / "mended.jsonl", mended.encode()), *ASK, output="again")
    assert json.loads(answers(again)["train"]["c.jpg"]) == [{"box_2d": [200, 0, 400, 300], "label": "car"}]


def detection_rows(images: int) -> list[str]:
    """One box a row, and those of an image far apart."""
    rows = []
    for box in range(3):
        for number in range(images):
            use = "TRAIN" if box == 1 else ""
            left = f"{box / 10:.1f}"
            rows.append(f"{use + ',' if use else ''}gs://b/{number:03}.jpg,kind{box},{left},0.5,,,0.9,0.75,,")
    return rows


@pytest.mark.parametrize("block_bytes", ["1024", "262144"])
def test_boxes_are_gathered_by_image_wherever_they_stand(run: Run, tmp_path: Path, block_bytes: str) -> None:
    rows = [*detection_rows(40), "gs://b/empty.jpg", "nonsense", "gs://b/000.jpg,x,0.1,0.1,,,7,8,,"]
    source = put(tmp_path / "od.csv", "\n".join(rows).encode())
    found = run(source, *ASK, "--block_bytes", block_bytes, "--max_rejected_fraction", "1")
    boxes = {name: json.loads(answer) for name, answer in answers(found)["train"].items()}
    assert boxes.pop("empty.jpg") == []
    assert boxes == {
        f"{number:03}.jpg": [
            {"box_2d": [500, 100 * box, 750, 900], "label": f"kind{box}"} for box in range(3)
        ]
        for number in range(1, 40)
    }  # fmt: skip
    assert [(r["line"], r["reason"]) for r in rejections(found)] == [(1, "bad_box"), (122, "bad_record")]
    assert [r["source_line"] for r in found["examples.parquet"]] == [*range(2, 41), 121]
    assert counters(found)["files_read"] == 1


def cut(path: Path, data: bytes, block_bytes: int = 16_384, longest: int = 100_000) -> list[Block]:
    """The blocks that a file of object detection is cut into."""
    found = store_for(str(path)).stat(put(path, data))
    extent = Extent(found.uri, found.generation, found.size, 0, found.size)
    cutter = Cutter(block_bytes, longest, Wanted(columns=("image",)))
    return list(cutter.cut(Block((0, b"", 0), (extent,), "automl")))


def told(blocks: list[Block]) -> list[dict[str, Any]]:
    return [json.loads(line) for block in blocks for line in (block.raw or b"").split(b"\n")]


@pytest.mark.parametrize("rows, times", [(10_000, 9), (1, 0.1)], ids=["boxes", "one line"])
def test_of_a_file_of_boxes_only_what_is_needed_is_held(tmp_path: Path, rows: int, times: float) -> None:
    text = b"".join(b"gs://b/%07d.jpg,cat,0.1,0.1,,,0.5,0.5,,\n" % (row // 10) for row in range(rows))
    text += b"" if rows > 1 else b"x" * 50_000_000
    packed = gzip.compress(text, 1)
    tracemalloc.start()
    try:
        blocks = cut(tmp_path / "od.csv.gz", packed)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    found = told(blocks)
    assert len(found) == max(rows // 10, 2) and len(found[0]["columns"]["boxes"]) == min(rows, 10)
    assert peak < times * len(text)


def test_lines_and_offsets_are_those_of_the_file_whatever_it_is_read_by(tmp_path: Path) -> None:
    rows = [
        *detection_rows(30),
        "nonsense",
        "gs://b/0.jpg,é",
        "gs://b/1.jpg,x,7,7,,,8,8,,",
        f"gs://b/2.jpg,{'y' * 2000}",
    ]
    text = "\n".join(rows).encode()
    whole, ranges = (told(cut(tmp_path / "od.csv", text, size, 1500)) for size in (1 << 20, 100))
    whole[-1].pop("detail"), ranges[-1].pop("detail")  # of the long one
    assert whole == ranges and len(whole) == 34
    for one in whole:
        assert text[: one["offset"]].count(b"\n") == one["line"] - 1
    assert [(one["line"], one["reason"]) for one in whole if "reason" in one] == [
        (91, "bad_record"),
        (94, "line_too_long"),
    ]


@pytest.mark.parametrize("name", ["od.csv", "od.csv.gz"])
def test_a_file_with_more_text_than_a_worker_should_hold_is_one_rejection(
    run: Run, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n".join(detection_rows(100)).encode()
    monkeypatch.setattr(automl_boxes, "_MOST", len(text) - 1)
    (block,) = cut(tmp_path / name, gzip.compress(text) if name.endswith("gz") else text)
    assert block.raw is None and block.fault and block.fault.reason == "bad_record"
    assert block.fault.detail.startswith("over 1") and "part the file by images" in block.fault.detail
    monkeypatch.setattr(automl_boxes, "_MOST", len(text))
    assert len(told(cut(tmp_path / name, gzip.compress(text) if name.endswith("gz") else text))) == 100


def test_an_image_with_boxes_without_end_is_rejected_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(automl_boxes, "_MOST_BOXES", 1000)
    rows = [*detection_rows(3), *["gs://b/001.jpg,car,0,0,,,1,1,,"] * 30]
    found = told(cut(tmp_path / "od.csv", "\n".join(rows).encode()))
    assert [one.get("reason", "") for one in found] == ["", "line_too_long", ""]
    assert (found[1]["line"], found[1]["detail"]) == (2, "gs://b/001.jpg has 33 boxes, in over 1,000 bytes")


def test_a_row_that_damage_cuts_is_no_row(tmp_path: Path) -> None:
    text = "\n".join(detection_rows(50)).encode()
    found = told(cut(tmp_path / "od.csv.gz", gzip.compress(text)[:-30]))
    *boxes, fault = (one for one in found)
    assert fault["reason"] == "corrupt_gzip" and fault["line"] == sum(len(one["columns"]["boxes"]) for one in boxes) + 1
    assert text[: fault["offset"]].count(b"\n") == fault["line"] - 1


def test_boxes_hold_for_the_picture_as_it_is_shown(bucket: str, gcs: Any, tmp_path: Path) -> None:
    """With a rotation tag and boxes the pixels are made upright, so that both say the same."""
    from transforms.storage import store_for

    exif = Image.Exif()
    exif[274] = 6
    store_for(bucket).create(f"{bucket}/turned.jpg", jpeg(64, 48, exif=exif))
    store_for(bucket).create(f"{bucket}/plain.jpg", jpeg(64, 48))
    rows = [f"{bucket}/{name}.jpg,car,0.0,0.25,,,0.5,1.0,," for name in ("turned", "plain")]
    source = put(tmp_path / "od.csv", "\n".join(rows).encode())
    output = tmp_path / "out"
    assert prepare(["--input", source, "--output", str(output), "--prompt", "Cars?", "--splits", "train=1"]) == 0
    turned, plain = lines(laws.sealed(output))
    assert [texts(line)[-1] for line in (turned, plain)] == ['[{"box_2d":[250,0,1000,500],"label":"car"}]'] * 2
    with Image.open(uris(turned)[0]) as image:
        assert image.size == (48, 64) and image.getexif().get(274, 1) == 1
    assert uris(plain) == [f"{bucket}/plain.jpg"]


def test_a_headerless_table_is_a_table_if_its_columns_are_named(run: Run, tmp_path: Path) -> None:
    source = put(tmp_path / "t.csv", b"gs://b/1.jpg,daisy\ngs://b/2.jpg,rose\n")
    found = run(source, *ASK, "--answer", "{2}")
    assert found["manifest.json"]["formats"] == ["table"] and answers(found)["train"]["1.jpg"] == "daisy"
    named = run(source, *ASK, "--answer", "a {label}", "--input_format", "automl", output="named")
    assert named["manifest.json"]["formats"] == ["automl"] and answers(named)["train"]["2.jpg"] == "a rose"


@pytest.mark.parametrize(
    "flags, said",
    [
        ((), "./a.csv holds AutoML's rows: --prompt is missing"),
        (
            ("--prompt", "{colour}", "--input_format", "automl"),
            "./a.csv: there is no column 'colour'; AutoML's rows have 'image', 'ml_use', 'label', 'labels', 'boxes'",
        ),
    ],
)
def test_what_cannot_be_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...], said: str
) -> None:
    source = put(tmp_path / "a.csv", b"gs://b/1.jpg,daisy\n")
    assert prepare(["--input", source, "--output", f"{tmp_path}/out", *flags]) == 2
    assert said in capfd.readouterr().err.replace(str(tmp_path), ".")
