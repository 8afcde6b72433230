"""Work on the pixels of a plain picture, strip by strip where a second whole one can be spared. Image -> Image; rejects nothing."""

from __future__ import annotations

import math

from PIL import Image

_STRIP = 128  # rows of a result that are worked at once


def to_channels(image: Image.Image) -> Image.Image:
    """1 -> L, P -> RGB: modes that can be resampled."""
    return image.convert({"1": "L", "P": "RGB"}[image.mode]) if image.mode in ("1", "P") else image


def flatten(image: Image.Image) -> Image.Image:
    """Any plain mode -> L or RGB, alpha laid on white."""
    if image.mode not in ("LA", "RGBA"):
        return to_channels(image)
    ground = Image.new(image.mode[:-1], image.size, "white")
    for top in range(0, image.height, _STRIP):
        strip = image.crop((0, top, image.width, min(top + _STRIP, image.height)))
        ground.paste(strip.convert(ground.mode), (0, top), strip.getchannel("A"))
    return ground


def resize(image: Image.Image, scale: float) -> Image.Image:
    """Shrink both sides by `scale`, strip by strip: what lies between the two passes of the filter is then never whole."""
    width, height = max(1, math.floor(image.width * scale)), max(1, math.floor(image.height * scale))
    if height <= _STRIP:
        return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    reduce = max(1, math.floor(min(image.width / width, image.height / height) / 3))
    if reduce > 1:
        image = image.reduce(reduce)
    small = Image.new(image.mode, (width, height))
    rows = image.height / height
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        first, end = top * rows, min(bottom * rows, float(image.height))
        above = max(0, math.floor(first - 4 * rows))  # LANCZOS reaches over three rows of the result
        part = image.crop((0, above, image.width, min(image.height, math.ceil(end + 4 * rows))))
        box = (0.0, first - above, float(image.width), min(end - above, float(part.height)))
        small.paste(part.resize((width, bottom - top), Image.Resampling.LANCZOS, box=box), (0, top))
    return small


def without_hidden(image: Image.Image) -> Image.Image:
    """A picture in mode LA or RGBA, made black in place where no alpha shows its colours: they pack better, and nobody sees it."""
    for top in range(0, image.height, _STRIP):
        box = (0, top, image.width, min(top + _STRIP, image.height))
        part = image.crop(box)
        clean = Image.new(image.mode, part.size)
        clean.paste(part, mask=part.getchannel("A").point([0] + [255] * 255))
        image.paste(clean, box)
    return image
