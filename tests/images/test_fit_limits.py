"""The limits of a fitted picture: bytes, quality, sides and pixels; and the reasons of what cannot be fitted."""

from __future__ import annotations

import io

import pytest
from fit_pictures import BOTH, HEIGHT, RED, RGB, WIDTH, noise, opened, quarters, run, soft_noise
from image_bytes import png_header, saved
from PIL import Image

from transforms.core.reasons import ImageError
from transforms.images.fit import colour as fit_colour
from transforms.images.fit import decode, predict
from transforms.images.fit import fit as fitting
from transforms.images.fit.decode import check_decode
from transforms.images.fit.embedded_facts import read_facts
from transforms.images.fit.encode import STEPS, Setting, encode_jpeg
from transforms.images.fit.fit import fit
from transforms.images.fit.policy import FitPolicy
from transforms.images.fit.predict import Sample
from transforms.images.fit.tiles import mosaic


def test_where_only_png_is_allowed_a_photograph_loses_pixels() -> None:
    fitted = run(saved(noise(300, 200), "JPEG", quality=95), "jpeg", 60_000, types=("png", "webp"))
    assert (fitted.type, fitted.quality, fitted.fate, opened(fitted).mode) == ("png", 0, "resized", "RGB")
    assert 50_000 <= len(fitted.data) <= 60_000


def test_a_jpeg_of_many_times_the_limit_keeps_to_the_policy() -> None:
    """It is decoded smaller only where it may become a smaller JPEG."""
    data = saved(noise(640, 480), "JPEG", quality=85, subsampling=0)
    assert run(data, "jpeg", 4_000, ("png",)).type == "png"
    policy = FitPolicy(max_bytes=4_000, types=BOTH, oversize="resize", max_side=60)
    fitted = fit(data, policy, source="src", header_type="jpeg")
    assert (fitted.type, fitted.width, fitted.height) == ("jpeg", 60, 45)


def test_a_lossless_source_that_does_not_fit_as_png_becomes_jpeg() -> None:
    data = saved(soft_noise(400, 300), "PNG")
    whole = run(data, "png")
    assert (whole.type, whole.fate) == ("png", "recompressed")
    exactly = run(data, "png", len(whole.data))
    assert exactly.data == whole.data
    under = run(data, "png", len(whole.data) - 1)
    assert (under.type, under.fate, under.scale) == ("jpeg", "converted", 1.0)
    assert len(under.data) < len(whole.data)


def test_limit_triple_at_the_top_quality() -> None:
    data = saved(soft_noise(600, 400), "JPEG", quality=99, subsampling=0)
    known = run(data, "jpeg")
    assert (known.quality, known.fate) == (95, "recompressed")
    assert run(data, "jpeg", len(known.data) + 1).data == known.data
    assert run(data, "jpeg", len(known.data)).data == known.data
    under = run(data, "jpeg", len(known.data) - 1)
    assert (under.quality, under.scale, len(under.data) < len(known.data)) == (94, 1.0, True)


def test_limit_triple_at_the_lowest_quality() -> None:
    data = saved(soft_noise(600, 400), "JPEG", quality=99, subsampling=0)
    known = run(data, "jpeg", len(saved(soft_noise(600, 400), "JPEG", quality=86, subsampling=2)))
    while (under := run(data, "jpeg", len(known.data) - 1)).scale == 1.0:
        known = under
    assert (known.quality, known.sampling, known.scale) == (85, "4:2:0", 1.0)
    assert run(data, "jpeg", len(known.data) + 1).data == known.data
    assert run(data, "jpeg", len(known.data)).data == known.data
    assert (under.fate, under.scale < 1.0, 85 <= under.quality <= 95) == ("resized", True, True)
    assert 0.9 * len(known.data) < len(under.data) < len(known.data)


@pytest.mark.parametrize("max_bytes", [400_000, 60_000, 9_000, 1_500])
def test_noise_is_shrunk_until_it_fits(max_bytes: int) -> None:
    fitted = run(saved(noise(900, 700), "BMP"), "bmp", max_bytes)
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
    data = saved(picture, "JPEG", quality=98, subsampling=0)
    limit = len(saved(picture, "JPEG", quality=89, subsampling="4:2:0"))
    fitted = run(data, "jpeg", limit)
    assert (fitted.scale, fitted.encodes) == (1.0, 1)
    assert 0.975 * limit < len(fitted.data) <= limit


