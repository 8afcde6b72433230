"""The loop that people write, under the engine they chose: bisect the JPEG quality until the file fits. -> rewritten files

    PYTHON benchmarks/fit_peer.py threads|ray|daft OUTPUT 20000000 FILE...

Runs in an environment of its own with Pillow and the engine: it imports nothing of Tuneset's.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

from PIL import Image, ImageOps

Image.MAX_IMAGE_PIXELS = None
WORKERS = 2


def shrink(name: str, output: str, limit: int) -> str:
    """The highest quality in 1..95 that fits, by bisection over full encodes (seven of them)."""
    with Image.open(name) as source:
        picture = ImageOps.exif_transpose(source).convert("RGB")
    low, high, best = 1, 95, b""
    while low <= high:
        quality = (low + high) // 2
        out = io.BytesIO()
        picture.save(out, "JPEG", quality=quality)
        if out.tell() <= limit:
            low, best = quality + 1, out.getvalue()
        else:
            high = quality - 1
    path = Path(output) / f"{Path(name).stem}.jpeg"
    path.write_bytes(best)
    return str(path)


def threads(output: str, limit: int, files: list[str]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda name: shrink(name, output, limit), files))


def ray(output: str, limit: int, files: list[str]) -> None:
    import ray

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    rows = ray.data.from_items([{"path": name} for name in files], override_num_blocks=max(1, len(files)))
    rows.map(lambda row: {"path": shrink(row["path"], output, limit)}).take_all()


def daft(output: str, limit: int, files: list[str]) -> None:
    import daft

    fit = daft.func(lambda path: shrink(path, output, limit) if path else "", return_dtype=daft.DataType.string())
    frame = daft.from_pydict({"path": files or [""]}).into_batches(1)
    frame.with_column("made", fit(daft.col("path"))).collect()


if __name__ == "__main__":
    os.makedirs(sys.argv[2])
    {"threads": threads, "ray": ray, "daft": daft}[sys.argv[1]](sys.argv[2], int(sys.argv[3]), sys.argv[4:])
