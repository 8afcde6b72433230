"""Small pictures for a person to look at: within their side and bytes, upright, on white."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from transforms.core.reasons import ImageError
from transforms.images.fit.thumbnail import thumbnail


def encoded(image: Image.Image, kind: str, **more: object) -> bytes:
    data = io.BytesIO()
    image.save(data, kind, **more)
    return data.getvalue()


def noise(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8))


@pytest.mark.parametrize(
    ("size", "expected"),
    [((223, 100), (223, 100)), ((224, 100), (224, 100)), ((225, 225), (224, 224)), ((4000, 2), (224, 1))],
)
def test_a_thumbnail_is_no_larger_than_its_side(size: tuple[int, int], expected: tuple[int, int]) -> None:
    made = thumbnail(encoded(noise(*size), "JPEG"), "jpeg", max_pixels=10**6, side=224, max_bytes=10**6)
    assert (made.width, made.height) == expected == Image.open(io.BytesIO(made.data)).size
    assert made.type == "jpeg"


def test_a_thumbnail_takes_no_more_than_its_bytes() -> None:
    source = encoded(noise(224, 224), "PNG")
    sizes = {}
    for most in (40_000, 14_000, 3000):
        made = thumbnail(source, "png", max_pixels=10**6, side=224, max_bytes=most)
        assert len(made.data) <= most
        sizes[most] = (made.width, made.quality)
    assert sizes[40_000] > sizes[14_000] > sizes[3000] and sizes[14_000][0] == 224


def test_a_thumbnail_is_upright_and_on_white() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    made = thumbnail(encoded(noise(80, 40), "JPEG", exif=exif), "jpeg", max_pixels=10**6, side=224, max_bytes=10**5)
    assert (made.width, made.height) == (40, 80)
    clear = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    clear.paste((200, 0, 0, 255), (32, 0, 64, 64))
    made = thumbnail(encoded(clear, "PNG"), "png", max_pixels=10**6, side=224, max_bytes=10**5)
    assert Image.open(io.BytesIO(made.data)).convert("RGB").getpixel((5, 5)) == (255, 255, 255)


def test_too_many_pixels_are_not_decoded() -> None:
    with pytest.raises(ImageError) as error:
        thumbnail(encoded(noise(11, 10), "PNG"), "png", max_pixels=109, side=224, max_bytes=10**5)
    assert error.value.reason == "too_many_pixels"
