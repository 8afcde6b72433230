"""A conversation of another format, told in Gemini's turns -> Example. What formats of conversations share."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from transforms.core import jsonl
from transforms.core.media_types import type_by_name
from transforms.core.records import Example, Record
from transforms.examples.gemini_rules import parse_example
from transforms.examples.recipe import STAGED
from transforms.inputs.formats.row_rules import RowRules

_IMAGE_KEYS = ("image_url", "image", "url", "path")  # of a part of a message that names its image


def image_of_part(part: dict[str, Any]) -> Any:
    """What a part of a message names its image by; None if it names none."""
    for key in _IMAGE_KEYS:
        if value := part.get(key):
            return value
    return None


def named_image(value: Any) -> tuple[str, str]:
    """(the URI or path, the digest of its content if it stood in the row) of an image; ("", "") of what names none."""
    if isinstance(value, dict):
        content = value.get(STAGED)
        named = next((value[key] for key in ("url", "path") if isinstance(value.get(key), str)), "")
        return named, content if isinstance(content, str) else ""
    return (value, "") if isinstance(value, str) else ("", "")


def image_part(uri: str, content: str = "") -> dict[str, Any]:
    """An image as Gemini's part; its type is told by its name until it is looked at. content: as named_image tells it."""
    data = {"mimeType": f"image/{type_by_name(uri)}", "fileUri": uri}
    return {"fileData": data | {STAGED: content} if content else data}


def add_turn(contents: list[dict[str, Any]], role: str, parts: list[dict[str, Any]]) -> None:
    """Add a turn of user or model; messages of the user in a row become one turn."""
    if role == "user" and contents and contents[-1]["role"] == role:
        contents[-1]["parts"] += parts
    else:
        contents.append({"role": role, "parts": parts})


def body_of(contents: list[dict[str, Any]], system: list[dict[str, Any]]) -> dict[str, Any]:
    """A row of Gemini's of turns, and the parts of what the system says."""
    return {"contents": contents} | ({"systemInstruction": {"role": "system", "parts": system}} if system else {})


def example_of_body(
    row: Record, base: str, rules: RowRules, body: dict[str, Any], own_keys: Collection[str]
) -> Example:
    """The example of a row of Gemini's that a row of another format became.

    Args:
        base: folder that relative image paths start from.
        own_keys: keys of the row that `body` tells; the others are columns.

    Raises:
        RowError: as parse_example.
    """
    places: dict[str, str] = {}  # by content: the id is of what an image holds, not of where this run put it
    for turn in body["contents"]:
        for part in turn["parts"]:
            data = part.get("fileData")
            if data and (content := data.pop(STAGED, "")):
                places[content], data["fileUri"] = data["fileUri"], content
    parsed = body, jsonl.canonical(body)
    example = parse_example(row, seed=rules.seed, check_types=rules.check_types, base=base, parsed=parsed)
    for image in example.images if places else ():
        image["fileUri"] = places.get(image["fileUri"], image["fileUri"])
    example.columns = {name: value for name, value in row.columns.items() if name not in own_keys}
    return example
