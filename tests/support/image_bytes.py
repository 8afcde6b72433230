"""Bytes of image files that are made by hand, to say what no encoder would write."""

from __future__ import annotations

import io
import random
import struct
import zlib

from PIL import Image


def noise(width: int = 67, height: int = 45, mode: str = "RGB", seed: int = 0) -> Image.Image:
    channels = len(Image.new(mode, (1, 1)).getbands())
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(width * height * channels))


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    """Of a copy: Pillow leaves settings of one format on the picture, where another trips over them."""
    out = io.BytesIO()
    image.copy().save(out, kind, **options)
    return out.getvalue()


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    return saved(image or noise(), kind, **options)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def frames(count: int = 3) -> dict[str, object]:
    return {"save_all": True, "append_images": [noise(seed=n) for n in range(1, count)]}


JPEG, PNG, WEBP, GIF, AVIF = (encoded(name) for name in ("JPEG", "PNG", "WEBP", "GIF", "AVIF"))


def tiff(width: int, height: int, big: bool = False) -> bytes:
    """A directory of two entries, LONG or LONG8."""
    if big:
        entries = b"".join(struct.pack("<HHQQ", tag, 16, 1, value) for tag, value in ((256, width), (257, height)))
        return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2) + entries + bytes(8)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in ((256, width), (257, height)))
    return b"II*\0" + struct.pack("<IH", 8, 2) + entries + bytes(4)


def animated_png(frames: int) -> bytes:
    return PNG[:33] + chunk(b"acTL", struct.pack(">II", frames, 0)) + PNG[33:]


def exif(orientation: int, order: str = "<", kind: int = 3, next_ifd: int = 0) -> bytes:
    """A TIFF structure of two entries: a maker's name and the orientation (SHORT 3 or LONG 4)."""
    value = struct.pack(order + "HH", orientation, 0) if kind == 3 else struct.pack(order + "I", orientation)
    entries = struct.pack(order + "HHI4s", 271, 2, 4, b"abc\0") + struct.pack(order + "HHI4s", 274, kind, 1, value)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "IH", 8, 2) + entries + struct.pack(order + "I", next_ifd)


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def after_soi(jpeg: bytes, *insertions: bytes) -> bytes:
    return jpeg[:2] + b"".join(insertions) + jpeg[2:]


def interlaced_png(width: int, height: int) -> bytes:
    """Adam7, which Pillow reads but does not write."""
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    rows = b"".join(
        b"\0" + bytes((x * y) & 255 for x in range(left, width, dx))
        for left, top, dx, dy in passes
        if left < width
        for y in range(top, height, dy)
    )
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def png_header(width: int, height: int) -> bytes:
    """A PNG of 8 bits of RGB that is cut where its pixels begin."""
    ihdr = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + b"\0\0\0\x10IDAT"
