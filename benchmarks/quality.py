"""How much a rewritten picture differs from its source: PSNR and SSIM."""

from __future__ import annotations

import io
import math
import statistics
from pathlib import Path

import numpy as np
from pictures import Picture
from PIL import Image, ImageChops

from transforms.images.fit.decode import decode

Image.MAX_IMAGE_PIXELS = None
MOST = 300_000_000


def psnr(one: Image.Image, other: Image.Image) -> float:
    counts = ImageChops.difference(one, other).histogram()
    error = sum(count * (value & 255) ** 2 for value, count in enumerate(counts)) / sum(counts)
    return 10 * math.log10(255**2 / error) if error else 99.0


def ssim(one: Image.Image, other: Image.Image) -> float:
    """Mean structural similarity over the channels, 8 x 8 windows, over 64 tiles of 256."""
    found = []
    width, height = one.size
    side = min(256, width, height)
    for at in range(64):
        x, y = (at % 8) * (width - side) // 7, (at // 8) * (height - side) // 7
        box = (x, y, x + side, y + side)
        a, b = (_windows(picture.crop(box)) for picture in (one, other))
        mean_a, mean_b = a.mean(1), b.mean(1)
        both = ((a - mean_a[:, None]) * (b - mean_b[:, None])).mean(1)
        top = (2 * mean_a * mean_b + 6.5025) * (2 * both + 58.5225)
        found.append(float((top / ((mean_a**2 + mean_b**2 + 6.5025) * (a.var(1) + b.var(1) + 58.5225))).mean()))
    return statistics.mean(found)


def _windows(picture: Image.Image) -> np.ndarray:
    """(windows of all channels, 64)"""
    pixels = np.asarray(picture, dtype=np.float64).reshape(picture.height, picture.width, -1)
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    cut = pixels[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8, -1)
    return cut.transpose(4, 0, 2, 1, 3).reshape(-1, 64)


def original(picture: Picture) -> Image.Image:
    decoded = decode(picture.path.read_bytes(), picture.type, MOST)
    return decoded.upright().convert("RGB")


def opened(path: Path | io.BytesIO, size: tuple[int, int]) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image.convert("RGB") if image.size == size else image.convert("RGB").resize(size, Image.Resampling.LANCZOS)
