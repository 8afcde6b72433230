"""LLaVA's, ShareGPT's and ms-swift's conversations, and PaliGemma's rows: what they become, what is refused, and whole jobs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import jpeg, put, put_images, write_lines
from laws import counters, lines, uris
from opening import tried

from beam_jobs.commands.prepare import prepare
from transforms.core import jsonl
from transforms.core.reasons import REASONS
from transforms.core.records import Block, Example, OpenBlock, Row
from transforms.examples.gemini_rules import parse_example
from transforms.inputs.rows import build_examples

Run = Callable[..., laws.Folder]
ASKED = [{"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A cat."}]


def build(row: dict[str, Any], row_format: str = "llava") -> OpenBlock:
    opened = OpenBlock(Block((0, b"", 0), (), row_format), "", rows=[Row("/in/r.jsonl", 0, 1, jsonl.dumps(row))])
    return build_examples(opened, b"", None, 1 << 64)


def built(row: dict[str, Any], row_format: str = "llava") -> Example:
    opened = build(row, row_format)
    assert not opened.rejections
    return opened.examples[0]


def said(example: Example) -> list[tuple[str, list[str]]]:
    """Who says what: texts, and images as <NAME>."""
    return [
        (turn["role"], [part.get("text") or f"<{part['fileData']['fileUri']}>" for part in turn["parts"]])
        for turn in example.contents
    ]


ONE = [("user", ["<a.png>", "What is this?"]), ("model", ["A cat."])]


@pytest.mark.parametrize(
    "row, turns",
    [
        ({"image": "a.png", "conversations": ASKED}, ONE),
        ({"image": ["a.png"], "conversations": ASKED}, ONE),
        ({"images": [{"path": "a.png", "bytes": None}], "conversations": ASKED}, ONE),
        # No place: before the first question.
        ({"image": "a.png", "conversations": [{"from": "human", "value": "What is this?"}, ASKED[1]]}, ONE),
        ({"images": ["a.png"], "query": "<image>What is this?", "response": "A cat."}, ONE),
        (
            {"conversations": [{"from": "user", "value": "Picture 1: <img>a.png</img>\nWhat?"}, ASKED[1]]},
            [("user", ["Picture 1:", "<a.png>", "What?"]), ("model", ["A cat."])],
        ),
        (
            {
                "images": ["a.png", "b.png", "c.png"],
                "messages": [
                    {"role": "user", "content": "<image> and <image>: compare."},
                    {"role": "assistant", "content": "One is red."},
                    {"role": "user", "content": "And this?<image>"},
                    {"role": "assistant", "content": "Blue."},
                ],
            },
            [
                ("user", ["<a.png>", "and", "<b.png>", ": compare."]),
                ("model", ["One is red."]),
                ("user", ["And this?", "<c.png>"]),
                ("model", ["Blue."]),
            ],
        ),
        (
            {
                "images": ["a.png", "b.png"],
                "messages": [
                    {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "Is it like"}, {"type": "image"}]},
                    {"role": "assistant", "content": [{"type": "text", "text": "Yes."}]},
                ],
            },
            [("user", ["<a.png>", "Is it like", "<b.png>"]), ("model", ["Yes."])],
        ),
        (
            {"images": ["a.png"], "query": "And this? <image>", "response": "A dog.", "history": [["Hello", "Hi"]]},
            [("user", ["Hello"]), ("model", ["Hi"]), ("user", ["And this?", "<a.png>"]), ("model", ["A dog."])],
        ),
    ],
)  # fmt: skip
def test_images_stand_where_the_texts_place_them(row: dict[str, Any], turns: list[tuple[str, list[str]]]) -> None:
    assert said(built(row)) == turns


def test_a_row_is_the_same_conversation_in_geminis_format() -> None:
    row = {"id": 7, "image": "a.png", "conversations": [{"from": "system", "value": "Be brief."}, *ASKED], "fold": "x"}
    example = built(row)
    twin = {"contents": example.contents, "systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]}}
    same = parse_example(Row("/in/r.jsonl", 0, 1, jsonl.dumps(twin)), seed=b"", check_types=None)
    assert (example.id, example.head, example.base) == (same.id, same.head, "/in")
    assert example.columns == {"id": 7, "fold": "x"}


@pytest.mark.parametrize(
    "row, reason, detail",
    [
        ({"conversations": []}, "missing_contents", "no `conversations` list"),
        ({"conversations": ["hello"]}, "bad_turn", "conversations[0] is not an object"),
        ({"conversations": [{"from": "narrator", "value": "x"}]}, "bad_role", "narrator"),
        ({"conversations": [{"from": "human", "value": 3}]}, "bad_turn", "neither a text nor a list"),
        ({"conversations": [{"from": "observation", "value": "x"}]}, "unsupported_part", "call of a tool"),
        ({"conversations": ASKED, "image": "a.png", "video": "a.mp4"}, "unsupported_media", "video"),
        ({"conversations": ASKED, "image": "a.png", "tools": "[]{}"}, "unsupported_part", "tools"),
        ({"conversations": ASKED}, "bad_part", "1 places of an <image>, but the row names 0 images"),
        ({"conversations": ASKED, "image": ["a.png", "b.png"]}, "bad_part", "1 places of an <image>, but the row names 2"),
        ({"conversations": ASKED, "image": [3]}, "bad_image_value", "neither a path nor a URI"),
        ({"conversations": ASKED[:1], "image": "a.png"}, "turn_order", ""),
        ({"conversations": [ASKED[0], {"from": "gpt", "value": "x", "loss": False}], "image": "a.png"}, "unsupported_part", "learnt"),
        ({"conversations": [ASKED[0], {"from": "gpt", "value": "<image>"}], "image": ["a", "b"]}, "image_in_model_turn", ""),
        ({"conversations": [{"from": "system", "value": "<image>"}, *ASKED], "image": "a"}, "bad_system_instruction", "text"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}], "images": []}, "unsupported_media", "video"),
        ({"query": "a", "response": "b", "history": [["a"]], "images": []}, "bad_turn", "list of pairs"),
    ],
)  # fmt: skip
def test_what_cannot_be_learnt_is_refused(row: dict[str, Any], reason: str, detail: str) -> None:
    (rejection,) = build(row).rejections
    assert rejection.reason == reason and detail in rejection.detail and reason in REASONS


@pytest.mark.parametrize(
    "suffix, answer",
    [
        ("A cat.", "A cat."),
        ("<loc0256><loc0128><loc0768><loc0512> a cat", '[{"box_2d":[250,125,750,500],"label":"a cat"}]'),
        (
            "<loc0000><loc0000><loc0512><loc0512> cat ; <loc0512><loc0000><loc1023><loc1023> dog ",
            '[{"box_2d":[0,0,500,500],"label":"cat"},{"box_2d":[500,0,999,999],"label":"dog"}]',
        ),
    ],
)
def test_paligemmas_suffix_is_the_answer_and_its_locations_are_boxes(suffix: str, answer: str) -> None:
    example = built({"image": "a.png", "prefix": "detect cat", "suffix": suffix, "fold": 1}, "paligemma")
    assert said(example) == [("user", ["<a.png>", "detect cat"]), ("model", [answer])]
    assert example.columns == {"fold": 1}


@pytest.mark.parametrize(
    "row, reason",
    [
        ({"image": "", "prefix": "a", "suffix": "b"}, "no_image"),
        ({"image": "a.png", "prefix": 1, "suffix": "b"}, "bad_turn"),
        ({"image": "a.png", "prefix": "a", "suffix": " "}, "empty_answer"),
        ({"image": "a.png", "prefix": "", "suffix": "b"}, "empty_text"),
        ({"image": "a.png", "prefix": "a", "suffix": "<loc0001><loc0001><loc0001> cat"}, "bad_box"),
        ({"image": "a.png", "prefix": "a", "suffix": "<loc0001><loc0001><loc0002><loc1024> cat"}, "bad_box"),
        ({"image": "a.png", "prefix": "a", "suffix": "<loc0003><loc0001><loc0002><loc0002> cat"}, "bad_box"),
        ({"image": "a.png", "prefix": "a", "suffix": "<loc0001><loc0001><loc0002><loc0002>"}, "bad_box"),
        (
            {"image": "a.png", "prefix": "a", "suffix": "<loc0001><loc0001><loc0002><loc0002><seg001> cat"},
            "unsupported_part",
        ),
    ],
)
def test_paligemmas_rows_that_cannot_be_are_refused(row: dict[str, Any], reason: str) -> None:
    assert [rejection.reason for rejection in build(row, "paligemma").rejections] == [reason]


def test_an_array_of_llavas_is_told_by_its_content(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As LLaVA-Instruct lies: one indented JSON file, and images in a folder of their own."""
    names = [f"coco/train2017/{n:012}.jpg" for n in range(3)]
    paths = [put(tmp_path / "images" / name, jpeg(seed=n)) for n, name in enumerate(names)]
    rows = [{"id": n, "image": name, "conversations": ASKED} for n, name in enumerate(names)]
    source = put(tmp_path / "in/llava.json", json.dumps(rows, indent=2).encode())
    found = run(source, "--image_root", str(tmp_path / "images"), "--splits", "train=1")
    assert [uri for line in lines(found) for uri in uris(line)] == paths
    assert "LLaVA" in capfd.readouterr().out


