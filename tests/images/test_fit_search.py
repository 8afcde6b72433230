"""The search: how well tiles foretell, which subsampling wins, what a correction costs, and what is lost without need (nothing)."""

from __future__ import annotations

import io
import math
import random
from dataclasses import replace
from typing import Any

import pytest
from image_bytes import saved
from PIL import Image, ImageChops, ImageDraw

from transforms.core.reasons import ImageError
from transforms.images.fit import colour, decode
from transforms.images.fit import fit as fitting
from transforms.images.fit.decode import Decoded
from transforms.images.fit.encode import SAMPLINGS, STEPS, Setting, encode_jpeg, encode_png, tables, without_waste
from transforms.images.fit.fit import fit
from transforms.images.fit.pixels import resize, turned, without_hidden
from transforms.images.fit.policy import FitPolicy, FittedImage
from transforms.images.fit.predict import Sample, scan_bytes
from transforms.images.fit.tiles import mosaic


def noise(width: int, height: int, mode: str = "RGB", seed: int = 1) -> Image.Image:
    return Image.frombytes(mode, (width, height), random.Random(seed).randbytes(width * height * len(mode)))


def grainy(width: int = 1600, height: int = 1200) -> Image.Image:
    """Soft colours, and the grain of a small sensor: of colour as much as of brightness."""
    grain = noise(width, height).point([128 + (value - 128) // 5 for value in range(256)] * 3)
    return ImageChops.add(noise(8, 6).resize((width, height), Image.Resampling.BICUBIC), grain, 1, -128)


def dusky(width: int = 1600, height: int = 1200) -> Image.Image:
    """Soft colours, and grain nearly of brightness alone."""
    grain = noise(width, height, "L").point([128 + (value - 128) // 5 for value in range(256)])
    tint = noise(width, height).point([128 + (value - 128) // 25 for value in range(256)] * 3)
    soft = noise(8, 6).resize((width, height), Image.Resampling.BICUBIC).point([64 + v // 2 for v in range(256)] * 3)
    return ImageChops.add(ImageChops.add(soft, Image.merge("RGB", [grain] * 3), 1, -128), tint, 1, -128)


def red_text(width: int = 1600, height: int = 1200) -> Image.Image:
    image, draw = Image.new("RGB", (width, height), "white"), random.Random(4)
    pen = ImageDraw.Draw(image)
    for y in range(0, height, 16):
        pen.text((4, y), "".join(draw.choice("abcdefg hijklm") for _ in range(240)), fill=(220, 0, 20), font_size=13)
    return image


def run(
    image: Image.Image, limit: int, kind: str = "BMP", types: tuple[str, ...] = ("jpeg",), **policy: Any
) -> FittedImage:
    header_type = kind.lower()
    return fit(
        saved(image, kind), FitPolicy(max_bytes=limit, types=types, **policy), source="s", header_type=header_type
    )


def psnr(one: Image.Image, data: bytes) -> float:
    with Image.open(io.BytesIO(data)) as other:
        counts = ImageChops.difference(one, other.convert(one.mode)).histogram()
    error = sum(count * (value & 255) ** 2 for value, count in enumerate(counts)) / sum(counts)
    return 10 * math.log10(255**2 / error)


def exhaustive(image: Image.Image, limit: int) -> float:
    found = []
    for sampling in SAMPLINGS:
        for quality in range(100, 84, -1):
            data = encode_jpeg(image, Setting(sampling, quality * STEPS, False))
            if len(data) <= limit:
                found.append(psnr(image, data))
                break
    return max(found)


@pytest.mark.parametrize(
    ("picture", "sampling"),
    [(grainy(), "4:2:2"), (red_text(), "4:4:4"), (dusky(), "4:2:0")],
    ids=["grainy photo", "red text", "grain of brightness"],
)
def test_the_subsampling_that_does_least_harm_is_chosen(picture: Image.Image, sampling: str) -> None:
    lower, upper = (len(encode_jpeg(picture, Setting(sampling, quality * STEPS, False))) for quality in (88, 89))
    limit = (lower + upper) // 2
    fitted = run(picture, limit)
    assert (fitted.sampling, fitted.scale, fitted.fate) == (sampling, 1.0, "converted")
    assert psnr(picture, fitted.data) > exhaustive(picture, limit) - 0.1
    other = "4:2:0" if sampling == "4:4:4" else "4:4:4"  # what a rule would have taken
    fits = [q for q in range(40, 101) if len(encode_jpeg(picture, Setting(other, q * STEPS, False))) <= limit]
    assert (
        psnr(picture, fitted.data) > psnr(picture, encode_jpeg(picture, Setting(other, fits[-1] * STEPS, False))) + 0.1
    )


def test_between_two_whole_qualities_the_limit_is_used() -> None:
    picture = noise(500, 380).resize((2000, 1520), Image.Resampling.BICUBIC)
    low, high = (len(encode_jpeg(picture, Setting("4:2:0", quality * STEPS, False))) for quality in (90, 91))
    limit = (low + 2 * high) // 3
    data = saved(picture, "JPEG", quality=99, subsampling="4:2:0")
    fitted = fit(data, FitPolicy(max_bytes=limit, types=("jpeg",)), source="s", header_type="jpeg")
    assert low < len(fitted.data) <= limit and len(fitted.data) > 0.975 * limit
    assert fitted.encodes == 1


def test_whole_steps_are_libjpegs_own_tables_and_others_lie_between() -> None:
    picture = noise(64, 64)
    for quality in (1, 25, 49, 50, 85, 90, 99, 100):
        ours = encode_jpeg(picture, Setting("4:2:2", quality * STEPS, False))
        assert ours == saved(picture, "JPEG", quality=quality, subsampling="4:2:2")
    for step in range(85 * STEPS, 95 * STEPS):
        assert all(a >= b for one, two in zip(tables(step), tables(step + 1)) for a, b in zip(one, two))


def test_best_effort_survives_more_bytes_than_pixels() -> None:
    data = encode_jpeg(noise(300, 200), Setting("4:4:4", 100 * STEPS - 1, True))
    assert len(data) > 2 * 300 * 200
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert "progressive" in image.info


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("size", [(37, 23), (20, 601), (300, 515)], ids=str)
def test_turns_in_place_and_in_part_are_the_turns_of_the_whole(orientation: int, size: tuple[int, int]) -> None:
    picture, turn = noise(*size), decode._TURN[orientation]
    expected = picture.transpose(turn)
    decoded = Decoded(picture.copy(), turn, expected.size)
    assert decoded.size == expected.size
    draw = random.Random(orientation)
    for _ in range(20):
        x, y = draw.randrange(expected.width - 9), draw.randrange(expected.height - 9)
        box = (x, y, x + draw.randint(1, 9), y + draw.randint(1, 9))
        assert decoded.crop(box).tobytes() == expected.crop(box).tobytes()
    assert decoded.upright().tobytes() == turned(picture.copy(), turn).tobytes() == expected.tobytes()
    assert decoded.turn is None and decoded.upright() is decoded.image


@pytest.mark.parametrize("scale", [0.9, 0.41, 0.12])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_strips_are_resized_as_the_whole_is(scale: float, mode: str) -> None:
    picture = noise(90, 5000, mode)
    if mode == "RGBA":
        picture.putalpha(
            picture.getchannel("A").point(lambda value: 128 + value // 2)
        )  # else colours are lost by rounding
    strips = resize(picture, scale)
    whole = picture.reduce(2) if scale < 0.2 else picture
    whole = whole.resize(strips.size, Image.Resampling.LANCZOS)
    assert max(high for _, high in _extrema(ImageChops.difference(strips, whole))) <= 4


def _extrema(image: Image.Image) -> list[tuple[int, int]]:
    return [band.getextrema() for band in image.split()]  # type: ignore[misc]


def test_what_fits_at_once_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the picture is turned, and where one part of it is much busier than the rest."""
    sizes: list[tuple[int, int]] = []

    def counted(image: Image.Image, setting: Setting) -> bytes:
        sizes.append(image.size)
        return encode_jpeg(image, setting)

    monkeypatch.setattr(fitting, "encode_jpeg", counted)
    picture = noise(300, 400).resize((1500, 2000), Image.Resampling.BICUBIC)
    picture.paste(noise(750, 600), (0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = saved(picture, "JPEG", quality=98, subsampling=0, exif=exif)
    limit = len(encode_jpeg(picture, Setting("4:2:0", 90 * STEPS, False)))
    fitted = fit(data, FitPolicy(max_bytes=limit, types=("jpeg",)), source="s", header_type="jpeg")
    assert sizes == [(2000, 1500)] and fitted.encodes == 1 and 0.975 * limit < len(fitted.data) <= limit


def test_what_the_tiles_were_wrong_by_is_learned() -> None:
    """A picture that the tiles cannot speak for takes a correction, not a wrong size."""
    picture = Image.new("RGB", (2400, 1800), (90, 120, 150))
    sample = Sample(mosaic(picture.crop, picture.size), 2400 * 1800)
    for i in range(12):  # noise where no tile lies
        picture.paste(noise(150, 110, seed=i), (200 * i % 2250, 150 * i))
    limit = len(encode_jpeg(picture, Setting("4:4:4", 92 * STEPS, False)))
    fitted = run(picture, limit)
    assert not sample.exact and fitted.encodes <= 3 and 0.9 * limit < len(fitted.data) <= limit


def apart(wild: float) -> Image.Image:
    """Noise, `wild` times as strong where the tiles are taken as elsewhere: they foretell too many bytes."""
    ground = noise(2000, 1500).point([128 + (value - 128) // 12 for value in range(256)] * 3)
    boxes: list[tuple[int, int, int, int]] = []

    def crop(box: tuple[int, int, int, int]) -> Image.Image:
        boxes.append(box)
        return ground.crop(box)

    mosaic(crop, ground.size)
    for box in boxes[1:]:
        ground.paste(
            ground.crop(box).point([max(0, min(255, 128 + round((v - 128) * wild))) for v in range(256)] * 3), box
        )
    return ground


def test_room_that_the_tiles_did_not_see_is_used() -> None:
    picture = apart(1.3)
    limit = len(encode_jpeg(picture, Setting("4:4:4", 95 * STEPS, False)))
    fitted = run(picture, limit)
    assert (fitted.scale, fitted.encodes) == (1.0, 3) and 0.975 * limit < len(fitted.data) <= limit


def test_a_source_tells_what_its_tiles_are_wrong_by() -> None:
    """Its size at one setting is known. A trailer, or a long header, says nothing of its picture."""
    picture = apart(1.3)
    data = saved(picture, "JPEG", quality=97, subsampling=0)
    exif = b"\xff\xe1" + (60_002).to_bytes(2, "big") + bytes(60_000)
    for source in (data, data + bytes(len(data)), data[:2] + exif + data[2:]):
        assert abs(scan_bytes(source) - len(data)) < 700
    limit = len(encode_jpeg(picture, Setting("4:4:4", 92 * STEPS, False)))
    fitted = fit(data, FitPolicy(max_bytes=limit, types=("jpeg",)), source="s", header_type="jpeg")
    assert fitted.encodes == 2 and 0.975 * limit < len(fitted.data) <= limit  # as BMP it takes 3
    sample = Sample(mosaic(picture.crop, picture.size), 2000 * 1500)
    with Image.open(io.BytesIO(data)) as image:
        coding = decode._coding(image)
    assert coding is not None
    before = sample.factor
    sample.learn(coding, 10 * len(data))  # no picture is so much larger than its tiles: coded by other means
    assert sample.factor == before
    sample.learn(coding, len(data))
    assert sample.factor < 0.93 * before


def test_half_of_the_colour_is_not_coded_as_all_of_it() -> None:
    picture = red_text(400, 300)
    for subsampling, chosen in (("4:2:0", {"4:2:0", "4:2:2"}), ("4:4:4", {"4:4:4"})):
        data = saved(picture, "JPEG", quality=95, subsampling=subsampling)
        fitted = fit(data, FitPolicy(max_bytes=10**6, types=("jpeg",)), source="s", header_type="jpeg")
        assert fitted.sampling in chosen


@pytest.mark.parametrize("least", [85, 95])
def test_the_scale_is_sought_at_the_quality_that_is_allowed(least: int) -> None:
    fitted = run(noise(900, 700), 90_000, min_quality=least)
    assert fitted.fate == "resized" and len(fitted.data) > 0.9 * 90_000
    assert least <= fitted.quality <= least + 2  # a higher one would have cost pixels


def test_reject_takes_no_pixels_of_what_only_its_new_type_makes_too_large() -> None:
    data = saved(noise(200, 150), "WEBP", quality=50)
    policy = FitPolicy(max_bytes=len(data), types=("jpeg",), oversize="reject")
    with pytest.raises(ImageError, match="--oversize reject takes none away") as caught:
        fit(data, policy, source="s", header_type="webp")
    assert caught.value.reason == "cannot_fit"


def test_a_source_is_not_decoded_larger_than_its_result_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[tuple[int, int]] = []
    plain = colour.plain

    def watched(image: Image.Image) -> Image.Image:
        loaded.append(image.size)
        return plain(image)

    monkeypatch.setattr(decode, "plain", watched)
    picture = noise(400, 300).resize((1600, 1200), Image.Resampling.BICUBIC)
    data = saved(picture, "JPEG", quality=97)
    for side, expected in (
        (1300, (1600, 1200)),  # between its sides
        (801, (1600, 1200)),
        (800, (800, 600)),
        (400, (400, 300)),
        (399, (400, 300)),
        (150, (200, 150)),
    ):
        policy = FitPolicy(max_bytes=len(data) - 1, types=("jpeg",), oversize="resize", max_side=side)
        fitted = fit(data, policy, source="s", header_type="jpeg")
        assert (loaded.pop(), loaded) == (expected, [])
        assert max(fitted.width, fitted.height) == side and fitted.fate == "resized"
        assert fitted.scale == pytest.approx(side / 1600, abs=1e-6)


def test_png_loses_what_it_does_not_use_before_it_loses_pixels() -> None:
    """Each in the plainest way that fits: as it is, in fewer bits, without colours that no alpha shows."""
    grey = Image.merge("RGB", [noise(200, 150, "L")] * 3)
    few = noise(20, 15).quantize(40).resize((400, 300), Image.Resampling.NEAREST).convert("RGB")
    dots = Image.merge("RGB", [noise(200, 150, "L").point(lambda v: 255 * (v > 99))] * 3)
    hidden = noise(200, 150, "RGBA")
    hidden.putalpha(Image.new("L", hidden.size, 0))
    hidden.paste((1, 2, 3, 255), (0, 0, 20, 20))
    hidden.paste((40, 50, 60, 1), (20, 0, 40, 20))  # all but hidden is seen
    for picture, mode in ((grey, "L"), (few, "P"), (dots, "1"), (hidden, "RGBA")):
        whole = len(encode_png(picture, True))
        roomy = run(picture, 10**6, "PNG", ("png",))
        assert (Image.open(io.BytesIO(roomy.data)).mode, roomy.fate) == (picture.mode, "recompressed")
        least = len(
            encode_png(without_hidden(picture.copy()) if mode == "RGBA" else without_waste(picture, picture), True)
        )
        assert least < 0.9 * whole
        tight = run(picture, least + 200, "PNG", ("png",))
        made = Image.open(io.BytesIO(tight.data))
        assert (made.mode, made.size, tight.fate) == (mode, picture.size, "recompressed")
        if mode == "RGBA":
            assert made.getchannel("A").tobytes() == picture.getchannel("A").tobytes()
            assert made.getpixel((5, 5)) == (1, 2, 3, 255) and made.getpixel((99, 99)) == (0, 0, 0, 0)
            assert made.getpixel((25, 5)) == (40, 50, 60, 1)
        else:
            assert made.convert("RGB").tobytes() == picture.tobytes()


def test_what_the_sample_does_not_show_is_kept() -> None:
    """The part that stands for a picture may be grey, or of two colours, where the picture is not."""
    for part, whole in (("grey", (200, 10, 10)), ("black and white", (99, 99, 99)), ("few", (1, 2, 3))):
        sample = Image.new("RGB", (64, 64), "white")
        picture = noise(64, 64, "L").convert("RGB") if part == "grey" else noise(4, 4).resize((64, 64), 0)
        if part == "black and white":
            picture = sample.copy()
        picture.putpixel((9, 9), whole)
        assert without_waste(picture, sample).convert("RGB").tobytes() == picture.tobytes()


@pytest.mark.parametrize(("size", "scale"), [((1999, 1501), 0.11), ((1999, 1501), 0.16), ((1501, 1999), 0.3)])
def test_odd_sizes_are_resized_as_pillow_does_it(size: tuple[int, int], scale: float) -> None:
    """Reduced first, the last column and row are less than whole ones: the picture must not shift by them."""
    picture = noise(40, 30).resize(size, Image.Resampling.BICUBIC)
    small = resize(picture, scale)
    expected = picture.resize(small.size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    assert max(high for _, high in ImageChops.difference(small, expected).getextrema()) <= 3


def test_max_side_is_met_exactly() -> None:
    assert [resize(Image.new("L", (side, 8)), 3072 / side).width for side in range(3073, 20_000, 7)] == [3072] * 2419


def test_a_low_least_quality_keeps_all_pixels_however_small_the_limit() -> None:
    """A JPEG of many times the limit is decoded smaller, but not for good."""
    data = saved(noise(400, 300).resize((1600, 1200), Image.Resampling.BICUBIC), "JPEG", quality=85)
    policy = FitPolicy(max_bytes=len(data) // 10, types=("jpeg",), min_quality=1)
    assert fit(data, policy, source="s", header_type="jpeg").scale == 1.0
    assert fit(data, replace(policy, min_quality=85), source="s", header_type="jpeg").scale < 0.5


def test_a_jpeg_decoded_smaller_than_it_need_be_is_decoded_again() -> None:
    """Noise falls faster than foretold: at half of its sides a third of the limit is left."""
    data = saved(
        noise(800, 600).point([64 + value // 2 for value in range(256)] * 3), "JPEG", quality=85, subsampling=0
    )
    fitted = fit(data, FitPolicy(max_bytes=len(data) // 8 - 1000, types=("jpeg",)), source="s", header_type="jpeg")
    assert 0.52 < fitted.scale < 0.7 and len(fitted.data) > 0.9 * (len(data) // 8 - 1000)


def test_a_flat_jpeg_is_decoded_smaller_too() -> None:
    data = saved(noise(6000, 1), "JPEG", quality=95)
    few, narrow = FitPolicy(max_bytes=3_000, types=("jpeg",)), FitPolicy(max_bytes=9_000, types=("jpeg",), max_side=900)
    for policy in (few, replace(narrow, oversize="resize")):
        fitted = fit(data, policy, source="s", header_type="jpeg")
        assert fitted.height == 1 and fitted.width < 6000 and len(fitted.data) <= policy.max_bytes


def test_a_png_that_is_within_the_limit_stays_without_loss() -> None:
    """What repeats over the picture does not repeat in tiles of it: they foretell ten times the bytes."""
    picture = Image.new("RGB", (3000, 2400))
    for x in range(0, 3000, 300):
        for y in range(0, 2400, 300):
            picture.paste(noise(300, 300), (x, y))
    data = saved(picture, "PNG", optimize=True)
    fitted = fit(data, FitPolicy(max_bytes=2 * len(data), types=("png", "jpeg")), source="s", header_type="png")
    assert (fitted.type, fitted.scale) == ("png", 1.0)


def test_what_is_exactly_at_the_limit_is_not_over_it() -> None:
    """It is rewritten for its type alone: neither rejected nor shrunk."""
    data = saved(noise(60, 40), "BMP")
    for more, reason, width in ((-1, "too_large", 30), (0, "", 60), (1, "", 60)):
        policy = FitPolicy(max_bytes=len(data) + more, types=("jpeg", "png"), oversize="reject")
        try:
            fitted = fit(data, policy, source="s", header_type="bmp")
            assert (reason, fitted.width) == ("", 60)
        except ImageError as error:
            assert error.reason == reason
        policy = replace(policy, oversize="resize", max_side=30)
        assert fit(data, policy, source="s", header_type="bmp").width == width


def test_a_jpeg_need_not_have_a_table_0() -> None:
    """Whose tables have other numbers is decoded as any."""
    data = bytearray(saved(noise(400, 300), "JPEG", quality=98))
    table, frame = data.index(b"\xff\xdb"), data.index(b"\xff\xc0")
    assert data[table + 4] == 0 and data[frame + 12] == 0
    data[table + 4] = data[frame + 12] = 2
    fitted = fit(bytes(data), FitPolicy(max_bytes=9_000, types=("jpeg",)), source="s", header_type="jpeg")
    assert (fitted.type, fitted.fate) == ("jpeg", "resized")


def test_a_side_that_no_jpeg_has_is_named() -> None:
    policy = FitPolicy(max_bytes=10**6, types=("jpeg",), oversize="recompress")
    with pytest.raises(ImageError, match="a JPEG has at most 65500 pixels a side"):
        fit(saved(Image.new("L", (70_000, 2)), "PNG"), policy, source="s", header_type="png")
