"""Input of whole jobs of `tuneset prepare`, and what their datasets say of images and rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
from folders import put, row
from laws import counters, lines, rejections, texts

from transforms.core.counters import FATES

Run = Callable[..., laws.Folder]


def in_folder(tmp_path: Path, **images: bytes) -> dict[str, str]:
    """Write images into the input folder -> their paths by name; a name's last _ stands for a dot."""
    return {name: put(tmp_path / "in" / ".".join(name.rsplit("_", 1)), data) for name, data in images.items()}


def questions(count: int, first: int = 0) -> list[dict[str, Any]]:
    return [row(f"question {number}") for number in range(first, first + count)]


def all_lines(found: laws.Folder) -> list[bytes]:
    splits = sorted(name for name in found if name.endswith(".jsonl") and name != "rejected.jsonl")
    return [line for name in splits for line in found[name].splitlines()]


def fates(found: laws.Folder) -> dict[str, int]:
    return {fate: counters(found)[f"images_{fate}"] for fate in FATES if counters(found)[f"images_{fate}"]}


def fate_of(found: laws.Folder) -> dict[str, str]:
    """Fate of each source, by file name."""
    return {Path(image["source"]).name: image["fate"] for image in found["images.parquet"]}


def why(found: laws.Folder) -> dict[str, str]:
    """Reason of each rejected row, by the name of the image or of its first text."""
    return {
        Path(r["image"]).name or r["row"]["contents"][0]["parts"][-1]["text"]: r["reason"] for r in rejections(found)
    }


def ids_of(found: laws.Folder) -> set[int]:
    return {int(e["id"], 16) for e in found["examples.parquet"]}


def split_of(found: laws.Folder) -> dict[str, str]:
    """Split by the first text of the row."""
    splits = found["manifest.json"]["splits"]
    return {texts(line)[0]: split for split in splits for line in lines(found, split)}
