"""A canvas for pictures that are made by code: outlines -> filled surfaces, lines and letters -> a PIL image.

A `Scene` is a canvas in units (400 x 300 unless told otherwise), drawn `smooth` times larger and reduced at the end,
which is what makes edges soft. Every outline is a list of points; every surface is an outline filled with a ramp of
colours. Pillow's built-in font draws ASCII only, so pictures hold ASCII only.
"""

from __future__ import annotations

import math
from random import Random

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

RGB = tuple[int, int, int]
Points = list[tuple[float, float]]


def tint(rgb: RGB, factor: float) -> RGB:
    """A darker (factor < 1) or lighter (1 < factor <= 2, 2 is white) shade of a colour."""
    if factor <= 1:
        return (int(rgb[0] * factor), int(rgb[1] * factor), int(rgb[2] * factor))
    r, g, b = (int(c + (255 - c) * (factor - 1)) for c in rgb)
    return (r, g, b)


def oval(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360, turn: float = 0) -> Points:
    """An ellipse or its arc, clockwise from `start` to `end` degrees (0 is to the right), turned by `turn` degrees."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    arc = [math.radians(start + (end - start) * i / 60) for i in range(61)]
    flat = [(rx * math.cos(a), ry * math.sin(a)) for a in arc]
    return [(x + u * cos - v * sin, y + u * sin + v * cos) for u, v in flat]


def box(x0: float, y0: float, x1: float, y1: float, r: float = 0.1) -> Points:
    """A rectangle with corners of radius `r`."""
    corners = ((x1 - r, y1 - r, 0), (x0 + r, y1 - r, 90), (x0 + r, y0 + r, 180), (x1 - r, y0 + r, 270))
    return [p for x, y, a in corners for p in oval(x, y, r, r, a, a + 90)]


def star(x: float, y: float, r: float, points: int, inner: float) -> Points:
    """A star, or with `inner` = cos(pi / points) a regular polygon, standing on its base; `r` is the outer radius."""
    turns = [(math.pi * (i / points - 0.5), r if i % 2 == 0 else r * inner) for i in range(2 * points)]
    return [(x + d * math.cos(a), y + d * math.sin(a)) for a, d in turns]


def curve(*knots: tuple[float, float]) -> Points:
    """A closed Catmull-Rom spline through the knots; a knot given twice is a corner."""
    out: Points = []
    for i in range(len(knots)):
        a, b, c, d = (knots[(i + j) % len(knots)] for j in (-1, 0, 1, 2))
        if b == c:  # a corner: a spline between the two would be a loop
            continue
        for t in (0.0, 0.2, 0.4, 0.6, 0.8):
            x, y = (
                0.5 * (2 * b[n] + (c[n] - a[n]) * t + (2 * a[n] - 5 * b[n] + 4 * c[n] - d[n]) * t**2
                       + (3 * b[n] - a[n] - 3 * c[n] + d[n]) * t**3)
                for n in (0, 1)
            )  # fmt: skip
            out.append((x, y))
    return out


class Scene:
    """A canvas of `width` x `height` units at `scale` pixels a unit; `place` moves and zooms what is drawn next."""

    def __init__(self, *ground: RGB, width: int = 400, height: int = 300, scale: float = 1.6, smooth: int = 2) -> None:
        self.k, self.smooth = scale * smooth, smooth
        self.units = (width, height)
        self.image = Image.new("RGB", (round(width * scale) * smooth, round(height * scale) * smooth))
        self.draw = ImageDraw.Draw(self.image)
        self.place()
        self.fill(box(-1, -1, width + 1, height + 1), *ground)

    def place(self, x: float = 0, y: float = 0, zoom: float = 1) -> None:
        """Put the origin of what follows at (x, y), in units, and draw it `zoom` times as large."""
        self.x, self.y, self.zoom = x, y, zoom

    def _pixels(self, points: Points, k: float) -> Points:
        return [((u * self.zoom + self.x) * k, (v * self.zoom + self.y) * k) for u, v in points]

    def _mask(self, points: Points) -> tuple[tuple[int, int], Image.Image] | None:
        px = self._pixels(points, self.k)
        left, top = (max(0, math.floor(min(p[n] for p in px))) for n in (0, 1))
        right, bottom = (min(self.image.size[n], math.ceil(max(p[n] for p in px)) + 1) for n in (0, 1))
        if right <= left or bottom <= top:
            return None
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).polygon([(u - left, v - top) for u, v in px], fill=255)
        return (left, top), mask

    def fill(self, points: Points, *stops: RGB, across: bool = False) -> None:
        """Fill an outline with colours that run into each other, downwards or `across` (left to right)."""
        if (n := len(stops)) == 1:
            self.draw.polygon(self._pixels(points, self.k), fill=stops[0])
            return
        if (found := self._mask(points)) is None:
            return
        at, mask = found
        ramp = Image.new("RGB", (n, 1) if across else (1, n))
        ramp.putdata(stops)
        part = (0.5, 0, n - 0.5, 1) if across else (0, 0.5, 1, n - 0.5)
        line = (mask.width, 1) if across else (1, mask.height)
        surface = ramp.resize(line, Image.Resampling.BILINEAR, box=part).resize(mask.size, Image.Resampling.NEAREST)
        self.image.paste(surface, (*at, at[0] + mask.width, at[1] + mask.height), mask)

    def soft(self, points: Points, rgb: RGB = (24, 20, 32), blur: float = 8, strength: float = 0.4) -> None:
        """Lay an outline over the scene with its edge blurred: a shadow, a glow, a fold. `blur` is in units."""
        px, blur = self._pixels(points, 1), blur * self.zoom
        left, top = (max(0, math.floor(min(p[n] for p in px) - 3 * blur)) for n in (0, 1))
        right, bottom = (min(self.units[n], math.ceil(max(p[n] for p in px) + 3 * blur)) for n in (0, 1))
        mask = Image.new("L", (right - left, bottom - top))  # one pixel a unit is fine enough for what is blurred
        ImageDraw.Draw(mask).polygon([(u - left, v - top) for u, v in px], fill=int(255 * strength))
        mask = mask.filter(ImageFilter.GaussianBlur(blur))
        size = (round(mask.width * self.k), round(mask.height * self.k))
        self.image.paste(rgb, (round(left * self.k), round(top * self.k)), mask.resize(size, Image.Resampling.BILINEAR))

    def stroke(self, points: Points, width: float, rgb: RGB) -> None:
        """Draw a line of `width` units with round ends through the points."""
        px, w = self._pixels(points, self.k), width * self.zoom * self.k
        self.draw.line(px, fill=rgb, width=max(1, round(w)), joint="curve")
        for u, v in (px[0], px[-1]):
            self.draw.ellipse((u - w / 2, v - w / 2, u + w / 2, v + w / 2), fill=rgb)

    def text(self, x: float, y: float, text: str, size: float, rgb: RGB, anchor: str = "mm", bold: float = 0) -> None:
        """Write one line; `size` and `bold` (extra thickness) in units, `anchor` as Pillow's."""
        at, px = self._pixels([(x, y)], self.k)[0], self.zoom * self.k
        font = ImageFont.load_default(size * px)
        self.draw.text(at, text, rgb, font, anchor, stroke_width=round(bold * px))

    def brush(self, points: Points, rng: Random, strength: float = 0.3) -> None:
        """Give a surface the fine horizontal lines of brushed metal or wood."""
        if (found := self._mask(points)) is None:
            return
        at, mask = found
        lines = Image.frombytes("L", (3, mask.height // 3), rng.randbytes(mask.height // 3 * 3))
        lines = lines.resize(mask.size, Image.Resampling.BICUBIC).point([int(v * strength) for v in range(256)])
        self.image.paste((20, 22, 30), at, ImageChops.multiply(lines, mask))

    def done(self) -> Image.Image:
        """The finished picture."""
        return self.image.reduce(self.smooth) if self.smooth > 1 else self.image
