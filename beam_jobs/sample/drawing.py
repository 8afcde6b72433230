"""Draw the pictures of the demo dataset. Names, colours and numbers -> PIL images; rejects nothing, reads nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from random import Random

from PIL import Image

from beam_jobs.sample.canvas import RGB, Points, Scene, box, curve, oval, star, tint

COLOURS: dict[str, RGB] = {
    "red": (201, 54, 52), "orange": (232, 126, 40), "yellow": (241, 196, 52), "green": (58, 140, 88),
    "blue": (46, 104, 186), "purple": (124, 76, 164), "pink": (232, 132, 166), "white": (240, 240, 236),
    "black": (46, 46, 52), "brown": (134, 88, 56), "grey": (142, 146, 152), "beige": (214, 196, 164),
}  # fmt: skip


def _ink(rgb: RGB) -> RGB:
    return (250, 248, 242) if sum(rgb) < 480 else (52, 48, 56)


def _round(rgb: RGB) -> tuple[RGB, ...]:
    """The shades of a cylinder lit from the left."""
    return tuple(tint(rgb, f) for f in (0.66, 0.95, 1.3, 1.05, 0.86, 0.58))


def mug(s: Scene, rgb: RGB, brand: str) -> None:
    """A mug full of coffee, its handle to the right."""
    s.soft(oval(212, 240, 104, 13), blur=9, strength=0.55)
    s.stroke(oval(258, 152, 42, 44), 17, tint(rgb, 0.6))
    s.stroke(oval(257, 150, 42, 44), 9, tint(rgb, 0.92))
    s.fill([(120, 76), *oval(192, 222, 64, 19, 180, 0), (264, 76)], *_round(rgb), across=True)
    s.soft(box(142, 100, 156, 208, 7), (255, 255, 255), 5, 0.5)
    s.fill(oval(192, 76, 72, 17), tint(rgb, 1.5), tint(rgb, 1.15))
    s.fill(oval(192, 77, 64, 13.5), tint(rgb, 0.5), tint(rgb, 0.8))
    s.fill(oval(192, 81, 57, 9.5), (58, 34, 22), (112, 70, 44))
    s.text(190, 156, brand, 34, _ink(rgb), bold=0.7)


def shoe(s: Scene, rgb: RGB, brand: str) -> None:
    """A sneaker seen from its side, its toe to the right."""
    s.soft(oval(208, 236, 146, 11), blur=8, strength=0.6)
    upper = curve((74, 218), (74, 218), (70, 178), (78, 134), (84, 102), (98, 98), (118, 124), (146, 122),
                  (164, 88), (180, 84), (200, 110), (236, 142), (282, 160), (322, 174),
                  (344, 200), (344, 218), (344, 218))  # fmt: skip
    s.fill(upper, tint(rgb, 1.25), rgb, tint(rgb, 0.8))
    s.fill(curve((92, 106), (102, 106), (120, 130), (148, 128), (158, 104), (164, 96), (150, 116), (122, 118)),
           tint(rgb, 0.4), tint(rgb, 0.5))  # fmt: skip
    s.fill(curve((74, 218), (74, 218), (71, 180), (77, 142), (96, 152), (104, 186), (104, 218), (104, 218)),
           tint(rgb, 0.72), tint(rgb, 0.55))  # fmt: skip
    s.fill(curve((288, 218), (288, 218), (296, 186), (322, 175), (344, 200), (344, 218), (344, 218)),
           tint(rgb, 1.55), tint(rgb, 1.15))  # fmt: skip
    for i in range(5):
        x, y = 184 + i * 19, 104 + i * 13.5
        s.stroke([(x, y), (x - 15, y + 19)], 5.5, (250, 250, 246))
    s.fill(box(66, 212, 350, 238, 12), (252, 252, 248), (206, 204, 200))
    s.stroke([(76, 225), (340, 225)], 2, tint(rgb, 0.8))
    s.text(188, 186, brand, 29, _ink(rgb), bold=0.6)


def shirt(s: Scene, rgb: RGB, brand: str) -> None:
    """A T-shirt laid flat."""
    half: Points = [(170, 44), (170, 44), (138, 54), (108, 68), (62, 134), (62, 134), (98, 158), (98, 158), (124, 130),
                    (124, 130), (128, 190), (124, 262), (124, 262)]  # fmt: skip
    outline = curve(*half, (200, 267), *[(400 - x, y) for x, y in reversed(half)], (200, 74))
    s.soft([(x + 5, y + 7) for x, y in outline], blur=7, strength=0.5)
    s.fill(outline, *(tint(rgb, f) for f in (0.82, 1.0, 1.16, 1.06, 0.8)), across=True)
    folds: list[Points] = [
        [(132, 120), (140, 122), (158, 236), (150, 240)],
        [(268, 120), (262, 124), (246, 220), (256, 226)],
    ]
    for fold in folds:
        s.soft(fold, tint(rgb, 0.5), 4, 0.5)
    s.fill([*oval(200, 44, 31, 29, 180, 0), (231, 40), (169, 40)], tint(rgb, 0.45), tint(rgb, 0.6))
    s.stroke(oval(200, 45, 33, 30, 3, 177), 6, tint(rgb, 0.85))
    for side in (-1, 1):
        s.stroke([(200 + side * 134, 128), (200 + side * 100, 151)], 1.4, tint(rgb, 0.7))
    s.stroke([(128, 254), (200, 259), (272, 254)], 1.4, tint(rgb, 0.7))
    s.text(200, 142, brand, 36, _ink(rgb), bold=0.8)


def lamp(s: Scene, rgb: RGB, brand: str, light: float = 1) -> None:
    """A table lamp, its light on (1), dimmed or off (0)."""
    s.soft(oval(206, 254, 78, 9), blur=8, strength=0.6)
    s.soft(oval(200, 118, 128, 100), (255, 226, 150), 34, 0.75 * light)
    s.fill(box(194, 140, 206, 244, 4), (120, 92, 44), (240, 214, 150), (140, 108, 58), across=True)
    s.fill([(146, 236), *oval(200, 246, 54, 11, 180, 0), (254, 236)], *_round(rgb), across=True)
    s.fill(oval(200, 236, 54, 10), tint(rgb, 1.3), tint(rgb, 1.05))
    s.text(200, 251, brand, 10, _ink(rgb), bold=0.3)
    s.soft(oval(200, 164, 70, 22), (255, 240, 190), 12, 0.9 * light)
    shade: Points = [(156, 46), *oval(200, 46, 44, 8, 180, 360), *oval(200, 160, 92, 15, 0, 180)]
    s.fill(shade, *_round(rgb), across=True)
    s.soft(oval(200, 122, 40, 34), (255, 236, 170), 18, 0.6 * light)
    s.fill(oval(200, 46, 44, 8), tint(rgb, 0.55), tint(rgb, 0.75))


def bag(s: Scene, rgb: RGB, brand: str) -> None:
    """A hand bag with a clasp."""
    s.soft(oval(206, 250, 112, 10), blur=9, strength=0.55)
    s.stroke(oval(200, 124, 56, 78, 180, 360), 11, tint(rgb, 0.6))
    lid = ((104, 122), (104, 122), (200, 116), (296, 122), (296, 122))
    body = curve(*lid, (308, 236), (300, 250), (200, 253), (100, 250), (92, 236))
    s.fill(body, tint(rgb, 1.15), rgb, tint(rgb, 0.68))
    s.fill(curve(*lid, (284, 160), (200, 184), (116, 160)), tint(rgb, 1.3), tint(rgb, 0.85))
    s.fill(box(188, 172, 212, 196, 5), (250, 226, 150), (184, 140, 60))
    s.text(200, 220, brand, 26, _ink(rgb), bold=0.6)


Product = Callable[[Scene, RGB, str], None]
PRODUCTS: dict[str, Product] = {"mug": mug, "shoe": shoe, "shirt": shirt, "lamp": lamp, "bag": bag}


def tag(s: Scene, text: str) -> None:
    """A hang tag at the top right that states a size."""
    s.stroke([(396, -4), (366, 30)], 1.2, (120, 108, 96))
    s.soft(box(319, 27, 391, 69, 6), blur=4, strength=0.5)
    s.fill(box(316, 22, 388, 64, 6), (255, 252, 240), (238, 228, 204))
    s.fill(oval(366, 30, 3, 3), (150, 138, 124))
    s.text(348, 35, "SIZE", 9, (140, 126, 110))
    s.text(352, 51, text, 16, (64, 54, 48), bold=0.3)


def product(kind: str, rgb: RGB, brand: str, size: str, wall: RGB, light: float = 1) -> Scene:
    """A product on a table before a wall, with its size on a hang tag."""
    s = Scene(tint(wall, 1.35), wall)
    s.fill(box(-1, 206, 401, 301), tint(wall, 1.6), tint(wall, 1.2))
    s.soft(oval(200, 110, 150, 90), (255, 255, 255), 40, 0.35)
    if kind == "lamp":
        lamp(s, rgb, brand, light)
    else:
        PRODUCTS[kind](s, rgb, brand)
    tag(s, size)
    return s


def flat_lay(shirt_rgb: RGB, shirt_brand: str, shoe_rgb: RGB, shoe_brand: str, rng: Random) -> Scene:
    """An outfit on a wooden floor: a shirt above, a shoe below, room for a bag."""
    s = Scene((196, 158, 116), (176, 136, 96))
    s.brush(box(0, 0, 400, 300), rng, 0.2)
    for y in (60, 120, 180, 240):
        s.stroke([(0, y), (400, y)], 1, (140, 104, 72))
    s.place(-28, 4, 0.82)
    shirt(s, shirt_rgb, shirt_brand)
    s.place(208, 142, 0.48)
    shoe(s, shoe_rgb, shoe_brand)
    return s


def part(form: str, defect: str, x: float, y: float, rng: Random) -> Scene:
    """A machined part (`flange` or `plate`) under a lamp; `defect`: none, scratch, dent or hole, at (x, y)."""
    s = Scene((52, 60, 70), (34, 40, 48))
    s.soft(oval(200, 130, 190, 130), (120, 136, 150), 50, 0.7)
    body = oval(200, 150, 128, 128) if form == "flange" else box(52, 48, 348, 252, 22)
    s.soft([(u + 6, v + 9) for u, v in body], (0, 0, 0), 9, 0.7)
    s.fill([(u + 2, v + 3) for u, v in body], (84, 90, 98))
    s.fill(body, (236, 240, 244), (186, 194, 202), (214, 220, 226), (140, 150, 160))
    s.brush(body, rng, 0.32)
    if form == "flange":
        bolts = [(200 + 98 * math.cos(i * math.pi / 3), 150 + 98 * math.sin(i * math.pi / 3)) for i in range(6)]
        s.fill(oval(200, 150, 70, 70), (150, 160, 170), (224, 230, 236))
        s.fill(oval(200, 150, 64, 64), (222, 228, 234), (168, 176, 186))
        s.brush(oval(200, 150, 64, 64), rng, 0.25)
        holes = [*(oval(u, v, 11, 11) for u, v in bolts), oval(200, 150, 34, 34)]
    else:
        holes = [oval(u, v, 12, 12) for u in (82, 318) for v in (78, 222)] + [box(160, 132, 240, 168, 18)]
    for hole in holes:
        s.fill([(u + 1.2, v + 1.6) for u, v in hole], (250, 252, 255))
        s.fill(hole, (14, 17, 22), (58, 66, 76))
    if defect == "scratch":
        line = [(x - 44, y + 16), (x - 16, y + 3), (x + 10, y - 2), (x + 46, y - 20)]
        s.stroke([(u + 1, v + 1.6) for u, v in line], 2.4, (255, 255, 255))
        s.stroke(line, 2, (56, 58, 64))
        s.stroke([(u + 6, v + 7) for u, v in line[1:3]], 1.2, (70, 72, 80))
    elif defect == "dent":
        s.soft(oval(x + 5, y + 6, 22, 17), (255, 255, 255), 4, 0.95)
        s.soft(oval(x - 2, y - 2, 20, 15), (30, 34, 42), 4, 0.75)
        s.soft(oval(x + 5, y + 5, 9, 6), (220, 226, 232), 3, 0.7)
    elif defect == "hole":
        radii = (11, 15, 10, 14, 9, 16, 12, 10, 15, 11, 13)
        jagged = [(x + r * math.cos(i * 0.57), y + r * math.sin(i * 0.57)) for i, r in enumerate(radii)]
        s.fill([(u + 1.5, v + 2) for u, v in jagged], (255, 255, 255))
        s.fill(jagged, (8, 8, 10), (40, 30, 26))
    return s


def poster(lines: Sequence[str], rgb: RGB, rng: Random) -> Scene:
    """A poster on a plastered wall: its first line large, in a coloured field, the others below."""
    s = Scene((206, 200, 192), (168, 160, 154))
    s.brush(box(0, 0, 400, 300), rng, 0.08)
    s.soft(box(66, 34, 346, 280), blur=9, strength=0.6)
    s.fill(box(60, 24, 340, 268, 8), (255, 253, 248), (236, 232, 226))
    s.fill(box(72, 36, 328, 148, 5), tint(rgb, 1.15), tint(rgb, 0.85))
    s.text(200, 92, lines[0], min(58, 350 / len(lines[0])), _ink(rgb), bold=1)
    for i, line in enumerate(lines[1:]):
        s.text(200, 182 + 40 * i, line, min(27, 440 / len(line)), (58, 52, 60), bold=0.5)
    for u, v in ((68, 32), (332, 32), (68, 260), (332, 260)):
        s.fill(oval(u, v, 3.5, 3.5), (230, 232, 236), (120, 124, 130))
    return s


def table(title: str, rows: Sequence[Sequence[str]], rgb: RGB) -> Scene:
    """A printed table on a desk; the first row is its header, columns after the first stand right."""
    s = Scene((120, 92, 72), (92, 68, 54))
    s.soft(box(34, 24, 376, 296), blur=8, strength=0.7)
    s.fill(box(26, 14, 374, 286, 2), (255, 254, 250), (242, 240, 234))
    s.text(46, 42, title, 21, (50, 46, 56), "lm", 0.4)
    s.stroke([(46, 60), (110, 60)], 3, rgb)
    step = min(34.0, 204 / len(rows))
    edges = [354 - 82 * (len(rows[0]) - 1 - i) for i in range(len(rows[0]))]
    for r, row in enumerate(rows):
        y, size, ink = 72 + r * step, min(15, step * 0.52), _ink(rgb) if r == 0 else (48, 46, 54)
        s.fill(box(40, y, 360, y + step), rgb if r == 0 else ((255, 255, 252), (234, 238, 242))[r % 2])
        for c, cell in enumerate(row):
            at, anchor = (48, "lm") if c == 0 else (edges[c], "rm")
            s.text(at, y + step / 2, cell, size, ink, anchor, 0.25 * (r == 0))
    s.stroke([(40, 72 + len(rows) * step), (360, 72 + len(rows) * step)], 1.5, rgb)
    return s


def flower(kind: str, rgb: RGB, scale: float = 1.6, smooth: int = 2) -> Scene:
    """A daisy, sunflower, poppy or tulip in a garden; 300 x 300 units."""
    s = Scene((188, 222, 240), (226, 240, 236), (136, 182, 108), width=300, height=300, scale=scale, smooth=smooth)
    s.soft(oval(70, 250, 60, 40), (90, 146, 76), 24, 0.6)
    s.soft(oval(240, 240, 70, 50), (100, 160, 84), 26, 0.6)
    s.stroke([(150, 150), (153, 220), (147, 310)], 9, (66, 128, 62))
    s.fill(oval(112, 252, 44, 13, turn=28), (104, 172, 84), (60, 124, 58))
    s.fill(oval(190, 268, 44, 13, turn=-30), (104, 172, 84), (60, 124, 58))
    if kind == "tulip":
        cup = ((98, 76), (98, 76), (120, 104), (150, 58), (150, 58), (180, 104), (202, 76), (202, 76))
        s.fill(curve(*cup, (208, 150), (150, 192), (92, 150)), tint(rgb, 1.25), rgb, tint(rgb, 0.75))
        s.fill(curve((150, 62), (150, 62), (184, 122), (150, 190), (150, 190), (116, 122)), tint(rgb, 1.45), rgb)
        return s
    petals, reach, width = {"daisy": (16, 56, 13), "sunflower": (22, 58, 12), "poppy": (5, 46, 44)}[kind]
    for layer, factor in ((0.5, 0.8), (0.0, 1.0)):
        for i in range(petals):
            turn = 360 * (i + layer) / petals - 90
            x, y = 150 + reach * math.cos(math.radians(turn)), 128 + reach * math.sin(math.radians(turn))
            s.fill(oval(x, y, 42, width, turn=turn), tint(rgb, min(2, 1.12 * factor)), tint(rgb, 0.9 * factor))
    heart = {"daisy": (246, 196, 46), "sunflower": (104, 64, 34), "poppy": (44, 36, 44)}[kind]
    r = 34 if kind == "sunflower" else 22
    s.soft(oval(152, 132, r, r), blur=5, strength=0.45)
    s.fill(oval(150, 128, r, r), tint(heart, 1.3), tint(heart, 0.75))
    for i in range(26):
        a, d = i * 2.4, r * 0.9 * math.sqrt(i / 26)
        s.fill(oval(150 + d * math.cos(a), 128 + d * math.sin(a), 1.8, 1.8), tint(heart, 1.5))
    return s


def tile(shape: str, rgb: RGB) -> Scene:
    """A wooden toy tile: a circle, square, triangle, hexagon or star."""
    outline = {
        "circle": oval(200, 150, 92, 92), "square": box(118, 68, 282, 232, 8), "triangle": star(200, 168, 112, 3, 0.5),
        "hexagon": star(200, 150, 104, 6, math.cos(math.pi / 6)), "star": star(200, 156, 112, 5, 0.45),
    }[shape]  # fmt: skip
    s = Scene((240, 232, 218), (222, 208, 188))
    s.soft([(u + 8, v + 12) for u, v in outline], blur=9, strength=0.5)
    s.fill([(u + 3, v + 6) for u, v in outline], tint(rgb, 0.6))
    s.fill(outline, tint(rgb, 1.3), rgb, tint(rgb, 0.85))
    s.soft(oval(172, 112, 30, 14, turn=-30), (255, 255, 255), 9, 0.45)
    return s


def shelf(items: Sequence[tuple[str, RGB, str]], scale: float) -> Scene:
    """A tall photograph (300 x 400 units) of a shop's shelf: one product to each of its three boards."""
    s = Scene((232, 222, 206), (206, 192, 172), width=300, height=400, scale=scale, smooth=1)
    for i, (kind, rgb, brand) in enumerate(items):
        y = 127 + 131 * i
        s.soft(box(0, y + 8, 300, y + 16), blur=6, strength=0.6)
        s.fill(box(-1, y, 301, y + 9), (186, 140, 98), (128, 90, 60))
        s.place(30, y - 122, 0.5)
        PRODUCTS[kind](s, rgb, brand)
        s.place()
        s.fill(box(222, y - 38, 284, y - 2, 3), (255, 255, 250), (236, 232, 222))
        s.text(253, y - 26, brand, 13, (60, 50, 48), bold=0.3)
        s.text(253, y - 11, kind, 11, (120, 104, 92))
    return s


def grain(image: Image.Image, rng: Random, strength: float) -> Image.Image:
    """The picture as a grainy film would show it; `strength` (0 to 1) is the noise's share.

    One tile of noise is laid side by side: the eye does not see it repeat, and drawing 40 MB of it would take seconds.
    """
    side = 1024
    tile = Image.frombytes("RGB", (side, side), rng.randbytes(3 * side * side))
    noise = Image.new("RGB", image.size)
    for x in range(0, image.width, side):
        for y in range(0, image.height, side):
            noise.paste(tile, (x, y))
    return Image.blend(image, noise, strength)
