"""Folders of images with YOLO's, COCO's or Pascal VOC's annotations are read as such without --input_format, where that is plain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from folders import put, put_images
from opening import tried

from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import Settings, parse

ASK = ("--prompt", "Detect.")
BOX = '[{"box_2d":[100,100,600,300],"label":"cat"}]'
XML = (
    "<annotation><filename>{}.jpg</filename><size><width>100</width><height>100</height></size><object><name>cat</name><bndbox>"
    "<xmin>11</xmin><ymin>11</ymin><xmax>30</xmax><ymax>60</ymax></bndbox></object></annotation>"
)


def coco(*names: str) -> bytes:
    images = [{"id": at, "file_name": name, "width": 100, "height": 100} for at, name in enumerate(names)]
    boxes = [{"id": at, "image_id": at, "category_id": 1, "bbox": [10, 10, 20, 50]} for at in range(len(names))]
    return json.dumps({"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "cat"}]}).encode()


def put_yolo(folder: Path) -> None:
    put_images(folder, "images/train/1.jpg", "images/val/2.jpg")
    for name in ("train/1", "val/2"):
        put(folder / f"labels/{name}.txt", b"0 0.2 0.35 0.2 0.5")
    put(folder / "data.yaml", b"train: images/train\nval: images/val\nnames: [cat]\n")
    put(folder / "args.yaml", b"epochs: 3\n")


def put_roboflow(folder: Path) -> None:
    put_images(folder, "train/1.jpg", "valid/2.jpg")
    put(folder / "train/_annotations.coco.json", coco("1.jpg"))
    put(folder / "valid/_annotations.coco.json", coco("2.jpg"))


def put_voc(folder: Path) -> None:
    put_images(folder, "JPEGImages/1.jpg", "JPEGImages/2.jpg")
    put(folder / "Annotations/1.xml", XML.format(1).encode())
    put(folder / "Annotations/2.xml", XML.format(2).encode())


def put_xml_beside(folder: Path) -> None:
    put_images(folder, "1.jpg", "2.jpg")
    put(folder / "1.xml", XML.format(1).encode())
    put(folder / "2.xml", XML.format(2).encode())


def looked(folder: Path, *flags: str) -> tuple[Settings, str]:
    settings, said = look_at_inputs(
        on_this_machine(parse(["--input", f"{folder}/", "--output", f"{folder}-out", *flags]))
    )
    return settings, "\n".join(said)


@pytest.mark.parametrize(
    "make, named, by",
    [
        (put_yolo, "yolo", "data.yaml"),
        (put_roboflow, "coco", "_annotations.coco.json"),
        (put_voc, "voc", "1.xml"),
        (put_xml_beside, "voc", "1.xml"),
    ],
)
def test_a_folder_is_what_its_annotations_say(tmp_path: Path, make: object, named: str, by: str) -> None:
    assert callable(make)
    make(tmp_path / "in")
    said = looked(tmp_path / "in", *ASK)[1]
    assert f"told by {by} (--input_format folder reads the images alone)" in said
    blocks = tried(f"{tmp_path}/in/", *ASK)
    assert {block.block.format for block in blocks} == {named}
    answers = [example.contents[1]["parts"][0]["text"] for block in blocks for example in block.examples]
    assert answers == [BOX, BOX] and not any(block.rejections for block in blocks)
    if named != "voc":  # whose images name no split
        assert [example.split for block in blocks for example in block.examples] == ["train", "validation"]


@pytest.mark.parametrize("make", [put_yolo, put_roboflow, put_voc])
@pytest.mark.parametrize(
    "flags",
    [
        ("--input_format", "folder"),
        ("--answer", "{path.parent}"),
        ("--answer", "{sidecar}"),
        ("--prompt", "{path.stem}?", "--answer", "cat"),
    ],
)
def test_who_asks_for_names_of_folders_gets_them(tmp_path: Path, make: object, flags: tuple[str, ...]) -> None:
    assert callable(make)
    make(tmp_path / "in")
    flags = flags if "--prompt" in flags else (*ASK, *flags)
    assert [one.format for one in looked(tmp_path / "in", *flags)[0].inputs] == ["folder"]


def test_several_kinds_are_said_and_none_is_chosen(tmp_path: Path) -> None:
    put_yolo(tmp_path / "in")
    put_roboflow(tmp_path / "in")
    settings, said = looked(tmp_path / "in", *ASK)
    assert [one.format for one in settings.inputs] == ["folder"]
    assert "! annotations_unread: it holds yolo (data.yaml) and coco (_annotations.coco.json)" in said


def captions(*names: str) -> bytes:
    told = json.loads(coco(*names))
    told["annotations"] = [{"id": at, "image_id": at, "caption": f"A cat, {name}."} for at, name in enumerate(names)]
    return json.dumps(told).encode()


def put_site(folder: Path, images: str = "") -> None:
    """As COCO's own site lays it out."""
    put_images(folder, f"{images}train2017/1.jpg", f"{images}val2017/2.jpg", f"{images}test2017/3.jpg")
    for split, name in (("train2017", "1.jpg"), ("val2017", "2.jpg")):
        put(folder / f"annotations/instances_{split}.json", coco(name))
        put(folder / f"annotations/person_keypoints_{split}.json", coco(name))
        put(folder / f"annotations/captions_{split}.json", captions(name))
    put(folder / "annotations/image_info_test2017.json", coco("3.jpg"))


