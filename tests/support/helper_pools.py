"""What helper processes are asked, helpers that are changed, and how their lives are watched."""

from __future__ import annotations

import io
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from image_bytes import png_header
from PIL import Image

from transforms.core.reasons import ImageError
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.helper.pool import DecoderPool

POLICY = FitPolicy(max_bytes=30_000, types=("jpeg", "png"))
SMALL = 64 << 20  # one slot of the budget


def bmp(seed: int = 1, width: int = 320, height: int = 200) -> bytes:
    buffer = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).rotate(seed).convert("RGB").save(buffer, "BMP")
    return buffer.getvalue()


def ico_bomb() -> bytes:
    """An icon whose directory says 16 x 16 and whose picture says 20,000 x 20,000."""
    png = png_header(20_000, 20_000)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(png), 22) + png


def ask(pool: DecoderPool, data: bytes, policy: FitPolicy = POLICY, header_type: str = "bmp") -> FittedImage:
    return pool.fit(lambda: data, policy, source="s", header_type=header_type, pixels=64_000, size=len(data))


def reason(call: Callable[[], Any]) -> str:
    with pytest.raises(ImageError) as caught:
        call()
    return caught.value.reason


def gone(pid: int) -> bool:
    """Whether a process has ended (reaped or not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def altered(tmp_path: Path, body: str) -> list[str]:
    """The argv of a helper whose fitter first runs `body`; `jobs` counts the jobs of all such helpers."""
    tmp_path.joinpath("jobs").mkdir()
    script = f"""
import ctypes, os, signal, sys, time
from transforms.images.helper import process as helper
real = helper.fit.fit
def fit(data, policy, **options):
    jobs = len(os.listdir({str(tmp_path / "jobs")!r})) + 1
    open({str(tmp_path / "jobs")!r} + f"/{{jobs}}-{{os.getpid()}}", "w").close()
    {body}
    return real(data, policy, **options)
helper.fit.fit = fit
helper.main()
"""
    return [sys.executable, "-c", script]


def jobs(tmp_path: Path) -> list[int]:
    """The process of each job an altered helper began, in order."""
    return [int(name.split("-")[1]) for name in sorted(os.listdir(tmp_path / "jobs"))]
