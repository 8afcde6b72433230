"""Work on the pixels of a plain picture, strip by strip where a second whole one can be spared. Image -> Image; rejects nothing."""

from __future__ import annotations

import math

from PIL import Image

_STRIP = 128  # rows of a result that are worked at once
_T = Image.Transpose
SIDEWAYS = (_T.TRANSPOSE, _T.ROTATE_270, _T.TRANSVERSE, _T.ROTATE_90)  # the turns that swap width and height


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
    width, height = (max(1, math.floor(side * scale + 1e-6)) for side in image.size)  # 3072 / 4146 * 4146 is 3071.99...
    if height <= _STRIP:
        return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)
    reduce = max(1, math.floor(min(image.width / width, image.height / height) / 3))
    right, below = image.width / reduce, image.height / reduce  # the last column and row may be less than whole ones
    if reduce > 1:
        image = image.reduce(reduce)
    small = Image.new(image.mode, (width, height))
    rows = below / height
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        first, end = top * rows, min(bottom * rows, below)
        above = max(0, math.floor(first - 4 * rows))  # LANCZOS reaches over three rows of the result
        part = image.crop((0, above, image.width, min(image.height, math.ceil(end + 4 * rows))))
        box = (0.0, first - above, right, min(end - above, float(part.height)))
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


def turned(image: Image.Image, turn: Image.Transpose) -> Image.Image:
    """`image.transpose(turn)`; flips and half turns are done in place, strip by strip."""
    if turn in SIDEWAYS:
        return image.transpose(turn)
    width, height = image.size
    if turn is _T.FLIP_LEFT_RIGHT:
        for top in range(0, height, _STRIP):
            box = (0, top, width, min(top + _STRIP, height))
            image.paste(image.crop(box).transpose(turn), box)
        return image
    for top in range(0, height // 2, _STRIP):
        bottom = min(top + _STRIP, height // 2)
        above, below = (0, top, width, bottom), (0, height - bottom, width, height - top)
        kept = image.crop(above).transpose(turn)
        image.paste(image.crop(below).transpose(turn), above)
        image.paste(kept, below)
    if height % 2:
        middle = (0, height // 2, width, height // 2 + 1)
        image.paste(image.crop(middle).transpose(turn), middle)
    return image
