"""The rules of an example: every case with its reason, and where and what its details say."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from gemini_rows import CONFORMING, ask, fault, image, model, parse, text, user

from transforms.core.reasons import REASONS


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


@pytest.mark.parametrize("mime", ["image/gif", "image/bmp", "image/tiff", "image/avif", "image/GIF"])
def test_a_type_that_needs_converting_needs_a_look_at_the_file(mime: str) -> None:
    error = fault(ask(image("gs://b/x", mime)), check_types=CONFORMING)
    assert (error.reason, error.image) == ("unsupported_media", "gs://b/x")


@pytest.mark.parametrize("mime", ["image/jpg", "image/PNG", "image/webp", "image/heic", "image/heif"])
def test_a_type_that_conforms_needs_no_look(mime: str) -> None:
    assert len(parse(ask(image(mime=mime)), check_types=CONFORMING).images) == 1
    assert fault(ask(image(mime=mime)), check_types=()).reason == "unsupported_media"
