"""The way back: a line of a dataset as a row of OpenAI's vision fine-tuning, which `openai_example` makes the same contents of."""

from __future__ import annotations

from typing import Any

from transforms.core.reasons import RowError

_DETAILS = {"MEDIA_RESOLUTION_LOW": "low", "MEDIA_RESOLUTION_HIGH": "high"}
_ROLES = {"user": "user", "model": "assistant"}
_TOLD = ("contents", "systemInstruction", "generationConfig")


def openai_row(line: dict[str, Any]) -> dict[str, Any]:
    """The row of a line.

    Raises:
        RowError: unsupported_part, it holds what OpenAI's rows have no place for.
    """
    other = next((key for key in line if key not in _TOLD and line[key]), "")
    config = line.get("generationConfig") or {}
    if other or set(config) - {"mediaResolution"}:
        raise RowError("unsupported_part", f"{other or 'generationConfig'} has no place in OpenAI's rows")
    messages = []
    if system := line.get("systemInstruction"):
        messages.append({"role": "system", "content": [_part(part, "") for part in system["parts"]]})
    resolution = config.get("mediaResolution", "")
    for turn in line["contents"]:
        content = [_part(part, resolution) for part in turn["parts"]]
        alone = turn["role"] == "model" and len(content) == 1
        messages.append({"role": _ROLES[turn["role"]], "content": content[0]["text"] if alone else content})
    return {"messages": messages}


def _part(part: dict[str, Any], resolution: str) -> dict[str, Any]:
    """A part of a message; `resolution`: of all images of the line."""
    if set(part) == {"text"}:
        return {"type": "text", "text": part["text"]}
    level = (part.get("mediaResolution") or {}).get("level") or resolution
    if "fileData" not in part or set(part) - {"fileData", "mediaResolution"} or (level and level not in _DETAILS):
        found = ", ".join(key for key in part if key != "fileData")
        raise RowError(
            "unsupported_part", f"{found or 'a part'} {level} has no place in OpenAI's rows".replace("  ", " ")
        )
    image = {"url": part["fileData"]["fileUri"]}
    return {"type": "image_url", "image_url": image | ({"detail": _DETAILS[level]} if level else {})}
