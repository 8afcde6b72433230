"""Oversized pictures made by code, the same in every run: photographs with a smooth and a busy part, noise, a page of text."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageDraw, ImageOps


@dataclass(frozen=True)
class Picture:
    """A file of the set."""

    name: str
    path: Path
    type: str  # as images/headers/parse.py says
    megapixels: float
    whole: bool  # expected to keep all its pixels


def _noise(width: int, height: int, channels: str, strength: int, draw: random.Random) -> Image.Image:
    """Seeded noise around 128 that is nearly normal: the mean of two even ones, within +-strength."""
    parts = []
    for _ in range(2):
        flat = Image.frombytes(channels, (width, height), draw.randbytes(width * height * len(channels)))
        parts.append(flat.point([128 + (value - 128) * strength // 128 for value in range(256)] * len(channels)))
    return Image.blend(*parts, 0.5)


def photograph(width: int, height: int, grain: int, seed: int) -> Image.Image:
    """Soft colours in four octaves, shapes with edges; grain of brightness all over, of colour half as strong, little in the sky."""
    draw = random.Random(seed)
    picture: Image.Image | None = None
    for size in (6, 24, 96, 384):
        octave = Image.frombytes("RGB", (size, size), draw.randbytes(3 * size * size)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        picture = octave if picture is None else Image.blend(picture, octave, 0.3)
    assert picture is not None
    pen = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y, side = draw.randrange(width), draw.randrange(height // 3, height), draw.randrange(20, width // 8)
        colour = tuple(draw.randrange(256) for _ in range(3))
        shape = draw.choice((pen.rectangle, pen.ellipse))
        shape((x, y, x + side, y + side * 2 // 3), outline=colour, width=max(1, side // 40))
    sky = height // 3
    for top, bottom, strength in ((0, sky, grain // 3), (sky, height, grain)):
        part = picture.crop((0, top, width, bottom))
        bright = _noise(width, bottom - top, "L", strength, draw)
        part = ImageChops.add(part, Image.merge("RGB", [bright] * 3), 1, -128)
        part = ImageChops.add(part, _noise(width, bottom - top, "RGB", strength // 2, draw), 1, -128)
        picture.paste(part, (0, top))
    return picture


def page(width: int, height: int, seed: int) -> Image.Image:
    """Red and black text on white paper, as a scanner sees it: a little grain."""
    draw = random.Random(seed)
    picture = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(picture)
    size = max(12, height // 130)
    letters = "abcdefghijklmnopqrstuvwxyz     0123456789"
    for line, y in enumerate(range(size, height - 2 * size, size * 3 // 2)):
        text = "".join(draw.choice(letters) for _ in range(width * 2 // size))
        pen.text((size, y), text, fill=(200, 0, 10) if line % 3 else (10, 10, 10), font_size=size)
    return ImageChops.add(picture, _noise(width, height, "RGB", 12, draw), 1, -132)


def _large(width: int, height: int, grain: int, seed: int) -> Image.Image:
    """A photograph of four mirrored quarters, which costs a quarter of the time to make."""
    quarter = photograph(width // 2, height // 2, grain, seed)
    whole = Image.new("RGB", (width, height))
    for x, y, part in ((0, 0, quarter), (1, 0, ImageOps.mirror(quarter)), (0, 1, ImageOps.flip(quarter))):
        whole.paste(part, (x * width // 2, y * height // 2))
    whole.paste(ImageOps.mirror(ImageOps.flip(quarter)), (width // 2, height // 2))
    return whole


def make(folder: Path, percent: int = 100) -> list[Picture]:
    """Write the set; `percent` shrinks its sides, for a trial."""
    folder.mkdir(parents=True)
    made = []

    def add(name: str, ending: str, whole: bool, picture: Image.Image, kind: str, **options: Any) -> None:
        path = folder / f"{name.replace(' ', '_').replace(',', '')}.{ending}"
        picture.save(path, kind, **options)
        image_type = {"JPEG": "jpeg", "PNG": "png", "TIFF": "tiff"}[kind]
        made.append(Picture(name, path, image_type, picture.width * picture.height / 1e6, whole))

    def side(pixels: int) -> int:
        return max(256, pixels * percent // 100)

    small: Callable[[int, int], Image.Image] = lambda grain, seed: photograph(side(6000), side(4016), grain, seed)  # noqa: E731
    turned = Image.Exif()
    turned[0x0112] = 6
    full = {"subsampling": "4:4:4"}
    add("24 MP JPEG, fine colour", "jpg", True, small(40, 1), "JPEG", quality=96, **full)
    add("24 MP JPEG, grainy", "jpg", True, small(60, 2), "JPEG", quality=97, subsampling="4:2:0")
    add("24 MP JPEG, on its side", "jpg", True, small(40, 3), "JPEG", quality=97, subsampling="4:2:2", exif=turned)
    add("24 MP PNG", "png", True, small(24, 4), "PNG", compress_level=1)
    add("24 MP TIFF", "tif", True, small(36, 5), "TIFF")
    add("24 MP CMYK JPEG", "jpg", True, small(40, 6).convert("CMYK"), "JPEG", quality=96)
    noise = Image.frombytes("RGB", (side(6400), side(5008)), random.Random(7).randbytes(3 * side(6400) * side(5008)))
    add("32 MP noise", "jpg", False, noise, "JPEG", quality=92)
    add("45 MP JPEG", "jpg", True, _large(side(8192), side(5504), 26, 8), "JPEG", quality=96, **full)
    add("45 MP JPEG, grainy", "jpg", True, _large(side(8192), side(5504), 30, 9), "JPEG", quality=96)
    add("45 MP page of text", "jpg", True, page(side(5728), side(7872), 10), "JPEG", quality=98, **full)
    add("108 MP JPEG", "jpg", True, _large(side(12000), side(9008), 7, 11), "JPEG", quality=95, **full)
    return made


__all__ = ["Picture", "make", "page", "photograph"]
