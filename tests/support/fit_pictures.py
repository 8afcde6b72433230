"""Pictures of every kind of pixels, how they are fitted, and what is seen of the result."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

from image_bytes import saved
from PIL import Image

from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy, FittedImage

RED, GREEN, BLUE, GREY = (250, 10, 20), (10, 240, 30), (30, 20, 230), (120, 120, 120)
BOTH = ("jpeg", "png")
WIDTH, HEIGHT = 64, 48
Pixel = tuple[int, ...]


def quarters(mode: str, pixels: list[Any]) -> Image.Image:
    """A picture of four fields, left to right and top to bottom: no turn or mirror image of it equals it."""
    image = Image.new(mode, (WIDTH, HEIGHT))
    for index, pixel in enumerate(pixels):
        x, y = index % 2 * WIDTH // 2, index // 2 * HEIGHT // 2
        image.paste(pixel, (x, y, x + WIDTH // 2, y + HEIGHT // 2))
    return image


def noise(width: int, height: int, seed: int = 7) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height))


def soft_noise(width: int, height: int) -> Image.Image:
    """Noise about as hard to encode as a detailed photograph."""
    return noise(width // 2, height // 2).resize((width, height), Image.Resampling.BICUBIC)


def run(data: bytes, header_type: str, max_bytes: int = 1_000_000, types: tuple[str, ...] = BOTH) -> FittedImage:
    return fit(data, FitPolicy(max_bytes=max_bytes, types=types), source="src", header_type=header_type)


def opened(fitted: FittedImage) -> Image.Image:
    image = Image.open(io.BytesIO(fitted.data))
    image.load()
    assert (image.format or "").lower() == fitted.type
    assert image.size == (fitted.width, fitted.height)
    return image


def fields(image: Image.Image) -> list[Pixel]:
    """The pixel in the middle of each quarter, always as a tuple."""
    width, height = image.size
    points = [(width // 4 + x * width // 2, height // 4 + y * height // 2) for y in (0, 1) for x in (0, 1)]
    found = [image.getpixel(point) for point in points]
    return [pixel if isinstance(pixel, tuple) else (int(pixel or 0),) for pixel in found]


def close(found: list[Pixel], expected: list[Pixel], tolerance: int) -> bool:
    return all(
        len(one) == len(other) and all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))
        for one, other in zip(found, expected, strict=True)
    )


def palette(transparency: bool) -> bytes:
    image = quarters("P", [0, 1, 2, 3])
    image.putpalette([channel for colour in (RED, GREEN, BLUE, GREY) for channel in colour])
    return saved(image, "PNG", **({"transparency": bytes([255, 0, 128, 255])} if transparency else {}))


def deep_png() -> bytes:
    """A 16-bit grey PNG: 0, 100, 200 and 255 times 257."""
    image = Image.new("I;16", (WIDTH, HEIGHT))
    values = struct.pack("<H", 0), struct.pack("<H", 25_700), struct.pack("<H", 51_400), struct.pack("<H", 65_535)
    half = WIDTH // 2
    rows = [values[0] * half + values[1] * half] * (HEIGHT // 2) + [values[2] * half + values[3] * half] * (HEIGHT // 2)
    image.frombytes(b"".join(rows))
    return saved(image, "PNG")


RGB = [RED, GREEN, BLUE, GREY]
RGBA = [(*RED, 255), (*GREEN, 0), (*BLUE, 128), (*GREY, 255)]
L = [0, 100, 200, 255]
GREYS = [(0,), (100,), (200,), (255,)]
CMYK = [(0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 128)]
CMYK_RGB = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (127, 127, 127)]

KINDS = [
    # name, bytes, header type; type, mode and fields when PNG is allowed; tolerance
    ("png RGB", saved(quarters("RGB", RGB), "PNG"), "png", "png", "RGB", RGB, 0),
    ("png RGBA", saved(quarters("RGBA", RGBA), "PNG"), "png", "png", "RGBA", RGBA, 0),
    ("png opaque RGBA", saved(quarters("RGBA", [(*p, 255) for p in RGB]), "PNG"), "png", "png", "RGB", RGB, 0),
    ("png L", saved(quarters("L", L), "PNG"), "png", "png", "L", GREYS, 0),
    ("png LA", saved(quarters("LA", [(0, 9), (100, 255), (200, 0), (255, 1)]), "PNG"), "png", "png", "LA",
     [(0, 9), (100, 255), (200, 0), (255, 1)], 0),
    ("png 1", saved(quarters("1", [0, 255, 255, 0]), "PNG"), "png", "png", "1", [(0,), (255,), (255,), (0,)], 0),
    ("png 16 bit", deep_png(), "png", "png", "L", GREYS, 0),
    ("png palette", palette(False), "png", "png", "P", [(0,), (1,), (2,), (3,)], 0),
    ("png palette, transparent", palette(True), "png", "png", "RGBA", RGBA, 0),
    ("png RGB, one colour transparent", saved(quarters("RGB", RGB), "PNG", transparency=GREEN), "png", "png", "RGBA",
     [(*RED, 255), (*GREEN, 0), (*BLUE, 255), (*GREY, 255)], 0),
    ("bmp RGB", saved(quarters("RGB", RGB), "BMP"), "bmp", "png", "RGB", RGB, 0),
    ("gif L", saved(quarters("L", L), "GIF"), "gif", "png", "P", [(0,), (1,), (2,), (3,)], 0),
    ("gif transparent", saved(quarters("L", L), "GIF", transparency=200), "gif", "png", "RGBA",
     [(0, 0, 0, 255), (100, 100, 100, 255), (200, 200, 200, 0), (255, 255, 255, 255)], 0),
    ("ico RGBA", saved(quarters("RGBA", RGBA), "ICO", sizes=[(WIDTH, HEIGHT)]), "ico", "png", "RGBA", RGBA, 0),
    ("tiff RGB", saved(quarters("RGB", RGB), "TIFF", compression="tiff_lzw"), "tiff", "png", "RGB", RGB, 0),
    ("tiff CMYK", saved(quarters("CMYK", CMYK), "TIFF"), "tiff", "png", "RGB", CMYK_RGB, 0),
    ("tiff F", saved(quarters("F", [-1.0, 0.0, 0.5, 1.0]), "TIFF"), "tiff", "png", "L",
     [(0,), (128,), (191,), (255,)], 0),
    ("tiff I", saved(quarters("I", [-100_000, 0, 50_000, 100_000]), "TIFF"), "tiff", "png", "L",
     [(0,), (128,), (191,), (255,)], 1),
    ("tiff all NaN", saved(quarters("F", [float("nan")] * 4), "TIFF"), "tiff", "png", "L", [(0,)] * 4, 0),
    ("jpeg RGB", saved(quarters("RGB", RGB), "JPEG", quality=95), "jpeg", "jpeg", "RGB", RGB, 8),
    ("jpeg L", saved(quarters("L", L), "JPEG", quality=95), "jpeg", "jpeg", "L", GREYS, 4),
    ("jpeg CMYK", saved(quarters("CMYK", CMYK), "JPEG", quality=95), "jpeg", "jpeg", "RGB", CMYK_RGB, 8),
    ("webp RGB", saved(quarters("RGB", RGB), "WEBP", lossless=True), "webp", "jpeg", "RGB", RGB, 8),
    ("webp RGBA", saved(quarters("RGBA", RGBA), "WEBP", lossless=True, exact=True), "webp", "png", "RGBA", RGBA, 0),
    ("jp2 RGB", saved(quarters("RGB", RGB), "JPEG2000"), "jp2", "jpeg", "RGB", RGB, 8),
    ("avif RGB", saved(quarters("RGB", RGB), "AVIF", quality=100), "avif", "jpeg", "RGB", RGB, 10),
]  # fmt: skip
