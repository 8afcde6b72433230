"""Predict what a picture takes from some tiles of it. (picture, tiles) -> bytes and distortion at any setting; rejects nothing.

144 tiles spread over the picture are laid out as one mosaic of some 3 % of its pixels (a small picture is its own mosaic,
and then nothing is guessed). What the mosaic takes at a setting, times the ratio of the areas, is what the picture takes. Of a
picture that was a 4:4:4 or grey JPEG the true size at one setting is known, the one it came with: what the tiles are wrong by
there, they are wrong by, very nearly, at the others. (Subsampled colour is not the same again once it was decoded.)

The subsampling is chosen by what it costs on the tiles: each is taken to the highest quality that fits, and the one
whose decoded tiles differ least from the picture wins. Red text on white loses its shape at 4:2:0; a grainy photograph spends
on coloured grain what its brightness needs.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from PIL import Image, ImageChops

from .decode import Coding
from .encode import SAMPLINGS, STEPS, Setting, code_jpeg, encode_jpeg, encode_png

_GRID = 12
_SHARE = 32  # one pixel in so many is looked at
_SIDES = range(64, 257, 16)  # of a tile; on the 16-pixel grid a former JPEG's blocks are whole in it
_HEAD = 620  # bytes of a JPEG that do not grow with the picture
_SLOPE = 0.5  # of the logarithm of the bytes by that of the tables' finesse, at the qualities that matter
_CLOSE = 0.004  # the logarithm of the bytes that a guess may stay below its aim
_SAME = 1.01  # distortions that are taken to be equal: the coarser subsampling is then taken
_NEAR = 4  # steps between a guess that fits and one that does not, which end the search
_BELIEVED = 1.3  # a source whose size the tiles explain less well than this has a trailer, or was coded by other means

Box = tuple[int, int, int, int]


def mosaic(
    crop: Callable[[Box], Image.Image], size: tuple[int, int], grid: int = _GRID, share: int = _SHARE
) -> Image.Image:
    """Some grid x grid tiles of a picture as one; the picture itself where they would be much of it."""
    width, height = size
    side = min(max(math.isqrt(width * height // (share * grid * grid)) & ~15, _SIDES[0]), _SIDES[-1])
    wide, high = min(side, width), min(side, height)
    columns = min(grid, width // wide)
    rows = min(grid * grid // columns, height // high)
    columns = min(grid * grid // rows, width // wide)  # a long strip takes its tiles along its length
    if 2 * columns * wide * rows * high >= width * height:
        return crop((0, 0, width, height))
    tiles = crop((0, 0, columns * wide, rows * high))
    for column in range(columns):
        for row in range(rows):
            # On the 16-pixel grid, so that a tile of a former JPEG shows the blocks that the picture has.
            x = (2 * column + 1) * width // (2 * columns) - wide // 2 & ~15
            y = (2 * row + 1) * height // (2 * rows) - high // 2 & ~15
            tiles.paste(crop((x, y, x + wide, y + high)), (column * wide, row * high))
    return tiles


@dataclass(slots=True)
class Sample:
    """What is foretold of a picture as a JPEG from its mosaic (mode L or RGB).

    pixels: of the whole picture.
    samplings: that may be chosen.
    """

    tiles: Image.Image
    pixels: int
    samplings: Sequence[str] = SAMPLINGS
    factor: float = 1.0  # what the tiles are wrong by, as far as it is known
    _coded: dict[Setting, bytes] = field(default_factory=dict)

    @property
    def exact(self) -> bool:
        """The mosaic is the picture."""
        return bool(self.tiles.width * self.tiles.height == self.pixels)

    def learn(self, coding: Coding, size: int) -> None:
        """Take `factor` from the source: a JPEG of this coding took `size` bytes for its pixels."""
        bands = len(self.tiles.getbands())
        if self.exact or coding.sampling != ("4:4:4" if bands > 1 else "") or len(coding.tables) < min(2, bands):
            return
        told = self._whole(len(code_jpeg(self.tiles, coding.tables, coding.sampling, coding.progressive)))
        if told / _BELIEVED < size < told * _BELIEVED:
            self.factor = size / told

    def bytes_at(self, setting: Setting) -> float:
        """Of the whole picture; exact where the mosaic is the picture."""
        size = len(self._encoded(setting))
        return size if self.exact else _HEAD + (self._whole(size) - _HEAD) * self.factor

    def best(self, floor: int, top: int, room: float, best: bool) -> Setting | None:
        """The setting of least distortion that is foretold to take at most `room` bytes; None: not even the floor.

        Args:
            floor, top: steps of quality, both included.
        """
        fitting: list[Setting] = []
        start = 90 * STEPS
        for sampling in self.samplings if self.tiles.mode == "RGB" else ("",):  # grey has none
            step = self.highest(sampling, floor, top, room, best, start)
            if step is None:
                break  # a finer one takes more
            fitting.append(Setting(sampling, step, best))
            start = step - 2 * STEPS
        if len(fitting) < 2:
            return fitting[0] if fitting else None
        costs = [(self.distortion(setting), setting) for setting in fitting]
        least = min(cost for cost, _ in costs)
        return next(setting for cost, setting in costs if cost <= least * _SAME)

    def highest(self, sampling: str, floor: int, top: int, room: float, best: bool, start: int) -> int | None:
        """The highest step in floor..top foretold to fit: searched from `start` by secants, for the logarithm of the bytes
        is nearly straight over that of the tables' finesse."""
        low, high = floor - 1, top + 1  # low fits (or is none), high does not
        at, slope = min(max(start, floor), top), _SLOPE
        before: tuple[float, float] | None = None
        for turn in range(64):
            gap, finesse = math.log(room / self.bytes_at(Setting(sampling, at, best))), _finesse(at)
            if gap >= 0:
                low = at
            else:
                high = at
            near = not self.exact and floor <= low and (0 <= gap < _CLOSE or high - low <= _NEAR)
            if near or high - low < 2:
                break
            if before is not None and before[0] != finesse:
                slope = min(max((before[1] - gap) / (finesse - before[0]), _SLOPE / 3), _SLOPE * 3)
            before = finesse, gap
            guess = _step(finesse + (gap - _CLOSE / 3) / slope) if turn < 5 else (low + high) // 2
            at = min(max(guess, low + 1), high - 1)
        return low if low >= floor else None

    def distortion(self, setting: Setting) -> float:
        """Mean squared error of the decoded tiles."""
        with Image.open(io.BytesIO(self._encoded(setting)), formats=("JPEG",)) as decoded:
            counts = ImageChops.difference(self.tiles, decoded).histogram()
        return float(sum(count * (value & 255) ** 2 for value, count in enumerate(counts)) / sum(counts))

    def scale_for(self, setting: Setting, room: float, shrink: Callable[[Image.Image, float], Image.Image]) -> float:
        """The scale (0..1) at which the picture is foretold to take `room` bytes: bytes ~ scale^2, corrected twice on the
        shrunk mosaic, because small pixels hold more detail each (or less noise)."""
        return _scale_for(self.bytes_at(setting), room, self.tiles, self.pixels,
                          lambda small: len(encode_jpeg(small, setting)) * self.factor, shrink)  # fmt: skip

    def _encoded(self, setting: Setting) -> bytes:
        if setting not in self._coded:
            self._coded[setting] = encode_jpeg(self.tiles, setting)
        return self._coded[setting]

    def _whole(self, size: int) -> float:
        ratio: float = self.pixels / (self.tiles.width * self.tiles.height)
        return _HEAD + max(1, size - _HEAD) * ratio


