"""Headers and end markers: what Pillow's own files say, every cut, and hostile bytes."""

from __future__ import annotations

import io
import struct
import time
import zlib

import pillow_heif
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from image_bytes import AVIF, GIF, JPEG, PNG, WEBP, animated_png, chunk, encoded, frames, noise, tiff
from PIL import Image, ImageOps

from transforms.core.reasons import REASONS, ImageError
from transforms.core.records import Header
from transforms.images.headers.parse import FAR, NeedMore, parse
from transforms.images.headers.rare import RARE
from transforms.images.headers.signatures import sniff
from transforms.images.headers.structure import ends_well, walk

HEAD = 65_536  # bytes of the first read
TYPES = ["jpeg", "png", "webp", "heic", "heif", "avif", "gif", "bmp", "tiff", "ico", "jp2", "jxl", "svg", *RARE]


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


def box(name: bytes, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return struct.pack(">I", len(body) + 8) + name + body


def full(name: bytes, *bodies: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *bodies)


def ispe(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def irot(steps: int) -> bytes:
    return box(b"irot", bytes([steps]))


def clap(width: tuple[int, int], height: tuple[int, int]) -> bytes:
    return box(b"clap", struct.pack(">8I", *width, *height, 0, 1, 0, 1))


def imir(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


THUMBNAIL = ispe(160, 120)
PIXELS = bytes(range(256)) * 2


def heic(
    *properties: bytes,
    major: bytes = b"heic",
    brands: bytes = b"mif1heic",
    wide: bool = False,
    primary: int | None = 7,
    before_meta: bytes = b"",
    method: int = 0,
    between: bytes = b"",
) -> bytes:
    """A HEIF of a thumbnail (item 3, property 1) and a primary item 7 with the given properties, and 512 bytes of data.

    `wide` takes the longer of every variant: 32-bit ids, 15-bit property indices, iloc version 2 with 64-bit fields.
    """

    def indices(*numbers: int) -> bytes:
        packed = b"".join(struct.pack(">H", 0x8000 | n) if wide else bytes([0x80 | n]) for n in numbers)
        return bytes([len(numbers)]) + packed

    item = ">I" if wide else ">H"
    ipma = struct.pack(">I", 2) + struct.pack(item, 3) + indices(1)
    ipma += struct.pack(item, 7) + indices(*range(2, 2 + len(properties)))
    pitm = b"" if primary is None else full(b"pitm", struct.pack(item, primary), version=int(wide))
    ftyp = box(b"ftyp", major, b"\0\0\0\0", brands)
    offset = 0
    for _ in range(2):  # once to learn the length, once with the offset that follows from it
        if wide:
            iloc = b"\x88\x80" + struct.pack(">IIHHQHQQ", 1, 7, method, 0, offset, 1, 0, len(PIXELS))
        else:
            iloc = b"\x44\x00" + struct.pack(">HHHHII", 1, 7, 0, 1, offset, len(PIXELS))
        meta = full(
            b"meta",
            full(b"hdlr", b"\0\0\0\0pict" + bytes(13)),
            pitm,
            full(b"iloc", iloc, version=2 * wide),
            box(b"iprp", box(b"ipco", THUMBNAIL, *properties), full(b"ipma", ipma, version=int(wide), flags=int(wide))),
            box(b"idat", PIXELS) if method == 1 else b"",
        )
        offset = 0 if method == 1 else len(ftyp + before_meta + meta + between) + 8
    return ftyp + before_meta + meta + between + (b"" if method == 1 else box(b"mdat", PIXELS))


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
# Formats that promise: no cut of such a file passes.
CUT = [*(name for name in MADE if name.split()[0] in ("jpeg", "png", "webp", "gif", "bmp", "avif"))]


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
    ("major", "brands", "expected"),
    [
        *((brand, b"mif1", "heic") for brand in (b"heic", b"heix", b"heim", b"heis")),
        *((brand, b"mif1", "heic") for brand in (b"hevc", b"hevx", b"hevm", b"hevs")),
        (b"avif", b"mif1miaf", "avif"), (b"avis", b"msf1", "avif"), (b"mif1", b"mif1avif", "avif"),
        (b"mif1", b"mif1heic", "heic"), (b"msf1", b"msf1hevc", "heic"), (b"mif1", b"mif1avifheic", "avif"),
        (b"mif1", b"mif1", "heif"), (b"msf1", b"", "heif"), (b"mif1", b"jpeg", "heif"), (b"mif2", b"", "heif"),
        (b"isom", b"mp42avc1", ""), (b"qt  ", b"", ""), (b"crx ", b"heic", ""),
    ],
)  # fmt: skip
def test_brands(major: bytes, brands: bytes, expected: str) -> None:
    data = heic(ispe(8, 6), major=major, brands=brands)
    assert sniff(data) == expected
    if expected:
        still = major not in (b"hevc", b"hevx", b"hevm", b"hevs", b"avis", b"msf1")
        assert parse(data, len(data)) == Header(expected, 8, 6, frames=1 if still else 0)


@pytest.mark.parametrize("wide", [False, True])
def test_heic_primary_item(wide: bool) -> None:
    def parsed(*properties: bytes, **options: object) -> Header:
        data = heic(*properties, wide=wide, **options)  # type: ignore[arg-type]
        assert verdict(data) == "whole"
        return parse(data, len(data))

    large = ispe(9000, 9000)
    assert parsed(ispe(8, 6)) == Header("heic", 8, 6)  # though the thumbnail is larger
    assert parsed(ispe(8, 6), primary=3) == Header("heic", 160, 120)
    assert parsed(ispe(8, 6), large, primary=None) == Header("heic", 9000, 9000)  # not resolved: the largest
    assert parsed(ispe(8, 6), large, primary=4) == Header("heic", 9000, 9000)
    assert parsed(irot(1)) == Header("heic", 160, 120, 8)  # no size of its own
    assert parsed(ispe(8, 6), box(b"colr", b"nclx"), irot(3)) == Header("heic", 8, 6, 6)
    assert parsed(ispe(8, 6), before_meta=box(b"free", bytes(9))) == Header("heic", 8, 6)
    assert parsed(ispe(8, 6), between=box(b"moov")) == Header("heic", 8, 6, frames=0)


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (101, 33), (128, 64)])
def test_heic_is_as_large_as_it_decodes(size: tuple[int, int]) -> None:
    """Encoders pad to even sides and to 64 pixels, and say by a clean aperture what is to be cut off."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(noise(*size)).save(buffer)
    data = buffer.getvalue()
    assert pillow_heif.open_heif(data).size == size
    assert parse(data, len(data)) == Header("heic", *size)


@pytest.mark.parametrize(
    ("aperture", "size"),
    [
        (clap((99, 1), (70, 1)), (99, 70)),
        (clap((198, 2), (140, 2)), (99, 70)),
        (clap((100, 1), (80, 1)), (100, 80)),
        (clap((101, 1), (80, 1)), (100, 80)),
        (clap((37, 1), (17, 1)), (37, 17)),
        (clap((36, 1), (17, 1)), (100, 80)),  # a crop, not padding: what is decoded counts
        (clap((0, 1), (80, 1)), (100, 80)),
        (clap((99, 0), (70, 1)), (100, 80)),
        (clap((99, 1), (70, 0)), (100, 80)),
        (box(b"clap", bytes(3)), (100, 80)),
    ],
)
def test_heic_clean_aperture(aperture: bytes, size: tuple[int, int]) -> None:
    data = heic(ispe(100, 80), aperture, irot(1))
    assert parse(data, len(data)) == Header("heic", *size, 8)


def displayed(properties: list[tuple[str, int]]) -> Image.Image:
    """What irot (anticlockwise quarter turns) and imir (0 swaps top and bottom, 1 left and right) do, by Pillow."""
    image = noise(3, 2)
    for name, value in properties:
        if name == "irot":
            image = image.rotate(90 * value, expand=True)
        else:
            image = image.transpose((Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.FLIP_LEFT_RIGHT)[value])
    return image


@pytest.mark.parametrize("mirror", [None, 0, 1])
@pytest.mark.parametrize("steps", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror_first", [False, True])
def test_irot_and_imir_become_the_exif_orientation(steps: int, mirror: int | None, mirror_first: bool) -> None:
    properties = [("irot", steps), *([] if mirror is None else [("imir", mirror)])]
    if mirror_first:
        properties.reverse()
    data = heic(ispe(3, 2), *(irot(value) if name == "irot" else imir(value) for name, value in properties))
    upright = noise(3, 2)
    upright.getexif()[274] = parse(data, len(data)).orientation
    assert ImageOps.exif_transpose(upright).tobytes() == displayed(properties).tobytes()
    assert ImageOps.exif_transpose(upright).size == displayed(properties).size


def test_heic_meta_box_near_far_and_missing() -> None:
    def padded(end: int) -> bytes:
        plain = heic(ispe(8, 6))
        last = plain.index(b"mdat") - 4
        return heic(ispe(8, 6), before_meta=box(b"free", bytes(end - last - 8)))

    for end, expected in (
        (FAR - 1, Header("heic", 8, 6)),
        (FAR, Header("heic", 8, 6)),
        (FAR + 1, Header("heic", 0, 0)),
    ):
        assert settle(padded(end))[0] == expected
    assert settle(padded(3 * FAR)) == (Header("heic", 0, 0), 1)
    ftyp = box(b"ftyp", b"heic\0\0\0\0mif1")
    for data in (ftyp, ftyp + box(b"mdat", PIXELS), ftyp + b"\0\0\0\x01mdat"):
        assert refusal(data)[0] == "truncated_image"
    large = ftyp + struct.pack(">I4sQ", 1, b"free", 16 + 5) + bytes(5) + heic(ispe(8, 6))[len(ftyp) + 4 :]
    assert parse(large, len(large)) == Header("heic", 8, 6)
    counts = full(b"ipma", b"\xff\xff\xff\xff\0")  # entries without end, in a box that ends the file
    unassociated = ftyp + full(b"meta", full(b"pitm", b"\0\x07"), box(b"iprp", box(b"ipco", ispe(8, 6)), counts))
    assert parse(unassociated, len(unassociated)) == Header("heic", 8, 6)


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
