"""Conversations in columns of Parquet and Arrow, as Hugging Face's datasets hold them, are read as such without an option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import png, put_images
from opening import tried

TEXT = pa.string()
FILE = pa.struct([("bytes", pa.binary()), ("path", TEXT)])
PART = pa.struct([("index", pa.int64()), ("text", TEXT), ("type", TEXT)])
PARTED = pa.list_(pa.struct([("content", pa.list_(PART)), ("role", TEXT)]))
PLAIN = pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))
SAID = pa.list_(pa.struct([("from", TEXT), ("value", TEXT)]))
ASKED = {"role": "user", "content": [{"type": "image", "index": 0}, {"type": "text", "text": "What is it?"}]}
ANSWERED = {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}
TURNS = [{"role": "user", "content": "<image>What is it?"}, {"role": "assistant", "content": "A cat."}]
LLAVA = [{"from": "human", "value": "What is it?\n<image>"}, {"from": "gpt", "value": "A cat."}]


def write(path: Path, columns: dict[str, tuple[list[Any], pa.DataType]]) -> str:
    table = pa.table({name: pa.array(values, kind) for name, (values, kind) in columns.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
    return str(path)


def told(source: str, *flags: str) -> list[tuple[str, list[str], str]]:
    """Of each example the texts, the kinds of its parts in order, and a column."""
    blocks = tried(source, *flags)
    assert not [rejection.detail for block in blocks for rejection in block.rejections]
    return [
        (
            " | ".join(part["text"] for turn in one.contents for part in turn["parts"] if "text" in part),
            [key for turn in one.contents for part in turn["parts"] for key in part],
            str(one.columns.get("source")),
        )
        for block in blocks
        for one in block.examples
    ]


@pytest.mark.parametrize("name", ["rows.parquet", "rows.arrow", "data/train-00000-of-00001.parquet"])
@pytest.mark.parametrize(
    "key, value, kind, order",
    [
        ("messages", [ASKED, ANSWERED], PARTED, ["fileData", "text", "text"]),
        ("messages", TURNS, PLAIN, ["fileData", "text", "text"]),
        ("conversations", LLAVA, SAID, ["text", "fileData", "text"]),
    ],
)
def test_conversations_are_told_by_their_columns(
    tmp_path: Path, name: str, key: str, value: Any, kind: pa.DataType, order: list[str]
) -> None:
    images = [[{"bytes": png(seed=n), "path": None}] for n in range(3)]
    columns = {key: ([value] * 3, kind), "images": (images, pa.list_(FILE)), "source": (["x"] * 3, TEXT)}
    path = write(tmp_path / "in" / name, columns)
    source = f"{tmp_path}/in/" if "/" in name else path
    assert told(source) == [("What is it? | A cat.", order, "x")] * 3


def test_images_may_be_names_and_examples_are_those_of_lines_of_json(tmp_path: Path) -> None:
    put_images(tmp_path, "a.jpg")
    path = write(tmp_path / "rows.parquet", {"conversations": ([LLAVA], SAID), "image": (["a.jpg"], TEXT)})
    (tmp_path / "rows.jsonl").write_text(
        '{"image": "a.jpg", "conversations": [{"from": "human", "value": "What is it?\\n<image>"}, '
        '{"from": "gpt", "value": "A cat."}]}\n'
    )
    ids = [[one.id for block in tried(source) for one in block.examples] for source in (path, f"{tmp_path}/rows.jsonl")]
    assert ids[0] == ids[1] and len(ids[0]) == 1


def test_whoever_names_templates_gets_a_table(tmp_path: Path) -> None:
    put_images(tmp_path, "a.jpg")
    columns = {"messages": ([TURNS], PLAIN), "image": (["a.jpg"], TEXT), "label": (["cat"], TEXT)}
    path = write(tmp_path / "rows.parquet", columns)
    assert [one[0] for one in told(path, "--prompt", "Which?", "--answer", "{label}")] == ["Which? | cat"]


def test_a_row_that_is_no_conversation_is_rejected_by_its_own_reason(tmp_path: Path) -> None:
    bad = [{"role": "user", "content": "<image>What?"}]
    columns = {"messages": ([bad, [], None, TURNS], PLAIN), "images": ([["a.jpg"]] * 4, pa.list_(TEXT))}
    put_images(tmp_path, "a.jpg")
    (block,) = tried(write(tmp_path / "rows.parquet", columns))
    assert [one.reason for one in block.rejections] == ["turn_order", "missing_contents", "missing_contents"]
    assert len(block.examples) == 1
