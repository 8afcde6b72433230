"""Four patches of colour, and what fitting makes of them."""

from __future__ import annotations

import io

from PIL import Image

from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy

Pixel = tuple[int, ...]
PATCHES = [(200, 60, 50), (60, 180, 80), (70, 80, 190), (230, 230, 230)]


def patches(mode: str, pixels: list[Pixel]) -> Image.Image:
    image = Image.new(mode, (128, 32))
    for index, pixel in enumerate(pixels):
        image.paste(pixel, (32 * index, 0, 32 * index + 32, 32))
    return image


def fitted(data: bytes, image_type: str) -> tuple[Image.Image, list[Pixel]]:
    result = fit(data, FitPolicy(max_bytes=10**6, types=("jpeg", "png")), source="s", header_type=image_type)
    image = Image.open(io.BytesIO(result.data))
    return image, [image.getpixel((32 * index + 16, 16)) for index in range(4)]  # type: ignore[misc]


def assert_close(found: list[Pixel], wanted: list[Pixel], tolerance: int) -> None:
    assert all(abs(a - b) <= tolerance for one, two in zip(found, wanted, strict=True) for a, b in zip(one, two)), (
        found,
        wanted,
    )
