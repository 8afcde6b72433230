"""Samples of other depths, orders and models: greys, transparent colours, TIFF, JPEG 2000, Sun raster and SGI."""

from __future__ import annotations

import struct
import zlib

import pytest
from colour_patches import PATCHES, assert_close, fitted, patches
from image_bytes import saved
from PIL import Image, ImageCms

from transforms.core.reasons import ImageError
from transforms.images.headers.parse import parse


def test_lab_becomes_srgb() -> None:
    lab = ImageCms.profileToProfile(
        patches("RGB", PATCHES), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert_close(fitted(saved(lab, "TIFF"), "tiff")[1], PATCHES, 5)  # Lab in 8 bits is coarse


def tiff_grey(values: list[int], bits: int, photometric: int = 1, sample: int = 1) -> bytes:
    """Four fields of one grey each, in a TIFF of one strip; 12 bits are packed, others little-endian."""
    row = [value for value in values for _ in range(32)]
    if bits == 12:
        line = b"".join((a << 12 | b).to_bytes(3, "big") for a, b in zip(row[::2], row[1::2]))
    else:
        line = b"".join(value.to_bytes(bits // 8, "little", signed=sample == 2) for value in row)
    fields = [(256, 128), (257, 32), (258, bits), (259, 1), (262, photometric), (273, 8 + 2 + 120 + 4), (277, 1),
              (278, 32), (279, 32 * len(line)), (339, sample)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields)
    return struct.pack("<4sIH", b"II*\0", 8, len(fields)) + entries + bytes(4) + line * 32


@pytest.mark.parametrize(
    ("values", "bits", "photometric", "sample", "wanted"),
    [
        ([0, 1365, 2730, 4095], 12, 1, 1, [0, 85, 170, 255]),
        ([7, 8, 9, 4088], 12, 1, 1, [0, 0, 1, 255]),
        ([0, 21845, 43690, 65535], 16, 1, 1, [0, 85, 170, 255]),
        ([0, 128, 129, 65406], 16, 1, 1, [0, 0, 1, 254]),
        ([0, 21845, 43690, 65535], 16, 0, 1, [255, 170, 85, 0]),
        ([0, 85, 170, 255], 16, 1, 1, [0, 85, 170, 255]),  # 8 bits used
        ([0, 85, 170, 256], 16, 1, 1, [0, 42, 85, 128]),  # 9
        ([0, 341, 682, 1023], 16, 1, 1, [0, 85, 170, 255]),  # 10
        ([0, 1365, 2730, 4095], 16, 1, 1, [0, 85, 170, 255]),  # 12
        ([0, 1365, 2730, 4095], 16, 0, 1, [255, 170, 85, 0]),
        ([0, 10922, 21845, 32767], 16, 1, 1, [0, 85, 170, 255]),  # 15
        ([0, 10922, 21845, 32768], 16, 1, 1, [0, 42, 85, 128]),  # 16
        ([0, 341, 682, 1023], 12, 1, 1, [0, 85, 170, 255]),
        ([0, 85, 170, 255], 8, 0, 1, [255, 170, 85, 0]),
        ([-300, -200, -100, 0], 16, 1, 2, [0, 85, 170, 255]),
        ([0, 1365, 2730, 4095], 32, 1, 1, [0, 85, 170, 255]),  # no set range: its own
        ([1000, 1001, 1002, 1003], 32, 1, 1, [0, 85, 170, 255]),
        ([0, 0x5555_5555, 0xAAAA_AAAA, 0xFFFF_FFFF], 32, 1, 1, [0, 85, 170, 255]),
        ([-30_000, 0, 30_000, 60_000], 32, 1, 2, [0, 85, 170, 255]),
        ([0, 100, 200, 300], 16, 1, 2, [0, 85, 170, 255]),
    ],
)
def test_grey_of_every_depth(values: list[int], bits: int, photometric: int, sample: int, wanted: list[int]) -> None:
    image, found = fitted(tiff_grey(values, bits, photometric, sample), "tiff")
    assert (image.mode, found) == ("L", wanted)


def clear_png(values: list[int], depth: int, colour: int, clear: list[int]) -> bytes:
    """Four fields of one value each, `clear` the one transparent colour."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    samples = [value for value in values for _ in range(32 * (3 if colour == 2 else 1))]
    bits = "".join(f"{value:0{depth}b}" for value in samples)
    row = b"\0" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    head = struct.pack(">IIBBBBB", 128, 32, depth, colour, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
            + chunk(b"IDAT", zlib.compress(row * 32)) + chunk(b"IEND", b""))  # fmt: skip


@pytest.mark.parametrize(
    ("values", "depth", "clear", "wanted", "alpha"),
    [
        ([0, 1, 2, 3], 2, 2, [0, 85, 170, 255], [255, 255, 0, 255]),
        ([0, 5, 10, 15], 4, 10, [0, 85, 170, 255], [255, 255, 0, 255]),
        ([0, 10, 170, 255], 8, 10, [0, 10, 170, 255], [255, 0, 255, 255]),
        ([0, 21845, 43680, 65535], 16, 43680, [0, 85, 170, 255], [255, 255, 0, 255]),
        ([0, 1, 2, 3], 16, 2, [0, 1, 2, 3], [255, 255, 0, 255]),  # of 16 bits 8 are used
        (
            [0, 43681, 43680, 65535],
            16,
            43680,
            [0, 170, 170, 255],
            [255, 255, 0, 255],
        ),  # as grey they are one; one is clear
    ],
)
def test_the_transparent_grey_of_a_png(
    values: list[int], depth: int, clear: int, wanted: list[int], alpha: list[int]
) -> None:
    image, found = fitted(clear_png(values, depth, 0, [clear]), "png")
    assert (image.mode, found) == ("LA", list(zip(wanted, alpha)))


@pytest.mark.parametrize(
    ("values", "depth", "clear"),
    [([0, 100, 170, 255], 8, 100), ([0, 25700, 43680, 65535], 16, 43680), ([0, 100, 25700, 43680], 16, 100)],
)
def test_the_transparent_colour_of_a_png(values: list[int], depth: int, clear: int) -> None:
    """Of 16 bits Pillow keeps the upper 8, and compares those."""
    image, found = fitted(clear_png(values, depth, 2, [clear] * 3), "png")
    eight = [value >> depth - 8 for value in values]
    assert image.mode == "RGBA"
    assert found == [(v, v, v, 255 * (v != clear >> depth - 8)) for v in eight]


def tiff(fields: list[tuple[int, int, list[int]]], pixels: bytes, order: str = "<") -> bytes:
    """128 x 32 pixels in one strip; a field is its tag, its type (3 or 4) and its values."""
    fields = [(256, 4, [128]), (257, 4, [32]), (259, 3, [1]), (278, 4, [32]), *fields]
    more = 14 + 12 * (len(fields) + 2)  # where values over 4 bytes go, then the pixels
    longer = b""

    def entry(tag: int, kind: int, values: list[int]) -> bytes:
        nonlocal longer
        data = struct.pack(f"{order}{len(values)}{'HI'[kind - 3]}", *values)
        if len(data) > 4:
            longer += data
            data = struct.pack(order + "I", more + len(longer) - len(data))
        return struct.pack(order + "HHI", tag, kind, len(values)) + data.ljust(4, b"\0")

    entries = {field[0]: entry(*field) for field in fields}
    planes = len(next(values for tag, _, values in fields if tag == 258)) if (284, 3, [2]) in fields else 1
    start, size = more + len(longer) + 8 * planes * (planes > 1), len(pixels) // planes
    for tag, values in ((273, [start + size * i for i in range(planes)]), (279, [size] * planes)):
        entries[tag] = entry(tag, 4, values)
    head = struct.pack(order + "2sHIH", b"II" if order == "<" else b"MM", 42, 8, len(entries))
    return head + b"".join(entries[tag] for tag in sorted(entries)) + bytes(4) + longer + pixels


@pytest.mark.parametrize("order", ["<", ">"])
def test_deep_tiffs_of_either_byte_order(order: str) -> None:
    """Big-endian grey has a mode of its own in Pillow. Planes of 16 bits that are not compressed it takes for planes of 8."""
    values = [value for value in (0, 85 * 257, 170 * 257, 65_535) for _ in range(32)]
    grey = struct.pack(f"{order}{128 * 32}H", *values * 32)
    image, found = fitted(tiff([(258, 3, [16]), (262, 3, [1]), (277, 3, [1])], grey, order), "tiff")
    assert (image.mode, found) == ("L", [0, 85, 170, 255])
    for mode, photometric in (("RGB", 2), ("CMYK", 5)):
        picture = patches("RGB", PATCHES).convert(mode)
        planes = b"".join(
            struct.pack(f"{order}{128 * 32}H", *(v * 257 for v in band.tobytes())) for band in picture.split()
        )
        bands = len(mode)
        fields = [(258, 3, [16] * bands), (262, 3, [photometric]), (277, 3, [bands]), (284, 3, [2])]
        assert fitted(tiff(fields, planes, order), "tiff")[1] == PATCHES


def test_ycbcr_that_is_not_compressed() -> None:
    """Pillow takes it for RGBX: here, with bytes behind it, for another picture."""
    pixels = patches("RGB", PATCHES).convert("YCbCr").tobytes() + bytes(128 * 32)
    data = tiff([(258, 3, [8, 8, 8]), (262, 3, [6]), (277, 3, [3]), (530, 3, [1, 1])], pixels)
    assert_close(fitted(data, "tiff")[1], PATCHES, 2)


@pytest.mark.parametrize(("mode", "bits"), [("RGB", 12), ("RGB", 16), ("LA", 16), ("RGB", 4), ("L", 4)])
def test_a_jpeg_2000_whose_white_would_be_black_is_refused(mode: str, bits: int) -> None:
    """Pillow shifts 12 bits to 8 with rounding and cuts the result. Grey of more bits has a mode that holds them."""
    data = bytearray(saved(patches("RGB", PATCHES).convert(mode), "JPEG2000"))
    at = data.index(b"\xff\x4f\xff\x51") + 42
    for component in range(len(mode)):
        assert data[at + 3 * component] == 7
        data[at + 3 * component] = bits - 1
    with pytest.raises(ImageError) as caught:
        fitted(bytes(data), "jp2")
    assert (caught.value.reason, f"{len(mode)} x {bits} bits" in caught.value.detail) == ("undecodable", True)


@pytest.mark.parametrize(("image_format", "refused"), [(1, False), (2, True)], ids=("unsigned", "signed"))
def test_a_tiff_whose_sign_would_be_lost_is_refused(image_format: int, refused: bool) -> None:
    data = tiff([(258, 3, [8]), (262, 3, [1]), (277, 3, [1]), (339, 3, [image_format])], bytes(range(128)) * 32)
    assert_refused(data, "tiff", refused)


@pytest.mark.parametrize(("kind", "depth", "refused"), [(1, 24, False), (1, 32, True), (2, 32, True), (3, 32, True)])
def test_a_sun_raster_whose_colours_would_be_mixed_up_is_refused(kind: int, depth: int, refused: bool) -> None:
    pixels = bytes(range(128)) * depth  # read as runs it is literal but for its 128s, of which it has none
    header = struct.pack(">8I", 0x59A66A95, 128, 32, depth, len(pixels), kind, 0, 0)
    assert_refused(header + pixels * 4, "sun", refused)


def assert_refused(data: bytes, image_type: str, refused: bool) -> None:
    if not refused:
        assert fitted(data, image_type)[1]
        return
    with pytest.raises(ImageError, match="its colours would be wrong") as caught:
        fitted(data, image_type)
    assert caught.value.reason == "undecodable"


def test_deep_grey_of_a_jpeg_2000() -> None:
    image = Image.new("I;16", (128, 32))
    image.frombytes(struct.pack("<4096H", *[v for v in (0, 85 * 257, 170 * 257, 65_535) for _ in range(32)] * 32))
    assert_close([(v,) for v in fitted(saved(image, "JPEG2000"), "jp2")[1]], [(0,), (85,), (170,), (255,)], 2)


def test_sixteen_bits_of_sgi() -> None:
    data = saved(patches("L", [0, 85, 170, 255]), "SGI", bpc=2)
    assert parse(data, len(data)).type == "sgi"
    assert fitted(data, "sgi")[1] == [0, 85, 170, 255]
