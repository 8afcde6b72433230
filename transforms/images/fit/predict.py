"""Predict what a picture takes from some tiles of it. (picture, tiles) -> bytes and distortion at any setting; rejects nothing.

108 tiles spread over the picture are laid out as one mosaic of some 2 % of its pixels (a small picture is its own mosaic,
and then nothing is guessed). What the mosaic takes at a setting, times the ratio of the areas, is what the picture takes. The
prediction is calibrated with the source's own size where the source is a 4:4:4 or grey JPEG: the ratio of true to predicted bytes at
its own setting holds, very nearly, at the others. (Subsampled colour is not the same again once it was decoded.)

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

from transforms.images.fit.decode import Coding
from transforms.images.fit.encode import SAMPLINGS, STEPS, Setting, code_jpeg, encode_jpeg, encode_png
from transforms.images.fit.tiles import first_half

_EDGES = 0.998  # what a picture takes of the bytes that its tiles do, whose edges cost some
_HEAD = 620  # bytes of a JPEG that do not grow with the picture
_SLOPE = 0.5  # of the logarithm of the bytes by that of the tables' finesse, at the qualities that matter
_CLOSE = 0.004  # the logarithm of the bytes that a guess may stay below its aim
_GAIN = 2.0  # what the logarithm of the distortion falls by, of a little more bytes
_LEFT = 0.97  # of the room: what leaves more is looked at again
_SAME = 1.01  # distortions that are taken to be equal: the coarser subsampling is then taken
_NEAR = 4  # steps between a guess that fits and one that does not, which end the search
_BELIEVED = 1.3  # a source whose size the tiles explain less well than this has a trailer, or was coded by other means


@dataclass(slots=True)
class Sample:
    """What is foretold of a picture as a JPEG from its mosaic (mode L or RGB).

    pixels: of the whole picture.
    samplings: that may be chosen.
    """

    tiles: Image.Image
    pixels: int
    samplings: Sequence[str] = SAMPLINGS
    factor: float = _EDGES  # the ratio of true to predicted bytes, as far as it is known
    slope: float = _SLOPE
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
        samplings = self.samplings if self.tiles.mode == "RGB" else ("",)  # grey has none
        if self.exact or len(samplings) == 1:
            return self._least(samplings, floor, top, room, best)
        # Which subsampling it is half of the tiles can tell, and roughly; at which quality, all of them.
        half = Sample(first_half(self.tiles), self.pixels, samplings, self.factor, self.slope)
        # The bytes of a former JPEG leap where its own tables are met: what was nearly known may then be far off.
        for most in (3, 64) if len(samplings) == len(SAMPLINGS) else (64,):
            chosen = half._least(samplings, floor, top, room, best, most)
            if chosen is None:
                break
            if most < 64 and not _LEFT < half.bytes_at(chosen) / room < 1 / _LEFT:
                continue
            step = self._highest(chosen.sampling, floor, top, room, best, chosen.step)
            if step is not None and (most == 64 or self.bytes_at(Setting(chosen.sampling, step, best)) > _LEFT * room):
                return Setting(chosen.sampling, step, best)
        return self._least(samplings, floor, top, room, best)

    def _least(
        self, samplings: Sequence[str], floor: int, top: int, room: float, best: bool, most: int = 64
    ) -> Setting | None:
        """The setting of least distortion among the highest that fit of each subsampling, after `most` guesses each."""
        chosen: Setting | None = None
        cost = math.inf
        start = 90 * STEPS if top > 95 * STEPS else top  # what was not over the limit will take the best
        for sampling in samplings:
            step = self._highest(sampling, floor, top, room, best, start, most)
            if step is None:
                break  # a finer one takes more
            start, setting = step, Setting(sampling, step, best)
            told = self.distortion(setting) if len(samplings) > 1 else 0.0
            if most < 64:  # as if it took just what there is
                told *= max(_LEFT, self.bytes_at(setting) / room) ** _GAIN
            if told * _SAME < cost:
                chosen, cost = setting, told
        return chosen

    def again(self, setting: Setting, floor: int, top: int, room: float) -> Setting | None:
        """The setting nearest to one that was tried, now that `factor` is better known; another subsampling only if it must."""
        step = self._highest(setting.sampling, floor, top, room, setting.best, setting.step)
        return Setting(setting.sampling, step, setting.best) if step else self.best(floor, top, room, setting.best)

    def _highest(
        self, sampling: str, floor: int, top: int, room: float, best: bool, start: int, most: int = 64
    ) -> int | None:
        """The highest step in floor..top foretold to fit: searched from `start` by secants, for the logarithm of the bytes is
        nearly straight over that of the tables' finesse. After `most` guesses the last one, which may be a little too high."""
        low, high = floor - 1, top + 1  # low fits (or is none), high does not
        for known in self._coded:
            if (known.sampling, known.best) == (sampling, best):
                if self.bytes_at(known) > room:
                    high = min(high, max(known.step, floor))
                else:
                    low = max(low, min(known.step, top))
        at, slope = min(max(start, low, floor), max(high - 1, floor)), self.slope
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
            if turn + 1 == most and at > floor:
                return at
            if before is not None and before[0] != finesse:
                slope = min(max((before[1] - gap) / (finesse - before[0]), _SLOPE / 3), _SLOPE * 3)
                self.slope = slope
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


def png_bytes(tiles: Image.Image, pixels: int, stronger: bool) -> float:
    """Of a picture of so many pixels as PNG. Rough where it is a drawing: tiles break up what repeats."""
    return float(len(encode_png(tiles, stronger)) * pixels / (tiles.width * tiles.height))


def png_scale_for(
    tiles: Image.Image, pixels: int, room: float, shrink: Callable[[Image.Image, float], Image.Image]
) -> float:
    """As Sample.scale_for, of a PNG under the stronger deflate."""
    whole = png_bytes(tiles, pixels, True)
    return _scale_for(whole, room, tiles, pixels, lambda small: len(encode_png(small, True)), shrink)


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
