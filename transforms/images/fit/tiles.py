"""Tiles spread over a picture, as one small picture that stands for it. (crop, size) -> mosaic; rejects nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

from PIL import Image

_LATTICE = (9, 12, 67)
_ROUGH_LATTICE = (6, 6, 23)
_SHARE = 64  # one pixel in so many is looked at
_SIDES = range(64, 257, 16)  # of a tile; on the 16-pixel grid a former JPEG's blocks are whole in it

Box = tuple[int, int, int, int]


def mosaic(
    crop: Callable[[Box], Image.Image], size: tuple[int, int], lattice: tuple[int, int, int] = _LATTICE
) -> Image.Image:
    """Tiles of a picture as one; the picture itself where they would be much of it.

    lattice: tiles in a row of the mosaic, rows, and the step of a rank-1 lattice: tile i stands at (step * i, step^2 * i) mod
    count, so that no two share a row or a column of the picture, and a horizon or lines of text are met as often as they
    should. The step is about count / 1.618: the first rows of the mosaic, too, come from all over the picture.
    """
    width, height = size
    columns, rows, step = lattice
    count = columns * rows
    side = min(max(math.isqrt(width * height // (_SHARE * count)) & ~15, _SIDES[0]), _SIDES[-1])
    wide, high = min(side, width), min(side, height)
    if 2 * count * wide * high >= width * height:
        return crop((0, 0, width, height))
    first = crop((0, 0, 1, 1))
    tiles = Image.new(first.mode, (columns * wide, rows * high))
    if first.mode == "P":
        tiles.putpalette(first.getpalette() or [])
    for i in range(count):
        # On the 16-pixel grid, so that a tile of a former JPEG shows the blocks that the picture has.
        across, down = step * i % count, step * step * i % count
        x = min(max((2 * across + 1) * width // (2 * count) - wide // 2, 0), width - wide) & ~15
        y = min(max((2 * down + 1) * height // (2 * count) - high // 2, 0), height - high) & ~15
        tiles.paste(crop((x, y, x + wide, y + high)), (i % columns * wide, i // columns * high))
    return tiles


def first_half(tiles: Image.Image) -> Image.Image:
    """Half of the tiles of a mosaic, from all over the picture."""
    return tiles.crop((0, 0, tiles.width, tiles.height // 2))


def rough_mosaic(crop: Callable[[Box], Image.Image], size: tuple[int, int]) -> Image.Image:
    """Fewer tiles, for PNG, which takes ten times as long to encode and can only be foretold roughly."""
    return mosaic(crop, size, _ROUGH_LATTICE)
