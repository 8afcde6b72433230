"""Estimate what an example costs a model. (Example, profile) -> tokens; rejects nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.core import jsonl
from transforms.core.limits import Profile
from transforms.core.records import Example


def estimate_tokens(
    example: Example,
    profile: Profile,
    sizes: Mapping[str, tuple[int, int]] | None = None,
    contents: list[dict[str, Any]] | None = None,
) -> int:
    """Tokens of an example, or of one piece of it: text at 4 bytes a token, rounded up, and its images.

    Args:
        example: gives systemInstruction and tools, which count as text, and generationConfig's media resolution.
        profile: gives the tokens of an image.
        sizes: fileUri -> (width, height) in pixels, as far as known.
        contents: of the piece; by default the whole example's.
    """
    head = example.head
    size, resolution = 0, ""
    if head:
        if "tools" in head:
            size += len(jsonl.canonical(head["tools"]))
        for part in head["systemInstruction"]["parts"] if "systemInstruction" in head else ():
            size += len(part["text"].encode())
        resolution = _level(head.get("generationConfig"), "mediaResolution")
    usual = profile.image_tokens.estimate(resolution)
    if example.text_bytes >= 0 and (contents is None or contents is example.contents):
        size += example.text_bytes
        if not sizes:
            return usual * len(example.images) - (-size // 4)
        known = [sizes.get(image["fileUri"]) for image in example.images]
        return sum(profile.image_tokens.estimate(resolution, pixels) for pixels in known) - (-size // 4)
    tokens = 0
    for turn in example.contents if contents is None else contents:
        for part in turn["parts"]:
            if "text" in part:
                text = part["text"]
                size += len(text) if text.isascii() else len(text.encode())
            elif sizes is None and len(part) == 1:
                tokens += usual
            else:
                level = _level(part.get("mediaResolution"), "level") or resolution
                tokens += profile.image_tokens.estimate(level, (sizes or {}).get(part["fileData"]["fileUri"]))
    return tokens - (-size // 4)


def _level(settings: Any, key: str) -> str:
    """A media resolution inside an object that the rules do not look into."""
    value = settings.get(key) if isinstance(settings, dict) else None
    return value if isinstance(value, str) else ""
