"""Colour: ICC profiles made by code, whose sRGB values are known by arithmetic, and CMYK stored either way round."""

from __future__ import annotations

import io
import struct
from typing import Any

import pillow_heif
import pytest
from colour_patches import PATCHES, Pixel, assert_close, fitted, patches
from image_bytes import saved
from PIL import ImageCms

from transforms.images.fit.colour import plain

pillow_heif.register_heif_opener()

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
    data = saved(patches("RGB", PATCHES), kind, icc_profile=rgb_profile(primaries, gamma), **options)
    image, found = fitted(data, image_type)
    wanted = [expected(pixel, primaries, gamma) for pixel in PATCHES]
    assert_close(found, wanted, tolerance)
    assert max(abs(a - b) for one, two in zip(wanted, PATCHES) for a, b in zip(one, two)) > 10  # it makes a difference
    assert "icc_profile" not in image.info


INKS = [(0, 0, 0, 0), (255, 0, 0, 0), (0, 255, 255, 0), (40, 20, 90, 60)]


@pytest.mark.parametrize(("kind", "image_type"), [("JPEG", "jpeg"), ("TIFF", "tiff")])
def test_cmyk_follows_its_profile(kind: str, image_type: str) -> None:
    data = saved(patches("CMYK", INKS), kind, icc_profile=cmyk_profile(), **({"quality": 98} if kind == "JPEG" else {}))
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
    adobe = saved(patches("CMYK", INKS), "JPEG", quality=98)
    at = adobe.index(b"\xff\xee")
    assert adobe[at + 4 : at + 9] == b"Adobe"
    assert_close(fitted(adobe, "jpeg")[1], PLAIN, 8)

    inverted = saved(patches("CMYK", [tuple(255 - ink for ink in inks) for inks in INKS]), "JPEG", quality=98)
    at = inverted.index(b"\xff\xee")
    bare = inverted[:at] + inverted[at + 2 + int.from_bytes(inverted[at + 2 : at + 4], "big") :]
    assert b"Adobe" not in bare
    assert_close(fitted(bare, "jpeg")[1], PLAIN, 8)


def test_grey_with_alpha_follows_its_profile_too() -> None:
    """Of gamma 1: a half of the light is a brightness of 188. What is not opaque stays so."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256)
    linear = profile(b"mntr", b"GRAY", b"XYZ ", {b"kTRC": curve})
    image = patches("L", [0, 55, 128, 255])
    image.putalpha(patches("L", [255, 0, 128, 200]))
    made, found = fitted(saved(image, "PNG", icc_profile=linear), "png")
    assert made.mode == "LA"
    assert_close(found, [(0, 255), (128, 0), (188, 128), (255, 200)], 1)


@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_a_profile_is_believed_for_its_numbers_not_its_name(gamma: float) -> None:
    data = saved(patches("RGB", PATCHES), "PNG", icc_profile=rgb_profile(SRGB, gamma, b"sRGB linear or so"))
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
