"""Headers: what Pillow's own files say, what broken ones are refused for, and what is no image."""

from __future__ import annotations

import struct

import pytest
from heif_bytes import THUMBNAIL, box, heic, ispe
from image_bytes import GIF, JPEG, PNG, WEBP, after_soi, animated_png, chunk, encoded, exif, segment, tiff
from reading_headers import HEAD, MADE, pillow_says, refusal, settle, verdict

from transforms.core.records import Header
from transforms.images.headers.parse import FAR, NeedMore, parse
from transforms.images.headers.signatures import sniff
from transforms.images.headers.structure import ends_well, walk


@pytest.mark.parametrize("name", MADE)
def test_agrees_with_pillow(name: str) -> None:
    data = MADE[name]
    header, _ = settle(data)
    assert (header.width, header.height, header.orientation, header.frames != 1) == pillow_says(data)
    assert header.type == sniff(data) == name.split()[0].replace("bigtiff", "tiff")
    assert verdict(data) == "whole"


def test_frames_are_counted_where_the_header_counts_them() -> None:
    assert {name: settle(MADE[name])[0].frames for name in MADE if "animated" in name or "loop" in name} == {
        "png animated": 3,
        "png animated with exif": 2,
        "webp animated": 0,
        "gif animated": 0,
        "gif looped": 0,
        "gif looped, one frame": 1,  # the trailer is in the head, so it is known
        "avif animated": 0,
    }
    assert parse(MADE["gif looped, one frame"][:-1], 10**6).frames == 0  # announced, and not refuted


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_agrees_with_pillow(orientation: int) -> None:
    for order in "<>":
        for image_format in ("JPEG", "PNG", "WEBP", "AVIF"):
            data = encoded(image_format, exif=b"Exif\0\0" + exif(orientation, order))
            expected = Header(image_format.lower(), 67, 45, orientation)
            assert settle(data) == (expected, 1)
            assert pillow_says(data) == (67, 45, orientation, False)
    data = encoded("TIFF", tiffinfo={274: orientation})
    assert parse(data, len(data)) == Header("tiff", 67, 45, orientation)
    assert pillow_says(data) == (67, 45, orientation, False)


def test_hostile_exif_is_ignored() -> None:
    def orientation_with(tiff: bytes) -> int:
        return parse(data := after_soi(JPEG, segment(0xE1, b"Exif\0\0" + tiff)), len(data)).orientation

    good = exif(6)
    cases = {
        "good": (good, 6),
        "long": (exif(6, kind=4), 6),
        "long big-endian": (exif(6, ">", kind=4), 6),
        "next directory is itself": (exif(6, next_ifd=8), 6),
        "value 0": (exif(0), 1),
        "value 8": (exif(8), 8),
        "value 9": (exif(9), 1),
        "ascii": (exif(6, kind=2), 1),
        "unknown type": (exif(6, kind=99), 1),
        "empty": (b"", 1),
        "no directory": (good[:8], 1),
        "directory at the end": (good[:4] + struct.pack("<I", len(good)) + good[8:], 1),
        "directory far outside": (good[:4] + b"\xff\xff\xff\xff" + good[8:], 1),
        "65535 entries": (good[:8] + b"\xff\xff" + good[10:], 6),
        "entry cut": (good[: 10 + 23], 1),
        "entry just whole": (good[: 10 + 24], 6),
        "wrong magic": (b"II+\0" + good[4:], 1),
    }
    assert {name: orientation_with(tiff) for name, (tiff, _) in cases.items()} == {
        name: expected for name, (_, expected) in cases.items()
    }


