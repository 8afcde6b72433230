"""Images inside rows of OpenAI's, Llama 4's and LLaVA's formats: decoded, told by their bytes, staged by content, never written."""

from __future__ import annotations

import base64
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import laws
import pytest
from folders import bmp, jpeg, png, put, write_lines
from laws import counters, lines, rejections, uris
from opening import tried
from PIL import Image

from transforms.core import jsonl
from transforms.core.limits import LINE_BYTES
from transforms.core.records import Block, Extent, OpenBlock, Row
from transforms.images.staging import content_name
from transforms.inputs.cells.csv_dialect import Wanted
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.first_rows import begun_object
from transforms.inputs.formats.inline_images import decoded, stage_data_uris
from transforms.inputs.lines import read_block
from transforms.inputs.registry import MEANINGS
from transforms.inputs.rows import build_examples

Run = Callable[..., laws.Folder]
ANSWER = {"role": "assistant", "content": "a cat"}


def uri_of(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def ask(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [*parts, {"type": "text", "text": "What?"}]}, ANSWER]} | more


def image(url: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize(
    "uri, data",
    [
        ("data:image/png;base64,aGk=", b"hi"),
        (" DATA:image/png;charset=x;BASE64,aGk", b"hi"),
        ("data:;base64,aG\n k=", b"hi"),
        ("data:image/png;base64,aGk%3D", b"hi"),
        ("data:image/svg+xml,%3Csvg/%3E a", b"<svg/> a"),
        ("data:,", b""),
        ("data:image/png;base64,", b""),
        ("data:image/png;base64,a", None),
        ("data:image/png;base64,a-_=", None),
        ("data:image/png;base64", None),
        ("data:image/png;base64,é\ud800", None),
    ],
)
def test_data_uris(uri: str, data: bytes | None) -> None:
    assert decoded(uri) == data


def staged_row(row: dict[str, Any], row_format: str) -> tuple[OpenBlock, list[bytes]]:
    """The block of a row, and the images that were staged."""
    taken: list[bytes] = []

    def stage(data: bytes) -> tuple[str, str]:
        taken.append(data)
        return f"/staged/{data.decode()}.png", content_name(data)

    opened = OpenBlock(Block((0, b"", 0), (), row_format), "", rows=[Row("/in/r.jsonl", 0, 1, jsonl.dumps(row))])
    return build_examples(stage_data_uris(opened, stage), b"", None, 1 << 64), taken


A, B = uri_of(b"a"), uri_of(b"b", "text/plain")
ROWS = [
    ("openai", ask(image(A), image("pics/x.png"), image(B)), ["/staged/a.png", "pics/x.png", "/staged/b.png"]),
    ("openai", ask({"type": "image_url", "image_url": A}), ["/staged/a.png"]),
    # Llama 4, as chat templates and datasets of the Hub write it.
    ("openai", ask({"type": "image", "image": A}), ["/staged/a.png"]),
    ("openai", ask({"type": "image", "url": "pics/x.png", "text": None, "index": 0}), ["pics/x.png"]),
    ("openai", ask({"type": "image", "path": "pics/x.png"}), ["pics/x.png"]),
    ("openai", ask({"type": "image", "image": {"path": "pics/x.png", "bytes": None}}), ["pics/x.png"]),
    ("llava", ask({"type": "image"}, {"type": "image"}, images=[A, "pics/x.png"]), ["/staged/a.png", "pics/x.png"]),
    ("llava", ask({"type": "image", "text": None}, images=[{"path": "pics/x.png", "bytes": None}]), ["pics/x.png"]),
    ("llava", ask(images=A), ["/staged/a.png"]),
    ("llava", {"image": A, "conversations": [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "a"}]},
     ["/staged/a.png"]),
]  # fmt: skip


@pytest.mark.parametrize("row_format, row, expected", ROWS)
def test_images_in_rows_are_staged_and_stand_where_they_stood(
    row_format: str, row: dict[str, Any], expected: list[str]
) -> None:
    opened, taken = staged_row(row, row_format)
    assert not opened.rejections
    assert [one["fileUri"] for one in opened.examples[0].images] == expected
    assert [f"/staged/{data.decode()}.png" for data in taken] == [uri for uri in expected if uri.startswith("/staged")]
    assert b"base64" not in opened.examples[0].row.raw


