"""Hostile bytes as headers: any bytes and any mutation have an allowed outcome, in little time."""

from __future__ import annotations

import struct
import time

import pytest
from heif_bytes import box, full, heic, imir, irot, ispe
from hypothesis import example, given, settings
from hypothesis import strategies as st
from image_bytes import AVIF, GIF, JPEG, PNG, WEBP, after_soi, chunk, encoded, exif, noise, segment
from reading_headers import MADE, TYPES

from transforms.core.reasons import REASONS, ImageError
from transforms.images.headers.parse import NeedMore, parse
from transforms.images.headers.signatures import sniff
from transforms.images.headers.structure import ends_well, walk


def outcome(data: bytes, size: int, type_: str) -> None:
    """Every function on the bytes; anything but the promised outcomes is an error of the test."""
    assert sniff(data) in ("", *TYPES)
    try:
        header = parse(data, size)
        assert header.type in TYPES and 1 <= header.orientation <= 8
        assert min(header.width, header.height, header.frames) >= 0
    except NeedMore as more:
        assert len(data) < more.need <= size
    except ImageError as error:
        assert error.reason in REASONS
    assert ends_well(type_, data[-100:], data, size) in (True, False)
    try:
        walk(data, type_)
    except ImageError as error:
        assert error.reason in ("truncated_image", "undecodable")


STARTS = [
    b"", b"\xff\xd8\xff", JPEG[:158], b"\xff\xd8" + b"\xff\xe1\0\x40Exif\0\0", PNG[:33], PNG[:8], WEBP[:12],
    WEBP[:30], GIF[:13],
    b"BM" + bytes(12) + b"\x28\0\0\0", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"II+\0\x08\0\0\0", b"\0\0\1\0", b"8BPS\0",
    b"RIFF\x40\0\0\0WEBPVP8X\n\0\0\0", box(b"ftyp", b"mif1\0\0\0\0"), heic(ispe(8, 6))[:24] + b"\0\0\1\0meta\0\0\0\0",
    heic(ispe(8, 6))[:100],
]  # fmt: skip
MUTATED = (
    "jpeg restart markers", "png exif", "png animated", "webp exif", "webp lossless", "webp animated", "gif looped", "bmp",
    "tiff", "tiff big-endian", "bigtiff", "ico", "avif animated",
)  # fmt: skip
VALID = [JPEG, *(MADE[name] for name in MUTATED)]
VALID += [after_soi(JPEG, segment(0xE1, b"Exif\0\0" + exif(6, order))) for order in "<>"]
VALID += [AVIF, heic(ispe(8, 6), irot(1), imir(0)), heic(ispe(8, 6), wide=True), heic(ispe(8, 6), wide=True, method=1)]
SIZES = st.one_of(st.integers(-2, 300), st.integers(0, 2**64), st.just(-1))


@settings(max_examples=500)
@given(st.sampled_from(STARTS), st.binary(max_size=200), SIZES, st.sampled_from([*TYPES, ""]))
@example(b"\xff\xd8\xff", b"", 3, "jpeg")
def test_any_bytes_have_an_allowed_outcome(start: bytes, rest: bytes, size: int, type_: str) -> None:
    data = start + rest
    for length in (size, len(data), len(data) + 1):
        outcome(data, length, type_)
        outcome(data, length, sniff(data))


@settings(max_examples=500)
@given(st.data())
def test_any_mutation_has_an_allowed_outcome(draws: st.DataObject) -> None:
    data = bytearray(draws.draw(st.sampled_from(VALID)))
    places = st.one_of(st.integers(0, min(len(data), 700) - 1), st.integers(0, len(data) - 1))
    for _ in range(draws.draw(st.integers(1, 4))):
        at = draws.draw(places)
        kind = draws.draw(st.sampled_from(["put", "put", "cut", "insert"]))
        value = draws.draw(
            st.sampled_from([b"\0", b"\xff", b"\x7f", b"\1", b"\xff\xff\xff\xff", bytes(4), b"\xff\xd9"])
        )
        if kind == "put":
            data[at : at + len(value)] = value
        elif kind == "insert":
            data[at:at] = value
        else:
            del data[at : at + draws.draw(st.integers(1, 50))]
        if not data:
            return
    made = bytes(data)
    head = made[: draws.draw(st.integers(0, len(made)))]
    outcome(head, len(made), sniff(made))
    outcome(made, len(made), sniff(made))


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "ICO", "AVIF", "HEIC"])
def test_every_prefix_of_a_small_file_has_an_allowed_outcome(image_format: str) -> None:
    several = (
        {"save_all": True, "append_images": [noise(5, 4, seed=1)]}
        if image_format in ("PNG", "WEBP", "GIF", "TIFF")
        else {}
    )
    data = heic(ispe(8, 6), wide=True) if image_format == "HEIC" else encoded(image_format, noise(5, 4), **several)
    for length in range(len(data)):
        outcome(data[:length], length, sniff(data))
        outcome(data[:length], len(data), sniff(data))


def test_bytes_made_to_cost_time_cost_little() -> None:
    """Each took minutes or for ever if its loop were not bounded: overlapping boxes, extents of no bytes, and so on."""
    ftyp = box(b"ftyp", b"heic\0\0\0\0mif1")
    ipma = struct.pack(">I4sIIBBBB", 1 << 20, b"ipma", 0, 0xFFFFFFFF, 0, 1, 0, 0)
    overlapping = ftyp + full(b"meta", box(b"iprp", ipma) * 9_000)
    nested = ftyp + full(b"meta", box(b"iprp", struct.pack(">I4s", 1 << 20, b"ipco")) * 16_000)
    counted = full(b"iloc", b"\0\0", struct.pack(">H", 65_535), (struct.pack(">HHH", 1, 0, 65_535)) * 65_535)
    cyclic = after_soi(JPEG, segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(65_000)))
    began = time.process_time()
    for data in (
        overlapping, nested, ftyp + full(b"meta", counted), ftyp + box(b"free") * 130_000, cyclic,
        b"\xff\xd8" + b"\xff" * 10**6, JPEG[:200] + b"\xff\0" * 10**6, b"GIF89a" + b"\1" * 7 + b"!\xff" + b"\1" * 10**6,
        b"GIF89a" + bytes(10**6), PNG[:33] + chunk(b"tEXt", b"") * 80_000, b"\0\0\1\0\xff\xff" + bytes(1_048_560),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(786_424), WEBP[:30] + bytes(10**6), ftyp + bytes(10**6),
    ):  # fmt: skip
        outcome(data, len(data), sniff(data))
    assert time.process_time() - began < 10  # about 1 s is usual