def test_jpeg_segments_before_and_after_the_frame_header() -> None:
    first, second = (segment(0xE1, b"Exif\0\0" + exif(n)) for n in (6, 3))
    xmp = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x/>")
    at, dht, scan = (JPEG.index(marker) for marker in (b"\xff\xc0", b"\xff\xc4", b"\xff\xda"))
    after = JPEG[: at + 19] + first + JPEG[at + 19 :]
    for data, orientation in (
        (after_soi(JPEG, first, second), 6),
        (after_soi(JPEG, xmp, second), 3),
        (after, 1),
        (after_soi(JPEG, b"\xff\xff\xff", first), 6),  # fill bytes
        (after_soi(JPEG, xmp, b"junk\xff\x00", first), 6),  # junk, which decoders skip
        (after_soi(JPEG, *(segment(marker, b"\0" * 9) for marker in (0xC8, 0xCC)), first), 6),  # JPG, DAC: no frames
        (after_soi(JPEG[:at] + JPEG[dht:scan] + JPEG[at:dht] + JPEG[scan:], first), 6),  # Huffman tables come first
        (after_soi(JPEG, b"\xff\x01\xff\xd0", first), 6),  # markers without a length
    ):
        assert parse(data, len(data)) == Header("jpeg", 67, 45, orientation)
        assert verdict(data) == "whole"


def test_a_long_jpeg_header_asks_for_more_and_then_is_right() -> None:
    phone = after_soi(JPEG, segment(0xE1, b"Exif\0\0" + exif(6) + bytes(50_000)), segment(0xE2, bytes(50_000)))
    with pytest.raises(NeedMore) as more:
        parse(phone[:HEAD], len(phone))
    assert more.value.need == len(phone)  # twice the head, at most the file
    assert settle(phone) == (Header("jpeg", 67, 45, 6), 2)
    longer = after_soi(JPEG, *[segment(0xE2, bytes(65_533))] * 40) + bytes(10**7)
    assert settle(longer) == (Header("jpeg", 67, 45), 7)  # 64 KiB doubled six times, not forty reads


def test_the_last_byte_of_a_header_decides() -> None:
    sof = JPEG.index(b"\xff\xc0") + 10
    for data, last in (
        (JPEG, sof),
        (PNG, 33),
        (WEBP, 30),
        (MADE["webp lossless"], 25),
        (GIF, 13),
        (MADE["bmp"], 26),
        (MADE["ico 48"], 6 + 3 * 16),
        (heic(ispe(8, 6)), heic(ispe(8, 6)).index(b"mdat") - 4),
    ):
        whole, size = parse(data, len(data)), len(data)
        assert parse(data[:last], size) == parse(data[: last + 1], size) == whole
        with pytest.raises(NeedMore) as more:
            parse(data[: last - 1], size)
        assert more.value.need == min(size, max(last, 2 * (last - 1)))
        assert refusal(data[: last - 1])[0] == "truncated_image"


def test_broken_headers_are_undecodable() -> None:
    def ihdr(width: int, height: int) -> bytes:
        return PNG[:8] + chunk(b"IHDR", struct.pack(">II", width, height) + PNG[24:29]) + PNG[33:]

    def sof(payload: bytes) -> bytes:
        return b"\xff\xd8" + segment(0xC0, payload) + bytes(30)

    def riff(payload: bytes) -> bytes:
        return b"RIFF" + struct.pack("<I", len(payload) + 4) + b"WEBP" + payload + bytes(30)

    three = b"\x03" + bytes(9)
    frame = segment(0xC0, b"\x08\0\x06\0\x05" + three)
    cases = [
        ihdr(0, 1), ihdr(1, 0), ihdr(1 << 31, 1), PNG[:29] + bytes(4) + PNG[33:], PNG[:8] + chunk(b"CgBI", bytes(13)),
        sof(b"\x08\0\x00\0\x05" + three), sof(b"\x08\0\x05\0\x00" + three), sof(b"\x08\0\x05\0\x05" + three + b"\0"),
        sof(b"\x08\0\x05\0\x05\0"), b"\xff\xd8\xff\xe0\0\x01" + bytes(30), b"\xff\xd8\xff\xda\0\x08" + bytes(30),
        b"\xff\xd8\xff\xd8" + JPEG[2:], b"\xff\xd8\xff\xd9" + JPEG[2:], b"\xff\xd8\xff\x05" + JPEG[2:],
        b"\xff\xd8" + segment(0xE0, b"") * 65_536 + frame,
        riff(b"ALPH"), riff(b"VP8 " + bytes(14)), riff(b"VP8L" + bytes(9)), riff(b"VP8X" + b"\n\0\0\0" + b"\xff" * 10),
        b"GIF89a" + bytes(7), MADE["bmp"][:18] + struct.pack("<i", -5) + MADE["bmp"][22:],
        MADE["bmp"][:22] + bytes(4) + MADE["bmp"][26:], b"\0\0\1\0\0\0",
        b"II*\0\x08\0\0\0\0\0" + bytes(20), b"II*\0\x08\0\0\0\x01\0" + bytes(20),
        heic(ispe(0, 0)).replace(THUMBNAIL, ispe(0, 0)), b"\0\0\0\x08ftypheic" + bytes(30),
        b"\0\0\x20\0ftypheic" + bytes(30), heic(ispe(8, 6), before_meta=b"\0\0\0\x07free"),
        b"8BPS\0\1" + bytes(40),
    ]  # fmt: skip
    assert [refusal(data)[0] for data in cases] == ["undecodable"] * len(cases)
    most = b"\xff\xd8" + segment(0xE0, b"") * 65_535 + frame
    assert parse(most, len(most)) == Header("jpeg", 5, 6)


