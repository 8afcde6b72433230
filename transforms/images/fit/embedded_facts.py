"""What a rewritten picture says about itself. (bytes, facts) -> bytes; bytes -> facts.

A later run finds a picture by its name alone, and takes from its first 64 KiB what became of its source, without the record of the
run that made it. Facts are canonical JSON, so that equal pictures are equal bytes.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

_MARK = b"tuneset "  # begins the JPEG comment
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEAD = 33  # signature and IHDR
_MAX_FACTS = 32_768  # bytes: found in the first 64 KiB with room to spare

Facts = dict[str, "str | int | float"]


def embed_facts(data: bytes, image_type: str, facts: Facts) -> bytes:
    """Put facts into a JPEG (a comment right after SOI and APP0) or PNG (a tEXt chunk right after IHDR).

    Raises:
        ValueError: the facts take more than 32 KiB, or hold a number that JSON cannot.
    """
    at = _PNG_HEAD if image_type == "png" else _after_app0(data)
    rest = memoryview(data)  # a picture of 20 MB is copied once, not twice
    return b"".join((rest[:at], segment(facts, image_type), rest[at:]))


def read_facts(head: bytes) -> Facts | None:
    """The facts of a rewritten picture from its first 64 KiB; None for any other bytes, however odd."""
    if head.startswith(_PNG):
        chunks = head[len(_PNG) : _PNG_HEAD], head[_PNG_HEAD : _PNG_HEAD + 12 + int.from_bytes(head[33:37], "big")]
        for chunk, kind in zip(chunks, (b"IHDR", b"tEXttuneset\0")):
            size, body, crc = int.from_bytes(chunk[:4], "big"), chunk[4:-4], chunk[-4:]
            if len(body) != size + 4 or not body.startswith(kind) or zlib.crc32(body) != int.from_bytes(crc, "big"):
                return None
        return _parse(body[12:])
    at = _after_app0(head)
    length = int.from_bytes(head[at + 2 : at + 4], "big")
    comment = head[at : at + 2 + length]
    if head[:2] != b"\xff\xd8" or len(comment) != length + 2 or comment[:2] != b"\xff\xfe" or comment[4:12] != _MARK:
        return None
    return _parse(comment[12:])


def without_facts(head: bytes) -> tuple[bytes, int]:
    """The first bytes of a rewritten picture without its facts, and how many bytes these take: what equal pictures share."""
    if head.startswith(_PNG):
        at, size = _PNG_HEAD, 12 + int.from_bytes(head[_PNG_HEAD : _PNG_HEAD + 4], "big")
    else:
        at = _after_app0(head)
        size = 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return head[:at] + head[at + size :], size


def _after_app0(jpeg: bytes) -> int:
    return 4 + int.from_bytes(jpeg[4:6], "big") if jpeg[2:4] == b"\xff\xe0" else 2


def _canonical(facts: dict[str, Any]) -> bytes:
    return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def segment(facts: Facts, image_type: str) -> bytes:
    """The JPEG comment or PNG chunk that `embed_facts` puts in: its length is what facts cost.

    Raises:
        ValueError: as `embed_facts`.
    """
    text = _canonical(facts)
    if len(text) > _MAX_FACTS:
        raise ValueError(f"facts take {len(text)} bytes; at most {_MAX_FACTS} are embedded")
    if image_type == "jpeg":
        return b"\xff\xfe" + (len(_MARK) + len(text) + 2).to_bytes(2, "big") + _MARK + text
    body = b"tEXttuneset\0" + text
    return (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")


def _parse(text: bytes) -> Facts | None:
    """Only what `_canonical` would write again byte for byte: no duplicate keys, no NaN, no nesting."""
    if len(text) > _MAX_FACTS:
        return None
    try:
        facts = json.loads(text.decode("ascii"))
        if not isinstance(facts, dict) or any(type(value) not in (str, int, float) for value in facts.values()):
            return None
        return facts if _canonical(facts) == text else None
    except (ValueError, RecursionError):
        return None