def test_paligemmas_boxes_are_of_upright_pictures(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "in/a.jpg", jpeg())
    suffixes = ("A cat.", "<loc0001><loc0001><loc0002><loc0002> cat")
    rows = [{"image": "a.jpg", "prefix": "detect cat", "suffix": suffix} for suffix in suffixes]
    assert len(lines(run(write_lines(tmp_path / "in/rows.jsonl", rows)))) == 2
    assert "rewritten upright (--upright)" in capfd.readouterr().out


def test_rows_that_were_rejected_are_tried_again(run: Run, tmp_path: Path) -> None:
    rows = [{"image": f"{n}.jpg", "conversations": ASKED} for n in range(2)]
    put(tmp_path / "in/0.jpg", jpeg())
    first = run(write_lines(tmp_path / "in/rows.jsonl", rows))
    put(tmp_path / "in/1.jpg", jpeg(seed=1))
    again = run(tmp_path / "out/rejected.jsonl", "--allow_prefix", str(tmp_path / "in"), output="again")
    assert counters(first)["examples_rejected"] == 1 and len(lines(again)) == 1


def test_a_template_makes_a_table_of_them(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "0.jpg", jpeg())
    source = write_lines(
        tmp_path / "rows.jsonl", [{"image": "0.jpg", "prefix": "a", "suffix": "b", "conversations": ASKED}]
    )
    argv = [
        "--input",
        source,
        "--output",
        str(tmp_path / "out"),
        "--prompt",
        "{prefix}",
        "--answer",
        "{suffix}",
        "--preview",
        "1",
    ]
    assert prepare(argv) == 0
    assert "a table" in capfd.readouterr().out


def test_a_folder_of_images_with_conversations_in_json_is_the_conversations(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
    put_images(tmp_path, "in/images/1.jpg")
    put(tmp_path / "in/data.json", json.dumps([{"image": "images/1.jpg", "conversations": turns}]).encode())
    (block,) = tried(f"{tmp_path}/in/")
    assert block.block.format == "llava" and len(block.examples) == 1 and not block.rejections
