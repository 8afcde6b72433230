"""Fitting one picture: what every kind of pixels becomes, and that the limit holds."""

from __future__ import annotations

import io
import random
import struct
import zlib
from dataclasses import fields as fields_of
from dataclasses import replace
from typing import Any

import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from transforms.core.reasons import ImageError
from transforms.images.fit import colour as fit_colour
from transforms.images.fit import decode, predict
from transforms.images.fit import fit as fitting
from transforms.images.fit.decode import check_decode
from transforms.images.fit.embedded_facts import embed_facts, read_facts
from transforms.images.fit.encode import CODEC_VERSIONS, STEPS, Setting, encode_jpeg
from transforms.images.fit.fit import fit
from transforms.images.fit.policy import VERSION, FitPolicy, FittedImage
from transforms.images.fit.predict import Sample
from transforms.images.fit.tiles import mosaic
from transforms.images.headers.parse import parse

RED, GREEN, BLUE, GREY = (250, 10, 20), (10, 240, 30), (30, 20, 230), (120, 120, 120)
BOTH = ("jpeg", "png")
WIDTH, HEIGHT = 64, 48
Pixel = tuple[int, ...]


def quarters(mode: str, pixels: list[Any]) -> Image.Image:
    """A picture of four fields, left to right and top to bottom: no turn or mirror image of it equals it."""
    image = Image.new(mode, (WIDTH, HEIGHT))
    for index, pixel in enumerate(pixels):
        x, y = index % 2 * WIDTH // 2, index // 2 * HEIGHT // 2
        image.paste(pixel, (x, y, x + WIDTH // 2, y + HEIGHT // 2))
    return image


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def noise(width: int, height: int, seed: int = 7) -> Image.Image:
    return Image.frombytes("RGB", (width, height), random.Random(seed).randbytes(3 * width * height))


def soft_noise(width: int, height: int) -> Image.Image:
    """Noise about as hard to encode as a detailed photograph."""
    return noise(width // 2, height // 2).resize((width, height), Image.Resampling.BICUBIC)


def run(data: bytes, header_type: str, max_bytes: int = 1_000_000, types: tuple[str, ...] = BOTH) -> FittedImage:
    return fit(data, FitPolicy(max_bytes=max_bytes, types=types), source="src", header_type=header_type)


def opened(fitted: FittedImage) -> Image.Image:
    image = Image.open(io.BytesIO(fitted.data))
    image.load()
    assert (image.format or "").lower() == fitted.type
    assert image.size == (fitted.width, fitted.height)
    return image


def fields(image: Image.Image) -> list[Pixel]:
    """The pixel in the middle of each quarter, always as a tuple."""
    width, height = image.size
    points = [(width // 4 + x * width // 2, height // 4 + y * height // 2) for y in (0, 1) for x in (0, 1)]
    found = [image.getpixel(point) for point in points]
    return [pixel if isinstance(pixel, tuple) else (int(pixel or 0),) for pixel in found]


def close(found: list[Pixel], expected: list[Pixel], tolerance: int) -> bool:
    return all(
        len(one) == len(other) and all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True))
        for one, other in zip(found, expected, strict=True)
    )


def palette(transparency: bool) -> bytes:
    image = quarters("P", [0, 1, 2, 3])
    image.putpalette([channel for colour in (RED, GREEN, BLUE, GREY) for channel in colour])
    return encode(image, "PNG", **({"transparency": bytes([255, 0, 128, 255])} if transparency else {}))


def deep_png() -> bytes:
    """A 16-bit grey PNG: 0, 100, 200 and 255 times 257."""
    image = Image.new("I;16", (WIDTH, HEIGHT))
    values = struct.pack("<H", 0), struct.pack("<H", 25_700), struct.pack("<H", 51_400), struct.pack("<H", 65_535)
    half = WIDTH // 2
    rows = [values[0] * half + values[1] * half] * (HEIGHT // 2) + [values[2] * half + values[3] * half] * (HEIGHT // 2)
    image.frombytes(b"".join(rows))
    return encode(image, "PNG")


RGB = [RED, GREEN, BLUE, GREY]
RGBA = [(*RED, 255), (*GREEN, 0), (*BLUE, 128), (*GREY, 255)]
L = [0, 100, 200, 255]
GREYS = [(0,), (100,), (200,), (255,)]
CMYK = [(0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 128)]
CMYK_RGB = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (127, 127, 127)]

KINDS = [
    # name, bytes, header type; type, mode and fields when PNG is allowed; tolerance
    ("png RGB", encode(quarters("RGB", RGB), "PNG"), "png", "png", "RGB", RGB, 0),
    ("png RGBA", encode(quarters("RGBA", RGBA), "PNG"), "png", "png", "RGBA", RGBA, 0),
    ("png opaque RGBA", encode(quarters("RGBA", [(*p, 255) for p in RGB]), "PNG"), "png", "png", "RGB", RGB, 0),
    ("png L", encode(quarters("L", L), "PNG"), "png", "png", "L", GREYS, 0),
    ("png LA", encode(quarters("LA", [(0, 9), (100, 255), (200, 0), (255, 1)]), "PNG"), "png", "png", "LA",
     [(0, 9), (100, 255), (200, 0), (255, 1)], 0),
    ("png 1", encode(quarters("1", [0, 255, 255, 0]), "PNG"), "png", "png", "1", [(0,), (255,), (255,), (0,)], 0),
    ("png 16 bit", deep_png(), "png", "png", "L", GREYS, 0),
    ("png palette", palette(False), "png", "png", "P", [(0,), (1,), (2,), (3,)], 0),
    ("png palette, transparent", palette(True), "png", "png", "RGBA", RGBA, 0),
    ("png RGB, one colour transparent", encode(quarters("RGB", RGB), "PNG", transparency=GREEN), "png", "png", "RGBA",
     [(*RED, 255), (*GREEN, 0), (*BLUE, 255), (*GREY, 255)], 0),
    ("bmp RGB", encode(quarters("RGB", RGB), "BMP"), "bmp", "png", "RGB", RGB, 0),
    ("gif L", encode(quarters("L", L), "GIF"), "gif", "png", "P", [(0,), (1,), (2,), (3,)], 0),
    ("gif transparent", encode(quarters("L", L), "GIF", transparency=200), "gif", "png", "RGBA",
     [(0, 0, 0, 255), (100, 100, 100, 255), (200, 200, 200, 0), (255, 255, 255, 255)], 0),
    ("ico RGBA", encode(quarters("RGBA", RGBA), "ICO", sizes=[(WIDTH, HEIGHT)]), "ico", "png", "RGBA", RGBA, 0),
    ("tiff RGB", encode(quarters("RGB", RGB), "TIFF", compression="tiff_lzw"), "tiff", "png", "RGB", RGB, 0),
    ("tiff CMYK", encode(quarters("CMYK", CMYK), "TIFF"), "tiff", "png", "RGB", CMYK_RGB, 0),
    ("tiff F", encode(quarters("F", [-1.0, 0.0, 0.5, 1.0]), "TIFF"), "tiff", "png", "L",
     [(0,), (128,), (191,), (255,)], 0),
    ("tiff I", encode(quarters("I", [-100_000, 0, 50_000, 100_000]), "TIFF"), "tiff", "png", "L",
     [(0,), (128,), (191,), (255,)], 1),
    ("tiff all NaN", encode(quarters("F", [float("nan")] * 4), "TIFF"), "tiff", "png", "L", [(0,)] * 4, 0),
    ("jpeg RGB", encode(quarters("RGB", RGB), "JPEG", quality=95), "jpeg", "jpeg", "RGB", RGB, 8),
    ("jpeg L", encode(quarters("L", L), "JPEG", quality=95), "jpeg", "jpeg", "L", GREYS, 4),
    ("jpeg CMYK", encode(quarters("CMYK", CMYK), "JPEG", quality=95), "jpeg", "jpeg", "RGB", CMYK_RGB, 8),
    ("webp RGB", encode(quarters("RGB", RGB), "WEBP", lossless=True), "webp", "jpeg", "RGB", RGB, 8),
    ("webp RGBA", encode(quarters("RGBA", RGBA), "WEBP", lossless=True, exact=True), "webp", "png", "RGBA", RGBA, 0),
    ("jp2 RGB", encode(quarters("RGB", RGB), "JPEG2000"), "jp2", "jpeg", "RGB", RGB, 8),
    ("avif RGB", encode(quarters("RGB", RGB), "AVIF", quality=100), "avif", "jpeg", "RGB", RGB, 10),
]  # fmt: skip


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
        (encode(quarters("RGBA", RGBA), "PNG"), "RGB", [RED, (255, 255, 255), (142, 137, 242), GREY]),
        (encode(quarters("LA", [(0, 255), (9, 0), (100, 51), (7, 255)]), "PNG"), "L", [(0,), (255,), (224,), (7,)]),
        (encode(quarters("1", [0, 255, 255, 0]), "PNG"), "L", [(0,), (255,), (255,), (0,)]),
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


def test_where_only_png_is_allowed_a_photograph_loses_pixels() -> None:
    fitted = run(encode(noise(300, 200), "JPEG", quality=95), "jpeg", 60_000, types=("png", "webp"))
    assert (fitted.type, fitted.quality, fitted.fate, opened(fitted).mode) == ("png", 0, "resized", "RGB")
    assert 50_000 <= len(fitted.data) <= 60_000


def test_a_jpeg_of_many_times_the_limit_keeps_to_the_policy() -> None:
    """It is decoded smaller only where it may become a smaller JPEG."""
    data = encode(noise(640, 480), "JPEG", quality=85, subsampling=0)
    assert run(data, "jpeg", 4_000, ("png",)).type == "png"
    policy = FitPolicy(max_bytes=4_000, types=BOTH, oversize="resize", max_side=60)
    fitted = fit(data, policy, source="src", header_type="jpeg")
    assert (fitted.type, fitted.width, fitted.height) == ("jpeg", 60, 45)


def test_a_lossless_source_that_does_not_fit_as_png_becomes_jpeg() -> None:
    data = encode(soft_noise(400, 300), "PNG")
    whole = run(data, "png")
    assert (whole.type, whole.fate) == ("png", "recompressed")
    exactly = run(data, "png", len(whole.data))
    assert exactly.data == whole.data
    under = run(data, "png", len(whole.data) - 1)
    assert (under.type, under.fate, under.scale) == ("jpeg", "converted", 1.0)
    assert len(under.data) < len(whole.data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("image_format", "header_type"), [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp"), ("TIFF", "tiff")]
)
def test_orientation_is_applied_and_its_tag_dropped(orientation: int, image_format: str, header_type: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(
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
    data = encode(quarters("RGB", RGB), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert close(fields(opened(run(data, "jpeg"))), RGB, 10)


def test_nothing_private_is_carried_over() -> None:
    exif = Image.Exif()
    exif[0x010E] = "PRIVATE"
    exif.get_ifd(0x8825)[1] = "N"
    sources = {
        "jpeg": encode(quarters("RGB", RGB), "JPEG", exif=exif, comment=b"PRIVATE", xmp=b"PRIVATE", dpi=(30, 30)),
        "gif": encode(quarters("P", [0, 1, 2, 3]), "GIF", comment=b"PRIVATE"),
        "webp": encode(quarters("RGB", RGB), "WEBP", exif=exif, xmp=b"PRIVATE"),
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
    fitted = opened(run(encode(image, "PNG", icc_profile=swapped_profile()), "png"))
    alpha = [(128,), (255,), (255,), (255,)] if mode == "RGBA" else [()] * 4
    expected = [(0, 255, 0), (255, 0, 0), (0, 0, 255), (255, 255, 255)]
    assert close(fields(fitted), [(*e, *a) for e, a in zip(expected, alpha, strict=True)], 2), fields(fitted)
    assert "icc_profile" not in fitted.info


@pytest.mark.parametrize("profile", [b"rubbish", swapped_profile()[:200]], ids=["rubbish", "cut"])
def test_a_damaged_icc_profile_leaves_the_colours(profile: bytes) -> None:
    assert fields(opened(run(encode(quarters("RGB", RGB), "PNG", icc_profile=profile), "png"))) == RGB


def test_a_profile_of_other_pixels_leaves_the_colours() -> None:
    data = encode(quarters("L", L), "PNG", icc_profile=swapped_profile())
    assert fields(opened(run(data, "png"))) == GREYS


@pytest.mark.parametrize(("image_format", "header_type"), [("GIF", "gif"), ("WEBP", "webp"), ("PNG", "png")])
def test_the_first_frame_of_an_animation_is_used(image_format: str, header_type: str) -> None:
    first, second = quarters("RGB", RGB), quarters("RGB", RGB[::-1])
    data = encode(
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
    data = encode(first, image_format, save_all=True, append_images=[second])
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
    data = encode(noise(64, 48), "PNG", save_all=True, append_images=[noise(64, 48, 8)])
    at = data.rindex(b"fdAT")
    broken = data[: at + 400] + bytes(64) + data[at + 464 :]
    assert run(broken, "png").width == 64
    with pytest.raises(ImageError):
        check_decode(broken, 10**6)


def test_checking_opens_no_format_that_is_not_allowed() -> None:
    for image_format in ("TGA", "ICNS", "IM", "MSP"):
        picture = quarters("1" if image_format == "MSP" else "RGB", [0, 255, 255, 0] if image_format == "MSP" else RGB)
        with pytest.raises(ImageError, match="not readable as JPEG, PNG"):
            check_decode(encode(picture.resize((64, 64)), image_format), 10**6)


def test_limit_triple_at_the_top_quality() -> None:
    data = encode(soft_noise(600, 400), "JPEG", quality=99, subsampling=0)
    known = run(data, "jpeg")
    assert (known.quality, known.fate) == (95, "recompressed")
    assert run(data, "jpeg", len(known.data) + 1).data == known.data
    assert run(data, "jpeg", len(known.data)).data == known.data
    under = run(data, "jpeg", len(known.data) - 1)
    assert (under.quality, under.scale, len(under.data) < len(known.data)) == (94, 1.0, True)


def test_limit_triple_at_the_lowest_quality() -> None:
    data = encode(soft_noise(600, 400), "JPEG", quality=99, subsampling=0)
    known = run(data, "jpeg", len(encode(soft_noise(600, 400), "JPEG", quality=86, subsampling=2)))
    while (under := run(data, "jpeg", len(known.data) - 1)).scale == 1.0:
        known = under
    assert (known.quality, known.sampling, known.scale) == (85, "4:2:0", 1.0)
    assert run(data, "jpeg", len(known.data) + 1).data == known.data
    assert run(data, "jpeg", len(known.data)).data == known.data
    assert (under.fate, under.scale < 1.0, 85 <= under.quality <= 95) == ("resized", True, True)
    assert 0.9 * len(known.data) < len(under.data) < len(known.data)


@pytest.mark.parametrize("max_bytes", [400_000, 60_000, 9_000, 1_500])
def test_noise_is_shrunk_until_it_fits(max_bytes: int) -> None:
    fitted = run(encode(noise(900, 700), "BMP"), "bmp", max_bytes)
    assert (fitted.type, fitted.fate, fitted.quality >= 85) == ("jpeg", "resized", True)
    assert 0.75 * max_bytes <= len(fitted.data) <= max_bytes
    assert opened(fitted).size == (fitted.width, fitted.height)
    assert abs(fitted.width / fitted.height - 9 / 7) < 0.1
    facts = read_facts(fitted.data)
    assert facts is not None
    assert (facts["scale"], facts["width"], facts["fate"]) == (fitted.scale, fitted.width, "resized")


@pytest.mark.parametrize("even", [True, False], ids=["even", "uneven"])
def test_a_large_picture_is_predicted_from_tiles(even: bool) -> None:
    """One encode, also where one corner is much busier than the rest."""
    picture = noise(400, 300).resize((3600, 2700), Image.Resampling.BICUBIC)
    if not even:
        picture.paste(noise(1200, 900), (2000, 1500))
    data = encode(picture, "JPEG", quality=98, subsampling=0)
    limit = len(encode(picture, "JPEG", quality=89, subsampling="4:2:0"))
    fitted = run(data, "jpeg", limit)
    assert (fitted.scale, fitted.encodes) == (1.0, 1)
    assert 0.975 * limit < len(fitted.data) <= limit


@pytest.mark.parametrize("quality", [50, 90])
def test_tiles_predict_the_bytes_of_a_former_jpeg(quality: int) -> None:
    """Its blocks show in the bytes: tiles that lay across them were wrong by up to 30 %."""
    picture = noise(400, 300).resize((3600, 2700), Image.Resampling.BICUBIC)
    former = Image.open(io.BytesIO(encode(picture, "JPEG", quality=quality, subsampling="4:2:0")))
    sample = Sample(mosaic(former.crop, former.size), former.width * former.height)
    assert not sample.exact
    for setting in (Setting("4:2:0", 85 * STEPS, False), Setting("4:4:4", 95 * STEPS, True)):
        assert sample.bytes_at(setting) == pytest.approx(len(encode_jpeg(former, setting)), rel=0.01)


def test_a_jpeg_that_must_lose_most_pixels_is_decoded_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = soft_noise(1600, 1200)
    data = encode(picture, "JPEG", quality=98, subsampling=0)
    loaded: list[tuple[int, int]] = []
    plain = fit_colour.plain

    def watched(image: Image.Image) -> Image.Image:
        loaded.append(image.size)
        return plain(image)

    monkeypatch.setattr(decode, "plain", watched)
    fitted = run(data, "jpeg", len(data) // 100)
    assert loaded == [(400, 300)] or loaded == [(800, 600)]
    assert fitted.fate == "resized"
    assert fitted.scale == pytest.approx(fitted.width / 1600, abs=0.001)
    expected = picture.resize((8, 6), Image.Resampling.BOX)
    found = opened(fitted).resize((8, 6), Image.Resampling.BOX)
    assert max(abs(a - b) for a, b in zip(expected.tobytes(), found.tobytes(), strict=True)) <= 6


def test_a_long_trailer_does_not_cost_pixels() -> None:
    picture = encode(soft_noise(200, 160), "JPEG", quality=90)
    fitted = run(picture + bytes(40 * len(picture)), "jpeg", 2 * len(picture))
    assert (fitted.fate, fitted.scale, fitted.width, fitted.height) == ("recompressed", 1.0, 200, 160)


def test_a_side_longer_than_jpeg_allows_is_shrunk() -> None:
    data = encode(Image.new("RGB", (70_000, 8), RED), "PNG")
    fitted = run(data, "png", types=("jpeg",))
    assert (fitted.fate, 65_400 < fitted.width <= 65_500, fitted.height) == ("resized", True, 7)


@pytest.mark.parametrize("max_bytes", [1, 100, 400])
def test_a_limit_below_any_picture_is_cannot_fit(max_bytes: int) -> None:
    with pytest.raises(ImageError) as caught:
        run(encode(noise(40, 30), "JPEG"), "jpeg", max_bytes)
    assert (caught.value.reason, str(max_bytes) in caught.value.detail) == ("cannot_fit", True)


def png_header(width: int, height: int) -> bytes:
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"\0\0\0\r" + body + struct.pack(">I", zlib.crc32(body)) + b"\0\0\0\x10IDAT"


def test_a_bomb_is_rejected_from_its_header() -> None:
    with pytest.raises(ImageError) as caught:
        run(png_header(100_000, 100_000), "png")
    assert caught.value.reason == "too_many_pixels"
    with pytest.raises(ImageError) as caught:
        check_decode(png_header(100_000, 100_000), 300_000_000)
    assert caught.value.reason == "too_many_pixels"


@pytest.mark.parametrize(("more", "reason"), [(-1, "too_many_pixels"), (0, ""), (1, "")])
def test_pixel_limit_triple(more: int, reason: str) -> None:
    data = encode(quarters("RGB", RGB), "PNG")
    policy = FitPolicy(max_bytes=10**6, types=BOTH, max_pixels=WIDTH * HEIGHT + more)
    found = []
    for call in (
        lambda: fit(data, policy, source="", header_type="png"),
        lambda: check_decode(data, WIDTH * HEIGHT + more),
    ):
        try:
            call()
            found.append("")
        except ImageError as error:
            found.append(error.reason)
    assert found == [reason, reason]


@pytest.mark.parametrize(
    ("image_format", "header_type"),
    [("JPEG", "jpeg"), ("PNG", "png"), ("GIF", "gif"), ("WEBP", "webp"), ("BMP", "bmp"), ("TIFF", "tiff")],
)
def test_a_cut_file_is_truncated(image_format: str, header_type: str) -> None:
    data = encode(soft_noise(200, 100), image_format)
    for call in (lambda cut: run(cut, header_type), lambda cut: check_decode(cut, 10**6)):
        with pytest.raises(ImageError) as caught:
            call(data[: len(data) * 3 // 5])
        assert caught.value.reason == "truncated_image"


@pytest.mark.parametrize(
    ("data", "header_type"),
    [
        (b"", "jpeg"),
        (b"no picture at all", "png"),
        (encode(quarters("RGB", RGB), "PNG"), "jpeg"),
        (b"\xff\x0a....", "jxl"),
        (b"<svg/>", "svg"),
    ],
    ids=["empty", "text", "another type", "jxl", "svg"],
)
def test_what_no_decoder_reads_is_undecodable(data: bytes, header_type: str) -> None:
    details = []
    for _ in range(2):
        with pytest.raises(ImageError) as caught:
            run(data, header_type)
        assert caught.value.reason == "undecodable"
        details.append(caught.value.detail)
    assert details[0] == details[1] and "0x" not in details[0]


def test_want_of_memory_is_its_own_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def hungry(*_: object, **__: object) -> None:
        raise MemoryError

    data = encode(quarters("RGB", RGB), "JPEG")
    for room, name in ((decode, "plain"), (predict, "encode_jpeg"), (fitting, "encode_jpeg")):
        with monkeypatch.context() as patch, pytest.raises(ImageError) as caught:
            patch.setattr(room, name, hungry)
            run(data, "jpeg")
        assert caught.value.reason == "decoder_memory"


def test_the_same_input_gives_the_same_bytes() -> None:
    data = encode(noise(500, 400), "BMP")
    for max_bytes in (90_000, 10**6):
        assert run(data, "bmp", max_bytes) == run(data, "bmp", max_bytes)


def test_a_policy_is_named_by_everything_that_changes_bytes() -> None:
    policy = FitPolicy(max_bytes=10, types=("png", "jpeg"))
    assert FitPolicy(max_bytes=10, types=("jpeg", "png", "png")).digest_text() == policy.digest_text()
    assert CODEC_VERSIONS in policy.digest_text() and policy.digest_text().startswith(f"fit/{VERSION} ")
    texts = {
        policy.digest_text(),
        FitPolicy(max_bytes=11, types=("png", "jpeg")).digest_text(),
        FitPolicy(max_bytes=10, types=("jpeg",)).digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), max_pixels=5).digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), min_quality=80).digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), oversize="resize").digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), max_side=80).digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), alpha="flatten").digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), animation="reject").digest_text(),
        FitPolicy(max_bytes=10, types=("png", "jpeg"), effort="best").digest_text(),
    }
    assert len(texts) == 10
    assert {field.name for field in fields_of(FitPolicy)} == {
        "max_bytes", "types", "max_pixels", "min_quality", "oversize", "max_side", "alpha", "animation", "effort",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields_", "message"),
    [
        ({"types": ("webp", "heic")}, "rewritten as jpeg or png"),
        ({"min_quality": 0}, "min_quality is 0"),
        ({"min_quality": 96}, "min_quality is 96"),
        ({"max_pixels": 0}, "max_pixels is 0"),
        ({"max_side": 0}, "max_side is 0"),
        ({"oversize": "cut"}, "oversize is 'cut'; it must be one of auto, recompress, resize, reject"),
        ({"alpha": ""}, "alpha is ''"),
        ({"animation": "all"}, "animation is 'all'"),
        ({"effort": "most"}, "effort is 'most'"),
    ],
)
def test_a_policy_that_cannot_be_met_is_refused(fields_: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FitPolicy(**{"max_bytes": 1, "types": ("jpeg",), **fields_})


# Facts.

FACTS = st.dictionaries(
    st.text(max_size=8),
    st.one_of(st.text(max_size=20), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
)
CARRIERS = {"jpeg": encode(quarters("RGB", RGB), "JPEG"), "png": encode(quarters("RGB", RGB), "PNG")}


@settings(max_examples=60)
@given(facts=FACTS, type_=st.sampled_from(BOTH))
def test_facts_come_back_and_leave_the_pixels(facts: dict[str, Any], type_: str) -> None:
    data = embed_facts(CARRIERS[type_], type_, facts)
    assert data[:4] == CARRIERS[type_][:4]  # a JPEG's APP0 comes first
    assert read_facts(data) == facts
    assert read_facts(data[: len(data) - len(CARRIERS[type_]) + 40]) == facts
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(CARRIERS[type_])) as bare:
        assert image.tobytes() == bare.tobytes()


@settings(max_examples=150)
@given(st.data())
def test_odd_bytes_have_no_facts(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(BOTH))
    sound = embed_facts(CARRIERS[type_], type_, {"a": 1})
    head = bytearray(sound)
    at = data.draw(st.integers(0, sound.index(b'{"a":1}') + 6))
    head[at] ^= data.draw(st.integers(1, 255))
    found = read_facts(bytes(head))
    if type_ == "png":  # every byte is covered by a checksum
        assert found is None
    else:
        assert found is None or set(map(type, found.values())) <= {str, int, float}
    assert read_facts(bytes(head[:at])) is None
    assert read_facts(data.draw(st.binary(max_size=60))) is None


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 30_000, b'{"a":' * 6_000, b'{"a":NaN}', b'{"a":1e999}', b'{"a":true}', b'{"a":null}', b'{"a":[1]}',
        b'{"a":1,"a":2}', b'{"a": 1}', b'{"b":1,"a":2}', b"[1]", b"1", b"", b'{"a":"\xff"}', b'{"a":' + b"9" * 5_000 + b"}",
        b'{"a":"' + b"x" * 32_768 + b'"}',
    ],
)  # fmt: skip
def test_only_canonical_facts_are_read(text: bytes) -> None:
    comment = b"\xff\xfe" + (10 + len(text)).to_bytes(2, "big") + b"tuneset " + text
    body = b"tEXttuneset\0" + text
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    assert read_facts(b"\xff\xd8" + comment) is None
    assert read_facts(CARRIERS["png"][:33] + chunk) is None


def test_facts_without_app0_are_read_and_too_many_are_refused() -> None:
    assert read_facts(embed_facts(b"\xff\xd8\xff\xdb", "jpeg", {"a": "b"})) == {"a": "b"}
    for type_ in BOTH:
        assert read_facts(CARRIERS[type_]) is None
        longest = {"source": "x" * (32_768 - len('{"source":""}'))}
        assert read_facts(embed_facts(CARRIERS[type_], type_, longest)[:65_536]) == longest
        with pytest.raises(ValueError, match="32769 bytes"):
            embed_facts(CARRIERS[type_], type_, {"source": longest["source"] + "x"})


# Hostile bytes.

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