@pytest.mark.parametrize("quality", [50, 90])
def test_tiles_predict_the_bytes_of_a_former_jpeg(quality: int) -> None:
    """Its blocks show in the bytes: tiles that lay across them were wrong by up to 30 %."""
    picture = noise(400, 300).resize((3600, 2700), Image.Resampling.BICUBIC)
    former = Image.open(io.BytesIO(saved(picture, "JPEG", quality=quality, subsampling="4:2:0")))
    sample = Sample(mosaic(former.crop, former.size), former.width * former.height)
    assert not sample.exact
    for setting in (Setting("4:2:0", 85 * STEPS, False), Setting("4:4:4", 95 * STEPS, True)):
        assert sample.bytes_at(setting) == pytest.approx(len(encode_jpeg(former, setting)), rel=0.01)


def test_a_jpeg_that_must_lose_most_pixels_is_decoded_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    picture = soft_noise(1600, 1200)
    data = saved(picture, "JPEG", quality=98, subsampling=0)
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
    picture = saved(soft_noise(200, 160), "JPEG", quality=90)
    fitted = run(picture + bytes(40 * len(picture)), "jpeg", 2 * len(picture))
    assert (fitted.fate, fitted.scale, fitted.width, fitted.height) == ("recompressed", 1.0, 200, 160)


def test_a_side_longer_than_jpeg_allows_is_shrunk() -> None:
    data = saved(Image.new("RGB", (70_000, 8), RED), "PNG")
    fitted = run(data, "png", types=("jpeg",))
    assert (fitted.fate, 65_400 < fitted.width <= 65_500, fitted.height) == ("resized", True, 7)


@pytest.mark.parametrize("max_bytes", [1, 100, 400])
def test_a_limit_below_any_picture_is_cannot_fit(max_bytes: int) -> None:
    with pytest.raises(ImageError) as caught:
        run(saved(noise(40, 30), "JPEG"), "jpeg", max_bytes)
    assert (caught.value.reason, str(max_bytes) in caught.value.detail) == ("cannot_fit", True)


def test_a_bomb_is_rejected_from_its_header() -> None:
    with pytest.raises(ImageError) as caught:
        run(png_header(100_000, 100_000), "png")
    assert caught.value.reason == "too_many_pixels"
    with pytest.raises(ImageError) as caught:
        check_decode(png_header(100_000, 100_000), 300_000_000)
    assert caught.value.reason == "too_many_pixels"


@pytest.mark.parametrize(("more", "reason"), [(-1, "too_many_pixels"), (0, ""), (1, "")])
def test_pixel_limit_triple(more: int, reason: str) -> None:
    data = saved(quarters("RGB", RGB), "PNG")
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
    data = saved(soft_noise(200, 100), image_format)
    for call in (lambda cut: run(cut, header_type), lambda cut: check_decode(cut, 10**6)):
        with pytest.raises(ImageError) as caught:
            call(data[: len(data) * 3 // 5])
        assert caught.value.reason == "truncated_image"


@pytest.mark.parametrize(
    ("data", "header_type"),
    [
        (b"", "jpeg"),
        (b"no picture at all", "png"),
        (saved(quarters("RGB", RGB), "PNG"), "jpeg"),
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

    data = saved(quarters("RGB", RGB), "JPEG")
    for room, name in ((decode, "plain"), (predict, "encode_jpeg"), (fitting, "encode_jpeg")):
        with monkeypatch.context() as patch, pytest.raises(ImageError) as caught:
            patch.setattr(room, name, hungry)
            run(data, "jpeg")
        assert caught.value.reason == "decoder_memory"


def test_the_same_input_gives_the_same_bytes() -> None:
    data = saved(noise(500, 400), "BMP")
    for max_bytes in (90_000, 10**6):
        assert run(data, "bmp", max_bytes) == run(data, "bmp", max_bytes)
