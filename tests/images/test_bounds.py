"""Files too short for what their headers announce: bounds one below, at and above, and no false alarm on small sound files."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from image_bytes import chunk
from inspecting import inspector
from PIL import Image

from transforms.images.headers.parse import parse
from transforms.images.inspection import look, look_at_bytes

BY_HEADER = replace(inspector(), verify="header")


def png(width: int, height: int, depth: int = 1, colour: int = 0, interlaced: int = 0, size: int = 0) -> bytes:
    """Of black pixels, or with as many zero bytes in place of its data as make it `size` bytes."""
    ihdr = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    data = bytes(size - 57) if size else zlib.compress(bytes(height * (1 + -(-width * depth // 8))), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", ihdr) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bmp(width: int, height: int, bits: int, compression: int, size: int) -> bytes:
    head = struct.pack("<2sIIIIiiHHII16x", b"BM", size, 0, 54, 40, width, -height, 1, bits, compression, 0)
    return head.ljust(size, b"\0")[:size]


def gif(width: int, height: int, size: int) -> bytes:
    """A screen of 16,000 x 16,000, of which the frame fills a part."""
    head = b"GIF89a" + struct.pack("<HHBBB", 16_000, 16_000, 0x80, 0, 0) + bytes(6)
    return (head + b"," + struct.pack("<HHHHBB", 0, 0, width, height, 0, 2)).ljust(size - 2, b"\0") + b"\0;"


def jpeg(marker: int, width: int, height: int, factors: list[int], size: int) -> bytes:
    components = b"".join(bytes([n, both, 0]) for n, both in enumerate(factors))
    frame = struct.pack(">BBHBHHB", 0xFF, marker, 8 + len(components), 8, height, width, len(factors)) + components
    return (b"\xff\xd8" + frame).ljust(size - 2, b"\1") + b"\xff\xd9"


def interlaced_rows(width: int, height: int) -> int:
    """Bytes of the rows of Adam7's seven passes, a pixel being three and a row's filter one."""
    grids = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
    shapes = [(len(range(x, width, dx)), len(range(y, height, dy))) for x, y, dx, dy in grids]
    return sum(high * (1 + 3 * wide) for wide, high in shapes)


@pytest.mark.parametrize(
    ("made", "least"),
    [
        (lambda size: png(8 * 1031, 1000, size=size), 1000),  # a row is 1,032 bytes with its filter's
        (lambda size: png(8 * 1031 + 1, 1000, size=size), 1001),
        (lambda size: png(1031, 1000, 8, 3, size=size), 1000),
        (lambda size: png(1032 * 8, 600, 16, 6, size=size), -(-600 * (1 + 8256 * 8) // 1032)),
        (lambda size: png(1203, 1201, 8, 2, 1, size=size), -(-interlaced_rows(1203, 1201) // 1032)),
        (lambda size: bmp(101, 80, 24, 0, size), 304 * 79 + 303),
        (lambda size: bmp(101, 80, 16, 3, size), 204 * 79 + 202),
        (lambda size: gif(8192, 100, size), 300),
        (lambda size: jpeg(0xC0, 800, 1600, [0x11], size), 2500),
        (lambda size: jpeg(0xC2, 800, 1600, [0x22, 0x11, 0x11], size), 3750),
    ],
)
def test_each_bound_one_below_at_and_above(made: Callable[[int], bytes], least: int) -> None:
    for size, refused in ((least - 1, True), (least, False), (least + 1, False)):
        facts = look_at_bytes("x", made(size), BY_HEADER)
        assert (facts.size, facts.reason) == (size, "truncated_image" if refused else "")
        assert refused is (f"in less than {least}" in facts.detail)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(0xC9, 8000, 8000, [0x11], 500),  # arithmetic coding
        jpeg(0xCA, 8000, 8000, [0x11], 500),
        bmp(8000, 8000, 8, 1, 500),  # run lengths
        b"RIFF" + struct.pack("<I", 492) + b"WEBPVP8L" + struct.pack("<IBI", 480, 0x2F, 7999 | 7999 << 14) + bytes(475),
    ],
)
def test_what_knows_no_bound(data: bytes) -> None:
    assert (parse(data, len(data)).width, look_at_bytes("x", data, BY_HEADER).reason) == (8000, "")


@pytest.mark.parametrize(("most", "reason"), [(-1, "too_many_pixels"), (0, ""), (1, "")])
def test_too_many_pixels_are_refused_in_what_is_not_decoded_too(most: int, reason: str) -> None:
    policy = replace(BY_HEADER.policy, max_pixels=90 * 60 + most)
    facts = look_at_bytes("x", png(90, 60), replace(BY_HEADER, policy=policy))
    assert facts.reason == reason


def test_a_bomb_that_would_conform_is_refused_by_its_header(tmp_path: Path) -> None:
    """60,000 x 60,000 in 4 KB, under --verify structure; and one that --max_pixels would let pass."""
    reasons = {}
    for side in (60_000, 17_000):
        path = tmp_path / "a.png"
        path.write_bytes(png(side, side, size=4096))
        reasons[side] = look(str(path), inspector(str(tmp_path))).reason
    assert reasons == {60_000: "too_many_pixels", 17_000: "truncated_image"}


def sound(draw: random.Random) -> Iterator[bytes]:
    """Solid, tiny, striped and random pictures, as tightly packed as each writer can."""
    size = draw.choice([(1, 1), (2, 3), (8, 8), (17, 1), (1, 300), (640, 480), (1500, 900)])
    mode = draw.choice(["1", "L", "RGB", "P", "RGBA"])
    image = Image.new(mode, size, draw.choice([0, 1]))
    if draw.random() < 0.3:
        image.paste(1, (0, 0, size[0] // 2 + 1, 1))
    for kind, options in (
        ("PNG", {"optimize": True}),
        ("PNG", {"compress_level": 9}),
        ("GIF", {"optimize": True}),
        ("JPEG", {"quality": 1, "optimize": True}),
        ("JPEG", {"quality": 1, "progressive": True}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ):
        out = io.BytesIO()
        fits = image.convert("L" if mode == "1" else "RGB") if kind == "JPEG" else image
        (fits.convert("RGB") if kind == "GIF" and mode == "RGBA" else fits).save(out, kind, **options)
        yield out.getvalue()


def test_no_sound_picture_is_refused() -> None:
    """1,000 of them, and some as large as they are empty."""
    draw = random.Random(14)
    files = [data for _ in range(125) for data in sound(draw)]
    files += [png(width, height, *rest) for width, height, *rest in ((20_000, 10_000), (9_000, 9_000, 8), (1, 100_000))]
    for side in (3000, 6000):
        for kind in ("GIF", "JPEG"):
            out = io.BytesIO()
            Image.new("L", (side, side)).save(out, kind, optimize=True)
            files.append(out.getvalue())
    assert len(files) >= 1000
    bounded = [parse(data, len(data)).least_bytes for data in files]
    assert all(0 < least <= len(data) for least, data in zip(bounded, files))