def test_an_id_is_of_the_content_and_not_of_its_place() -> None:
    def id_of(row: dict[str, Any]) -> int:
        return staged_row(row, "openai")[0].examples[0].id

    assert (
        id_of(ask(image(A)))
        == id_of(ask({"type": "image", "image": uri_of(b"a", "image/jpeg")}))
        != id_of(ask(image(B)))
    )


def test_a_text_that_begins_so_is_a_text() -> None:
    opened, taken = staged_row({"messages": [{"role": "user", "content": f"{A}"}, ANSWER], "note": A}, "openai")
    assert not taken and opened.examples[0].contents[0]["parts"] == [{"text": A}]
    assert opened.examples[0].columns == {"note": A}


@pytest.mark.parametrize("row_format, row", [("openai", ask(image("data:;base64,a"))), ("llava", ask(images=["data:;base64,a"])),
    ("llava", ask({"type": "image", "image": "data:;base64,a"}, images=[]))])  # fmt: skip
def test_what_cannot_be_decoded_is_rejected_as_it_stands(row_format: str, row: dict[str, Any]) -> None:
    opened, taken = staged_row(row, row_format)
    assert [(r.reason, jsonl.loads(r.row.raw)) for r in opened.rejections] == [("inline_data", row)]
    assert not taken


def test_how_long_a_row_may_be(tmp_path: Path) -> None:
    assert [MEANINGS[name].longest_line(LINE_BYTES) for name in ("gemini", "openai", "llava")] == [
        16_000_000,
        64_000_000,
        64_000_000,
    ]
    assert MEANINGS["openai"].longest_line(20_000_000) == 20_000_000
    row = jsonl.dumps(ask(image(A)))
    uri = put(tmp_path / "over", row + b" " * (LINE_BYTES + 1 - len(row)))
    extent = Extent(uri, "", LINE_BYTES + 1, 0, LINE_BYTES + 1)
    for row_format, asked, reasons in (("openai", LINE_BYTES, []), ("openai", LINE_BYTES - 1, ["line_too_long"])):
        reader = TableReader(Wanted(), asked, (), lambda data: ("/staged/a.png", "a"))
        opened = read_block(Block((0, b"", 0), (extent,), row_format), lambda block: "", reader)
        assert ([r.reason for r in opened.rejections], len(opened.rows)) == (reasons, not reasons)


def test_a_format_is_told_by_the_beginning_of_a_long_first_line(tmp_path: Path) -> None:
    assert begun_object(b'{"a": 1}') == {}
    noise = io.BytesIO()
    Image.frombytes("RGB", (300, 200), random.Random(1).randbytes(180_000)).save(noise, "PNG")
    source = write_lines(tmp_path / "rows.jsonl", [ask(image(uri_of(noise.getvalue())))])
    assert Path(source).stat().st_size > 1 << 17  # more than is looked at
    (opened,) = tried(source)
    assert (opened.block.format, opened.rejections, len(opened.examples)) == ("openai", [], 1)
    (facts,) = opened.facts.values()
    assert (facts.type, facts.width, facts.height) == ("png", 300, 200)


def test_a_whole_job(run: Run, tmp_path: Path) -> None:
    rows = [
        ask(image(uri_of(jpeg(seed=1)))),  # a JPEG, whatever its URI says
        ask(image(uri_of(jpeg(seed=1))), image(uri_of(bmp(seed=2)))),
        ask(image(uri_of(b"no image"))),
        ask({"type": "image_url", "image_url": "data:image/png," + quote(png(seed=3))}),
    ]
    found = run(write_lines(tmp_path / "rows.jsonl", rows), "--splits", "train=1")
    written = [uri for line in lines(found) for uri in uris(line)]
    assert len({*written}) == 3 and all(uri.startswith(str(tmp_path / "out/images/")) for uri in written)
    assert [line["contents"][0]["parts"][0]["fileData"]["mimeType"] for line in lines(found)] == ["image/jpeg"] * 2 + [
        "image/png"
    ]
    assert counters(found)["images_converted"] == 1
    (lost,) = rejections(found)
    assert lost["reason"] == "not_an_image" and "base64" not in json.dumps(lost)
