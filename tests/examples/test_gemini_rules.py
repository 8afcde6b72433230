"""The rules of an example: every case with its reason; ids; replayed rows; lines; tokens; dropped images."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core import jsonl
from transforms.core.limits import DEFAULT_PROFILE, PROFILES, tiles
from transforms.core.reasons import REASONS, RowError
from transforms.core.records import Example, Row
from transforms.examples.gemini_rules import drop_images, output_line, parse_example
from transforms.examples.tokens import estimate_tokens
from transforms.inputs.rows import example_of, unwrap

quick = settings(max_examples=80)
CONFORMING = ("png", "jpeg", "webp", "heic", "heif")


def text(words: str) -> dict[str, Any]:
    return {"text": words}


def image(name: str = "gs://b/a.jpg", mime: str = "image/jpeg") -> dict[str, Any]:
    return {"fileData": {"mimeType": mime, "fileUri": name}}


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "parts": list(parts)}


def model(*parts: Any) -> dict[str, Any]:
    return {"role": "model", "parts": list(parts)}


def ask(*parts: Any, **more: Any) -> dict[str, Any]:
    return {"contents": [user(*parts), model(text("An answer."))], **more}


def row_of(obj: Any, source: str = "gs://b/folder/rows.jsonl") -> Row:
    return Row(source, 10, 2, obj if isinstance(obj, bytes) else json.dumps(obj).encode())


def parse(obj: Any, seed: bytes = b"", check_types: tuple[str, ...] | None = None) -> Example:
    return example_of(row_of(obj), seed=seed, check_types=check_types)


def fault(obj: Any, check_types: tuple[str, ...] | None = None) -> RowError:
    with pytest.raises(RowError) as caught:
        parse(obj, check_types=check_types)
    return caught.value


def declare(**keys: Any) -> dict[str, Any]:
    return ask(text("Hi."), tools=[{"functionDeclarations": [{"name": "f", **keys}]}])


REJECTED = [
    # other formats, and no contents
    ("other_format", {"messages": [{"role": "user", "content": "x"}]}),
    ("other_format", {"input_text": "x", "output_text": "y"}),
    ("other_format", {"text_input": "x", "output": "y"}),
    ("other_format", {"prefix": "x", "suffix": "y", "image": "z.jpg"}),
    ("other_format", {"imageGcsUri": "gs://b/a.jpg", "classificationAnnotation": {"displayName": "x"}}),
    ("other_format", {"id": 1, "conversations": [{"from": "human", "value": "<image>"}]}),
    ("other_format", {"completions": [{"score": 1.0}]}),
    ("other_format", {"contents": [user(text("x"))], "completions": [{"score": 1.0}]}),
    ("other_format", {"contents": None, "messages": []}),
    ("missing_contents", {}),
    ("missing_contents", {"contents": None}),
    ("missing_contents", {"contents": []}),
    ("missing_contents", {"contents": user(text("x"))}),
    ("missing_contents", {"contents": [], "messages": []}),
    # turns
    ("bad_turn", {"contents": ["x"]}),
    ("bad_turn", {"contents": [{"role": "user"}]}),
    ("bad_turn", {"contents": [{"role": "user", "parts": None}]}),
    ("bad_turn", {"contents": [{"role": "user", "parts": []}]}),
    ("bad_turn", {"contents": [{"role": "user", "parts": {"text": "x"}}]}),
    ("bad_turn", {"contents": [{"role": "user", "content": "x"}]}),
    ("bad_turn", {"contents": [{**user(text("x")), "weight": 1}, model(text("y"))]}),
    ("bad_role", {"contents": [{"parts": [text("x")]}]}),
    ("bad_role", {"contents": [{"role": None, "parts": [text("x")]}]}),
    ("bad_role", {"contents": [{"role": ["user"], "parts": [text("x")]}]}),
    ("bad_role", {"contents": [{"role": "system", "parts": [text("x")]}]}),
    ("bad_role", {"contents": [user(text("x")), {"role": "assistant", "parts": [text("y")]}]}),
    ("bad_role", {"contents": [{"role": "User", "parts": [text("x")]}]}),
    ("turn_order", {"contents": [model(text("x"))]}),
    ("turn_order", {"contents": [user(text("x"))]}),
    ("turn_order", {"contents": [user(text("x")), user(text("y")), model(text("z"))]}),
    ("turn_order", {"contents": [user(text("x")), model(text("y")), model(text("z"))]}),
    ("turn_order", {"contents": [user(text("x")), model(text("y")), user(text("z"))]}),
    # parts
    ("bad_part", ask("x")),
    ("bad_part", ask({})),
    ("bad_part", ask({"text": None})),
    ("bad_part", ask({"text": 1})),
    ("bad_part", ask({"text": ["x"]})),
    ("bad_part", ask({**text("x"), **image()})),
    ("bad_part", ask({**text("x"), "inlineData": {}})),
    ("bad_part", ask({"type": "text", "text": "x"})),
    ("bad_part", ask({"type": "image_url", "image_url": {"url": "x"}})),
    ("bad_part", ask({**text("x"), "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}})),
    ("bad_part", ask({"mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}})),
    ("empty_text", ask(text(""))),
    ("empty_text", ask(text(" \n\t\u3000"))),
    ("empty_text", {"contents": [user(text("x")), model(text(""))]}),
    ("unsupported_part", ask({"functionCall": {"name": "f", "args": {}}})),
    ("unsupported_part", ask({"function_call": {"name": "f"}})),
    ("unsupported_part", ask({"functionResponse": {"name": "f"}})),
    ("unsupported_part", ask({"function_response": {"name": "f"}})),
    ("unsupported_part", ask({"executableCode": {"code": "x"}})),
    ("unsupported_part", ask({"code_execution_result": {"output": "x"}})),
    ("unsupported_part", ask({**text("x"), "thought": True})),
    ("unsupported_part", ask({**image(), "video_metadata": {"fps": 1}})),
    ("unsupported_part", {"contents": [user(text("x")), model({"functionCall": {"name": "f"}})]}),
    ("inline_data", ask({"inlineData": {"mimeType": "image/png", "data": "AA=="}})),
    ("inline_data", ask({"inline_data": {"mime_type": "image/png", "data": "AA=="}})),
    ("image_in_model_turn", {"contents": [user(text("x")), model(image())]}),
    ("image_in_model_turn", {"contents": [user(image()), model(text("y"), {"file_data": image()["fileData"]})]}),
    # file references
    ("bad_file_data", ask({"fileData": "gs://b/a.jpg"})),
    ("bad_file_data", ask({"fileData": {}})),
    ("bad_file_data", ask({"fileData": {"mimeType": "image/jpeg"}})),
    ("bad_file_data", ask({"fileData": {"fileUri": "gs://b/a.jpg"}})),
    ("bad_file_data", ask({"fileData": {"mimeType": "image/jpeg", "fileUri": None}})),
    ("bad_file_data", ask({"fileData": {"mimeType": "image/jpeg", "uri": "gs://b/a.jpg"}})),
    ("bad_file_data", ask({"fileData": {**image()["fileData"], "size": "1"}})),
    ("bad_file_data", ask({"fileData": {**image()["fileData"], "displayName": 1}})),
    ("bad_file_data", ask(image(""))),
    ("bad_file_data", ask(image(" "))),
    ("bad_file_data", ask(image(7))),  # type: ignore[arg-type]
    ("bad_file_data", ask(image(mime=""))),
    ("bad_file_data", ask(image(mime=["image/jpeg"]))),  # type: ignore[arg-type]
    ("bad_file_data", ask(image(mime="jpeg"))),
    ("bad_file_data", ask(image(mime="image/"))),
    ("bad_file_data", ask(image(mime="image/*"))),
    ("bad_file_data", ask(image(mime="image/jpeg;charset=utf-8"))),
    ("bad_file_data", ask(image(mime=" image/jpeg"))),
    ("unsupported_media", ask(image(mime="application/pdf"))),
    ("unsupported_media", ask(image(mime="video/mp4"))),
    ("unsupported_media", ask(image(mime="AUDIO/mpeg"))),
    # systemInstruction
    ("bad_system_instruction", ask(text("x"), systemInstruction="Be brief.")),
    ("bad_system_instruction", ask(text("x"), systemInstruction={})),
    ("bad_system_instruction", ask(text("x"), systemInstruction={"parts": []})),
    ("bad_system_instruction", ask(text("x"), systemInstruction={"parts": text("Be brief.")})),
    ("bad_system_instruction", ask(text("x"), systemInstruction={"parts": ["Be brief."]})),
    ("bad_system_instruction", ask(text("x"), systemInstruction={"parts": [text(" ")]})),
    ("bad_system_instruction", ask(text("x"), systemInstruction={"parts": [text("x"), image()]})),
    ("bad_system_instruction", ask(text("x"), systemInstruction={"parts": [{**text("x"), "thought": True}]})),
    ("bad_system_instruction", ask(text("x"), systemInstruction={"parts": [text("x")], "text": "y"})),
    ("bad_system_instruction", ask(text("x"), system_instruction="Be brief.")),
    # both spellings of one key
    ("duplicate_key", ask(text("x"), systemInstruction=None, system_instruction={"parts": [text("y")]})),
    ("duplicate_key", ask(text("x"), generationConfig={}, generation_config={})),
    ("duplicate_key", ask(text("x"), generationConfig={"topP": 1, "top_p": 1})),
    ("duplicate_key", ask({**image(), "file_data": image()["fileData"]})),
    ("duplicate_key", ask({"fileData": {**image()["fileData"], "mime_type": "image/png"}})),
    ("duplicate_key", ask({"fileData": {**image()["fileData"], "file_uri": "gs://b/b.jpg"}})),
    ("duplicate_key", ask({"inlineData": {}, "inline_data": {}})),
    ("duplicate_key", ask({"functionCall": {}, "function_call": {}})),
    ("duplicate_key", ask({**image(), "mediaResolution": {}, "media_resolution": {}})),
    ("duplicate_key", ask(text("x"), tools=[{"functionDeclarations": [], "function_declarations": []}])),
    ("duplicate_key", declare(parametersJsonSchema={}, parameters_json_schema={})),
    # reading
    ("not_json", b'{"contents": ['),
    ("not_utf8", b'{"contents": "\xff"}'),
    ("duplicate_key", b'{"contents": [], "contents": []}'),
    ("too_deep", b'{"contents": ' + b"[" * 300 + b"]" * 300 + b"}"),
    ("not_an_object", b"[]"),
    # rejected lines that cannot be replayed
    ("not_an_object", {"tuneset": "rejected/1", "source": "gs://b/x.jsonl", "offset": 7}),
    ("not_an_object", {"tuneset": "rejected/1", "row": ["x"]}),
    ("not_an_object", {"tuneset": "rejected/1", "row_base64": "%%%"}),
    ("not_an_object", {"tuneset": "rejected/1", "row_base64": base64.b64encode(b"[]").decode()}),
    ("not_json", {"tuneset": "rejected/1", "row_base64": base64.b64encode(b"{").decode()}),
    ("turn_order", {"tuneset": "rejected/1", "row": {"contents": [model(text("x"))]}}),
]


@pytest.mark.parametrize(("reason", "obj"), REJECTED)
def test_each_broken_rule_has_its_reason(reason: str, obj: Any) -> None:
    error = fault(obj)
    assert (error.reason, REASONS[reason].stage in {"read", "rules"}) == (reason, True)
    assert str(error) == error.detail != ""


def test_details_say_where_and_what() -> None:
    rows: tuple[Any, ...] = (
        {"contents": [user(text("x"), text("")), model(text("y"))]},
        {"contents": [user(text("x")), {"role": "assistant", "parts": []}]},
        ask(image("gs://b/a.pdf", "application/pdf")),
        {"messages": []},
        {"tuneset": "rejected/1"},
    )
    assert [(fault(obj).detail, fault(obj).image) for obj in rows] == [
        ("contents[0].parts[1]: text is blank", ""),
        ("contents[1]: role is 'assistant', not user or model", ""),
        ("contents[0].parts[0]: application/pdf cannot be used as it is", "gs://b/a.pdf"),
        ("the row is in the format messages (OpenAI)", ""),
        ("the row was cut when it was rejected: take it from its source and offset", ""),
    ]  # fmt: skip


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


@pytest.mark.parametrize("mime", ["image/gif", "image/bmp", "image/tiff", "image/avif", "image/GIF"])
def test_a_type_that_needs_converting_needs_a_look_at_the_file(mime: str) -> None:
    error = fault(ask(image("gs://b/x", mime)), check_types=CONFORMING)
    assert (error.reason, error.image) == ("unsupported_media", "gs://b/x")


@pytest.mark.parametrize("mime", ["image/jpg", "image/PNG", "image/webp", "image/heic", "image/heif"])
def test_a_type_that_conforms_needs_no_look(mime: str) -> None:
    assert len(parse(ask(image(mime=mime)), check_types=CONFORMING).images) == 1
    assert fault(ask(image(mime=mime)), check_types=()).reason == "unsupported_media"


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


@pytest.mark.parametrize(("length", "tokens"), [(2, 1), (3, 1), (4, 1), (5, 2), (8, 2), (9, 3)])
def test_text_counts_four_bytes_a_token_rounded_up(length: int, tokens: int) -> None:
    example = parse({"contents": [user(text("x" * (length - 1))), model(text("y"))]})
    assert estimate_tokens(example, PROFILES["gemini-3"]) == tokens


def test_counted_text_gives_the_tokens_that_counting_it_gives() -> None:
    low, system = {"level": "MEDIA_RESOLUTION_LOW"}, {"parts": [text("é")]}
    for obj, text_bytes in (
        (ask(image(), text("é\u2028"), image(), systemInstruction=system), 5 + 10),
        (ask({"text": "xx", "thought": None}, generationConfig={"mediaResolution": low["level"]}), 2 + 10),
        (ask({**image(), "mediaResolution": low}, text("xx")), -1),
    ):
        example = parse(obj)
        assert example.text_bytes == text_bytes
        for profile in PROFILES.values():
            told, counted = estimate_tokens(example, profile), estimate_tokens(replace(example, text_bytes=-1), profile)
            assert told == counted
        two = [*example.contents, *example.contents]
        assert estimate_tokens(example, profile, contents=two) > estimate_tokens(example, profile)
    example = parse(ask(image("a"), text("1"), image("b"), text("2")))
    drop_images(example, {0})
    assert (example.text_bytes, estimate_tokens(example, PROFILES["gemini-3"])) == (-1, 1120 + 3)


def test_tokens_of_images_follow_the_profile() -> None:
    low, high = {"mediaResolution": "MEDIA_RESOLUTION_LOW"}, {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"}
    plain = parse({"contents": [user(image("a"), image("b"), text("éé")), model(text("yyyy"))]})
    whole = parse({**ask({**image("a"), "mediaResolution": high}, image("b"), text("xxxx")), "generationConfig": low})
    odd = parse(ask(image("a"), text("xx"), generationConfig="?"))
    tuning, three = PROFILES["image-tuning"], PROFILES["gemini-3"]
    sizes = {"a": (960, 540), "b": (384, 384)}
    assert [
        estimate_tokens(plain, tuning),
        estimate_tokens(plain, tuning, sizes),
        estimate_tokens(plain, three),
        estimate_tokens(plain, three, sizes),
        estimate_tokens(whole, tuning, sizes),
        estimate_tokens(whole, three, sizes),
        estimate_tokens(odd, three),
        estimate_tokens(plain, three, None, plain.contents[1:]),
    ] == [514, 514 + 6 * 256, 2242, 2242, 256 + 64 + 4, 2240 + 280 + 4, 1120 + 3, 1]


def test_system_instruction_and_tools_count_as_text() -> None:
    example = parse(ask(text("xx"), systemInstruction={"parts": [text("ssss"), text("ééss")]}, tools=[{"a": 1}]))
    assert estimate_tokens(example, PROFILES["gemini-3"]) == -(-(2 + 10 + 4 + 6 + len('[{"a":1}]')) // 4)


@pytest.mark.parametrize(
    ("size", "number"),
    [((1, 1), 0), ((384, 384), 0), ((385, 384), 4), ((960, 540), 6), ((3072, 3072), 16), ((9000, 9000), 16),
     ((100_000, 1), 12), ((1, 100_000), 12)],
)  # fmt: skip
def test_tiles(size: tuple[int, int], number: int) -> None:
    assert tiles(*size) == number


def test_profiles_state_the_limits() -> None:
    shared = {"max_image_bytes": 20_000_000, "max_file_bytes": 10**9, "max_file_examples": 300_000}
    found = {
        name: (profile.name, profile.max_images, profile.max_validation, profile.max_tokens)
        for name, profile in PROFILES.items()
        if profile.source and {key: getattr(profile, key) for key in shared} == shared
    }
    assert found == {
        "image-tuning": ("image-tuning", 16, 5000, 131_072),
        "gemini-1.5": ("gemini-1.5", 16, 256, 32_000),
        "gemini-2.0": ("gemini-2.0", 30, 5000, 131_072),
        "gemini-2.5": ("gemini-2.5", 30, 5000, 131_072),
        "gemini-3": ("gemini-3", 30, 5000, 131_072),
    }


def captioned() -> dict[str, Any]:
    first = user(image("a"), text("A."), image("b"), text("B."), text("Compare."))
    return {"contents": [first, model(text("y")), user(image("c")), model(text("z"))]}


def kept(example: Example) -> list[list[str]]:
    return [
        [part["text"] if "text" in part else part["fileData"]["fileUri"] for part in turn["parts"]]
        for turn in example.contents
    ]


@pytest.mark.parametrize(
    ("bad", "left"),
    [
        (set(), [["a", "A.", "b", "B.", "Compare."], ["y"], ["c"], ["z"]]),
        ({0}, [["b", "B.", "Compare."], ["y"], ["c"], ["z"]]),
        ({1}, [["a", "A.", "Compare."], ["y"], ["c"], ["z"]]),
        ({0, 1}, [["Compare."], ["y"], ["c"], ["z"]]),
    ],
)
def test_a_dropped_image_takes_its_caption_along(bad: set[int], left: list[list[str]]) -> None:
    example = parse(captioned())
    drop_images(example, bad)
    assert kept(example) == left
    assert [data["fileUri"] for data in example.images] == [name for turn in left for name in turn if name in "abc"]
    assert example.id == parse(captioned()).id


@pytest.mark.parametrize(
    ("bad", "reason", "detail"),
    [
        ({2}, "empty_turn", "contents[2] held nothing but images that cannot be used"),
        ({0, 2}, "empty_turn", "contents[2] held nothing but images that cannot be used"),
        ({0, 1, 2}, "no_images_left", "none of the 3 images can be used"),
    ],
)
def test_an_example_that_loses_too_much_is_rejected_unchanged(bad: set[int], reason: str, detail: str) -> None:
    example = parse(captioned())
    with pytest.raises(RowError) as caught:
        drop_images(example, bad)
    assert (caught.value.reason, caught.value.detail) == (reason, detail)
    assert example == parse(captioned())
