"""Pictures that would come out blank or black: alpha that is 0 everywhere, values that a change makes equal."""

from __future__ import annotations

import io
import struct

import pytest
from image_bytes import encoded, noise
from PIL import Image

from transforms.images.fit.embedded_facts import read_facts
from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.headers.parse import parse

SIZE = (48, 32)
PICTURE = noise(*SIZE)


def rewritten(data: bytes, alpha: str = "keep") -> tuple[FittedImage, Image.Image]:
    policy = FitPolicy(max_bytes=10**6, types=("jpeg", "png"), alpha=alpha)
    fitted = fit(data, policy, source="s", header_type=parse(data, len(data)).type)
    image = Image.open(io.BytesIO(fitted.data))
    facts = read_facts(fitted.data)
    assert facts is not None and bool(facts.get("flat")) is fitted.flat
    return fitted, image


def bmp_with_masks(picture: Image.Image, alpha: int) -> bytes:
    """32 bits with a mask of alpha, as a BITMAPV4HEADER tells it."""
    rows = picture.convert("RGBA")
    rows.putalpha(alpha)
    pixels = rows.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
    head = struct.pack("<IiiHHIIiiII", 108, *picture.size, 1, 32, 3, len(pixels), 0, 0, 0, 0)
    head += struct.pack("<IIIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000, 0x73524742) + bytes(48)
    return struct.pack("<2sIHHI", b"BM", 14 + 108 + len(pixels), 0, 0, 122) + head + pixels


def with_alpha(alpha: Image.Image | int, mode: str = "RGB") -> Image.Image:
    image = PICTURE.convert(mode)
    image.putalpha(alpha)
    return image


@pytest.mark.parametrize(
    ("data", "mode"),
    [
        (bmp_with_masks(PICTURE, 0), "RGB"),
        (encoded("PNG", with_alpha(0)), "RGB"),
        (encoded("PNG", with_alpha(0, "L")), "L"),
        (encoded("TIFF", with_alpha(0)), "RGB"),
        (encoded("WEBP", with_alpha(0), lossless=True, exact=True), "RGB"),
        (encoded("PNG", with_alpha(255)), "RGB"),
    ],
)
@pytest.mark.parametrize("alpha", ["keep", "flatten"])
def test_alpha_that_is_the_same_everywhere_is_none(data: bytes, mode: str, alpha: str) -> None:
    fitted, image = rewritten(data, alpha)
    assert (image.mode, fitted.flat) == (mode, False)
    if fitted.type == "png":
        assert image.tobytes() == PICTURE.convert(mode).tobytes()


def test_alpha_that_shows_one_pixel_is_alpha() -> None:
    mask = Image.new("L", SIZE)
    mask.putpixel((3, 4), 1)
    for data in (encoded("PNG", with_alpha(mask)), encoded("TIFF", with_alpha(mask))):
        assert rewritten(data)[1].mode == "RGBA"
    nearly = rewritten(encoded("PNG", with_alpha(1)))[1]
    assert nearly.mode == "RGBA"


def deep(low: int, high: int) -> bytes:
    """16 bits of grey, two values side by side."""
    image = Image.new("I;16", SIZE)
    image.frombytes(struct.pack("<2H", low, high) * (SIZE[0] * SIZE[1] // 2))
    return encoded("TIFF", image)


@pytest.mark.parametrize(
    ("low", "high", "flat"),
    [
        (40_000, 40_000, False),  # the source is of one colour, too
        (40_000, 40_007, False),  # and this one nearly
        (40_000, 40_008, True),
        (40_000, 40_500, True),  # 2 of 255 are left
        (40_092, 40_863, False),  # 3 of 255: 156 to 159
        (0, 4095, False),
        (4000, 4095, False),
    ],
)
def test_deep_grey_of_nearly_one_value(low: int, high: int, flat: bool) -> None:
    assert rewritten(deep(low, high))[0].flat is flat


@pytest.mark.parametrize(("alpha", "flat"), [("keep", False), ("flatten", True)])
def test_what_only_its_alpha_shows_is_lost_on_white(alpha: str, flat: bool) -> None:
    """A white drawing on a transparent ground that is black below."""
    drawing = Image.new("L", SIZE)
    drawing.paste(255, (10, 10, 30, 20))
    assert rewritten(encoded("PNG", Image.merge("RGBA", [drawing] * 4)), alpha)[0].flat is flat


def test_an_ordinary_picture_is_not_looked_at() -> None:
    for kind in ("BMP", "PNG", "JPEG", "GIF", "TIFF"):
        assert not rewritten(encoded(kind, Image.new("RGB", SIZE, "red")))[0].flat


@pytest.mark.parametrize("mode", ["CMYK", "LAB", "F", "I", "I;16", "RGBA", "LA", "P"])
def test_no_mode_of_pixels_is_taken_for_a_flat_one(mode: str) -> None:
    """Also where tiles are a part of the picture only."""
    ramp = Image.linear_gradient("L").resize((1000, 800))
    if mode == "I;16":
        image = Image.new("I;16", ramp.size)
        image.frombytes(bytes(two for value in ramp.tobytes() for two in (value, value)))
    elif mode == "LAB":
        image = Image.merge("LAB", [ramp, ramp.point(lambda _: 128), ramp.point(lambda _: 128)])
    elif mode in ("RGBA", "LA"):
        image = ramp.convert(mode[:-1])
        image.putalpha(ramp.point(lambda v: 200 + v // 5))
    else:
        image = ramp.convert("RGB").convert(mode) if mode in ("CMYK", "P") else ramp.convert(mode)
    assert not rewritten(encoded("TIFF", image))[0].flat
