"""Images that stand in lines of JSON as data: URIs: decoded, and staged by their content, before anything is made of the rows.

    "image_url": {"url": "data:image/png;base64,iVBO..."}    becomes    "image_url": {"url": "images/ab/ab12.png", "content": "ab12"}

What the bytes are is told by themselves, whatever the URI says. One that cannot be decoded stays where it is, and whoever makes an
example of the row rejects it.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import OpenBlock
from transforms.examples.recipe import STAGED

Stage = Callable[[bytes], tuple[str, str]]  # an image's bytes -> where it is now, and the digest of its content

LINE_BYTES = 64_000_000  # that a row may have by default: an image of 20 MB takes 27 as base64
_IN_LINE = re.compile(rb'"\s*data:', re.IGNORECASE)
_KEYS = ("image_url", "url", "image", "images", "path")  # that name images
_URI = re.compile(r"\s*data:([^,]*),", re.IGNORECASE)
_BLANKS = re.compile(rb"[\t\n\f\r ]+")


def is_data_uri(text: str) -> bool:
    return text.lstrip()[:5].lower() == "data:"


def decoded(uri: str) -> bytes | None:
    """The bytes of a data: URI; None if it is damaged.

    >>> decoded("data:image/png;base64,aGk="), decoded("data:,a%20b"), decoded("data:;base64,a")
    (b'hi', b'a b', None)
    """
    found = _URI.match(uri)
    if not found:
        return None
    data = uri[found.end() :].encode(errors="surrogatepass")
    if b"%" in data:
        data = unquote_to_bytes(data)
    if not found[1].replace(" ", "").lower().endswith(";base64"):
        return data
    data = _BLANKS.sub(b"", data).rstrip(b"=")
    try:
        return base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except binascii.Error:
        return None


def stage_data_uris(opened: OpenBlock, stage: Stage) -> OpenBlock:
    """The rows of a block, whose data: URIs are places by now."""
    for row in opened.rows:
        if not _IN_LINE.search(row.raw):
            continue
        try:
            obj = jsonl.loads(row.raw)
        except RowError:
            continue  # it is rejected as it is
        row.raw = jsonl.dumps(_placed(obj, stage))
    return opened


def _placed(value: Any, stage: Stage, key: str = "") -> Any:
    """A value with places instead of data: URIs; `key`: that it stands under."""
    if isinstance(value, list):
        return [_placed(item, stage, key) for item in value]
    if isinstance(value, dict):
        named = next((name for name in ("url", "path") if _is_inline(value.get(name))), "")
        placed = _staged(value[named], stage) if named else None
        rest = {name: _placed(item, stage, name) for name, item in value.items() if not placed or name != named}
        return rest | placed if placed else rest
    if key in _KEYS and _is_inline(value):
        return _staged(value, stage) or value
    return value


def _is_inline(value: Any) -> bool:
    return isinstance(value, str) and is_data_uri(value)


def _staged(uri: str, stage: Stage) -> dict[str, str] | None:
    data = decoded(uri)
    if data is None:
        return None
    place, content = stage(data)
    return {"url": place, STAGED: content}
