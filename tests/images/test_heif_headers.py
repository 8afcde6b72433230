"""Headers of HEIF and AVIF: brands, the primary item, what it is cut and turned to, and where the meta box may lie."""

from __future__ import annotations

import io
import struct

import pillow_heif
import pytest
from heif_bytes import PIXELS, box, clap, full, heic, imir, irot, ispe
from image_bytes import noise
from PIL import Image, ImageOps
from reading_headers import refusal, settle, verdict

from transforms.core.records import Header
from transforms.images.headers.parse import FAR, parse
from transforms.images.headers.signatures import sniff


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
