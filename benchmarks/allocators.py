"""Which allocator settings keep memory flat: of a decoding helper over many fits, and of a process that reads blocks.

Prints, for each setting, the helper's peak and what it still holds when idle, in the order: after the first, a middle and the last
picture. The pictures are of several sizes, largest first, so that what is held at the end was kept and not needed.

    python benchmarks/allocators.py [--pictures 24] [--examples 50000]
"""

from __future__ import annotations

import io
import os
import random
import sys
from collections.abc import Iterator
from ctypes.util import find_library
from pathlib import Path

from common import arguments, prepare, text_rows, workdir, write_rows
from PIL import Image

from transforms.images.fit.policy import FitPolicy
from transforms.images.helper.pool import DecoderPool

SIZES = ((8000, 6000), (2000, 1500), (6000, 4000), (1200, 900))  # pixels


def settings() -> Iterator[tuple[str, dict[str, str]]]:
    yield "the C library's own", {}
    yield "MALLOC_ARENA_MAX=1", {"MALLOC_ARENA_MAX": "1"}
    yield "MALLOC_ARENA_MAX=2", {"MALLOC_ARENA_MAX": "2"}
    if jemalloc := find_library("jemalloc"):
        yield "jemalloc", {"LD_PRELOAD": jemalloc}
    else:
        print("jemalloc is not installed: left out")


def pictures() -> list[tuple[bytes, int]]:
    """(JPEG, pixels) of noise of each size."""
    made = []
    for width, height in SIZES:
        noise = Image.frombytes("L", (500, 500), random.Random(width).randbytes(250_000)).resize((width, height))
        out = io.BytesIO()
        noise.convert("RGB").save(out, "JPEG", quality=97)
        made.append((out.getvalue(), width * height))
    return made


def held(pid: int) -> tuple[float, float]:
    """(peak, now) of a process in MB."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1e3, int(status["VmRSS"].split()[0]) / 1e3


def helper(environment: dict[str, str], count: int) -> tuple[float, list[float]]:
    """(peak, what is held after the first, middle and last picture) in MB."""
    set_there = [f"{name}={value}" for name, value in environment.items()]
    command = ("env", "-u", "MALLOC_ARENA_MAX", *set_there, sys.executable, "-m", "transforms.images.helper.process")
    pool, policy = DecoderPool(workers=1, command=command), FitPolicy(max_bytes=500_000, types=("jpeg", "png"))
    drawn, now, peak = pictures(), [], 0.0
    for number in range(count):
        data, pixels = drawn[number % len(drawn)]
        pool.fit(
            lambda data=data: data, policy, source=f"{number:032x}", header_type="jpeg", pixels=pixels, size=len(data)
        )
        peak, rest = held(pool._idle[0]._process.pid)
        now.append(rest)
    pool.close()
    return peak, [now[0], now[count // 2], now[-1]]


def main() -> int:
    options = arguments(__doc__, pictures=24, examples=50_000)
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
    print(f"{'':24}  {'helper peak':>11}  {'held: first':>11}  {'middle':>8}  {'last':>8}  {'reader peak':>11}  MB")
    with workdir(options.workdir) as folder:
        rows = write_rows(folder / "rows.jsonl", text_rows(0, options.examples))
        for name, environment in settings():
            peak, now = helper(environment, options.pictures)
            before = dict(os.environ)
            os.environ.pop("MALLOC_ARENA_MAX", None)
            os.environ |= environment
            reader = prepare(rows, folder / "out", "--verify", "none", "--overwrite")
            os.environ.clear()
            os.environ |= before
            told = "  ".join(f"{one:{width}.0f}" for one, width in zip(now, (11, 8, 8)))
            print(f"{name:24}  {peak:11.0f}  {told}  {reader.peak / 1e6:11.0f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
