"""Which stated rules of the tuning service a line is close to, or over: facts of the line and its images -> sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from transforms.core.limits import PROFILES

_CLOSE = 9, 10  # nine tenths of a limit


@dataclass(frozen=True)
class Limits:
    """What an example of a dataset may hold."""

    max_images: int
    max_image_bytes: int
    max_tokens: int
    warn_types: tuple[str, ...]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Limits:
        """Those of the options that a manifest tells; of a model that this version does not know, the default's."""
        profile = PROFILES.get(options.get("model", ""), PROFILES["image-tuning"])
        return cls(
            options.get("max_images", profile.max_images),
            options.get("max_image_bytes", profile.max_image_bytes),
            profile.max_tokens,
            profile.warn_types,
        )


def close_rules(row: Mapping[str, Any], images: list[dict[str, Any]], limits: Limits) -> list[str]:
    """What is at nine tenths of a limit or more, and what pages do not agree about.

    Args:
      row: of examples.parquet, with its images under `image_count`.
      images: as `explained_lines` tells them: of those that nobody looked at no size is known.
    """
    found = [
        *_near("an estimated {:,} tokens", row["tokens"], limits.max_tokens),
        *_near("{:,} images", row["image_count"], limits.max_images),
    ]
    for number, image in enumerate(images, 1):
        found += _near(f"image {number} has {{:,}} bytes", image["served_bytes"], limits.max_image_bytes)
        if image["served_type"] in limits.warn_types:
            found.append(f"image {number} is {image['served_type']}, which not all tuning pages name")
        if image["escalated"]:
            found.append(f"image {number} had no end mark in its file, so a stricter reader may take it for invalid")
        if not image["fate"]:
            found.append(f"image {number} was not looked at, so it may be missing or no image")
    return found


def _near(words: str, value: int, limit: int) -> Iterator[str]:
    """A sentence if a value is close to its limit.

    >>> list(_near("{:,} images", 14, 16)), list(_near("{:,} images", 15, 16))
    ([], ['15 images, of 16 at most (93 %)'])
    """
    numerator, denominator = _CLOSE
    if value * denominator >= limit * numerator:
        over = ": over the limit" if value > limit else ""
        yield f"{words.format(value)}, of {limit:,} at most ({value * 100 // limit} %){over}"
