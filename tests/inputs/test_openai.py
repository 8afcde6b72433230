"""OpenAI's rows of vision fine-tuning: what they become, what is refused, and that they are found, sealed and tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import jpeg, put, write_lines
from laws import counters, lines, rejections

from beam_jobs.commands.prepare import prepare
from transforms.core import jsonl
from transforms.core.reasons import REASONS, RowError
from transforms.core.records import Block, Example, OpenBlock, Row
from transforms.examples.gemini_rules import parse_example
from transforms.inputs.rows import build_examples

Run = Callable[..., laws.Folder]
LOW, HIGH = "MEDIA_RESOLUTION_LOW", "MEDIA_RESOLUTION_HIGH"


def message(role: str, *parts: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": list(parts)} | more


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def image(url: str = "gs://b/a.png", **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url} | more}


def ask(*parts: Any, **more: Any) -> dict[str, Any]:
    """A row of one question, with its answer."""
    return {"messages": [message("user", *parts), {"role": "assistant", "content": "a cat"}]} | more


def build(row: dict[str, Any], row_format: str = "openai", **more: Any) -> OpenBlock:
    opened = OpenBlock(Block((0, b"", 0), (), row_format), "", rows=[Row("/in/r.jsonl", 0, 1, jsonl.dumps(row))])
    return build_examples(opened, b"", None, 1 << 64, **more)


def made(row: dict[str, Any], **more: Any) -> Example:
    opened = build(row, **more)
    assert not opened.rejections
    return opened.examples[0]


def test_a_row_is_the_same_conversation_in_geminis_format() -> None:
    row = {
        "messages": [
            {"role": "system", "content": "Be brief."},
            message("developer", text("Name animals.")),
            {"role": "user", "content": "Look."},
            message("user", image("pics/a.JPG"), text("What is this?"), tool_calls=None),
            message("assistant", text("a cat"), weight=1),
            message("user", image("gs://b/x.webp", detail="auto"), image("gs://b/noending")),
            {"role": "assistant", "content": "two dogs", "refusal": None, "tool_calls": []},
        ],
        "tools": [],
        "fold": "a",
    }

    def file(mime: str, uri: str) -> dict[str, Any]:
        return {"fileData": {"mimeType": f"image/{mime}", "fileUri": uri}}

    contents = [
        {"role": "user", "parts": [{"text": "Look."}, file("jpeg", "pics/a.JPG"), {"text": "What is this?"}]},
        {"role": "model", "parts": [{"text": "a cat"}]},
        {"role": "user", "parts": [file("webp", "gs://b/x.webp"), file("jpeg", "gs://b/noending")]},
        {"role": "model", "parts": [{"text": "two dogs"}]},
    ]
    system = {"role": "system", "parts": [{"text": "Be brief."}, {"text": "Name animals."}]}
    twin = jsonl.dumps({"contents": contents, "systemInstruction": system})
    example, same = made(row), parse_example(Row("/in/r.jsonl", 0, 1, twin), seed=b"", check_types=None)
    assert (example.id, example.contents, example.head, example.base) == (same.id, contents, same.head, "/in")
    assert (example.images, example.text_bytes) == (same.images, same.text_bytes)
    assert example.columns == {"tools": [], "fold": "a"}


@pytest.mark.parametrize(
    "details, each, whole, dropped",
    [
        (["low"], [LOW], LOW, 0),
        (["high", "high"], [HIGH, HIGH], HIGH, 0),
        (["low", "high"], [LOW, HIGH], "", 2),
        (["low", "auto"], [LOW, ""], "", 1),
        (["low", None, "low"], [LOW, "", LOW], "", 2),
        (["auto", None], ["", ""], "", 0),
        ([], [], "", 0),
    ],
)
def test_detail_becomes_a_media_resolution(details: list[Any], each: list[str], whole: str, dropped: int) -> None:
    images = [image(f"gs://b/{n}.png", **({} if d is None else {"detail": d})) for n, d in enumerate(details)]
    row = ask(*images, text("What?"))

    example = made(row, part_resolution=True)
    levels = [part.get("mediaResolution", {}).get("level", "") for part in example.contents[0]["parts"]]
    assert (levels, example.head) == ([*each, ""], {})

    opened = build(row)
    assert opened.examples[0].head == ({"generationConfig": {"mediaResolution": whole}} if whole else {})
    assert not any("mediaResolution" in part for part in opened.examples[0].contents[0]["parts"])
    assert opened.warnings.counts == ({"detail_dropped": (dropped, "gs://b/0.png")} if dropped else {})


ANSWER = {"role": "assistant", "content": "a cat"}
REFUSED = [
    ("missing_contents", {"contents": []}),
    ("missing_contents", {"messages": []}),
    ("missing_contents", {"messages": {"role": "user"}}),
    ("bad_turn", {"messages": ["hello", ANSWER]}),
    ("bad_turn", {"messages": [{"role": "user"}, ANSWER]}),
    ("bad_turn", {"messages": [message("user"), ANSWER]}),
    ("bad_turn", {"messages": [{"role": "user", "content": "x", "name": "Ann"}, ANSWER]}),
    ("bad_turn", {"messages": [{"role": "user", "content": "x"}, ANSWER | {"weight": 2}]}),
    ("bad_turn", {"messages": [{"role": "user", "content": "x"}, ANSWER | {"weight": "0"}]}),
    ("unsupported_part", {"messages": [{"role": "user", "content": "x"}, ANSWER | {"weight": 0}]}),
    ("unsupported_part", {"messages": [{"role": "user", "content": "x"}, ANSWER | {"weight": 0.0}]}),
    ("unsupported_part", {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "tool_calls": [{"id": "1"}]}]}),
    ("unsupported_part", {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "function_call": {"name": "f"}}]}),
    ("unsupported_part", {"messages": [{"role": "tool", "content": "4", "tool_call_id": "1"}, ANSWER]}),
    ("unsupported_part", {"messages": [{"role": "function", "content": "4"}, ANSWER]}),
    ("unsupported_part", ask(text("x"), tools=[{"type": "function"}])),
    ("unsupported_part", ask({"type": "input_audio", "input_audio": {}})),
    ("bad_role", {"messages": [{"role": "model", "content": "x"}, ANSWER]}),
    ("bad_role", {"messages": [{"role": ["user"], "content": "x"}, ANSWER]}),
    ("turn_order", {"messages": [ANSWER]}),
    ("turn_order", {"messages": [{"role": "user", "content": "x"}]}),
    ("turn_order", {"messages": [{"role": "user", "content": "x"}, ANSWER, ANSWER]}),
    ("image_in_model_turn", {"messages": [{"role": "user", "content": "x"}, message("assistant", image())]}),
    ("bad_system_instruction", {"messages": [message("system", image()), *ask(text("x"))["messages"]]}),
    ("bad_part", ask("x")),
    ("bad_part", ask({"text": "x"})),
    ("bad_part", ask({"type": "text", "text": None})),
    ("bad_part", ask(image(detail="ultra"))),
    ("bad_part", ask(image(detail=["low"]))),
    ("empty_text", ask(text(" "))),
    ("bad_file_data", ask({"type": "image_url"})),
    ("bad_file_data", ask(image(" "))),
    ("inline_data", ask(image("data:image/png;base64,AAAA"))),
    ("inline_data", ask(image(" DATA:,x"))),
]  # fmt: skip


@pytest.mark.parametrize("reason, row", REFUSED)
def test_what_is_refused(reason: str, row: dict[str, Any]) -> None:
    opened = build(row)
    assert [(r.reason, json.loads(r.row.raw)) for r in opened.rejections] == [(reason, row)]
    assert (opened.examples, REASONS[reason].stage) == ([], "rules")
    with pytest.raises(RowError):  # nor does the same line pass as Gemini's
        parse_example(opened.rejections[0].row, seed=b"", check_types=None)


def test_rows_are_found_sealed_and_tried_again(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "pics/a.jpg", jpeg(seed=1))
    rows = [
        ask(image("pics/a.jpg", detail="high"), text("What?")),
        ask(image("pics/late.jpg"), text("And this?")),
        ask(image("https://example.com/a.jpg"), text("And that?")),
    ]
    source = write_lines(tmp_path / "rows.jsonl", rows)
    found = run(source, "--splits", "train=1")
    assert "OpenAI's messages, a row a line (--input_format)" in capfd.readouterr().out
    assert found["manifest.json"]["formats"] == ["openai"]
    assert counters(found)["examples_written"] == len(lines(found)) == 1
    assert lines(found)[0]["generationConfig"] == {"mediaResolution": HIGH}
    lost = rejections(found)
    assert [(r["reason"], r["format"], r["row"]) for r in lost] == [
        ("image_not_found", "openai", rows[1]),
        ("not_allowed", "openai", rows[2]),
    ]

    put(tmp_path / "pics/late.jpg", jpeg(seed=2))
    again = run(
        str(tmp_path / "out/rejected.jsonl"), "--splits", "train=1", "--allow_prefix", str(tmp_path), output="again"
    )
    named = run(source, "--splits", "train=1", "--input_format", "openai", output="named")
    assert lines(again) == lines(named)[1:]
    assert [(r["reason"], r["format"], r["row"]) for r in rejections(again)] == [("not_allowed", "openai", rows[2])]


def test_templates_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_lines(tmp_path / "rows.jsonl", [ask(text("x"))])
    argv = ["--input", source, "--input_format", "openai", "--prompt", "What?", "--output", str(tmp_path / "out")]
    assert prepare(argv) == 2
    assert "holds OpenAI's messages: leave it out" in capfd.readouterr().err
