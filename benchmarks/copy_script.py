"""The script people write for images: a thread pool, Pillow, a copy of every image, one JSONL file.

An image that is small enough is copied, another one saved smaller and smaller until it fits.

    python benchmarks/copy_script.py OUTPUT ROWS.jsonl [ROWS]
"""

from __future__ import annotations

import io
import itertools
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from PIL import Image

LIMIT = 20_000_000  # bytes
THREADS = 8


def fit(source: str, target: str) -> None:
    with Image.open(source) as image:
        if os.path.getsize(source) <= LIMIT:
            shutil.copyfile(source, target)
            return
        picture, scale = image.convert("RGB"), 1.0
    while True:
        size = (round(picture.width * scale), round(picture.height * scale))
        for quality in range(95, 65, -5):
            out = io.BytesIO()
            picture.resize(size).save(out, "JPEG", quality=quality)
            if out.tell() <= LIMIT:
                with open(target, "wb") as file:
                    file.write(out.getvalue())
                return
        scale *= 0.8


def main(output: str, rows: str, count: str = "") -> None:
    folder, images = os.path.dirname(os.path.abspath(rows)), os.path.abspath(os.path.join(output, "images"))
    os.makedirs(images, exist_ok=True)
    numbers = itertools.count()
    with open(rows, "rb") as lines:
        examples: list[dict[str, Any]] = [
            json.loads(line) for line in itertools.islice(lines, int(count or sys.maxsize))
        ]
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = []
        for example in examples:
            for turn in example["contents"]:
                for part in turn["parts"]:
                    if "fileData" in part:
                        source = os.path.join(folder, part["fileData"]["fileUri"])
                        target = os.path.join(images, f"{next(numbers):07d}{os.path.splitext(source)[1]}")
                        part["fileData"]["fileUri"] = target
                        waiting.append(pool.submit(fit, source, target))
        for one in waiting:
            one.result()
    with open(os.path.join(output, "train.jsonl"), "w", encoding="utf-8") as file:
        for example in examples:
            file.write(json.dumps(example) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