def qoi(width: int, height: int) -> bytes:
    return b"qoif" + struct.pack(">II", width, height) + b"\4\0" + bytes(40)


def test_sides_and_frames_beyond_31_bits_are_undecodable() -> None:
    most = (1 << 31) - 1
    assert [(h.width, h.height) for h in (parse(f(most, 1), 200) for f in (tiff, qoi))] == [(most, 1)] * 2
    assert parse(animated_png(most), len(PNG)).frames == most
    cases = [
        tiff(1, 1 << 31), tiff((1 << 32) - 1, (1 << 32) - 1), tiff(1, 1 << 63, big=True), qoi(1 << 31, 1),
        heic(ispe((1 << 32) - 1, 1)), animated_png((1 << 32) - 1),
        MADE["bmp"][:22] + struct.pack("<i", -(1 << 31)) + MADE["bmp"][26:],
    ]  # fmt: skip
    assert [refusal(data)[0] for data in cases] == ["undecodable"] * len(cases)


def test_gif_frames_reaching_out_of_the_screen_enlarge_it_as_in_pillow() -> None:
    small = GIF[:6] + struct.pack("<HH", 5, 200) + GIF[10:]
    assert parse(small, len(small)) == Header("gif", 67, 200)
    assert pillow_says(small) == (67, 200, 1, False)


def test_gif_zero_bytes_between_blocks_are_skipped() -> None:
    start = MADE["gif looped"].index(b"!\xff\x0bNETSCAPE")
    data = MADE["gif looped"][:start] + bytes(3) + MADE["gif looped"][start:]
    assert parse(data, len(data)) == Header("gif", 67, 45, frames=0)
    assert pillow_says(data) == (67, 45, 1, True)
    walk(data, "gif")


def test_bmp_core_header_and_top_down() -> None:
    core = b"BM" + struct.pack("<IHHI", 38, 0, 0, 26) + struct.pack("<IHHHH", 12, 1, 3, 1, 24) + bytes(12)
    assert parse(core, len(core)) == Header("bmp", 1, 3)
    assert pillow_says(core) == (1, 3, 1, False)
    top_down = MADE["bmp"][:22] + struct.pack("<i", -45) + MADE["bmp"][26:]
    assert parse(top_down, len(top_down)) == Header("bmp", 67, 45)
    assert pillow_says(top_down) == (67, 45, 1, False)


