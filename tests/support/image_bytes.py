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


def encoded(row_format: str, image: Image.Image | None = None, **options: object) -> bytes:
    out = io.BytesIO()
    (image or noise()).save(out, row_format, **options)
    return out.getvalue()


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
