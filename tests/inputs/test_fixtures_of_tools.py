"""Files that the tools wrote which own the formats (tests/golden/formats/make.py) are read as what was given to these tools."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from opening import tried

from transforms.core.records import Example

GOLDEN = Path(__file__).resolve().parents[1] / "golden/formats"
FIRST = [
    {"box_2d": [250, 250, 750, 750], "label": "cat"},
    {"box_2d": [0, 0, 500, 500], "label": "dog"},
]
SECOND = [{"box_2d": [500, 500, 1000, 1000], "label": "cat"}]


def examples_of(tmp_path: Path, name: str, *flags: str) -> list[Example]:
    """What a fixture comes to, in a folder without the others."""
    shutil.copytree(GOLDEN / "pictures", tmp_path / "pictures")
    source = tmp_path / Path(name).name
    (shutil.copytree if (GOLDEN / name).is_dir() else shutil.copy)(GOLDEN / name, source)
    blocks = tried(f"{source}/" if source.is_dir() else str(source), "--prompt", "What?", "--splits", "train=1", *flags)
    assert not [rejection.detail for block in blocks for rejection in block.rejections]
    return [example for block in blocks for example in block.examples]


def answers(examples: list[Example]) -> list[Any]:
    return [example.contents[1]["parts"][0]["text"] for example in examples]


def test_datasets_writes_arrow(tmp_path: Path) -> None:
    examples = examples_of(tmp_path, "datasets", "--answer", "{label}")
    assert answers(examples) == ["cat", "dog"] and [example.split for example in examples] == ["train"] * 2
    assert [example.columns["note"] for example in examples] == ["first", None]


def test_webdataset_writes_tars(tmp_path: Path) -> None:
    assert answers(examples_of(tmp_path, "webdataset.tar")) == ["a cat", "a dog"]
    flags = ("--prompt", "What?", "--answer", "{cls} {json.name}")
    assert answers([one for block in tried(f"{tmp_path}/webdataset.tar", *flags) for one in block.examples]) == [
        "0 cat",
        "1 dog",
    ]


@pytest.mark.parametrize(
    "name, flags, boxes",
    [
        ("yolo", (), (FIRST, SECOND)),
        ("coco.json", ("--image_root", "pictures"), (FIRST, SECOND)),
        ("voc", ("--image_root", "pictures", "--input_format", "voc"), (FIRST, SECOND)),
    ],
)
def test_supervision_writes_boxes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, flags: tuple[str, ...], boxes: tuple[Any, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(map(json.loads, answers(examples_of(tmp_path, name, *flags)))) == list(boxes)


@pytest.mark.parametrize("name", ["label_studio.json", "label_studio_min.json", "label_studio_min.csv"])
def test_label_studios_converter_writes_its_exports(tmp_path: Path, name: str) -> None:
    boxes = [FIRST[:1], [SECOND[0] | {"label": "dog"}]]
    assert list(map(json.loads, answers(examples_of(tmp_path, name)))) == boxes
    flags = ("--prompt", "What?", "--answer", "{kind}")
    assert answers([one for block in tried(f"{tmp_path}/{name}", *flags) for one in block.examples]) == ["cat", "dog"]