@pytest.mark.parametrize("images", ["", "images/"])
def test_the_layout_of_cocos_site_is_read_with_its_splits(tmp_path: Path, images: str) -> None:
    put_site(tmp_path / "in", images)
    said = looked(tmp_path / "in", *ASK)[1]
    assert (
        "! annotations_unread: captions_train2017.json, person_keypoints_train2017.json, captions_val2017.json, "
        "person_keypoints_val2017.json: of the same images as what is read" in said
    )
    for flags, answers in (((), [BOX, BOX]), (("--answer", "{caption}"), ["A cat, 1.jpg.", "A cat, 2.jpg."])):
        blocks = tried(f"{tmp_path}/in/", *ASK, *flags)
        assert not any(block.rejections for block in blocks)
        examples = [example for block in blocks for example in block.examples]
        assert [(one.contents[1]["parts"][0]["text"], one.split) for one in examples] == [
            (answers[0], "train"),
            (answers[1], "validation"),
        ]


@pytest.mark.parametrize(
    "file, image, named",
    [
        ("annotations/instances_default.json", "images/1.jpg", "1.jpg"),
        ("annotations/train.json", "train/1.jpg", "1.jpg"),
        ("annotations/instances_training.json", "images/train/1.jpg", "1.jpg"),
        ("labels.json", "data/1.jpg", "1.jpg"),
        ("result.json", "images/1.jpg", "images/1.jpg"),
    ],
)
def test_a_file_of_cocos_beside_its_images_folder_finds_them(tmp_path: Path, file: str, image: str, named: str) -> None:
    put_images(tmp_path / "in", image)
    put(tmp_path / f"in/{file}", coco(named))
    (block,) = tried(f"{tmp_path}/in/", *ASK)
    assert [[*example.sources] for example in block.examples] == [[f"{tmp_path}/in/{image}"]] and not block.rejections


def test_files_of_several_parts_of_the_images_are_all_read(tmp_path: Path) -> None:
    put_images(tmp_path / "in", "images/1.jpg", "images/2.jpg")
    put(tmp_path / "in/annotations/part-1.json", coco("1.jpg"))
    put(tmp_path / "in/annotations/part-2.json", coco("2.jpg"))
    assert sum(len(block.examples) for block in tried(f"{tmp_path}/in/", *ASK)) == 2
    assert "annotations_unread" not in looked(tmp_path / "in", *ASK)[1]


def test_annotations_whose_images_are_not_there_are_said(tmp_path: Path) -> None:
    put_images(tmp_path / "in", "train2017/1.jpg", "val2017/2.jpg")
    put(tmp_path / "in/annotations/instances_train2017.json", coco("9.jpg"))
    settings, said = looked(tmp_path / "in", *ASK)
    assert [one.format for one in settings.inputs] == ["folder"]
    assert (
        "! annotations_unread: it holds coco (instances_train2017.json)" in said and "--image_root the folder" in said
    )


def test_a_data_yaml_of_another_name_is_read(tmp_path: Path) -> None:
    put_yolo(tmp_path / "in")
    (tmp_path / "in/data.yaml").rename(tmp_path / "in/coco8.yaml")
    assert "told by coco8.yaml" in looked(tmp_path / "in", *ASK)[1]


@pytest.mark.parametrize(
    "name, data",
    [
        ("args.yaml", b"data: coco8.yaml\nepochs: 3\nval: true\nnames: [cat]\n"),
        ("data.yaml", b"epochs: 3\n"),
        ("data.yaml", b"names: [cat]\n"),
        ("data.yaml", b"a: ["),
        ("_annotations.coco.json", b'{"images": 3}'),
        ("1.xml", b"<svg/>"),
        ("1.xml", b""),
    ],
)
def test_other_files_of_these_names_change_nothing(tmp_path: Path, name: str, data: bytes) -> None:
    put_images(tmp_path / "in", "cat/1.jpg")
    put(tmp_path / f"in/{name}", data)
    settings, said = looked(tmp_path / "in", *ASK)
    assert [one.format for one in settings.inputs] == ["folder"] and "annotations_unread" not in said
