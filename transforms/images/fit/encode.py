"""Encode a plain picture. Image -> bytes of a JPEG or PNG; rejects nothing.

    JPEG    Annex K's tables scaled by a quality that need not be whole: between two whole ones lie up to 12 % of the bytes;
            4:4:4, 4:2:2 or 4:2:0; baseline, or progressive with its own Huffman codes (some 10 % fewer bytes, 4 x the time)
    PNG     what needs no alpha, colour or depth loses it without loss; the stronger deflate where asked for

The same picture, setting and CODEC_VERSIONS give the same bytes.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from importlib import metadata

import PIL
from PIL import Image, ImageChops, ImageFile, features

_CODECS = ("libjpeg_turbo", "zlib", "zlib_ng", "littlecms2", "libtiff", "webp", "jpg_2000", "avif")


def _heif() -> list[str]:
    try:
        return [f"pillow-heif-{metadata.version('pillow-heif')}"]
    except metadata.PackageNotFoundError:
        return []


CODEC_VERSIONS = " ".join(
    [f"pillow-{PIL.__version__}"]
    + [f"{c}-{features.version(c)}" for c in _CODECS if c in features.get_supported()]
    + _heif()
)

SAMPLINGS = ("4:2:0", "4:2:2", "4:4:4")  # coarsest first
STEPS = 20  # of quality between two whole ones
SCALED_QUALITY = 85  # what shrinking aims at: PSNR at equal bytes is flat over 85..92, where SSIM falls with the pixels
_PATIENCE = 8_000_000  # pixels that the strongest deflate is used on: soft ones take it 2 seconds a million

# ITU-T T.81 Annex K, tables K.1 and K.2, row by row.
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Setting:
    """How a JPEG is coded. `step` is its quality times STEPS."""

    sampling: str  # of SAMPLINGS; "" for grey
    step: int
    best: bool  # progressive, with its own Huffman codes

    @property
    def quality(self) -> int:
        return self.step // STEPS


def tables(step: int) -> list[list[int]]:
    """Quantisation tables: at a whole quality libjpeg's own.

    >>> tables(90 * STEPS)[0][:4], tables(90 * STEPS + 10)[0][4:8]
    ([3, 2, 2, 3], [5, 8, 10, 12])
    """
    percent = 5000 * STEPS // step if step < 50 * STEPS else 200 - 2 * step / STEPS
    return [
        [min(255, max(1, int((base * percent + 50) / 100))) for base in table] for table in (_LUMINANCE, _CHROMINANCE)
    ]


def encode_jpeg(image: Image.Image, setting: Setting) -> bytes:
    """Encode a picture in mode L or RGB."""
    return code_jpeg(image, tables(setting.step), setting.sampling, setting.best)


def code_jpeg(image: Image.Image, qtables: list[list[int]], sampling: str, best: bool) -> bytes:
    """Encode with any tables."""
    options: dict[str, str | bool] = {"subsampling": sampling} if sampling else {}
    if best:
        options |= {"progressive": True, "optimize": True}
    buffer, usual = io.BytesIO(), ImageFile.MAXBLOCK
    try:
        if best:  # libjpeg then hands over everything at once
            ImageFile.MAXBLOCK = max(usual, 4 * image.width * image.height)
        image.save(buffer, "JPEG", qtables=qtables[: 1 if image.mode == "L" else 2], **options)
    finally:
        ImageFile.MAXBLOCK = usual
    return buffer.getvalue()


def encode_png(image: Image.Image, stronger: bool) -> bytes:
    """Encode a picture in any plain mode, without loss."""
    buffer = io.BytesIO()
    small = image.width * image.height <= _PATIENCE
    image.save(buffer, "PNG", optimize=stronger and small, compress_level=7 if stronger else 6)
    return buffer.getvalue()


def without_waste(image: Image.Image, sample: Image.Image) -> Image.Image:
    """The picture in the mode that holds it with the fewest bits.

    `sample` is a part of it: what the part needs the whole needs, so that most pictures are not looked at whole.
    """
    if image.mode == "RGB" and _is_grey(sample) and _is_grey(image):
        image, sample = image.getchannel(0), sample.getchannel(0)
    if image.mode == "L" and _few(sample, 2) and {value for _, value in _few(image, 2)} <= {0, 255}:
        return image.convert("1", dither=Image.Dither.NONE)
    most = {"L": 16, "RGB": 256}.get(image.mode, 0)
    if most and _few(sample, most) and (colours := _few(image, most)):
        return _as_palette(image, len(colours)) or image
    return image


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return ImageChops.difference(red, green).getbbox() is None and ImageChops.difference(red, blue).getbbox() is None


def _few(image: Image.Image, most: int) -> list[tuple[int, int]]:
    return image.getcolors(most) or []  # type: ignore[return-value]


def _as_palette(image: Image.Image, colours: int) -> Image.Image | None:
    """The picture in mode P, or None where the palette does not hold its colours exactly."""
    small = image.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    return small if ImageChops.difference(small.convert(image.mode), image).getbbox() is None else None