def rough_mosaic(crop: Callable[[Box], Image.Image], size: tuple[int, int]) -> Image.Image:
    """Fewer tiles, for PNG, which takes ten times as long to encode and can only be foretold roughly."""
    return mosaic(crop, size, 6, 128)


def png_bytes(tiles: Image.Image, pixels: int, stronger: bool) -> float:
    """Of a picture of so many pixels as PNG. Rough where it is a drawing: tiles break up what repeats."""
    return float(len(encode_png(tiles, stronger)) * pixels / (tiles.width * tiles.height))


def png_scale_for(
    tiles: Image.Image, pixels: int, room: float, shrink: Callable[[Image.Image, float], Image.Image]
) -> float:
    """As Sample.scale_for, of a PNG."""
    whole = png_bytes(tiles, pixels, False)
    return _scale_for(whole, room, tiles, pixels, lambda small: len(encode_png(small, False)), shrink)


def _scale_for(
    whole: float,
    room: float,
    tiles: Image.Image,
    pixels: int,
    size_of: Callable[[Image.Image], float],
    shrink: Callable[[Image.Image, float], Image.Image],
) -> float:
    scale = min(1.0, math.sqrt(room / whole))
    for _ in range(2):
        small = shrink(tiles, scale)
        ratio = pixels * scale**2 / (small.width * small.height)
        scale = min(1.0, scale * math.sqrt(room / (size_of(small) * ratio)))
    return scale


def _finesse(step: int) -> float:
    return -math.log(max(1.0, 200 - 2 * step / STEPS))


def _step(finesse: float) -> int:
    return math.floor((200 - math.exp(-finesse)) / 2 * STEPS)


def scan_bytes(jpeg: bytes) -> int:
    """Bytes of a JPEG's picture, without what stands before its first scan and after its end, _HEAD of tables counted in."""
    return _HEAD + max(0, jpeg.rfind(b"\xff\xd9") - next(_scans(jpeg), len(jpeg)))


def _scans(jpeg: bytes) -> Iterator[int]:
    """Where the first scan begins, if the segments before it can be followed."""
    at = 2
    while at + 4 <= len(jpeg) and jpeg[at] == 0xFF:
        if jpeg[at + 1] == 0xDA:
            yield at
            return
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
