"""Layouts as people bring them become the dataset that they expect, by the commands of docs/inputs.md."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import jpeg, png, put
from opening import tried

from beam_jobs.__main__ import main

PAGE = (Path(__file__).resolve().parents[2] / "docs/inputs.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Layouts that people bring\n")[2].partition("\n## ")[0]
COMMANDS = dict(re.findall(r"\*\*([^*]+)\*\*:.*?```sh\n(.*?)\n```", SECTION, re.DOTALL))


def picture(number: int) -> bytes:
    return jpeg(seed=number)


def make_kaggle() -> None:
    for number in range(8):
        put(f"kaggle/train/{number:04}.jpg", picture(number))
    for number in range(3):
        put(f"kaggle/test/{number:04}.jpg", picture(100 + number))
    rows = "".join(f"{number:04},{('boxer', 'pug')[number % 2]}\n" for number in range(8))
    put("kaggle/train.csv", f"id,breed\n{rows}".encode())
    put("kaggle/test.csv", b"id\n0000\n0001\n0002\n")
    put("kaggle/sample_submission.csv", b"id,breed\n0000,pug\n0001,pug\n0002,pug\n")


def make_classes(folder: str, splits: tuple[str, ...] = ("",), each: int = 4) -> None:
    for at, split in enumerate(splits):
        for number in range(each):
            name = f"{('dog', 'cat')[number % 2]}/{number}.jpg"
            put(os.path.join(folder, split, name), picture(10 * at + number))


def make_roboflow() -> None:
    make_classes("roboflow", ("train", "valid", "test"))
    put("roboflow/README.roboflow.txt", b"exported")


def make_hub() -> None:
    """Hugging Face's cache: a snapshot's files are links to blobs that are named by their contents."""
    root = "datasets--me--pets"
    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": ["dog", "cat"]}}
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for name, count in (("train-00000-of-00001", 6), ("test-00000-of-00001", 2)):
        images = [{"bytes": png(seed=hash_of(name, n)), "path": f"{n}.png"} for n in range(count)]
        table = pa.table({"image": pa.array(images, kind), "label": [n % 2 for n in range(count)]})
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        pq.write_table(table, sink := io.BytesIO())
        blob = hashlib.sha256(sink.getvalue()).hexdigest()
        put(f"{root}/blobs/{blob}", sink.getvalue())
        os.makedirs(f"{root}/snapshots/0123abc/data", exist_ok=True)
        os.symlink(f"../../../blobs/{blob}", f"{root}/snapshots/0123abc/data/{name}.parquet")


def hash_of(name: str, number: int) -> int:
    return len(name) * 1000 + number


def make_label_studio() -> None:
    for number in range(4):
        put(f"upload/3/{number}.jpg", picture(number))
    rows = "".join(f"{n},{('whole', 'broken')[n % 2]},/data/upload/3/{n}.jpg\n" for n in range(4))
    put("export.csv", f"annotation_id,choice,image\n{rows}".encode())


def make_takeout() -> None:
    for number in range(4):
        image = f"Takeout/Google Photos/Zoo/IMG_{number}.jpg"
        told = {"title": f"IMG_{number}.jpg", "description": f"A lion, {number} m away."}
        put(image, picture(number))
        put(f"{image}{('', '.supplemental-metadata')[number % 2]}.json", json.dumps(told).encode())
    put("Takeout/Google Photos/Zoo/metadata.json", b'{"title": "Zoo"}')


def make_synology() -> None:
    make_classes("photos")
    put("photos/dog/@eaDir/0.jpg/SYNOPHOTO_THUMB_M.jpg", picture(50))
    put("photos/#recycle/cat/9.jpg", picture(51))


def make_with_output() -> None:
    make_classes("pets")
    assert main(["prepare", "--input", "pets", "--output", "pets/dataset", "--prompt", "Which?"]) == 0


# A layout: what makes it, answers with their numbers, lines of splits that names decide, and what the screen says.
Layout = tuple[Callable[[], None], dict[str, int], dict[str, int], tuple[str, ...]]
ANIMALS = {"dog": 2, "cat": 2}
LAYOUTS: dict[str, Layout] = {
    "Kaggle's zip": (make_kaggle, {"boxer": 4, "pug": 4}, {}, ("! test_without_answers: 1 file", "! left_out_submission: 1 file")),
    "Roboflow's folders": (
        make_roboflow, {"dog": 6, "cat": 6}, {"train": 4, "validation": 4, "test": 4}, ("folders decide the split",),
    ),
    "A dataset of the Hub, as its cache holds it": (make_hub, {"dog": 4, "cat": 4}, {"test": 2}, ("files decide the split",)),
    "Label Studio's CSV": (make_label_studio, {"whole": 2, "broken": 2}, {}, ()),
    "Google Takeout's photos": (make_takeout, {f"A lion, {n} m away.": 1 for n in range(4)}, {}, ()),
    "A share of a Synology": (make_synology, ANIMALS, {}, ("! left_out_system: 2 files",)),
    "A folder that holds yesterday's output": (make_with_output, ANIMALS, {}, ("! datasets_left_out: ",)),
}  # fmt: skip


def coco_of(*names: str) -> bytes:
    images = [{"id": n, "license": 1, "file_name": name, "height": 48, "width": 64} for n, name in enumerate(names)]
    boxes = [
        {"id": n, "image_id": n, "category_id": 1, "bbox": [16, 12, 32, 24], "area": 768, "iscrowd": 0}
        for n in range(len(names))
    ]
    categories = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "animals"},
    ]
    return json.dumps(
        {"info": {}, "licenses": [], "categories": categories, "images": images, "annotations": boxes}
    ).encode()


def make_roboflow_coco() -> None:
    for at, split in enumerate(("train", "valid", "test")):
        put(f"roboflow-coco/{split}/{at}_jpg.rf.0123abc.jpg", picture(at))
        put(f"roboflow-coco/{split}/_annotations.coco.json", coco_of(f"{at}_jpg.rf.0123abc.jpg"))
    put("roboflow-coco/README.roboflow.txt", b"exported")


def make_coco_site() -> None:
    for at, split in enumerate(("train2017", "val2017")):
        put(f"coco/{split}/{at:012}.jpg", picture(at))
        put(f"coco/annotations/instances_{split}.json", coco_of(f"{at:012}.jpg"))
        put(f"coco/annotations/person_keypoints_{split}.json", coco_of(f"{at:012}.jpg"))


def make_roboflow_yolo() -> None:
    for at, split in enumerate(("train", "valid", "test")):
        put(f"roboflow-yolo/{split}/images/{at}_jpg.rf.0123abc.jpg", picture(at))
        put(f"roboflow-yolo/{split}/labels/{at}_jpg.rf.0123abc.txt", b"0 0.5 0.5 0.5 0.5\n")
    told = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\nnames: ['cat']\n\nroboflow:\n  version: 1\n"
    put("roboflow-yolo/data.yaml", told.encode())
    put("roboflow-yolo/README.dataset.txt", b"# pets")


def make_voc() -> None:
    for name in ("2007_000027", "2007_000032"):
        put(f"VOCdevkit/VOC2012/JPEGImages/{name}.jpg", picture(int(name[-2:])))
        put(
            f"VOCdevkit/VOC2012/Annotations/{name}.xml",
            f"<annotation><folder>VOC2012</folder><filename>{name}.jpg</filename><size><width>64</width><height>48</height>"
            "<depth>3</depth></size><segmented>0</segmented><object><name>cat</name><pose>Unspecified</pose><bndbox><xmax>48</xmax>"
            "<xmin>17</xmin><ymax>36</ymax><ymin>13</ymin></bndbox><difficult>0</difficult></object></annotation>".encode(),
        )
    put("VOCdevkit/VOC2012/ImageSets/Main/cat_train.txt", b"2007_000027 1\n")
    put("VOCdevkit/VOC2012/SegmentationClass/2007_000032.png", png())


def make_llava() -> None:
    rows = []
    for number in range(2):
        put(f"coco/train2017/{number:012}.jpg", picture(number))
        turns = [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": f"Picture {number}."}]
        rows.append({"id": f"{number:012}", "image": f"{number:012}.jpg", "conversations": turns})
    put("llava_instruct_150k.json", json.dumps(rows, indent=1).encode())


def make_img2dataset() -> None:
    for shard in ("00000", "00001"):
        keys = [f"{shard}{number:04}" for number in range(2)]
        table = pa.table(
            {"url": ["https://example.com/x.jpg"] * 2, "caption": [f"picture {key}" for key in keys], "key": keys}
        )
        pq.write_table(table, put(f"img2dataset/{shard}.parquet", b""))
        put(f"img2dataset/{shard}_stats.json", b'{"count": 2}')
        for key in keys:
            put(f"img2dataset/{shard}/{key}.jpg", picture(int(key)))
            put(f"img2dataset/{shard}/{key}.txt", f"picture {key}".encode())
            put(
                f"img2dataset/{shard}/{key}.json",
                json.dumps({"caption": f"picture {key}", "status": "success"}).encode(),
            )


CAT = '[{"box_2d":[250,250,750,750],"label":"cat"}]'
EACH = ["train", "validation", "test"]
# What is tried without writing: what makes it, and the answer and split of each example; "": by the hash.
TRIED: dict[str, tuple[Callable[[], None], list[tuple[str, str]]]] = {
    "Roboflow's COCO export": (make_roboflow_coco, [(CAT, split) for split in EACH]),
    "COCO, as its site lays it out": (make_coco_site, [(CAT, split) for split in EACH[:2]]),
    "Roboflow's YOLO export": (make_roboflow_yolo, [(CAT, split) for split in EACH]),
    "Pascal VOC 2012, as its archive holds it": (make_voc, [(CAT, "")] * 2),
    "LLaVA's instructions on COCO's images": (make_llava, [("Picture 0.", ""), ("Picture 1.", "")]),
    "img2dataset's folders": (make_img2dataset, [(f"picture 0000{n}000{m}", "") for n in range(2) for m in range(2)]),
}  # fmt: skip


@pytest.mark.parametrize("name", TRIED)
def test_a_public_layout_is_read_as_its_documentation_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, expected = TRIED[name]
    monkeypatch.chdir(tmp_path)
    make()
    words = shlex.split(COMMANDS[name])[2:]
    options = dict(zip(words[::2], words[1::2]))
    source = options.pop("--input")
    del options["--output"]
    blocks = tried(source, *(word for pair in options.items() for word in pair))
    assert not [rejection.detail for block in blocks for rejection in block.rejections]
    found = [
        (example.contents[-1]["parts"][0]["text"], example.split) for block in blocks for example in block.examples
    ]
    by_name = {"train": 0, "validation": 1, "test": 2}
    if expected[0][1]:
        assert sorted(found, key=lambda one: by_name[one[1]]) == expected
    else:
        assert sorted(answer for answer, _ in found) == [answer for answer, _ in expected]
    assert all(
        block.facts[uri].width == 64 for block in blocks for example in block.examples for uri in example.sources
    )


def run(name: str) -> tuple[int, str]:
    words = shlex.split(COMMANDS[name])[1:]
    return main(words), words[words.index("--output") + 1]


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_becomes_what_a_person_expects(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    make, answers, named, told = LAYOUTS[name]
    monkeypatch.chdir(tmp_path)
    make()
    capfd.readouterr()
    status, output = run(name)
    said = capfd.readouterr()
    assert status == 0, said.err
    found = laws.sealed(tmp_path / output)
    lines = {
        split: [json.loads(line) for line in found.get(f"{split}.jsonl", b"").splitlines()]
        for split in ("train", "validation", "test")
    }
    every = [line["contents"][-1]["parts"][0]["text"] for some in lines.values() for line in some]
    assert {answer: every.count(answer) for answer in every} == answers
    assert {split: len(lines[split]) for split in named} == named
    assert found["rejected.jsonl"] == b""
    for line in told:
        assert line in said.out


def test_paths_of_label_studios_server_are_said_to_lie_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make_label_studio()
    words = shlex.split(COMMANDS["Label Studio's CSV"])[1:]
    status = main(words[: words.index("--image_root")])
    said = capfd.readouterr()
    assert (
        status == 1 and f"{tmp_path}/upload/3/0.jpg is there: --image_root {tmp_path} finds it" in said.out + said.err
    )


def test_every_layout_of_the_page_is_tried() -> None:
    assert sorted(COMMANDS) == sorted({**LAYOUTS, **TRIED})
