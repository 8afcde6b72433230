"""Rows in Gemini's format, and what parsing makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from transforms.core.reasons import RowError
from transforms.core.records import Example, Row
from transforms.inputs.rows import example_of


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


CONFORMING = ("png", "jpeg", "webp", "heic", "heif")
