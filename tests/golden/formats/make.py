"""Writes the fixtures beside it by the tools that own the formats. Run once, with these in an environment of their own:

datasets 5.2, webdataset 1.0, supervision 0.31, label-studio-converter 0.0.59; they are too large for the tests' own environment.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
NAMES = ["cat", "dog"]
BOXES = [[(8, 4, 24, 12), (0, 0, 16, 8)], [(16, 8, 32, 16)]]  # pixels of each picture: left, top, right, bottom


def picture(number: int) -> Image.Image:
    return Image.new("RGB", (32, 16), (80 * number, 90, 200))


def write_datasets() -> None:
    import datasets

    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=NAMES), "note": datasets.Value("string")}
    )
    columns = {"image": [picture(0), picture(1)], "label": [0, 1], "note": ["first", None]}
    datasets.DatasetDict({"train": datasets.Dataset.from_dict(columns, features=features)}).save_to_disk(
        HERE / "datasets"
    )


def write_webdataset() -> None:
    import webdataset

    with webdataset.TarWriter(str(HERE / "webdataset.tar"), mtime=0) as sink:
        for number, name in enumerate(NAMES):
            sink.write(
                {
                    "__key__": f"{number:06}",
                    "png": picture(number),
                    "txt": f"a {name}",
                    "cls": number,
                    "json": {"name": name},
                }
            )


def write_supervision() -> None:
    import supervision

    paths = [str(HERE / f"pictures/{number}.png") for number in range(2)]
    for number, path in enumerate(paths):
        Path(path).parent.mkdir(exist_ok=True)
        picture(number).save(path)
    found = {
        path: supervision.Detections(np.array(boxes, float), class_id=np.arange(len(boxes)))
        for path, boxes in zip(paths, BOXES)
    }
    dataset = supervision.DetectionDataset(NAMES, paths, found)
    dataset.as_yolo(str(HERE / "yolo/train/images"), str(HERE / "yolo/train/labels"), str(HERE / "yolo/data.yaml"))
    dataset.as_coco(None, str(HERE / "coco.json"))
    told = HERE / "coco.json"
    told.write_text(re.sub(r'"url": "[^"]*"', '"url": ""', told.read_text()))  # of a licence
    dataset.as_pascal_voc(None, str(HERE / "voc"))


def write_label_studio() -> None:
    from label_studio_converter import Converter

    config = (
        '<View><Image name="image" value="$image"/><Choices name="kind" toName="image"><Choice value="cat"/><Choice value="dog"/>'
        '</Choices><RectangleLabels name="box" toName="image"><Label value="cat"/><Label value="dog"/></RectangleLabels></View>'
    )
    size = {"original_width": 32, "original_height": 16, "to_name": "image"}
    tasks = []
    for number, name in enumerate(NAMES):
        left, top, right, bottom = BOXES[number][0]
        box = {
            "x": left / 0.32,
            "y": top / 0.16,
            "width": (right - left) / 0.32,
            "height": (bottom - top) / 0.16,
            "rotation": 0,
        }
        result = [
            {"id": "k", "type": "choices", "from_name": "kind", "value": {"choices": [name]}, **size},
            {
                "id": "b",
                "type": "rectanglelabels",
                "from_name": "box",
                "value": box | {"rectanglelabels": [name]},
                **size,
            },
        ]
        annotation = {"id": number, "result": result, "completed_by": {"email": "a@example.com"}, "lead_time": 1.5}
        tasks.append({"id": number, "data": {"image": f"pictures/{number}.png"}, "annotations": [annotation]})
    source = HERE / "label_studio.json"
    source.write_text(json.dumps(tasks))
    converter = Converter(config, str(HERE))
    for kind, made in (("JSON_MIN", "result.json"), ("CSV", "result.csv")):
        converter.convert(str(source), str(HERE), kind, is_dir=False)
        (HERE / made).rename(HERE / f"label_studio_min.{made.rpartition('.')[2]}")


if __name__ == "__main__":
    globals()[f"write_{sys.argv[1]}"]()
