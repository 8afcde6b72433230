"""Fitting one picture: what every kind of pixels becomes, what is applied to it, and what is left out."""

from __future__ import annotations

import io
from dataclasses import replace

import pillow_heif
import pytest
from fit_pictures import (
    BLUE,
    BOTH,
    GREEN,
    GREY,
    GREYS,
    HEIGHT,
    KINDS,
    RED,
    RGB,
    RGBA,
    WIDTH,
    L,
    Pixel,
    close,
    deep_png,
    fields,
    noise,
    opened,
    palette,
    quarters,
    run,
)
from image_bytes import saved
from PIL import Image, ImageCms

from transforms.core.reasons import ImageError
from transforms.images.fit.decode import check_decode
from transforms.images.fit.embedded_facts import read_facts
from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy
from transforms.images.headers.parse import parse


@pytest.mark.parametrize(
    ("data", "header_type", "type_", "mode", "pixels", "tolerance"),
    [kind[1:] for kind in KINDS],
    ids=[kind[0] for kind in KINDS],
)
def test_every_kind_of_pixels_keeps_its_colours(
    data: bytes, header_type: str, type_: str, mode: str, pixels: list[Pixel], tolerance: int
) -> None:
    fitted = run(data, header_type)
    image = opened(fitted)
    found = fields(image)
    assert close(found, pixels, tolerance), found
    if mode == "P":  # the indices are kept, and so are the colours that they mean
        with Image.open(io.BytesIO(data)) as source:
            assert fields(image.convert("RGB")) == fields(source.convert("RGB"))
    quality = 95 if type_ == "jpeg" else 0
    fate = "recompressed" if header_type == type_ else "converted"
    assert (fitted.type, image.mode) == (type_, mode)
    assert (fitted.width, fitted.height, fitted.quality, fitted.scale) == (WIDTH, HEIGHT, quality, 1.0)
    assert (fitted.encodes, fitted.fate) == (1, fate)
    assert (fitted.sampling != "") is (type_ == "jpeg" and mode == "RGB")
    assert fitted.flat is (header_type == "tiff" and pixels == [(0,)] * 4)  # of all NaN: black, which is said
    assert read_facts(fitted.data[:65_536]) == {
        **({"flat": 1} if fitted.flat else {}), "fate": fate, "height": HEIGHT, "quality": quality, "scale": 1.0, "source": "src",
        "source_bytes": len(data), "width": WIDTH, **({"sampling": fitted.sampling} if fitted.sampling else {}),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "mode", "pixels"),
    [
        (saved(quarters("RGBA", RGBA), "PNG"), "RGB", [RED, (255, 255, 255), (142, 137, 242), GREY]),
        (saved(quarters("LA", [(0, 255), (9, 0), (100, 51), (7, 255)]), "PNG"), "L", [(0,), (255,), (224,), (7,)]),
        (saved(quarters("1", [0, 255, 255, 0]), "PNG"), "L", [(0,), (255,), (255,), (0,)]),
        (deep_png(), "L", GREYS),
        (palette(False), "RGB", RGB),
        (palette(True), "RGB", [RED, (255, 255, 255), (142, 137, 242), GREY]),
    ],
    ids=["RGBA", "LA", "1", "16 bit", "palette", "palette, transparent"],
)
def test_where_only_jpeg_is_allowed_alpha_is_laid_on_white(data: bytes, mode: str, pixels: list[Pixel]) -> None:
    fitted = run(data, "png", types=("jpeg",))
    image = opened(fitted)
    assert (fitted.type, fitted.fate, image.mode) == ("jpeg", "converted", mode)
    assert close(fields(image), pixels, 8), fields(image)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("image_format", "header_type"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tiff")]
)
def test_orientation_is_applied_and_its_tag_dropped(orientation: int, image_format: str, header_type: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(
        quarters("RGB", RGB), image_format, exif=exif, **({"lossless": True} if image_format == "WEBP" else {})
    )
    fitted = run(data, header_type)
    image = opened(fitted)
    expected = {
        1: [RED, GREEN, BLUE, GREY],
        2: [GREEN, RED, GREY, BLUE],
        3: [GREY, BLUE, GREEN, RED],
        4: [BLUE, GREY, RED, GREEN],
        5: [RED, BLUE, GREEN, GREY],
        6: [BLUE, RED, GREY, GREEN],
        7: [GREY, GREEN, BLUE, RED],
        8: [GREEN, GREY, RED, BLUE],
    }[orientation]
    assert close(fields(image), expected, 10), fields(image)
    assert image.size == ((WIDTH, HEIGHT) if orientation < 5 else (HEIGHT, WIDTH))
    assert (fitted.scale, fitted.fate == "resized", dict(image.getexif())) == (1.0, False, {})


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_exif_costs_the_turn_not_the_picture() -> None:
    data = saved(quarters("RGB", RGB), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert close(fields(opened(run(data, "jpeg"))), RGB, 10)


def test_nothing_private_is_carried_over() -> None:
    exif = Image.Exif()
    exif[0x010E] = "PRIVATE"
    exif.get_ifd(0x8825)[1] = "N"
    sources = {
        "jpeg": saved(quarters("RGB", RGB), "JPEG", exif=exif, comment=b"PRIVATE", xmp=b"PRIVATE", dpi=(30, 30)),
        "gif": saved(quarters("P", [0, 1, 2, 3]), "GIF", comment=b"PRIVATE"),
        "webp": saved(quarters("RGB", RGB), "WEBP", exif=exif, xmp=b"PRIVATE"),
    }
    for header_type, data in sources.items():
        assert b"PRIVATE" in data
        for types in (("jpeg",), ("png",)):
            fitted = run(data, header_type, types=types)
            assert b"PRIVATE" not in fitted.data
            assert set(opened(fitted).info) <= {
                "jfif",
                "jfif_version",
                "jfif_unit",
                "jfif_density",
                "comment",
                "tuneset",
            }


def swapped_profile() -> bytes:
    """sRGB with the primaries red and green exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    profile = profile.replace("sRGB".encode("utf-16-be"), "xRGB".encode("utf-16-be"))
    return profile.replace(b"rXYZ", b"????", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"????", b"gXYZ", 1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_an_icc_profile_is_applied(mode: str) -> None:
    image = quarters("RGB", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)])
    if mode == "P":
        image = image.quantize(4)
    elif mode == "RGBA":
        image.putalpha(quarters("L", [128, 255, 255, 255]))
    fitted = opened(run(saved(image, "PNG", icc_profile=swapped_profile()), "png"))
    alpha = [(128,), (255,), (255,), (255,)] if mode == "RGBA" else [()] * 4
    expected = [(0, 255, 0), (255, 0, 0), (0, 0, 255), (255, 255, 255)]
    assert close(fields(fitted), [(*e, *a) for e, a in zip(expected, alpha, strict=True)], 2), fields(fitted)
    assert "icc_profile" not in fitted.info


@pytest.mark.parametrize("profile", [b"rubbish", swapped_profile()[:200]], ids=["rubbish", "cut"])
def test_a_damaged_icc_profile_leaves_the_colours(profile: bytes) -> None:
    assert fields(opened(run(saved(quarters("RGB", RGB), "PNG", icc_profile=profile), "png"))) == RGB


def test_a_profile_of_other_pixels_leaves_the_colours() -> None:
    data = saved(quarters("L", L), "PNG", icc_profile=swapped_profile())
    assert fields(opened(run(data, "png"))) == GREYS


@pytest.mark.parametrize(("image_format", "header_type"), [("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")])
def test_the_first_frame_of_an_animation_is_used(image_format: str, header_type: str) -> None:
    first, second = quarters("RGB", RGB), quarters("RGB", RGB[::-1])
    data = saved(
        first,
        image_format,
        save_all=True,
        append_images=[second],
        **({"lossless": True} if image_format == "WEBP" else {}),
    )
    assert getattr(Image.open(io.BytesIO(data)), "n_frames", 1) == 2
    assert close(fields(opened(run(data, header_type)).convert("RGB")), RGB, 10)


@pytest.mark.parametrize(
    ("image_format", "header_type"),
    [("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png"), ("TIFF", "tiff"), ("AVIF", "avif"), ("HEIF", "heic")],
)
def test_frames_are_counted_in_every_format(image_format: str, header_type: str) -> None:
    pillow_heif.register_heif_opener()
    first, second = quarters("RGB", RGB), quarters("RGB", RGB[::-1])
    data = saved(first, image_format, save_all=True, append_images=[second])
    if image_format != "HEIF":  # two pictures beside each other, which no header counts
        assert parse(data, len(data)).frames in (0, 2)
    policy = FitPolicy(max_bytes=10**6, types=BOTH, max_pixels=WIDTH * HEIGHT)  # of the one that is decoded
    fitted = fit(data, policy, source="", header_type=header_type)
    assert (fitted.width, fitted.frames_dropped) == (WIDTH, 1)
    facts = read_facts(fitted.data)
    assert facts is not None and facts["frames_dropped"] == 1
    for changed, reason in (
        ({"animation": "reject"}, "animated"),
        ({"max_pixels": WIDTH * HEIGHT - 1}, "too_many_pixels"),
    ):
        with pytest.raises(ImageError) as caught:
            fit(data, replace(policy, **changed), source="", header_type=header_type)
        assert caught.value.reason == reason


def test_damage_in_a_later_frame_is_found_by_decoding() -> None:
    data = saved(noise(64, 48), "PNG", save_all=True, append_images=[noise(64, 48, 8)])
    at = data.rindex(b"fdAT")
    broken = data[: at + 400] + bytes(64) + data[at + 464 :]
    assert run(broken, "png").width == 64
    with pytest.raises(ImageError):
        check_decode(broken, 10**6)


def test_checking_opens_no_format_that_is_not_allowed() -> None:
    for image_format in ("TGA", "ICNS", "IM", "MSP"):
        picture = quarters("1" if image_format == "MSP" else "RGB", [0, 255, 255, 0] if image_format == "MSP" else RGB)
        with pytest.raises(ImageError, match="not readable as JPEG, PNG"):
            check_decode(saved(picture.resize((64, 64)), image_format), 10**6)
