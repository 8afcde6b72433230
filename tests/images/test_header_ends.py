"""End markers: no cut of a file passes, bytes behind the end are fine, and a walk names the damage."""

from __future__ import annotations

import struct

import pytest
from heif_bytes import PIXELS, box, full, heic, ispe
from image_bytes import GIF, JPEG, PNG, WEBP, encoded, frames
from reading_headers import HEAD, MADE, verdict

from transforms.core.reasons import ImageError
from transforms.core.records import Header
from transforms.images.headers.parse import FAR, parse
from transforms.images.headers.signatures import sniff
from transforms.images.headers.structure import ends_well, walk

# Formats that promise: no cut of such a file passes.
CUT = [*(name for name in MADE if name.split()[0] in ("jpeg", "png", "webp", "gif", "bmp", "avif"))]


@pytest.mark.parametrize("name", [*CUT, "heic", "heic wide", "heic idat"])
def test_no_cut_of_a_file_passes(name: str) -> None:
    made = {
        "heic": heic(ispe(8, 6)),
        "heic wide": heic(ispe(8, 6), wide=True),
        "heic idat": heic(ispe(8, 6), wide=True, method=1),
    }
    data = made.get(name) or MADE[name]
    assert verdict(data) == "whole"
    assert ends_well(sniff(data), data[-HEAD:], data[:HEAD], len(data))
    lengths = {len(data) * percent // 100 for percent in range(100)} | {len(data) - n for n in (1, 2, 3, 5, 8, 12, 13)}
    for length in lengths:
        if name.startswith("bmp"):  # promises only that ends_well is False: the caller then decodes
            assert not ends_well("bmp", data[:length], data[:length], length)
        else:
            reason = verdict(data[:length])
            assert reason in {"truncated_image", "not_an_image", "empty_image"}, f"{length} of {len(data)}: {reason}"
            assert length < 40 or reason == "truncated_image"
            padded = verdict(data[:length] + bytes(len(data) - length))  # a download that was allocated, not filled
            assert length < 40 or padded in {"truncated_image", "undecodable"} or name[:4] in ("webp", "avif", "heic")
    if not name.startswith("bmp"):
        walk(data, sniff(data))


@pytest.mark.parametrize(
    ("name", "trailer"),
    [
        ("jpeg", b""), ("jpeg", bytes(9)), ("jpeg", b"\xff\xff\0"), ("jpeg", JPEG),
        ("jpeg", box(b"ftyp", b"mp42\0\0\0\0") + bytes(range(256)) * 300), ("jpeg progressive", b"trailer"),
        ("jpeg restart markers", b"trailer"), ("png", b"trailer"), ("png animated", bytes(20)), ("webp", b"trailer"),
        ("webp animated", bytes(8)), ("gif", bytes(3)), ("gif animated", b"trailer"),
    ],
)  # fmt: skip
def test_bytes_behind_the_end_are_fine(name: str, trailer: bytes) -> None:
    data = MADE[name] + trailer
    escalates = bool(trailer) and not (name == "jpeg" and (trailer == JPEG or not trailer.strip(b"\0\xff")))
    assert ends_well(sniff(data), data[-HEAD:], data[:HEAD], len(data)) is not escalates
    assert verdict(data) == "whole"


def test_mpo_is_a_jpeg() -> None:
    data = encoded("MPO", **frames(2))
    assert parse(data, len(data)) == Header("jpeg", 67, 45)
    assert verdict(data) == "whole"


def test_webp_padded_by_one_byte() -> None:
    odd = WEBP[:4] + struct.pack("<I", len(WEBP) - 8 - 1) + WEBP[8:]  # writers that leave the padding out of the length
    for data, expected in (
        (odd, True),
        (odd[:-1], True),
        (odd[:-2], False),
        (odd + b"\0", False),
        (WEBP + b"\0", False),
    ):
        assert ends_well("webp", data[-HEAD:], data[:HEAD], len(data)) is expected


@pytest.mark.parametrize("wide", [False, True])
def test_iso_boxes_that_cannot_tell_escalate(wide: bool) -> None:
    data = heic(ispe(8, 6), wide=wide)
    to_the_end = data.replace(struct.pack(">I4s", len(PIXELS) + 8, b"mdat"), b"\0\0\0\0mdat")
    at = data.index(b"mdat")
    for case, head, expected in (
        (data, data, True), (data, data[: at + 4], True), (data, data[: at + 3], False),
        (to_the_end, to_the_end, False),
    ):  # fmt: skip
        assert ends_well("heic", case[-HEAD:], head, len(case)) is expected
    assert verdict(to_the_end) == "whole"
    assert verdict(to_the_end[:-1]) == "truncated_image"  # by the extent that iloc names
    assert [verdict(data + bytes(n)) for n in (1, 7, 8)] == ["truncated_image", "truncated_image", "whole"]
    walk(box(b"ftyp", b"avis\0\0\0\0") + box(b"moov"), "avif")  # a sequence without a still


def walk_refusal(data: bytes, type_: str) -> tuple[str, str]:
    with pytest.raises(ImageError) as caught:
        walk(data, type_)
    return caught.value.reason, caught.value.detail


def test_walk_names_the_damage() -> None:
    scan = JPEG.index(b"\xff\xda")
    pixels = PNG.index(b"IDAT") - 4
    middle = PNG[: pixels + 50] + bytes([PNG[pixels + 50] ^ 1]) + PNG[pixels + 51 :]
    no_pixels = PNG[:pixels] + PNG[-12:]
    frame = next(at for at in range(13 + 768, len(GIF)) if GIF[at] == 0x2C)
    plain = heic(ispe(8, 6))
    bad_iloc = plain.replace(b"\x44\x00\0\x01", b"\x54\x00\0\x01")
    long_items = plain.replace(b"\x44\x00\0\x01", b"\x44\x00\0\x02")
    idat = heic(ispe(8, 6), wide=True, method=1)
    past_idat = idat.replace(struct.pack(">QHQQ", 0, 1, 0, 512), struct.pack(">QHQQ", 0, 1, 1, 512))
    vast = plain[:24] + full(b"meta", full(b"iloc", bytes(FAR)))
    inner = plain.index(b"iprp") - 4
    overlap = plain[:inner] + b"\0\0\x7f\xff" + plain[inner + 4 :]
    assert [
        walk_refusal(JPEG[: len(JPEG) // 2] + JPEG, "jpeg"),
        walk_refusal(JPEG[:scan] + b"\xff\xd9", "jpeg"),
        walk_refusal(JPEG[: scan + 2] + b"\0\1" + JPEG[scan + 4 :], "jpeg"),
        walk_refusal(middle, "png"),
        walk_refusal(no_pixels, "png"),
        walk_refusal(WEBP[:16] + b"\xff\xff\xff\0" + WEBP[20:], "webp"),
        walk_refusal(WEBP[:4] + b"\4\0\0\0" + WEBP[8:], "webp"),
        walk_refusal(GIF[:frame] + b";", "gif"),
        walk_refusal(GIF[:frame] + b"\x07" + GIF[frame:], "gif"),
        walk_refusal(bad_iloc, "heic"),
        walk_refusal(long_items, "heic"),
        walk_refusal(overlap, "heic"),
        walk_refusal(past_idat, "heic"),
        walk_refusal(vast, "heic"),
        walk_refusal(plain + box(b"free", b"12")[:-1], "heic"),
        walk_refusal(box(b"ftyp", b"heic\0\0\0\0") + box(b"mdat"), "heic"),
    ] == [
        ("truncated_image", f"another JPEG begins at byte {len(JPEG) // 2}, before the first one ends"),
        ("undecodable", "JPEG ends before its first scan"),
        ("undecodable", f"JPEG marker DA of 1 bytes at byte {scan}"),
        ("undecodable", f"PNG chunk b'IDAT' at byte {pixels} does not match its CRC"),
        ("undecodable", "PNG without IDAT"),
        ("undecodable", "WebP chunk b'VP8 ' at byte 12 reaches out of the file"),
        ("undecodable", "WebP without an image chunk"),
        ("undecodable", "GIF without an image"),
        ("undecodable", f"GIF block 07 at byte {frame}"),
        ("undecodable", "iloc of version 0 with fields 5400"),
        ("undecodable", "iloc reaches out of its box"),
        ("undecodable", f"box b'iprp' ends at byte {inner + 0x7FFF}, its container at {plain.index(b'mdat') - 4}"),
        ("truncated_image", "an item's data end at byte 513 of 512"),
        ("undecodable", f"iloc box of {FAR + 4} bytes"),
        ("truncated_image", f"box b'free' ends at byte {len(plain) + 10} of {len(plain) + 9}"),
        ("truncated_image", "neither a meta nor a moov box"),
    ]
