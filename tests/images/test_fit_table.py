"""Every format x mode x orientation x size class: action, dimensions, mode and pixels of what the fitter makes of it."""

from __future__ import annotations

import io
import random
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import pillow_heif
import pytest
from fit_pictures import opened
from image_bytes import saved
from PIL import Image, ImageChops, ImageOps

from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.fit.tiles import mosaic
from transforms.images.headers.parse import parse

pillow_heif.register_heif_opener()  # what the helpers do at their start

WIDTH, HEIGHT = 160, 112
LARGE = (1400, 1000)  # of which tiles are less than half, and which is worked in strips
ROOMY, SNUG, TINY = (
    1_000_000,
    10_000,
    3_000,
)  # bytes: holds all as it is; needs JPEG or fewer pixels; needs fewer pixels
FIELDS = [(200, 60, 50), (60, 180, 80), (70, 80, 190), (120, 120, 120)]
GREY = [(value,) for value in (60, 110, 160, 210)]
ALPHA = [255, 0, 128, 200]
Pixel = tuple[int, ...]
TURNED = {  # which of the four fields, row by row, stands where
    1: (0, 1, 2, 3), 2: (1, 0, 3, 2), 3: (3, 2, 1, 0), 4: (2, 3, 0, 1),
    5: (0, 2, 1, 3), 6: (2, 0, 3, 1), 7: (3, 1, 2, 0), 8: (1, 3, 0, 2),
}  # fmt: skip


