"""Label Studio's JSON, JSON-MIN and CSV: choices, texts and rectangles become answers; its server's paths are found in a folder."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import jpeg, put
from laws import counters, lines, rejections, uris

from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms.core.reasons import RowError
from transforms.inputs.formats.label_studio import columns_of, is_label_studio

Run = Callable[..., laws.Folder]
ASK = ("--prompt", "What is it?", "--splits", "train=1")
SIZE = {"original_width": 200, "original_height": 100}


def result(kind: str, value: dict[str, Any], name: str = "", **more: Any) -> dict[str, Any]:
    return {"id": "r", "from_name": name or kind, "to_name": "image", "type": kind, "value": value, **SIZE, **more}


def task(*results: dict[str, Any], image: str = "/data/upload/3/0.jpg", **more: Any) -> dict[str, Any]:
    annotation = {"id": 5, "completed_by": 1, "result": list(results), "was_cancelled": False, "lead_time": 2.5}
    return {"id": 1, "data": {"image": image, "shop": "a"}, "annotations": [annotation], "predictions": []} | more


def rectangle(x: float, y: float, width: float, height: float, label: str = "car", **more: Any) -> dict[str, Any]:
    return {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": [label], **more}


CHOICE = result("choices", {"choices": ["cat"]}, "choice")
BOX = {"box_2d": [200, 100, 600, 400], "label": "car"}


@pytest.mark.parametrize(
    "results, answer",
    [
        ([CHOICE], "cat"),
        ([result("choices", {"choices": ["cat", "dog"]})], "cat, dog"),
        ([result("textarea", {"text": ["A cat.", "On a mat."]})], "A cat.\nOn a mat."),
        ([result("taxonomy", {"taxonomy": [["animal", "cat"]]})], "animal / cat"),
        ([result("rating", {"rating": 4})], "4"),
        ([CHOICE, result("textarea", {"text": ["A cat."]}, "caption")], "choice: cat\ncaption: A cat."),
        ([], None),
    ],
)
def test_what_was_chosen_or_written_is_the_answer(results: list[dict[str, Any]], answer: str | None) -> None:
    columns = columns_of(task(*results))
    assert (columns["answer"], columns["boxes"], columns["image"], columns["shop"]) == (
        answer,
        None,
        "/data/upload/3/0.jpg",
        "a",
    )
    assert not is_label_studio(columns)


@pytest.mark.parametrize(
    "results, boxes",
    [
        ([result("rectanglelabels", rectangle(10, 20, 30, 40))], [BOX]),
        # The label stands in a result of its own, of the same region.
        (
            [
                result("rectangle", {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0}, "box"),
                result(
                    "labels", {"x": 10, "y": 20, "width": 30, "height": 40, "rotation": 0, "labels": ["car"]}, "kind"
                ),
            ],
            [BOX, BOX],
        ),
        # A quarter turn about its corner: 60 x 40 pixels become 40 x 60.
        (
            [result("rectanglelabels", rectangle(50, 20, 30, 40, rotation=90))],
            [{"box_2d": [200, 300, 800, 500], "label": "car"}],
        ),
    ],
)
def test_rectangles_are_boxes(results: list[dict[str, Any]], boxes: list[dict[str, Any]]) -> None:
    assert columns_of(task(*results))["boxes"] == boxes


@pytest.mark.parametrize(
    "value, detail",
    [
        (rectangle(10, 20, 30, 40, ""), "no label"),
        (rectangle(10, 20, 92, 40), "numbers from 0 to 1"),
        (rectangle("a", 20, 30, 40), "not a number"),  # type: ignore[arg-type]
        (rectangle(10, 20, 30, 40, rotation=5, original_width=0), "pixels"),
    ],
)
def test_a_rectangle_that_cannot_be_is_a_fault_of_its_image(value: dict[str, Any], detail: str) -> None:
    columns = columns_of(task(result("rectanglelabels", value) | {key: value[key] for key in SIZE if key in value}))
    assert detail in columns["fault"]


def test_of_the_annotations_the_first_that_was_not_skipped_counts() -> None:
    skipped = {"result": [CHOICE], "was_cancelled": True}
    second = {"result": [result("choices", {"choices": ["dog"]}, "choice")], "was_cancelled": False}
    assert columns_of(task(annotations=[skipped, second, {"result": [CHOICE]}]))["answer"] == "dog"


@pytest.mark.parametrize("row", [task(CHOICE, data={"text": "x"}), task(CHOICE, data={"image": " "})])
def test_a_task_without_an_image_is_refused(row: dict[str, Any]) -> None:
    with pytest.raises(RowError) as caught:
        columns_of(row)
    assert caught.value.reason == "no_image"


# The columns of label-studio-converter's JSON-MIN and CSV, in its order.
def flat(number: int, **controls: Any) -> dict[str, Any]:
    about = {
        "annotator": 1,
        "annotation_id": number,
        "created_at": "2024-01-01",
        "updated_at": "2024-01-01",
        "lead_time": 1.5,
    }
    return {"image": f"/data/upload/3/{number}.jpg", "shop": "a", "id": number} | controls | about


def as_csv(rows: list[dict[str, Any]]) -> bytes:
    writer = csv.DictWriter(text := io.StringIO(), list(rows[0]))
    writer.writeheader()
    writer.writerows(
        {key: json.dumps(value) if isinstance(value, list | dict) else value for key, value in row.items()}
        for row in rows
    )
    return text.getvalue().encode()


TASKS = [task(CHOICE, image=f"/data/upload/3/{n}.jpg") for n in range(2)]
CHOSEN = [flat(n, choice="cat") for n in range(2)]
BOXED = [flat(n, label=[rectangle(10, 20, 30, 40) | SIZE]) for n in range(2)]
SEVERAL = [flat(n, choice={"choices": ["cat", "dog"]}) for n in range(2)]
AS_JSON = '[{"box_2d":[200,100,600,400],"label":"car"}]'


@pytest.mark.parametrize(
    "name, data, answer",
    [
        ("tasks.json", json.dumps(TASKS, indent=1).encode(), "cat"),
        ("min.json", json.dumps(CHOSEN).encode(), "cat"),
        ("rows.csv", as_csv(CHOSEN), "cat"),
        ("boxes.json", json.dumps([task(result("rectanglelabels", rectangle(10, 20, 30, 40)))]).encode(), AS_JSON),
        ("boxes.min.json", json.dumps(BOXED).encode(), AS_JSON),
        ("boxes.csv", as_csv(BOXED), AS_JSON),
        ("several.min.json", json.dumps(SEVERAL).encode(), "cat, dog"),
        ("several.csv", as_csv(SEVERAL), "cat, dog"),
    ],
)
def test_an_export_is_told_by_its_content(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, data: bytes, answer: str
) -> None:
    images = [put(tmp_path / f"media/upload/3/{n}.jpg", jpeg(seed=n)) for n in range(2)]
    found = run(put(tmp_path / "in" / name, data), *ASK, "--image_root", str(tmp_path / "media"))
    assert {uri for line in lines(found) for uri in uris(line)} <= set(images)
    assert {line["contents"][-1]["parts"][0]["text"] for line in lines(found)} == {answer}
    said = capfd.readouterr().out
    assert "Label Studio's annotations" in said and ("--upright" in said) == (answer == AS_JSON)


@pytest.mark.parametrize("flags, told", [((), "label_studio"), (("--answer", "{path.parent}"), "folder")])
def test_an_export_beside_its_images_is_read_unless_something_else_is_asked_for(
    tmp_path: Path, flags: Sequence[str], told: str
) -> None:
    put(tmp_path / "in/images/0.jpg", jpeg())
    put(tmp_path / "in/project-1-at-2026-11-30.json", json.dumps(TASKS).encode())
    asked = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--prompt", "What?", *flags]
    settings, _ = look_at_inputs(on_this_machine(parse(asked)))
    assert settings.inputs[0].format == told


def test_templates_take_data_and_controls(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "3/0.jpg", jpeg())
    source = put(tmp_path / "rows.json", json.dumps([flat(0, choice="cat")]).encode())
    found = run(source, *ASK[2:], "--prompt", "{shop}?", "--answer", "{choice}!", "--image_root", str(tmp_path))
    assert [[part.get("text") for part in turn["parts"]] for turn in lines(found)[0]["contents"]] == [
        [None, "a?"],
        ["cat!"],
    ]


def test_what_was_rejected_is_tried_again(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "3/0.jpg", jpeg())
    source = put(tmp_path / "in/rows.csv", as_csv(CHOSEN))
    root = ("--image_root", str(tmp_path))
    first = run(source, *ASK, *root)
    assert [rejection["reason"] for rejection in rejections(first)] == ["not_allowed"]
    put(tmp_path / "3/1.jpg", jpeg(seed=1))
    again = run(tmp_path / "out/rejected.jsonl", *ASK, *root, output="again")
    assert counters(again)["examples_used"] == 1
