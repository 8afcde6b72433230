"""Strict reading and ASCII writing of one line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core import jsonl
from transforms.core.reasons import RowError

quick = settings(max_examples=70)
scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=12)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=15,
)
objects = st.dictionaries(st.text(max_size=6), values, max_size=4)


def fault(raw: bytes) -> tuple[str, str]:
    with pytest.raises(RowError) as caught:
        jsonl.loads(raw)
    return caught.value.reason, caught.value.detail


@pytest.mark.parametrize(
    ("raw", "reason", "detail"),
    [
        (b"", "not_json", "Input is a zero-length, empty document, at byte 0"),
        (b'{"a": 1', "not_json", "unexpected end of data, at byte 7"),
        ('{"é": 日}'.encode(), "not_json", "unexpected character, expected a JSON value, at byte 7"),
        (b'{"a": NaN}', "not_json", "unexpected character, expected a JSON value, at byte 6"),
        (b'{"a": -Infinity}', "not_json", None),
        (b'{"a": 1e999}', "not_json", None),
        (b'{"a": "\\ud800"}', "not_json", None),
        (b'{"a": "\\udc00\\ud800"}', "not_json", None),
        (b'{"a": 1} {"b": 2}', "not_json", None),
        (b"{'a': 1}", "not_json", None),
        (b'{"a": 1,}', "not_json", None),
        (b'{"a": "\t"}', "not_json", None),
        (b'{"a": "caf\xe9"}', "not_utf8", "byte 10 (0xe9) is not UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not_utf8", "byte 7 (0xed) is not UTF-8"),
        (b"[]", "not_an_object", "the line is an array, not an object"),
        (b'"a"', "not_an_object", "the line is a string, not an object"),
        (b"1", "not_an_object", "the line is a number, not an object"),
        (b"true", "not_an_object", "the line is a boolean, not an object"),
        (b"null", "not_an_object", "the line is null, not an object"),
        (b'{"a": 1, "a": 1}', "duplicate_key", "the key 'a' stands twice in one object"),
        (b'{"a": 1, "\\u0061": 1}', "duplicate_key", "the key 'a' stands twice in one object"),
        (b'{"a": {"b": [{"c": 1, "c": 2}]}}', "duplicate_key", "the key 'c' stands twice in one object"),
        # The escaped colon makes up for the one that the dropped pair takes along.
        (b'{"a": 1, "b": "\\u003a", "a": 1}', "duplicate_key", "the key 'a' stands twice in one object"),
        (b'{"a": 1, "b": "\\u003A", "a": 1}', "duplicate_key", "the key 'a' stands twice in one object"),
    ],
)
def test_what_is_refused(raw: bytes, reason: str, detail: str | None) -> None:
    found = fault(raw)
    assert found == (reason, found[1] if detail is None else detail)


@pytest.mark.parametrize(
    ("raw", "obj"),
    [
        (b"{}", {}),
        (b"\xef\xbb\xbf{}", {}),
        (b' {"a" : 1}\r', {"a": 1}),
        (b'{"a": ":", ":": "\\u003a:"}', {"a": ":", ":": "::"}),
        (b'{"a": {"b": 1}, "b": {"a": 1}}', {"a": {"b": 1}, "b": {"a": 1}}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a": 9007199254740993}', {"a": 9007199254740993}),
    ],
)
def test_what_is_read(raw: bytes, obj: object) -> None:
    assert jsonl.loads(raw) == obj


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"k":', b"}")])
@pytest.mark.parametrize(("levels", "fine"), [(199, True), (200, True), (201, False), (1100, False)])
def test_depth(opening: bytes, closing: bytes, levels: int, fine: bool) -> None:
    raw = b'{"a":' + opening * (levels - 1) + b"1" + closing * (levels - 1) + b"}"
    if fine:
        assert jsonl.dumps(jsonl.loads(raw)) == raw
    else:
        assert fault(raw) == ("too_deep", "the line nests deeper than 200 levels")


def test_brackets_in_texts_and_side_by_side_are_no_depth() -> None:
    obj = {"a": "[{" * 300 + '"\\' + "[" * 300, "b": [[] for _ in range(300)], '\\"{': [{}] * 300}
    assert jsonl.loads(json.dumps(obj).encode()) == obj


def test_depth_that_a_dropped_duplicate_hides_is_still_refused() -> None:
    assert fault(b'{"a":' + b"[" * 300 + b"]" * 300 + b',"a":1}')[0] == "too_deep"


@quick
@given(objects, st.sampled_from([None, 1]), st.booleans())
def test_reads_what_json_reads(obj: dict[str, Any], indent: int | None, ascii_only: bool) -> None:
    raw = json.dumps(obj, indent=indent, ensure_ascii=ascii_only).encode()
    assert jsonl.loads_canonical(raw) == (obj, jsonl.canonical(obj))


@quick
@given(objects)
def test_writes_what_json_writes(obj: dict[str, Any]) -> None:
    assert jsonl.dumps(obj) == json.dumps(obj, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "text", ["".join(map(chr, range(0xD800))), "\x7f", "\u2028\u2029\x85", "😀\U0010ffff", "\\é\\x41"]
)
def test_writes_every_character_as_json_does(text: str) -> None:
    assert jsonl.dumps([text]) == json.dumps([text], separators=(",", ":")).encode()


@pytest.mark.parametrize("value", ["\ud800", 2**64, {1, 2}])
def test_refuses_to_write_what_could_not_be_read(value: object) -> None:
    with pytest.raises(TypeError):
        jsonl.dumps({"é": value})


@quick
@given(objects)
def test_canonical_ignores_key_order(obj: dict[str, Any]) -> None:
    assert jsonl.canonical(dict(reversed(obj.items()))) == jsonl.canonical(obj)
    assert json.loads(jsonl.canonical(obj)) == obj


def text_with_duplicate(draw: st.DrawFn, levels: int) -> str:
    """JSON text of an object that holds, `levels` objects down, one key twice."""
    inner = draw(objects)
    key = draw(st.text(max_size=5))
    pairs = [(k, json.dumps(v, ensure_ascii=draw(st.booleans()))) for k, v in inner.items() if k != key]
    if levels:
        pairs.append((key, text_with_duplicate(draw, levels - 1)))
    else:
        pairs += [(key, json.dumps(draw(values))), (key, json.dumps(draw(values)))]
    pairs = draw(st.permutations(pairs))
    escape = draw(st.booleans())
    names = [
        "".join(f"\\u{ord(c):04x}" for c in k) if escape and k.isascii() else json.dumps(k)[1:-1] for k, _ in pairs
    ]
    return "{" + ",".join(f'"{name}": {value}' for name, (_, value) in zip(names, pairs, strict=True)) + "}"


@quick
@given(st.data(), st.integers(0, 4))
def test_finds_a_duplicate_at_any_depth(data: st.DataObject, levels: int) -> None:
    raw = data.draw(st.composite(lambda draw: text_with_duplicate(draw, levels))()).encode()
    assert fault(raw)[0] == "duplicate_key"


@quick
@given(st.binary(max_size=40) | st.text(alphabet='{}[]":,\\u03a1e9 ', max_size=30).map(str.encode))
def test_any_bytes_give_an_object_or_a_reason(raw: bytes) -> None:
    try:
        obj = jsonl.loads(raw)
    except RowError as error:
        assert error.reason in {"not_utf8", "not_json", "duplicate_key", "not_an_object"}
    else:
        assert obj == json.loads(raw.decode("utf-8-sig"))
