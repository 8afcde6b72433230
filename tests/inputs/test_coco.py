"""COCO's detection and captions: images and annotations of one JSON file are joined, wherever each stands in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import jpeg, put
from laws import counters, lines, rejections, uris

from transforms.core.records import Extent
from transforms.inputs.formats.joined import coco
from transforms.inputs.formats.joined.json_items import items
from transforms.storage.packings import Damaged

Run = Callable[..., laws.Folder]
ASK = ("--prompt", "Detect.", "--splits", "train=1")
IMAGES = [{"id": n, "file_name": f"{n}.jpg", "width": 200, "height": 100} for n in range(3)]
CATEGORIES = [{"id": 7, "name": "cat"}, {"id": 9, "name": "dog"}]


LOST = ["annotation_without_image", "1 annotations are of images that the file does not list, as image_id 5"]


def box(image: Any, bbox: Any, category: int = 7, **more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image, "category_id": category, "bbox": bbox, "segmentation": [[1, 2, 3]]} | more


BOXES = [
    box(1, [20, 10, 40, 50]),
    box(0, [0, 0, 200, 100], 9),
    box(1, [100, 50, 100, 50], 9),
    box(2, [0, 0, 9, 9], iscrowd=1),
]
ROWS = [
    ("0.jpg", [{"box_2d": [0, 0, 1000, 1000], "label": "dog"}]),
    ("1.jpg", [{"box_2d": [100, 100, 600, 300], "label": "cat"}, {"box_2d": [500, 500, 1000, 1000], "label": "dog"}]),
    ("2.jpg", []),
]


def file(
    annotations: list[dict[str, Any]], order: str = "images annotations categories", **more: Any
) -> dict[str, Any]:
    parts: dict[str, Any] = {"images": IMAGES, "annotations": annotations, "categories": CATEGORIES, **more}
    return {"info": {"year": 2024, "urls": [{"a": "]}"}]}} | {key: parts[key] for key in order.split()}


def rows_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in coco.lines_of(Extent(path, "", Path(path).stat().st_size, 0, 0, "coco"))]


@pytest.mark.parametrize(
    "order", ["images annotations categories", "categories images annotations", "annotations categories images"]
)
@pytest.mark.parametrize("indent", [None, 2])
def test_boxes_are_joined_with_their_images(tmp_path: Path, order: str, indent: int | None) -> None:
    path = put(tmp_path / "a.json", json.dumps(file(BOXES, order), indent=indent).encode())
    assert [(row["image"], row["boxes"]) for row in rows_of(path)] == ROWS
    assert coco.is_coco(Path(path).read_bytes()[:200])


@pytest.mark.parametrize("size", [1, 2, 7, 64])
def test_pieces_of_any_size_come_to_the_same(size: int) -> None:
    text = json.dumps(file([box(1, [1, 2, 3, 4], note='a "{[\\" b')])).encode()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    assert list(items(pieces)) == list(items([text])) and len(list(items([text]))) == 6


@pytest.mark.parametrize(
    "annotation, fault",
    [
        (box(0, [0, 0, 205, 10]), "numbers from 0 to 1"),
        (box(0, [0, 0, 10]), "nan"),
        (box(0, "x"), "nan"),
        (box(0, [0, 0, 10, 10], 8), "no label"),
        (
            box(5, [0, 0, 10, 10]),
            ["annotation_without_image", "1 annotations are of images that the file does not list, as image_id 5"],
        ),
    ],
)
def test_what_cannot_be_is_a_fault_of_its_image(tmp_path: Path, annotation: dict[str, Any], fault: Any) -> None:
    faults = [
        row["fault"]
        for row in rows_of(put(tmp_path / "a.json", json.dumps(file([annotation])).encode()))
        if "fault" in row
    ]
    assert len(faults) == 1 and (fault in faults[0] if isinstance(fault, str) else fault == faults[0])


def test_ids_may_be_texts(tmp_path: Path) -> None:
    images = [{"id": "a", "file_name": "a.jpg", "width": 10, "height": 10}]
    path = put(tmp_path / "a.json", json.dumps(file([box("a", [0, 0, 10, 5])], images=images)).encode())
    assert rows_of(path)[0]["boxes"] == [{"box_2d": [0, 0, 500, 1000], "label": "cat"}]


@pytest.mark.parametrize(
    "data",
    [
        b'{"images": [{"id": 1}',
        b'{"images": [{"id": 1}]}]',
        b"{}",
        b'{"images": [{"id": null}]}',
        b'{"images": [{"id": 1, "id": 2}]}',
        b'{"images": [' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"]}",
    ],
)
def test_hostile_files_are_one_fault(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Damaged):
        rows_of(put(tmp_path / "a.json", data))


def test_a_file_is_told_by_its_content_and_its_rows_are_detection(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """As Roboflow exports it: a file beside the pictures of a split."""
    paths = [put(tmp_path / f"train/{n}.jpg", jpeg(seed=n)) for n in range(3)]
    source = put(tmp_path / "train/_annotations.coco.json", json.dumps(file([*BOXES, box(5, [0, 0, 1, 1])])).encode())
    found = run(source, *ASK)
    assert [uri for line in lines(found) for uri in uris(line)] == paths
    answers = [json.loads(line["contents"][-1]["parts"][0]["text"]) for line in lines(found)]
    assert answers == [boxes for _, boxes in ROWS]
    assert [rejection["reason"] for rejection in rejections(found)] == ["annotation_without_image"]
    said = capfd.readouterr().out
    assert "COCO's images and annotations" in said and "--upright" in said


def test_images_without_a_box_may_be_rejected(run: Run, tmp_path: Path) -> None:
    for n in range(3):
        put(tmp_path / f"{n}.jpg", jpeg(seed=n))
    found = run(put(tmp_path / "a.json", json.dumps(file(BOXES)).encode()), *ASK, "--empty_boxes", "reject")
    assert counters(found)["examples_used"] == 2
    assert [rejection["reason"] for rejection in rejections(found)] == ["no_boxes"]


def test_each_caption_has_a_row(run: Run, tmp_path: Path) -> None:
    for n in range(3):
        put(tmp_path / f"val2017/{n}.jpg", jpeg(seed=n))
    captions = [{"id": n, "image_id": n % 2, "caption": f"Caption {n}. "} for n in range(3)]
    path = put(
        tmp_path / "annotations/captions_val2017.json", json.dumps(file(captions, "images annotations")).encode()
    )
    found = run(path, *ASK, "--image_root", str(tmp_path / "val2017"))
    assert [line["contents"][-1]["parts"][0]["text"] for line in lines(found)] == [
        "Caption 0.",
        "Caption 2.",
        "Caption 1.",
    ]
    assert [rejection["reason"] for rejection in rejections(found)] == ["empty_answer"]


def test_a_folder_of_exports_keeps_its_splits(run: Run, tmp_path: Path) -> None:
    for split, at in (("train", 0), ("valid", 3)):
        for n in range(3):
            put(tmp_path / f"in/{split}/{n}.jpg", jpeg(seed=at + n))
        put(tmp_path / f"in/{split}/_annotations.coco.json", json.dumps(file(BOXES)).encode())
    found = run(f"{tmp_path}/in/", "--prompt", "Detect.", "--input_format", "coco")
    assert [len(lines(found, split)) for split in ("train", "validation")] == [3, 3]
