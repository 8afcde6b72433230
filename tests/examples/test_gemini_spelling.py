"""How a row is spelt: what is read, the one form that is written, and the id, which is that of what the row says."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from gemini_rows import CONFORMING, ask, image, model, parse, row_of, text, user
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core.limits import DEFAULT_PROFILE, PROFILES
from transforms.core.reasons import REASONS, RowError
from transforms.core.records import Example
from transforms.examples.gemini_rules import output_line
from transforms.examples.tokens import estimate_tokens

quick = settings(max_examples=80)


def test_a_clean_row_is_used_as_it_is() -> None:
    obj = ask(image("gs://b/1.png", "image/png"), text("Front."), image("sub/2.webp", "image/webp"), sku="A-1", n=None)
    obj["contents"] += [user(text("And?")), model(text("Good."), text("Really."))]
    example = parse(obj)
    assert example == Example(
        row=row_of(obj),
        id=example.id,
        contents=obj["contents"],
        head={},
        columns={"sku": "A-1", "n": None},
        images=[
            {"mimeType": "image/png", "fileUri": "gs://b/1.png"},
            {"mimeType": "image/webp", "fileUri": "sub/2.webp"},
        ],
        text_bytes=len("Front.An answer.And?Good.Really."),
        base="gs://b/folder",
    )
    example.images[1]["fileUri"] = "gs://b/new.webp"
    assert example.contents[0]["parts"][2] == image("gs://b/new.webp", "image/webp")


def test_both_spellings_are_read_and_one_is_written() -> None:
    schema = {"type": "OBJECT", "properties": {"file_uri": {"type": "STRING"}, "top_p": {}}, "any_of": None}
    obj = {
        "contents": [
            user(
                {"file_data": {"mime_type": "image/png", "file_uri": "gs://b/file_data.png", "display_name": "d"}},
                {"fileData": {"mimeType": "image/png", "file_uri": "x.png"}, "media_resolution": {"level": "L"}},
                {"text": "file_uri", "fileData": None, "inline_data": None},
            ),
            model(text("y")),
        ],
        "system_instruction": {"role": "system", "parts": [{"text": "s", "file_data": None}]},
        "tools": [{"function_declarations": [{"name": "f", "parameters": schema, "response_json_schema": schema}]}],
        "generation_config": {"media_resolution": "MEDIA_RESOLUTION_LOW", "response_schema": schema, "top_k": None},
        "file_data": "a column",
    }
    example = parse(obj)
    assert example.contents == [
        user(
            {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/file_data.png", "displayName": "d"}},
            {"fileData": {"mimeType": "image/png", "fileUri": "x.png"}, "mediaResolution": {"level": "L"}},
            text("file_uri"),
        ),
        model(text("y")),
    ]
    assert example.head == {
        "systemInstruction": {"role": "system", "parts": [text("s")]},
        "tools": [{"functionDeclarations": [{"name": "f", "parameters": schema, "responseJsonSchema": schema}]}],
        "generationConfig": {"mediaResolution": "MEDIA_RESOLUTION_LOW", "responseSchema": schema},
    }
    assert example.columns == {"file_data": "a column"}
    assert [data is part["fileData"] for data, part in zip(example.images, example.contents[0]["parts"])] == [True] * 2


def test_media_resolution_stays_beside_its_image() -> None:
    part = {**image(), "mediaResolution": {"level": "MEDIA_RESOLUTION_HIGH"}}
    assert parse(ask(part)).contents == ask(part)["contents"]


@pytest.mark.parametrize(
    ("role", "written"),
    [("system", {"role": "system"}), ("", {"role": ""}), (None, {}), (5, {})],
)
def test_the_role_of_a_system_instruction_is_kept_if_it_is_a_string(role: Any, written: dict[str, Any]) -> None:
    example = parse(ask(text("x"), systemInstruction={"role": role, "parts": [text("s")]}))
    assert example.head == {"systemInstruction": {**written, "parts": [text("s")]}}


FILE = image()["fileData"]
SYSTEM = {"parts": [text("s")]}


@pytest.mark.parametrize(
    "obj",
    [
        ask(image(), systemInstruction=SYSTEM, tools=None, generationConfig=None),
        ask({"file_data": FILE}, systemInstruction=SYSTEM),
        ask({**image(), "text": None}, systemInstruction=SYSTEM),
        ask({"fileData": {**FILE, "displayName": None}}, systemInstruction=SYSTEM),
        ask({"fileData": {"mime_type": "image/jpeg", "fileUri": "gs://b/a.jpg"}}, systemInstruction=SYSTEM),
        ask(image(), system_instruction=SYSTEM),
        ask(image(), systemInstruction={**SYSTEM, "role": None}),
        ask(image(), systemInstruction={"parts": [{"text": "s", "fileData": None}]}),
        ask(image(), systemInstruction=SYSTEM, sku="a column"),
    ],
)
def test_each_way_of_saying_the_same_has_the_same_id(obj: dict[str, Any]) -> None:
    usual, example = parse(ask(image(), systemInstruction=SYSTEM)), parse(obj)
    assert (example.id, example.contents, example.head) == (usual.id, usual.contents, {"systemInstruction": SYSTEM})


def test_a_null_system_instruction_is_none() -> None:
    example = parse(ask(text("x"), systemInstruction=None))
    assert (example.id, example.head, example.columns) == (parse(ask(text("x"))).id, {}, {})


@pytest.mark.parametrize(
    ("written", "mime"),
    [("image/jpg", "image/jpeg"), ("IMAGE/PNG", "image/png"), ("image/JPG", "image/jpeg"), ("image/gif", "image/gif"),
     ("image/svg+xml", "image/svg+xml"), ("image/x-ms-bmp", "image/x-ms-bmp")],
)  # fmt: skip
def test_mime_types_are_written_in_their_usual_form(written: str, mime: str) -> None:
    example = parse(ask(image(mime=written), image("b", "image/png")))
    assert [data["mimeType"] for data in example.images] == [mime, "image/png"]


def test_id_is_the_keyed_hash_of_what_the_row_says() -> None:
    ids = [
        parse(obj, seed).id
        for seed in (b"", b"other")
        for obj in (
            ask(text("x")),
            ask(text("y")),
            ask(text("x"), systemInstruction={"parts": [text("s")]}),
            ask(image(mime="image/jpg")),
            ask(image(mime="image/jpeg")),
            ask(image("./a.jpg")),
        )
    ]
    assert len(set(ids)) == len(ids)
    canonical = (
        b'{"contents":[{"parts":[{"text":"x"}],"role":"user"},{"parts":[{"text":"An answer."}],"role":"model"}],'
        b'"systemInstruction":{"parts":[{"text":"s"}]}}'
    )
    assert ids[8] == int.from_bytes(hashlib.blake2b(canonical, digest_size=8, key=b"other").digest(), "big")
    columns = ask(text("x"), sku=1, tools=[], generationConfig={"seed": 1})
    assert parse(columns).id == ids[0]


def respelt(value: Any, draw: Callable[[Any], Any]) -> Any:
    """The same row with its keys shuffled, some in snake case."""
    if isinstance(value, list):
        return [respelt(item, draw) for item in value]
    if not isinstance(value, dict):
        return value
    snake = {"fileData": "file_data", "mimeType": "mime_type", "fileUri": "file_uri"}
    snake |= {"systemInstruction": "system_instruction", "generationConfig": "generation_config"}
    keys = draw(st.permutations(list(value)))
    return {snake.get(key, key) if draw(st.booleans()) else key: respelt(value[key], draw) for key in keys}


@st.composite
def rows(draw: st.DrawFn) -> dict[str, Any]:
    words = st.text(min_size=1, max_size=8).filter(lambda t: not t.isspace())
    part = words.map(text) | st.builds(image, words, st.sampled_from(["image/png", "image/jpg", "image/WEBP"]))
    contents = []
    for _ in range(draw(st.integers(1, 3))):
        contents += [user(*draw(st.lists(part, min_size=1, max_size=4))), model(text(draw(words)))]
    system = {"systemInstruction": {"parts": [text(draw(words))]}} if draw(st.booleans()) else {}
    more = {"generationConfig": {"seed": 1}} if draw(st.booleans()) else {}
    return {"contents": contents, **system, **more, **({"sku": "A"} if draw(st.booleans()) else {})}


@quick
@given(st.data(), rows())
def test_key_order_white_space_and_spelling_change_nothing(data: st.DataObject, obj: dict[str, Any]) -> None:
    again = respelt(obj, data.draw)
    raw = json.dumps(again, indent=data.draw(st.sampled_from([None, 1])), ensure_ascii=data.draw(st.booleans()))
    one, other = parse(obj), parse(raw.encode())
    assert (one.id, one.contents, one.head, one.columns) == (other.id, other.contents, other.head, other.columns)
    assert one.images == other.images


@quick
@given(rows())
def test_what_is_written_parses_to_itself(obj: dict[str, Any]) -> None:
    example = parse(obj)
    line = output_line(example, example.contents)
    again = parse(line)
    assert line.isascii() and line.count(b"\n") == 1 and line.endswith(b"}\n")
    assert (again.contents, again.head, again.images) == (example.contents, example.head, example.images)
    assert output_line(again, again.contents) == line


@st.composite
def broken_rows(draw: st.DrawFn) -> Any:
    """A good row with one value somewhere replaced, taken away or put beside."""
    obj = copy.deepcopy(draw(rows()))
    at: Any = obj
    while isinstance(at, dict | list) and at:
        key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        if not isinstance(at[key], dict | list) or draw(st.integers(0, 3)) == 0:
            break
        at = at[key]
    junk: st.SearchStrategy[Any] = st.sampled_from([None, 1, "", "x", [], {}, [[]], {"text": "x"}, "image/jpeg", True])
    if draw(st.booleans()) and isinstance(at, dict):
        at[draw(st.sampled_from(["text", "fileData", "file_data", "role", "parts", "x", "tuneset", "tools"]))] = draw(
            junk
        )
    else:
        at[key] = draw(junk)
    return obj


@settings(quick, max_examples=250)
@given(broken_rows() | st.binary(max_size=20), st.sampled_from([None, CONFORMING]))
def test_any_line_gives_an_example_or_a_reason(obj: Any, check_types: tuple[str, ...] | None) -> None:
    try:
        example = parse(obj, check_types=check_types)
    except RowError as error:
        assert REASONS[error.reason].stage in {"read", "rules"}
    else:
        assert parse(output_line(example, example.contents)).contents == example.contents
        assert estimate_tokens(example, PROFILES[DEFAULT_PROFILE]) > 0


def test_output_lines_have_one_key_order() -> None:
    obj = {"generationConfig": {"seed": 1}, "tools": [{}], "sku": "A", **ask(text("Größe\u2028?"))}
    example = parse({**obj, "systemInstruction": {"parts": [text("s")]}})
    assert output_line(example, example.contents) == (
        b'{"systemInstruction":{"parts":[{"text":"s"}]},'
        b'"contents":[{"role":"user","parts":[{"text":"Gr\\u00f6\\u00dfe\\u2028?"}]},'
        b'{"role":"model","parts":[{"text":"An answer."}]}],'
        b'"tools":[{}],"generationConfig":{"seed":1}}\n'
    )
    assert output_line(parse(ask(text("x"))), [user(text("y"))]) == (
        b'{"contents":[{"role":"user","parts":[{"text":"y"}]}]}\n'
    )
