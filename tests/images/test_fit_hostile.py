"""Hostile and damaged images: truncations are caught where that is promised, and any bytes lead to a picture or a reason."""

from __future__ import annotations

import io
import random
from typing import Any

import pillow_heif
import pytest
from fit_pictures import BOTH, KINDS, opened
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from transforms.core.reasons import ImageError
from transforms.images.fit.decode import check_decode
from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy
from transforms.images.headers.parse import NeedMore, parse
from transforms.images.headers.structure import ends_well, walk

pillow_heif.register_heif_opener()

PICTURE = Image.frombytes("RGB", (96, 64), random.Random(2).randbytes(3 * 96 * 64))


def encoded(kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    PICTURE.copy().save(out, kind, **options)
    return out.getvalue()


MADE = {
    "jpeg": encoded("JPEG", quality=90),
    "jpeg progressive": encoded("JPEG", quality=90, progressive=True),
    "png": encoded("PNG"),
    "webp": encoded("WEBP", quality=90),
    "webp lossless": encoded("WEBP", lossless=True),
    "gif": encoded("GIF"),
    "bmp": encoded("BMP"),
    "tiff": encoded("TIFF"),
    "tiff lzw": encoded("TIFF", compression="tiff_lzw"),
    "jp2": encoded("JPEG2000"),
    "avif": encoded("AVIF", quality=90),
    "heic": encoded("HEIF", quality=90),
    "ppm": encoded("PPM"),
    "sgi": encoded("SGI"),
}
# Types that have an end mark, or sizes that tell where they end: they conform, or are walked before they are decoded.
MARKED = ("jpeg", "jpeg progressive", "png", "webp", "webp lossless", "gif", "avif", "heic")


def reason(call: Any) -> str:
    try:
        call()
    except ImageError as error:
        return error.reason
    return ""


def structure_says(data: bytes) -> str:
    """What --verify structure comes to: the header, the end, and where that is missing the walk and the decoder."""
    header = parse(data, len(data))
    if not ends_well(header.type, data[-4096:], data, len(data)):
        walk(data, header.type)
        check_decode(data, 10**6)
    return ""


@pytest.mark.parametrize("name", MADE)
def test_a_truncation_at_every_percent_is_caught(name: str) -> None:
    whole = MADE[name]
    type_ = parse(whole, len(whole)).type
    policy = FitPolicy(max_bytes=10**6, types=("jpeg", "png"))
    assert structure_says(whole) == reason(lambda: check_decode(whole, 10**6)) == ""
    decoded, structure = set(), set()
    for percent in range(100):
        cut = whole[: len(whole) * percent // 100]
        fitted = reason(lambda cut=cut: fit(cut, policy, source="s", header_type=type_))  # type: ignore[misc]
        decoded |= {fitted, reason(lambda cut=cut: check_decode(cut, 10**6))}  # type: ignore[misc]
        structure.add(reason(lambda cut=cut: structure_says(cut)))  # type: ignore[misc]
    told = {"truncated_image", "undecodable", "empty_image", "not_an_image"}
    assert "" not in decoded and decoded <= told
    if name in MARKED:
        assert "" not in structure and structure <= told


def test_what_heif_cannot_promise() -> None:
    """A HEIF file has no end mark. What is cut is seen because items then end beyond the file; a changed byte is not seen."""
    whole = MADE["heic"]
    assert structure_says(whole + bytes([0, 0, 0, 8]) + b"free") == ""  # a box after the picture belongs to it as well
    damaged = bytearray(whole)
    damaged[-10] ^= 0x55
    assert structure_says(bytes(damaged)) == ""


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@settings(max_examples=150)
@given(st.data())
def test_any_bytes_lead_to_a_fitted_image_or_a_reason(data: st.DataObject) -> None:
    seed = MADE[data.draw(st.sampled_from(sorted(MADE)))]
    damaged = bytearray(seed)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(seed) - 1), st.integers(0, 255)), max_size=6)):
        damaged[at] = value
    candidate = bytes(damaged[: data.draw(st.integers(0, len(seed)))] if data.draw(st.booleans()) else damaged)
    policy = FitPolicy(
        max_bytes=data.draw(st.sampled_from((900, 4_000, 20_000))),
        types=data.draw(st.sampled_from((("jpeg", "png"), ("jpeg",), ("png",)))),
        max_pixels=data.draw(st.sampled_from((96 * 64, 100_000))),
        oversize=data.draw(st.sampled_from(("auto", "recompress", "resize", "reject"))),
        max_side=data.draw(st.sampled_from((1, 50, 3072))),
        alpha=data.draw(st.sampled_from(("keep", "flatten"))),
        animation=data.draw(st.sampled_from(("first_frame", "reject"))),
        effort=data.draw(st.sampled_from(("fast", "best"))),
    )
    try:
        header = parse(candidate, len(candidate))
        fitted = fit(candidate, policy, source="s", header_type=header.type)
    except (ImageError, NeedMore) as error:
        assert not isinstance(error, NeedMore)
        assert error.reason in {
            "empty_image", "not_an_image", "truncated_image", "undecodable", "too_many_pixels", "animated",
            "too_large", "cannot_fit", "decoder_memory",
        }  # fmt: skip
    else:
        assert len(fitted.data) <= policy.max_bytes and fitted.type in policy.types
        with Image.open(io.BytesIO(fitted.data)) as image:
            image.load()
            assert image.size == (fitted.width, fitted.height)


@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_gps_is_not_carried_into_a_rewritten_file(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x8825] = {1: "N", 2: (48.0, 51.0, 29.5), 29: "2026:01:02"}
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"):
        data = encoded(kind, exif=exif.tobytes())
        assert b"2026:01:02" in data
        header = parse(data, len(data))
        for types in (("jpeg",), ("png",)):
            policy = FitPolicy(max_bytes=10**6, types=types)
            fitted = fit(data, policy, source="s", header_type=header.type).data
            assert b"2026:01:02" not in fitted and b"Exif" not in fitted


SEEDS = [(kind[1], kind[2]) for kind in KINDS]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about damaged EXIF
@settings(max_examples=120)
@given(st.data())
def test_any_bytes_are_a_picture_or_an_image_error(data: st.DataObject) -> None:
    seed, header_type = data.draw(st.sampled_from(SEEDS))
    damaged = bytearray(seed)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(seed) - 1), st.integers(0, 255)), max_size=6)):
        damaged[at] = value
    candidates = (
        bytes(damaged[: data.draw(st.integers(0, len(seed)))]),
        bytes(damaged),
        data.draw(st.binary(max_size=80)),
    )
    policy = FitPolicy(max_bytes=20_000, types=BOTH, max_pixels=100_000)
    for candidate in candidates:
        try:
            fitted = fit(candidate, policy, source="s", header_type=header_type)
        except ImageError as error:
            assert error.reason in ("undecodable", "truncated_image", "too_many_pixels")
        else:
            assert len(fitted.data) <= 20_000
            assert opened(fitted).width * fitted.height <= 100_000
