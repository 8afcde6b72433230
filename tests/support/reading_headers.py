"""Files of every kind, and what parsing, walking and Pillow say of them."""

from __future__ import annotations

import io

import pytest
from image_bytes import AVIF, GIF, JPEG, PNG, WEBP, chunk, encoded, exif, frames, interlaced_png, noise
from PIL import Image

from transforms.core.reasons import ImageError
from transforms.core.records import Header
from transforms.images.headers.parse import NeedMore, parse
from transforms.images.headers.rare import RARE
from transforms.images.headers.structure import ends_well, walk

HEAD = 65_536  # bytes of the first read
TYPES = ["jpeg", "png", "webp", "heic", "heif", "avif", "gif", "bmp", "tiff", "ico", "jp2", "jxl", "svg", *RARE]

MADE = {
    "jpeg": JPEG,
    "jpeg progressive": encoded("JPEG", progressive=True),
    "jpeg grey": encoded("JPEG", noise(mode="L")),
    "jpeg cmyk": encoded("JPEG", noise(mode="CMYK")),
    "jpeg restart markers": encoded("JPEG", restart_marker_rows=1),
    "jpeg with exif and icc": encoded("JPEG", exif=b"Exif\0\0" + exif(6), icc_profile=bytes(100_000)),
    "png": PNG,
    "png grey": encoded("PNG", noise(mode="L")),
    "png alpha": encoded("PNG", noise(mode="RGBA")),
    "png palette": encoded("PNG", noise().convert("P")),
    "png exif": encoded("PNG", exif=exif(3)),
    "png exif with prefix": PNG[:33] + chunk(b"eXIf", b"Exif\0\0" + exif(6)) + PNG[33:],
    "png interlaced": interlaced_png(37, 29),
    "png animated": encoded("PNG", **frames()),
    "png animated with exif": encoded("PNG", exif=exif(8, ">"), **frames(2)),
    "webp": WEBP,
    "webp lossless": encoded("WEBP", lossless=True),
    "webp 1 x 1": encoded("WEBP", noise(1, 1), lossless=True),
    "webp alpha": encoded("WEBP", noise(mode="RGBA")),
    "webp exif": encoded("WEBP", exif=exif(5)),
    "webp exif with prefix": encoded("WEBP", exif=b"Exif\0\0" + exif(7, ">")),
    "webp animated": encoded("WEBP", **frames()),
    "gif": GIF,
    "gif animated": encoded("GIF", **frames()),
    "gif looped": encoded("GIF", loop=0, **frames()),
    "gif looped, one frame": encoded("GIF", loop=0),
    "bmp": encoded("BMP"),
    "bmp palette": encoded("BMP", noise(mode="L")),
    "tiff": encoded("TIFF"),
    "tiff lzw": encoded("TIFF", compression="tiff_lzw"),
    "tiff big-endian": encoded("TIFF", Image.new("I;16B", (67, 45))),
    "tiff oriented": encoded("TIFF", tiffinfo={274: 6}),
    "tiff pages": encoded("TIFF", **frames(2)),
    "bigtiff": encoded("TIFF", big_tiff=True),
    "ico": encoded("ICO", noise(300, 300)),
    "ico 48": encoded("ICO", noise(300, 300), sizes=[(16, 16), (48, 48), (32, 32)]),
    "avif": AVIF,
    "avif alpha": encoded("AVIF", noise(mode="RGBA")),
    "avif animated": encoded("AVIF", **frames()),
}


def settle(data: bytes, first: int = HEAD) -> tuple[Header, int]:
    """What the caller does: reads, and reads further while more is needed. Returns the header and the reads."""
    length, reads = first, 1
    while True:
        try:
            return parse(data[:length], len(data)), reads
        except NeedMore as more:
            assert length < more.need <= len(data)
            length, reads = more.need, reads + 1


def verdict(data: bytes) -> str:
    """Header, end marker and, if that is missing, a walk: "whole", or the reason."""
    try:
        type_ = settle(data)[0].type
        if not ends_well(type_, data[-HEAD:], data[:HEAD], len(data)):
            walk(data, type_)
    except ImageError as error:
        return error.reason
    return "whole"


def refusal(head: bytes, size: int | None = None) -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        parse(head, len(head) if size is None else size)
    return caught.value.reason, caught.value.detail


def pillow_says(data: bytes) -> tuple[int, int, int, bool]:
    """(stored width, height, orientation, several frames) as Pillow has it."""
    with Image.open(io.BytesIO(data)) as image:
        several = getattr(image, "n_frames", 1) > 1
        orientation = image.getexif().get(274, 1)
        width, height = image.size
        if image.format == "TIFF" and orientation >= 5:  # Pillow swaps these already
            width, height = height, width
        return width, height, orientation, several
