"""Colour: ICC profiles made by code, whose sRGB values are known by arithmetic, and CMYK stored either way round."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pillow_heif
import pytest
from PIL import Image, ImageCms

from transforms.core.reasons import ImageError
from transforms.images.fit.colour import plain
from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy
from transforms.images.headers.parse import parse

pillow_heif.register_heif_opener()

Pixel = tuple[int, ...]
PATCHES = [(200, 60, 50), (60, 180, 80), (70, 80, 190), (230, 230, 230)]
# Primaries and D65 white, as xy. https://www.w3.org/TR/css-color-4/ has the same numbers.
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
D65, D50 = (0.95047, 1.0, 1.08883), (0.96422, 1.0, 0.82521)
Matrix = list[list[float]]


def times(a: Matrix, b: Matrix) -> Matrix:
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def inverse(m: Matrix) -> Matrix:
    (a, b, c), (d, e, f), (g, h, i) = m
    det = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)
    rows = ((e * i - f * h, c * h - b * i, b * f - c * e), (f * g - d * i, a * i - c * g, c * d - a * f),
            (d * h - e * g, b * g - a * h, a * e - b * d))  # fmt: skip
    return [[value / det for value in row] for row in rows]


def to_xyz(primaries: tuple[tuple[float, float], ...]) -> Matrix:
    """Linear RGB -> XYZ under D65."""
    columns = [[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]
    base = [list(row) for row in zip(*columns)]
    scale = times(inverse(base), [[v] for v in D65])
    return [[value * scale[i][0] for i, value in enumerate(row)] for row in base]


def to_d50(m: Matrix) -> Matrix:
    """Adapted by Bradford, as profiles are."""
    bradford = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    gains = [t[0] / f[0] for f, t in zip(times(bradford, [[v] for v in D65]), times(bradford, [[v] for v in D50]))]
    scaled = [[gain * value for value in row] for gain, row in zip(gains, times(bradford, m))]
    return times(inverse(bradford), scaled)


def s15(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def profile(
    kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes], name: bytes = b"made by a test"
) -> bytes:
    """ICC.1:2010: header, tag table, tags."""
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(name) + 1) + name + bytes(79),
            b"wtpt": b"XYZ \0\0\0\0" + b"".join(map(s15, D50)), **tags}  # fmt: skip
    at, table, body = 132 + 12 * len(tags), b"", b""
    for tag, data in tags.items():
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", at + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", at + len(body), bytes(4), 0x02400000, kind, space, connection)
    head += struct.pack(">6H4s", 2020, 1, 1, 0, 0, 0, b"acsp") + bytes(28) + b"".join(map(s15, D50)) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def rgb_profile(primaries: tuple[tuple[float, float], ...], gamma: float, name: bytes = b"made by a test") -> bytes:
    columns = zip(*to_d50(to_xyz(primaries)))
    tags = {f"{c}XYZ".encode(): b"XYZ \0\0\0\0" + b"".join(map(s15, column)) for c, column in zip("rgb", columns)}
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    return profile(b"mntr", b"RGB ", b"XYZ ", tags | {f"{c}TRC".encode(): curve for c in "rgb"}, name)


def expected(pixel: Pixel, primaries: tuple[tuple[float, float], ...], gamma: float) -> Pixel:
    linear = [[(value / 255) ** gamma] for value in pixel]
    found = times(inverse(to_xyz(SRGB)), times(to_xyz(primaries), linear))
    clipped = [min(1.0, max(0.0, value)) for (value,) in found]
    return tuple(round(255 * (12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055)) for v in clipped)


def cmyk_profile() -> bytes:
    """Inks of a look of their own: no arithmetic on C, M, Y and K comes to these colours."""
    corners = []
    for at in range(16):
        c, m, y, k = at >> 3 & 1, at >> 2 & 1, at >> 1 & 1, at & 1
        light = max(0, 100 - 35 * c - 45 * m - 10 * y) * (1 - k)
        a, b = (-35 * c + 60 * m - 5 * y) * (1 - k), (-45 * c - 5 * m + 80 * y) * (1 - k)
        corners += [round(light * 2.55), a + 128, b + 128]
    straight = bytes(range(256))
    lut = struct.pack(">4s4x4B", b"mft1", 4, 3, 2, 0) + b"".join(s15(float(i % 4 == 0)) for i in range(9))
    return profile(b"prtr", b"CMYK", b"Lab ", {b"A2B0": lut + straight * 4 + bytes(corners) + straight * 3})


def patches(mode: str, pixels: list[Pixel]) -> Image.Image:
    image = Image.new(mode, (128, 32))
    for index, pixel in enumerate(pixels):
        image.paste(pixel, (32 * index, 0, 32 * index + 32, 32))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def fitted(data: bytes, image_type: str) -> tuple[Image.Image, list[Pixel]]:
    result = fit(data, FitPolicy(max_bytes=10**6, types=("jpeg", "png")), source="s", header_type=image_type)
    image = Image.open(io.BytesIO(result.data))
    return image, [image.getpixel((32 * index + 16, 16)) for index in range(4)]  # type: ignore[misc]


def assert_close(found: list[Pixel], wanted: list[Pixel], tolerance: int) -> None:
    assert all(abs(a - b) <= tolerance for one, two in zip(found, wanted, strict=True) for a, b in zip(one, two)), (
        found,
        wanted,
    )


@pytest.mark.parametrize(
    ("primaries", "gamma"), [(DISPLAY_P3, 2.2), (ADOBE_RGB, 2.19921875)], ids=["Display P3", "Adobe RGB"]
)
@pytest.mark.parametrize(
    ("kind", "image_type", "options", "tolerance"),
    [
        ("PNG", "png", {}, 1),
        ("TIFF", "tiff", {}, 1),
        ("JPEG", "jpeg", {"quality": 98, "subsampling": 0}, 3),
        ("WEBP", "webp", {"lossless": True}, 3),
        ("HEIF", "heic", {"quality": 95}, 6),
        ("AVIF", "avif", {"quality": 98}, 6),
    ],
    ids=str,
)
def test_wide_colours_become_srgb(
    primaries: Any, gamma: float, kind: str, image_type: str, options: dict[str, Any], tolerance: int
) -> None:
    data = encoded(patches("RGB", PATCHES), kind, icc_profile=rgb_profile(primaries, gamma), **options)
    image, found = fitted(data, image_type)
    wanted = [expected(pixel, primaries, gamma) for pixel in PATCHES]
    assert_close(found, wanted, tolerance)
    assert max(abs(a - b) for one, two in zip(wanted, PATCHES) for a, b in zip(one, two)) > 10  # it makes a difference
    assert "icc_profile" not in image.info


INKS = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (40, 20, 90, 60)]


@pytest.mark.parametrize(("kind", "image_type"), [("JPEG", "jpeg"), ("TIFF", "tiff")])
def test_cmyk_follows_its_profile(kind: str, image_type: str) -> None:
    data = encoded(
        patches("CMYK", INKS), kind, icc_profile=cmyk_profile(), **({"quality": 98} if kind == "JPEG" else {})
    )
    _, found = fitted(data, image_type)
    given = ImageCms.ImageCmsProfile(io.BytesIO(cmyk_profile()))
    told = ImageCms.profileToProfile(patches("CMYK", INKS), given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    wanted = [told.getpixel((32 * index + 16, 16)) for index in range(4)]  # type: ignore[union-attr]
    assert_close(found, wanted, 6)  # type: ignore[arg-type]
    assert_close(found[:1], [(255, 255, 255)], 6)
    red, green, blue = found[1]
    assert red < green < blue and green > 90  # the profile's cyan, not (0, 255, 255)


PLAIN = [(255, 255, 255), (0, 255, 255), (255, 0, 0), (164, 180, 126)]


def test_untagged_cmyk_is_the_right_way_round() -> None:
    """Adobe stores ink as 255 minus ink, and says so by its marker. Without the marker it is stored as it is."""
    adobe = encoded(patches("CMYK", INKS), "JPEG", quality=98)
    at = adobe.index(b"\xff\xee")
    assert adobe[at + 4 : at + 9] == b"Adobe"
    assert_close(fitted(adobe, "jpeg")[1], PLAIN, 8)

    inverted = encoded(patches("CMYK", [tuple(255 - ink for ink in inks) for inks in INKS]), "JPEG", quality=98)
    at = inverted.index(b"\xff\xee")
    bare = inverted[:at] + inverted[at + 2 + int.from_bytes(inverted[at + 2 : at + 4], "big") :]
    assert b"Adobe" not in bare
    assert_close(fitted(bare, "jpeg")[1], PLAIN, 8)


def test_lab_becomes_srgb() -> None:
    lab = ImageCms.profileToProfile(
        patches("RGB", PATCHES), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    assert lab is not None
    assert_close(fitted(encoded(lab, "TIFF"), "tiff")[1], PATCHES, 5)  # Lab in 8 bits is coarse


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
    data = bytearray(encoded(patches("RGB", PATCHES).convert(mode), "JPEG2000"))
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
    assert_close([(v,) for v in fitted(encoded(image, "JPEG2000"), "jp2")[1]], [(0,), (85,), (170,), (255,)], 2)


def test_sixteen_bits_of_sgi() -> None:
    data = encoded(patches("L", [0, 85, 170, 255]), "SGI", bpc=2)
    assert parse(data, len(data)).type == "sgi"
    assert fitted(data, "sgi")[1] == [0, 85, 170, 255]


def test_grey_with_alpha_follows_its_profile_too() -> None:
    """Of gamma 1: a half of the light is a brightness of 188. What is not opaque stays so."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256)
    linear = profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})
    image = patches("L", [0, 55, 128, 255])
    image.putalpha(patches("L", [255, 0, 128, 200]))
    made, found = fitted(encoded(image, "PNG", icc_profile=linear), "png")
    assert made.mode == "LA"
    assert_close(found, [(0, 255), (128, 0), (188, 128), (255, 200)], 1)


@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_a_profile_is_believed_for_its_numbers_not_its_name(gamma: float) -> None:
    data = encoded(patches("RGB", PATCHES), "PNG", icc_profile=rgb_profile(SRGB, gamma, b"sRGB linear or so"))
    wanted = [expected(pixel, SRGB, gamma) for pixel in PATCHES]
    assert_close(fitted(data, "png")[1], wanted, 1)
    assert max(abs(a - b) for one, two in zip(wanted, PATCHES) for a, b in zip(one, two)) > 10


@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_what_is_srgb_is_not_transformed(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = patches("RGB", PATCHES).convert(mode)
    image.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    before, worked = image.tobytes(), []
    transform = ImageCms.applyTransform
    monkeypatch.setattr(
        ImageCms, "applyTransform", lambda im, *a, **k: worked.append(im.size) or transform(im, *a, **k)
    )
    after = plain(image)
    assert (after.mode, after.tobytes(), worked) == (mode, before, [(16, 1)])