def quarters(mode: str, values: list[Any], size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    image, (width, height) = Image.new(mode, size), size
    for index, value in enumerate(values):
        x, y = index % 2 * width // 2, index // 2 * height // 2
        image.paste(value, (x, y, x + width // 2, y + height // 2))
    return image


def grain(image: Image.Image) -> Image.Image:
    """So that a picture of four fields takes some bytes; its mean is 0."""
    noise = Image.frombytes("L", image.size, random.Random(5).randbytes(image.width * image.height))
    noise = noise.point(lambda v: 111 + v // 8)
    noise = noise if image.mode == "L" else Image.merge(image.mode, [noise] * len(image.getbands()))
    return ImageChops.add(image, noise, 1, -127)


COLOUR, LIGHT = grain(quarters("RGB", FIELDS)), grain(quarters("L", [value[0] for value in GREY]))


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(quarters("L", ALPHA, image.size))
    return image


def deep(light: Image.Image) -> Image.Image:
    image = Image.new("I;16", light.size)
    image.frombytes(bytes(two for value in light.tobytes() for two in (value, value)))
    return image


def png(rows: list[bytes], width: int, height: int, depth: int, colour: int, interlaced: bool = False) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def interlaced() -> bytes:
    """Adam7, which Pillow reads and does not write."""
    rows = []
    for x0, y0, dx, dy in (
        (0, 0, 8, 8),
        (4, 0, 8, 8),
        (0, 4, 4, 8),
        (2, 0, 4, 4),
        (0, 2, 2, 4),
        (1, 0, 2, 2),
        (0, 1, 1, 2),
    ):
        for y in range(y0, HEIGHT, dy):
            rows.append(b"".join(bytes(COLOUR.getpixel((x, y))) for x in range(x0, WIDTH, dx)))  # type: ignore[arg-type]
    return png(rows, WIDTH, HEIGHT, 8, 2, interlaced=True)


def deep_colour() -> bytes:
    data = COLOUR.tobytes()
    rows = [data[3 * WIDTH * y : 3 * WIDTH * (y + 1)] for y in range(HEIGHT)]
    return png([bytes(two for one in row for two in (one, one)) for row in rows], WIDTH, HEIGHT, 16, 2)


def dds() -> bytes:
    return saved(with_alpha(COLOUR), "DDS")


@dataclass(frozen=True)
class Kind:
    """A source, and the type and mode it becomes where there is room, and where there is just room for a JPEG."""

    name: str
    data: bytes
    roomy: tuple[str, str]
    snug: tuple[str, str]
    pixels: list[Pixel]
    tolerance: int = 3
    options: dict[str, Any] = field(default_factory=dict)
    remake: tuple[Image.Image, str] | None = None  # made anew with an EXIF orientation
    size: tuple[int, int] = (WIDTH, HEIGHT)
    orientations: range | tuple[int, ...] = range(1, 9)


def kinds() -> list[Kind]:
    p = COLOUR.quantize(8)
    bits = LIGHT.convert("1")
    clear = [(*colour, alpha) for colour, alpha in zip(FIELDS, ALPHA)]
    grey_clear = [(*grey, alpha) for grey, alpha in zip(GREY, ALPHA)]
    cmyk = [tuple(FIELDS[i]) for i in range(4)]
    second = ImageChops.invert(COLOUR)
    jpeg, lossless = ("jpeg", "RGB"), {"lossless": True, "exact": True}
    rows: list[tuple[Any, ...]] = [
        # name; picture, format, options; roomy; snug; pixels; tolerance
        ("jpeg L", LIGHT, "JPEG", {"quality": 97}, ("jpeg", "L"), ("jpeg", "L"), GREY),
        ("jpeg RGB", COLOUR, "JPEG", {"quality": 97, "subsampling": 0}, jpeg, jpeg, FIELDS),
        ("jpeg progressive", COLOUR, "JPEG", {"quality": 97, "progressive": True}, jpeg, jpeg, FIELDS),
        ("jpeg CMYK", COLOUR.convert("CMYK"), "JPEG", {"quality": 97}, jpeg, jpeg, cmyk),
        ("mpo", COLOUR, "MPO", {"quality": 97, "save_all": True, "append_images": [second.copy()]}, jpeg, jpeg, FIELDS),
        ("png 1", bits, "PNG", {}, ("png", "1"), ("png", "1"), GREY, 6),
        ("png L", LIGHT, "PNG", {}, ("png", "L"), ("jpeg", "L"), GREY),
        ("png LA", with_alpha(LIGHT), "PNG", {}, ("png", "LA"), ("png", "LA"), grey_clear),
        ("png P", p, "PNG", {}, ("png", "P"), ("png", "P"), FIELDS, 8),
        ("png RGB", COLOUR, "PNG", {}, ("png", "RGB"), jpeg, FIELDS),
        ("png RGBA", with_alpha(COLOUR), "PNG", {}, ("png", "RGBA"), ("png", "RGBA"), clear),
        ("png 16 bit", deep(LIGHT), "PNG", {}, ("png", "L"), ("jpeg", "L"), GREY),
        ("png animated", COLOUR, "PNG", {"save_all": True, "append_images": [second.copy()]}, ("png", "RGB"), jpeg, FIELDS),
        ("webp RGB", COLOUR, "WEBP", lossless, jpeg, jpeg, FIELDS),
        ("webp lossy", COLOUR, "WEBP", {"quality": 95}, jpeg, jpeg, FIELDS, 6),
        ("webp RGBA", with_alpha(COLOUR), "WEBP", lossless, ("png", "RGBA"), ("png", "RGBA"), clear),
        ("webp animated", COLOUR, "WEBP", {**lossless, "save_all": True, "append_images": [second.copy()]}, jpeg, jpeg, FIELDS),
        ("gif P", p, "GIF", {}, ("png", "P"), ("png", "P"), FIELDS, 8),
        ("gif animated", p, "GIF", {"save_all": True, "append_images": [second.copy()]}, ("png", "P"), ("png", "P"), FIELDS, 8),
        ("bmp 1", bits, "BMP", {}, ("png", "1"), ("png", "1"), GREY, 6),
        ("bmp L", LIGHT, "BMP", {}, ("png", "L"), ("jpeg", "L"), GREY),
        ("bmp P", p, "BMP", {}, ("png", "P"), ("png", "P"), FIELDS, 8),
        ("bmp RGB", COLOUR, "BMP", {}, ("png", "RGB"), jpeg, FIELDS),
        ("tiff 1", bits, "TIFF", {"compression": "group4"}, ("png", "1"), ("png", "1"), GREY, 6),
        ("tiff L", LIGHT, "TIFF", {}, ("png", "L"), ("jpeg", "L"), GREY),
        ("tiff 16 bit", deep(LIGHT), "TIFF", {}, ("png", "L"), ("jpeg", "L"), GREY),
        ("tiff P", p, "TIFF", {}, ("png", "P"), ("png", "P"), FIELDS, 8),
        ("tiff RGB", COLOUR, "TIFF", {"compression": "tiff_lzw"}, ("png", "RGB"), jpeg, FIELDS),
        ("tiff RGBA", with_alpha(COLOUR), "TIFF", {}, ("png", "RGBA"), ("png", "RGBA"), clear),
        ("tiff CMYK", COLOUR.convert("CMYK"), "TIFF", {}, ("png", "RGB"), jpeg, cmyk),
        ("tiff YCbCr", COLOUR.convert("YCbCr"), "TIFF", {"compression": "jpeg", "quality": 95}, ("png", "RGB"), jpeg, FIELDS, 4),
        ("tiff pages", COLOUR, "TIFF", {"save_all": True, "append_images": [second.copy()]}, ("png", "RGB"), jpeg, FIELDS),
        ("ico RGBA", with_alpha(COLOUR), "ICO", {"sizes": [(WIDTH, HEIGHT)]}, ("png", "RGBA"), ("png", "RGBA"), clear),
        ("jp2 L", LIGHT, "JPEG2000", {}, ("jpeg", "L"), ("jpeg", "L"), GREY),
        ("jp2 RGB", COLOUR, "JPEG2000", {}, jpeg, jpeg, FIELDS),
        ("jp2 RGBA", with_alpha(COLOUR), "JPEG2000", {}, ("png", "RGBA"), ("png", "RGBA"), clear),
        ("avif RGB", COLOUR, "AVIF", {"quality": 95}, jpeg, jpeg, FIELDS, 6),
        ("heic L", LIGHT, "HEIF", {"quality": 95}, ("jpeg", "L"), ("jpeg", "L"), GREY, 6),
        ("avif RGBA", with_alpha(COLOUR), "AVIF", {"quality": 95}, ("png", "RGBA"), ("png", "RGBA"), clear, 6),
        ("heic RGBA", with_alpha(COLOUR), "HEIF", {"quality": 95}, ("png", "RGBA"), ("png", "RGBA"), clear, 6),
        ("heic RGB", COLOUR, "HEIF", {"quality": 95}, jpeg, jpeg, FIELDS, 6),
        ("ppm 1", bits, "PPM", {}, ("png", "1"), ("png", "1"), GREY, 6),
        ("ppm L", LIGHT, "PPM", {}, ("png", "L"), ("jpeg", "L"), GREY),
        ("ppm RGB", COLOUR, "PPM", {}, ("png", "RGB"), jpeg, FIELDS),
        ("qoi RGB", COLOUR, "QOI", {}, ("png", "RGB"), jpeg, FIELDS),
        ("sgi RGB", COLOUR, "SGI", {}, ("png", "RGB"), jpeg, FIELDS),
        ("pcx RGB", COLOUR, "PCX", {}, ("png", "RGB"), jpeg, FIELDS),
        ("dds RGBA", with_alpha(COLOUR), "DDS", {}, ("png", "RGBA"), ("png", "RGBA"), clear),
    ]  # fmt: skip
    made = []
    for name, picture, image_format, options, roomy, snug, pixels, *tolerance in rows:
        remake = (picture, image_format) if image_format in ("JPEG", "PNG", "WEBP", "TIFF", "HEIF") else None
        data = saved(picture, image_format, **options)
        made.append(Kind(name, data, roomy, snug, pixels, *(tolerance or [3]), options=options, remake=remake))
    made.append(Kind("png interlaced", interlaced(), ("png", "RGB"), jpeg, FIELDS))
    made.append(Kind("png 16 bit RGB", deep_colour(), ("png", "RGB"), jpeg, FIELDS))
    return made


def large_kinds() -> list[Kind]:
    """A few of each way through the fitter: shrunk or not, with alpha or not, lossless or not, turned or not."""
    colour, light = grain(quarters("RGB", FIELDS, LARGE)), grain(quarters("L", GREY, LARGE))
    clear = [(*pixel, alpha) for pixel, alpha in zip(FIELDS, ALPHA)]
    jpeg, png_of = ("jpeg", "RGB"), lambda mode: ("png", mode)
    rows: list[tuple[Any, ...]] = [
        ("jpeg RGB", colour, "JPEG", {"quality": 97, "subsampling": 0}, (1, 6), jpeg, jpeg, FIELDS),
        ("jpeg L", light, "JPEG", {"quality": 97}, (3,), ("jpeg", "L"), ("jpeg", "L"), GREY),
        ("png P", colour.quantize(8), "PNG", {}, (1,), png_of("P"), png_of("P"), FIELDS, 8),
        ("png RGBA", with_alpha(colour), "PNG", {"compress_level": 1}, (1, 8), png_of("RGBA"), png_of("RGBA"), clear),
        ("tiff 16 bit", deep(light), "TIFF", {}, (1,), png_of("L"), ("jpeg", "L"), GREY),
        ("bmp RGB", colour, "BMP", {}, (1,), png_of("RGB"), jpeg, FIELDS),
        ("webp RGB", colour, "WEBP", {"quality": 95}, (7,), jpeg, jpeg, FIELDS, 6),
    ]  # fmt: skip
    made = []
    for name, picture, image_format, options, turns, roomy, snug, pixels, *more in rows:
        assert mosaic(picture.crop, LARGE).size != LARGE
        data = saved(picture, image_format, **options)
        made.append(Kind(f"large {name}", data, roomy, snug, pixels, *(more or [3]), options=options,
                         remake=(picture, image_format), size=LARGE, orientations=turns))  # fmt: skip
    return made


KINDS = kinds() + large_kinds()


def run(data: bytes, limit: int, **policy: Any) -> FittedImage:
    header = parse(data, len(data))
    return fit(data, FitPolicy(max_bytes=limit, types=("jpeg", "png"), **policy), source="s", header_type=header.type)


def means(image: Image.Image) -> list[Pixel]:
    """The mean of each field, a few pixels within its edges."""
    mode = {"1": "L", "P": "RGB"}.get(image.mode, image.mode)
    width, height = image.size
    found = []
    for index in range(4):
        left, top = index % 2 * width / 2 + width / 8, index // 2 * height / 2 + height / 8
        part = image.convert(mode).crop((round(left), round(top), round(left + width / 4), round(top + height / 4)))
        histogram, count = part.histogram(), part.width * part.height
        bands = range(len(part.getbands()))
        found.append(tuple(round(sum(v * histogram[b * 256 + v] for v in range(256)) / count) for b in bands))
    return found


def close(found: list[Pixel], expected: list[Pixel], tolerance: int) -> bool:
    return [len(pixel) for pixel in found] == [len(pixel) for pixel in expected] and all(
        # Where nothing is seen the colour may go.
        (len(want) in (2, 4) and want[-1] == 0 == got[-1]) or all(abs(a - b) <= tolerance for a, b in zip(got, want))
        for got, want in zip(found, expected)
    )


def astray(image: Image.Image, data: bytes) -> int:
    """By how much any 8 x 8 pixels differ from the source's, turned and shrunk as a whole: a strip or tile gone astray."""
    source = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if source.mode == "I;16":
        source = source.convert("I").point(lambda v: v * (1 / 257)).convert("L")
    mode = {"P": "RGB", "RGBA": "RGBa"}.get(image.mode, image.mode)  # what is not seen does not count
    source = source.convert("RGB") if source.mode == "P" else source
    wanted = source.resize(image.size, Image.Resampling.LANCZOS).convert(mode)
    # Band by band: Pillow knows no difference of RGBa.
    pairs = zip(wanted.reduce(8).split(), image.convert(mode).reduce(8).split())
    return max(ImageChops.difference(*pair).getextrema()[1] for pair in pairs)  # type: ignore[type-var, return-value]


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_format_mode_orientation_size(kind: Kind) -> None:
    header, (width, height) = parse(kind.data, len(kind.data)), kind.size
    source = header.type
    assert (header.width, header.height) == ((0, 0) if source == "jp2" else kind.size)
    times = width * height / (WIDTH * HEIGHT)
    roomy, snug, tiny = (round(limit * times) for limit in (ROOMY, SNUG, TINY))
    for orientation in kind.orientations if kind.remake else (1,):
        data = kind.data
        if orientation > 1 and kind.remake:
            exif = Image.Exif()
            exif[0x0112] = orientation
            data = saved(*kind.remake, exif=exif.tobytes(), **kind.options)
        size = (width, height) if orientation < 5 else (height, width)
        pixels = [kind.pixels[at] for at in TURNED[orientation]]
        for limit, (type_, mode) in ((roomy, kind.roomy), (snug, kind.snug), (tiny, kind.snug)):
            fitted = run(data, limit)
            image, where = opened(fitted), (kind.name, orientation, limit)
            all_kept = fitted.type == type_ and (fitted.width, fitted.height) == size
            assert len(fitted.data) <= limit, where
            if limit == roomy:
                assert all_kept and image.mode == mode, where
                assert fitted.fate == ("recompressed" if source == type_ else "converted"), where
            elif fitted.fate == "resized":
                assert limit == tiny or mode in ("LA", "RGBA"), where
                assert fitted.scale < 1 and abs(fitted.width / fitted.height / (size[0] / size[1]) - 1) < 0.06, where
            else:
                assert all_kept, where
            grey_again = mode == "RGB" and image.mode == "L"
            assert not grey_again, where
            tolerance = kind.tolerance + (8 if limit == tiny else 3)
            assert close(means(image), pixels, tolerance), (*where, means(image), pixels)
            if kind.size == LARGE:
                assert astray(image, data) <= 4, where
            assert dict(image.getexif()) == {} and "icc_profile" not in image.info, where