@pytest.mark.parametrize("order", "<>")
def test_tiff_directories_near_far_and_outside(order: str) -> None:
    def tiff(at: int) -> bytes:
        tags = ((256, 4, 70_000), (257, 3, 9), (274, 3, 8))
        entries = [
            struct.pack(order + "HHI", tag, kind, 1) + struct.pack(order + ("I" if kind == 4 else "Hxx"), value)
            for tag, kind, value in tags
        ]
        head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at)
        return head.ljust(at, b"\0") + struct.pack(order + "H", 3) + b"".join(entries) + bytes(4)

    known, length = Header("tiff", 70_000, 9, 8), 2 + 3 * 12 + 4
    assert parse(tiff(8), 8 + length) == known
    assert settle(tiff(70_000)) == (known, 2)
    for end, expected in ((FAR - 1, known), (FAR, known), (FAR + 1, Header("tiff", 0, 0))):
        assert settle(tiff(end - length))[0] == expected
    far = tiff(FAR)
    assert parse(far, len(far)) == known  # nothing is far in a file that is there
    assert refusal(far[:HEAD], HEAD)[0] == "truncated_image"
    assert refusal(tiff(8)[:-1])[0] == "truncated_image"
    looped = tiff(8)[:-4] + struct.pack(order + "I", 8)
    paged = tiff(8)[:-4] + struct.pack(order + "I", 8 + length) + tiff(8)[8:]
    for value in (0, 9):
        odd = tiff(8).replace(struct.pack(order + "HHIH", 274, 3, 1, 8), struct.pack(order + "HHIH", 274, 3, 1, value))
        assert parse(odd, len(odd)) == Header("tiff", 70_000, 9)
    assert parse(looped, len(looped)) == known
    assert parse(paged, len(paged)) == Header("tiff", 70_000, 9, 8, frames=2)


def test_types_that_are_only_recognised() -> None:
    jp2, j2k = encoded("JPEG2000"), encoded("JPEG2000", no_jp2=True)
    svg = b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made -->\n<SVG xmlns='http://www.w3.org/2000/svg'/>"
    psd = b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 45, 67, 8, 3) + bytes(14)
    jxl = b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20)
    assert [parse(data, len(data)) for data in (jp2, j2k, svg, svg[svg.index(b"<SVG") :], jxl, b"\xff\x0a\0", psd)] == [
        Header("jp2", 0, 0), Header("jp2", 0, 0), Header("svg", 0, 0), Header("svg", 0, 0), Header("jxl", 0, 0),
        Header("jxl", 0, 0), Header("psd", 67, 45),
    ]  # fmt: skip
    assert pillow_says(psd)[:2] == (67, 45)
    for data in (jp2, j2k, svg, psd, jxl, MADE["tiff"], MADE["ico"]):
        assert not ends_well(sniff(data), data, data, len(data))
        walk(data[: len(data) // 2], sniff(data))  # promises nothing


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"<!DOCTYPE html><svg>", "HTML: a page"), (b" \n<html>", "HTML: a page"), (b"<?xml version='1.0'?><Error>", "XML or HTML: "),
        (b"%PDF-1.7", "a PDF: export its pages as images"), (b"\x1f\x8b\x08", "gzip: decompress it"),
        (b"PK\x03\x04", "a zip archive: extract it"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer, not the file itself: git lfs pull"),
        (b"BMW is a car maker in Munich", "text, 'BMW is a car maker in Munich': was an error saved in place of the image?"),
        ("gr\u00fc\u00dfe".encode(), "text, 'grüße': was"), (b' {"error":\n 404}', """JSON, '{"error": 404}': was an error"""),
        (b"<Error>" + b"x" * 60, "XML or HTML: "), (b"<note>" + b"x" * 60, f"XML or HTML, '<note>{'x' * 54}...'"),
        (bytes(600), "nothing but zero bytes: a copy"), (bytes(600) + JPEG, "600 zero bytes before anything else: copy"),
        (b"\x07\x00\xff", "nothing known, first bytes 07 00 ff"),
        (box(b"ftyp", b"isom\0\0\0\0") + bytes(20), "MP4 or another ISO media file, brand b'isom'"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a RIFF file of form b'WAVE'"), (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    ],
)  # fmt: skip
def test_what_is_no_image_is_named(data: bytes, detail: str) -> None:
    reason, said = refusal(data)
    assert reason == "not_an_image" and said.startswith(f"looks like {detail}")
    assert sniff(data) == ""


def test_empty_and_very_short() -> None:
    assert refusal(b"", 0) == ("empty_image", "0 bytes")
    assert refusal(JPEG, 0) == ("empty_image", "0 bytes")
    for head, need in ((b"", 32), (JPEG[:2], 32), (b"hello", 32)):
        with pytest.raises(NeedMore) as more:
            parse(head, 1000)
        assert more.value.need == need
    with pytest.raises(NeedMore) as more:
        parse(JPEG[:2], 20)
    assert more.value.need == 20
    assert refusal(JPEG[:2])[0] == "not_an_image"
