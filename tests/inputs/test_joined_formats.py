"""VQA v2's questions and annotations, and PubTabNet's tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import jpeg, put, write_lines
from laws import lines, rejections, texts, uris

from transforms.core.reasons import RowError
from transforms.core.records import Extent
from transforms.inputs.formats import pubtabnet
from transforms.inputs.formats.joined import vqa
from transforms.storage.packings import Damaged

Run = Callable[..., laws.Folder]
QUESTIONS = "v2_OpenEnded_mscoco_val2014_questions.json"
ANNOTATIONS = "v2_mscoco_val2014_annotations.json"


def question(number: int, image: int = 9, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "question": f"Question {number}?", "question_id": number} | more


def annotation(number: int, answer: str = "yes", **more: Any) -> dict[str, Any]:
    given = [{"answer": text, "answer_id": 1} for text in (answer, "no", answer)]
    return {
        "question_id": number,
        "image_id": 9,
        "answers": given,
        "multiple_choice_answer": answer,
        "answer_type": "other",
    } | more


def asked(*questions: dict[str, Any], **more: Any) -> bytes:
    head = {"info": {"year": 2017}, "license": {}, "data_subtype": "val2014"}
    return json.dumps({**head, "questions": list(questions), **more}).encode()


def rows_of(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in vqa.lines_of(Extent(path, "", Path(path).stat().st_size, 0, 0, "vqa"))]


def test_questions_are_joined_with_their_answers(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    image = put(tmp_path / "val2014/COCO_val2014_000000000009.jpg", jpeg())
    source = put(tmp_path / "in" / QUESTIONS, asked(question(3), question(1), question(2)))
    put(tmp_path / "in" / ANNOTATIONS, json.dumps({"annotations": [annotation(1), annotation(3, "a cat")]}).encode())
    found = run(source, "--prompt", "{question}", "--image_root", str(tmp_path / "val2014"), "--splits", "train=1")
    assert [texts(line) for line in lines(found)] == [["Question 3?", "a cat"], ["Question 1?", "yes"]]
    assert {uri for line in lines(found) for uri in uris(line)} == {image}
    assert [rejection["reason"] for rejection in rejections(found)] == ["empty_answer"]
    assert "VQA's questions and answers" in capfd.readouterr().out


def test_answers_may_stand_in_the_same_file(tmp_path: Path) -> None:
    most = annotation(7, "red")
    del most["multiple_choice_answer"]
    path = put(tmp_path / "vqa.json", asked(question(7, image="x", file_name="a.jpg"), annotations=[most]))  # type: ignore[arg-type]
    (row,) = rows_of(path)
    assert (row["image"], row["answer"], row["answers"]) == ("a.jpg", "red", ["red", "no", "red"])


@pytest.mark.parametrize(
    "data", [asked(question(1)), asked(question(1))[:-5], asked(question(1), annotations=[{"question_id": None}])]
)
def test_questions_without_annotations_are_one_fault(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Damaged):
        rows_of(put(tmp_path / QUESTIONS, data))


def table(*tokens: str, cells: list[str], **more: Any) -> dict[str, Any]:
    html = {
        "structure": {"tokens": list(tokens)},
        "cells": [{"tokens": list(text), "bbox": [1, 2, 3, 4]} for text in cells],
    }
    return {"filename": "1.png", "split": "val", "imgid": 1, "html": html} | more


SPANS = table(
    "<thead>", "<tr>", "<td", ' colspan="2"', ">", "</td>", "<td>", "</td>", "</tr>", "</thead>", "<tbody>",
    "<tr>", "<td>", "</td>", "<td>", "</td>", "<td>", "</td>", "</tr>", "</tbody>", cells=["A", "B|", "c", "", "d"],
)  # fmt: skip


def test_a_table_is_html_and_markdown() -> None:
    columns = pubtabnet.columns_of(SPANS)
    assert columns == {
        "image": "val/1.png",
        "split": "val",
        "html": '<table><thead><tr><td colspan="2">A</td><td>B|</td></tr></thead>'
        "<tbody><tr><td>c</td><td></td><td>d</td></tr></tbody></table>",
        "markdown": "| A |  | B\\| |\n| --- | --- | --- |\n| c |  | d |",
    }
    assert pubtabnet.is_pubtabnet(SPANS) and not pubtabnet.is_pubtabnet(columns)


@pytest.mark.parametrize(
    "row, reason",
    [
        (table("<tr>", "<td>", "</td>", "</tr>", cells=["a", "b"]), "bad_record"),
        (table(cells=[], filename=" "), "no_image"),
        (table(cells=[]) | {"html": {"structure": 3, "cells": []}}, "bad_record"),
        (table(cells=[]) | {"html": {"structure": {"tokens": [1]}, "cells": []}}, "bad_record"),
    ],
)
def test_a_table_that_cannot_be_is_refused(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(RowError) as caught:
        pubtabnet.columns_of(row)
    assert caught.value.reason == reason


def test_a_span_that_lies_costs_no_memory() -> None:
    row = table("<tr>", "<td", ' colspan="99999"', ' rowspan="99999"', ">", "</td>", "</tr>", cells=["a"])
    assert pubtabnet.columns_of(row)["markdown"] is None


def test_the_layout_of_pubtabnet_keeps_its_splits(run: Run, tmp_path: Path) -> None:
    rows = [{**SPANS, "split": split} for split in ("train", "val")]
    for n, split in enumerate(("train", "val")):
        put(tmp_path / split / "1.png", jpeg(seed=n))
    found = run(write_lines(tmp_path / "PubTabNet.jsonl", rows), "--prompt", "Write it.", "--answer", "{markdown}")
    assert [len(lines(found, split)) for split in ("train", "validation")] == [1, 1]
    assert texts(lines(found)[0])[-1].startswith("| A |")
