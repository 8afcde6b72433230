"""Rejected lines are read as the rows that they hold, and rows start from the folder of their file."""

from __future__ import annotations

import base64
import json

import pytest
from gemini_rows import ask, image, parse, row_of, text

from transforms.core import jsonl
from transforms.examples.gemini_rules import parse_example
from transforms.inputs.rows import example_of, unwrap


def test_a_rejected_line_is_replayed_as_the_row_it_holds() -> None:
    obj = ask(image("sub/ä.jpg"), sku="A")
    marked = {"tuneset": "rejected/1", "source": "gs://b/x.jsonl", "offset": 7, "reason": "image_not_found"}
    fresh = parse(obj)
    raw = "\ufeff".encode() + json.dumps(obj, indent=1).encode()
    for held, base in (
        ({"row": obj, "base": "gs://old/folder"}, "gs://old/folder"),
        ({"row": obj}, "gs://b/folder"),
        ({"row": obj, "base": None}, "gs://b/folder"),
        ({"row_base64": base64.b64encode(raw).decode(), "base": ""}, ""),
        ({"row": {**marked, "row": obj, "base": "inner"}, "base": "outer"}, "inner"),
        ({"row": {**marked, "row": obj}, "base": "outer"}, "outer"),
    ):
        outer = row_of({**marked, **held})
        inner, found = unwrap(outer)
        assert (inner.source, inner.offset, inner.line, jsonl.loads(inner.raw), found) == (
            outer.source, outer.offset, outer.line, obj, base,
        )  # fmt: skip
        example = example_of(outer, seed=b"", check_types=None)
        assert (example.row, example.base, example.id) == (inner, base, fresh.id)
        assert (example.contents, example.columns) == (fresh.contents, fresh.columns)


def test_other_rows_are_not_unwrapped() -> None:
    row = row_of(ask(text("x"), tuneset="mine", row=1))
    assert unwrap(row) == (row, "gs://b/folder")
    assert parse(row.raw).columns == {"tuneset": "mine", "row": 1}


@pytest.mark.parametrize(
    ("source", "base"),
    [("gs://b/x.jsonl", "gs://b"), ("/data/in/x.jsonl", "/data/in"), ("/x.jsonl", "/"), ("x.jsonl", "")],
)
def test_relative_paths_start_from_the_folder_of_the_file(source: str, base: str) -> None:
    assert parse_example(row_of(ask(text("x")), source), seed=b"", check_types=None).base == base
