"""YOLO, Pascal VOC and Roboflow's multiclass CSV: boxes of every format come to one answer, and classes to their names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from cloud import Cloud
from folders import jpeg, put
from laws import counters, lines, rejections, uris

from transforms.core.reasons import RowError
from transforms.core.records import Extent
from transforms.inputs.formats import multiclass, voc, yolo
from transforms.storage.packings import Damaged

Run = Callable[..., laws.Folder]
ASK = ("--prompt", "Detect.")
CAT = {"box_2d": [100, 100, 600, 300], "label": "cat"}


def answers(found: laws.Folder, split: str = "train") -> list[str]:
    return [line["contents"][-1]["parts"][0]["text"] for line in lines(found, split)]


# YOLO


def yolo_rows(folder: Path, told: str, labels: str = "0 0.2 0.35 0.2 0.5") -> list[dict[str, Any]]:
    put(folder / "images/train/1.jpg", b"x")
    put(folder / "labels/train/1.txt", labels.encode())
    path = put(folder / "data.yaml", told.encode())
    return [json.loads(line) for line in yolo.lines_of(Extent(path, "", Path(path).stat().st_size, 0, 0, "yolo"))]


NAMES = "names: [cat, dog]\n"


@pytest.mark.parametrize(
    "told",
    [
        f"train: images/train\n{NAMES}",
        f"path: ../datasets/pets\ntrain: images/train\n{NAMES}",
        f"path: /content/elsewhere\ntrain: images/train\n{NAMES}",
        f"train: ../images/train\n{NAMES}",  # as Roboflow writes it
        "train: [images/train]\nnames: {0: cat, 1: dog}\n",
        f"path: .\ntrain: images\n{NAMES}",
        f"train: train.txt\n{NAMES}",
        NAMES,  # as supervision writes it
    ],
)
def test_images_are_where_data_yaml_says(tmp_path: Path, told: str) -> None:
    put(tmp_path / "train.txt", b"./images/train/1.jpg\n")
    assert yolo_rows(tmp_path, told) == [
        {"image": "images/train/1.jpg", "label": "cat", "labels": ["cat"], "boxes": [CAT], "split": "train"}
    ]


@pytest.mark.parametrize(
    "labels, boxes",
    [
        ("", []),
        ("0 0.2 0.35 0.2 0.5 0.99\n\n", [CAT]),
        ("0 0.1 0.1 0.3 0.1 0.3 0.6 0.1 0.6", [CAT]),  # an outline
        ("0 0.1 0.1 0.3 0.1 0.2 0.6", [CAT]),
    ],
)
def test_lines_of_labels_are_boxes(tmp_path: Path, labels: str, boxes: list[Any]) -> None:
    assert yolo_rows(tmp_path, f"train: images/train\n{NAMES}", labels)[0]["boxes"] == boxes


@pytest.mark.parametrize(
    "labels, fault",
    [
        ("2 0.2 0.35 0.2 0.5", "class 2 is not among the 2 names"),
        ("cat 0.2 0.35 0.2 0.5", "no class and its numbers"),
        ("0 0.2 0.35", "an outline"),
        ("0 0.2 0.35 0.2 0.5\n0 0.2 0.35 1.9 nan", "line 2 of its labels"),
    ],
)
def test_labels_that_cannot_be_are_a_fault_of_their_image(tmp_path: Path, labels: str, fault: str) -> None:
    (row,) = yolo_rows(tmp_path, f"train: images/train\n{NAMES}", labels)
    assert fault in row["fault"]


@pytest.mark.parametrize("told", ["a: b\n", "[1, 2]", "a: [", "train: nowhere\n" + NAMES, "[" * 5000])
def test_what_is_no_data_yaml_is_one_fault(tmp_path: Path, told: str) -> None:
    with pytest.raises(Damaged):
        yolo_rows(tmp_path, told)


def test_no_label_is_read_outside_the_folder(tmp_path: Path) -> None:
    secret = put(tmp_path / "secret.txt", b"0 0.5 0.5 1 1")
    put(tmp_path / "in/images/train/2.jpg", b"x")
    (tmp_path / "in/labels/train").mkdir(parents=True)
    (tmp_path / "in/labels/train/2.txt").symlink_to(secret)
    with pytest.raises(Damaged, match=r"2\.txt cannot be read"):
        yolo_rows(tmp_path / "in", f"train: images/train\n{NAMES}")


def put_yolo(put_file: Callable[[str, bytes], object]) -> None:
    put_file("data.yaml", f"train: ../train/images\nval: ../valid/images\ntest: ../test/images\n{NAMES}".encode())
    for at, split in enumerate(("train", "valid", "test")):
        put_file(f"{split}/images/{at}.jpg", jpeg(seed=at))
        put_file(f"{split}/labels/{at}.txt", b"0 0.2 0.35 0.2 0.5\n")


def test_a_dataset_of_yolos_keeps_its_splits(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put_yolo(lambda name, data: put(tmp_path / "in" / name, data))
    found = run(tmp_path / "in/data.yaml", *ASK)
    for at, (split, folder) in enumerate((("train", "train"), ("validation", "valid"), ("test", "test"))):
        assert [uri for line in lines(found, split) for uri in uris(line)] == [
            f"{tmp_path}/in/{folder}/images/{at}.jpg"
        ]
        assert [json.loads(answer) for answer in answers(found, split)] == [[CAT]]
    said = capfd.readouterr().out
    assert "YOLO's images and labels" in said and "split decides the split" in said and "--upright" in said


def test_labels_that_change_make_other_blocks(run: Run, tmp_path: Path) -> None:
    put_yolo(lambda name, data: put(tmp_path / "in" / name, data))
    shared = ("--image_folder", str(tmp_path / "shared"), "--keep_blocks")
    run(tmp_path / "in/data.yaml", *ASK, *shared)
    put(tmp_path / "in/train/labels/0.txt", b"1 0.2 0.35 0.2 0.5\n")
    found = run(tmp_path / "in/data.yaml", *ASK, *shared, "--previous", str(tmp_path / "out"), output="again")
    assert json.loads(answers(found)[0]) == [CAT | {"label": "dog"}]


def test_a_dataset_of_yolos_lies_in_a_bucket(run: Run, cloud: Cloud) -> None:
    put_yolo(lambda name, data: cloud.put(f"in/{name}", data))
    assert [json.loads(answer) for answer in answers(run(f"{cloud.uri}/in/data.yaml", *ASK))] == [[CAT]]


# Pascal VOC


def annotation(name: str = "1.jpg", box: str = "21 11 60 60", size: str = "200 100", label: str = "cat") -> bytes:
    corners = "".join(f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), box.split()))
    width, height = size.split()
    return (
        f"<?xml version='1.0'?><annotation><folder>x</folder><filename>{name}</filename><path>C:\\x\\2.jpg</path>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size><object><name>{label}</name>"
        f"<part><name>head</name></part><bndbox>{corners}</bndbox></object></annotation>"
    ).encode()


def test_an_annotation_is_an_image_with_its_boxes() -> None:
    columns = {"label": "cat", "labels": ["cat"], "boxes": [CAT]}
    assert voc.columns_of("/in/1.xml", annotation()) == {"image": "1.jpg"} | columns
    assert voc.columns_of("/in/Annotations/1.xml", annotation())["image"] == "../JPEGImages/1.jpg"
    assert voc.columns_of("/in/annotations/1.xml", annotation())["image"] == "../images/1.jpg"
    assert voc.columns_of("/in/1.xml", annotation(""))["image"] == "2.jpg"


@pytest.mark.parametrize(
    "box, corners",
    [
        ("1 1 200 100", [0, 0, 1000, 1000]),  # the whole picture, by the challenge's own account
        ("2 2 199 99", [10, 5, 990, 995]),
        ("0 0 200 100", [0, 0, 1000, 1000]),  # of a tool that measures from the edge
        ("0 10 60 60", [100, 0, 600, 300]),
        ("20.0 10.0 60.5 60", [100, 100, 600, 302]),
        ("21.0 11.0 60.0 60.0", [100, 100, 600, 300]),
    ],
)
def test_pixels_are_counted_from_one_unless_the_file_shows_otherwise(box: str, corners: list[int]) -> None:
    (found,) = voc.columns_of("/in/1.xml", annotation(box=box))["boxes"]
    assert found["box_2d"] == corners


@pytest.mark.parametrize(
    "data, fault",
    [
        (annotation(box="20 10 260 60"), "numbers from 0 to 1"),
        (annotation(box="20 10 60"), "nan"),
        (annotation(size="0 0"), "0.0 x 0.0 pixels"),
        (annotation(label=" "), "no label"),
    ],
)
def test_a_box_that_cannot_be_is_a_fault_of_its_image(data: bytes, fault: str) -> None:
    assert fault in voc.columns_of("/in/1.xml", data)["fault"]


@pytest.mark.parametrize(
    "data, reason",
    [
        (b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "bad_record"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "bad_record"),
        (b"<annotation>&undefined;</annotation>", "bad_record"),
        (b"<a>" * 33, "bad_record"),
        (b"<annotation>", "bad_record"),
        (b"", "bad_record"),
        (b"<html></html>", "bad_record"),
        (b"<?xml version='1.0' encoding='nonsense'?><annotation/>", "bad_record"),
        (b"<annotation/>", "no_image"),
    ],
)
def test_hostile_xml_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        voc.columns_of("/in/1.xml", data)
    assert caught.value.reason == reason


def test_the_layout_of_the_challenge_is_read(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for n in range(3):
        put(tmp_path / f"VOC2012/JPEGImages/{n}.jpg", jpeg(seed=n))
        put(tmp_path / f"VOC2012/Annotations/{n}.xml", annotation(f"{n}.jpg", size="200 100" if n else "0 0"))
    found = run(f"{tmp_path}/VOC2012/", *ASK, "--input_format", "voc", "--splits", "train=1")
    assert [uri for line in lines(found) for uri in uris(line)] == [
        f"{tmp_path}/VOC2012/JPEGImages/{n}.jpg" for n in (1, 2)
    ]
    assert [json.loads(answer) for answer in answers(found)] == [[CAT]] * 2
    assert [rejection["reason"] for rejection in rejections(found)] == ["bad_box"]
    assert "Pascal VOC's annotations" in capfd.readouterr().out


# Roboflow's multiclass CSV


def test_classes_are_the_answer(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for n in range(3):
        put(tmp_path / f"{n}.jpg", jpeg(seed=n))
    source = put(tmp_path / "_classes.csv", b"filename, cat, dog\n0.jpg, 1, 0\n1.jpg, 1, 1\n2.jpg, 0, 0\n")
    found = run(source, "--prompt", "Which?", "--splits", "train=1")
    assert answers(found) == ["cat", "cat, dog"]
    assert [rejection["reason"] for rejection in rejections(found)] == ["empty_answer"]
    assert "Roboflow's classes" in capfd.readouterr().out and counters(found)["examples_read"] == 3


def test_templates_that_name_a_class_make_a_table_of_it(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "0.jpg", jpeg())
    source = put(tmp_path / "a.csv", b"filename,cat\n0.jpg,1\n")
    assert answers(run(source, "--prompt", "A cat?", "--answer", "{cat}", "--splits", "train=1")) == ["1"]


@pytest.mark.parametrize(
    "row, is_one",
    [({"filename": "a", "x": "1"}, True), ({"filename": "a", "x": "2"}, False), ({"filename": "a"}, False)],
)
def test_a_table_with_other_values_is_a_table(row: dict[str, str], is_one: bool) -> None:
    assert multiclass.is_multiclass(row) is is_one


def test_a_later_value_that_is_neither_is_refused() -> None:
    with pytest.raises(RowError, match="neither 0 nor 1"):
        multiclass.columns_of({"filename": "a.jpg", "cat": "2"})
