"""Input of whole jobs in Cloud Storage, and what lines of their output name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from folders import bmp, jpeg, put

from beam_jobs.commands.prepare import prepare

OPTIONS = ("--block_bytes", "4096", "--max_image_bytes", "20000")
SPECIAL = 4  # rows of the fixture `raw` that cannot be used


def lines(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def uris(written: list[dict[str, Any]]) -> set[str]:
    """Every fileUri of output lines."""
    turns = [turn for line in written for turn in line["contents"]]
    return {part["fileData"]["fileUri"] for turn in turns for part in turn["parts"] if "fileData" in part}


def sealed(*argv: str) -> None:
    assert prepare(list(argv)) == 0


def write_images(folder: Path) -> list[str]:
    """20 JPEGs that conform, 3 that are too large and 3 BMPs -> their names."""
    names = [put(folder / f"images/{i}.jpg", jpeg(seed=i)) for i in range(20)]
    names += [put(folder / f"images/{i}.jpg", jpeg(300, 200, seed=i, quality=100)) for i in range(20, 23)]
    assert all(os.path.getsize(name) > 20_000 for name in names[20:])
    names += [put(folder / f"images/{i}.bmp", bmp(seed=i)) for i in range(23, 26)]
    return [os.path.relpath(name, folder) for name in names]
