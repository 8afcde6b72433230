"""One line of JSONL: strict JSON in, ASCII JSON out. bytes <-> dict; rejects what readers would disagree about.

The only importer of orjson, which already refuses NaN, numbers beyond a double, lone surrogates and bad UTF-8, but
takes duplicate keys (the last one wins) and 1,024 levels. Integers beyond 64 bits become floats, as in most readers.
"""

from __future__ import annotations

import codecs
import json
from typing import Any

import orjson

from transforms.core.reasons import RowError

MAX_DEPTH = 200  # levels of objects and arrays; a `{}` alone is one level

_SORTED = orjson.OPT_SORT_KEYS
_BACKSLASH, _DELETE = ord("\\"), 0x7F
_ROUND = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_NOT_MARKS = bytes(set(range(256)) - set(b"{[:"))
_encode_ascii = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode


def loads(raw: bytes) -> dict[str, Any]:
    """The object of one line.

    Args:
        raw: the line without its end; it may begin with a UTF-8 byte order mark.

    Raises:
        RowError: not_utf8, not_json (with the byte's position), duplicate_key, too_deep or not_an_object.

    >>> loads(b'{"a": [1, "b"]}')
    {'a': [1, 'b']}
    """
    return loads_canonical(raw)[0]


def loads_canonical(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """`loads(raw)` and its `canonical` form, which the search for duplicate keys needs anyway."""
    if raw.startswith(codecs.BOM_UTF8):
        raw = raw[3:]
    try:
        obj = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise _fault(raw, error) from None
    marks = raw.translate(None, _NOT_MARKS)  # one walk over the line in place of three
    colons = marks.count(b":")
    # An upper bound that nearly every line passes; brackets inside texts count too, hence the second look.
    if len(marks) - colons > MAX_DEPTH and _deeper(raw, MAX_DEPTH):
        raise RowError("too_deep", f"the line nests deeper than {MAX_DEPTH} levels")
    if obj.__class__ is not dict:
        raise RowError("not_an_object", f"the line is {_kind(obj)}, not an object")
    compact = orjson.dumps(obj, None, _SORTED)
    # A dropped duplicate takes at least its own colon along and nothing adds one, unless one is written as an escape.
    if colons != compact.count(b":") or (_BACKSLASH in raw and b"\\u003" in raw):
        json.loads(raw, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    return obj, compact


def canonical(obj: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no white space: equal for equal values, so what ids are made of.

    >>> canonical({"b": 1, "a": "é"}).decode()
    '{"a":"é","b":1}'
    """
    return orjson.dumps(obj, None, _SORTED)


def text(obj: Any) -> str:
    """UTF-8 JSON in insertion order and without white space, as a text: what stands inside an answer.

    >>> text({"b": "é", "a": None})
    '{"b":"é","a":null}'
    """
    return orjson.dumps(obj).decode()


def dumps(obj: Any) -> bytes:
    r"""One line without its end: compact, in insertion order, ASCII (some readers split lines at U+2028 and the like).

    The same bytes as `json.dumps(obj, separators=(",", ":"))` for objects, arrays, strings, booleans, null and integers
    of 64 bits. A float may be written in another form of the same number (`1e-7` for `1e-07`).

    Raises:
        TypeError: `obj` holds an integer beyond 64 bits, a lone surrogate, or what is no JSON value.

    >>> dumps({"b": "é", "a": 1})
    b'{"b":"\\u00e9","a":1}'
    """
    out = orjson.dumps(obj)
    if out.isascii() and _DELETE not in out:
        return out
    return _encode_ascii(obj).encode()


def escape(raw: bytes) -> bytes:
    """The same JSON text in ASCII and in one line.

    In valid JSON, what is not ASCII stands in strings alone, and a line end outside them, where it is white space.
    """
    raw = raw.replace(b"\r", b" ").replace(b"\n", b" ")
    if raw.isascii():
        return raw
    return raw.decode().removeprefix("\ufeff").encode("ascii", "tuneset.json")


def _escaped(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    units = error.object[error.start : error.end].encode("utf-16-be").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4)), error.end


codecs.register_error("tuneset.json", _escaped)


def _deeper(raw: bytes, levels: int) -> bool:
    """Whether valid JSON nests deeper than `levels`: strings go, then one level of brackets at a time."""
    outside = raw.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    brackets = b"".join(outside).translate(_ROUND, _NOT_BRACKETS)
    for _ in range(levels):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _unique(pairs: list[tuple[str, Any]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise RowError("duplicate_key", f"the key {key[:80]!r} stands twice in one object")
        seen.add(key)


def _fault(raw: bytes, error: orjson.JSONDecodeError) -> RowError:
    """Why orjson refused a line, with the position in bytes."""
    try:
        text = raw.decode()
    except UnicodeDecodeError as wrong:
        return RowError("not_utf8", f"byte {wrong.start} (0x{raw[wrong.start]:02x}) is not UTF-8")
    if error.msg == "depth limit exceeded":  # 1,024 levels
        return RowError("too_deep", f"the line nests deeper than {MAX_DEPTH} levels")
    return RowError("not_json", f"{error.msg}, at byte {len(text[: error.pos].encode())}")


def _kind(value: Any) -> str:
    names = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
