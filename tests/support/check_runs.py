"""What a run of `tuneset check` told, and the rows and images that it is run on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from folders import jpeg, png, put, row
from PIL import Image

SPLITS = ("train", "validation", "test")
RowDict = dict[str, Any]


@dataclass(frozen=True)
class Checked:
    """What a check printed and ended with."""

    status: int
    findings: list[dict[str, Any]]
    summary: dict[str, Any]

    @property
    def places(self) -> set[tuple[str, str | None, int | None]]:
        return {(one["code"], one["split"], one["line"]) for one in self.findings}

    @property
    def codes(self) -> Counter[str]:
        return Counter(one["code"] for one in self.findings)


Check = Callable[..., Checked]


def question(text: str, *images: str, answer: str = "", **columns: Any) -> RowDict:
    """A row whose answer is its own, unless it is given."""
    return row(text, images, answer or f"answer to {text}", **columns)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return jpeg(80, 80, 901, exif=exif)


def clean_rows(folder: Path, split: str, count: int, images: int) -> list[RowDict]:
    """Rows without a fault, on some images of the split's own."""
    for number in range(images):
        put(folder / f"img/{split}{number}.png", png(80, 80, SPLITS.index(split) * 10_000 + number))
    return [question(f"{split} question {i}", f"img/{split}{i % images}.png") for i in range(count)]


def write_raw(path: Path, lines: list[bytes | RowDict]) -> None:
    put(path, b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines))
