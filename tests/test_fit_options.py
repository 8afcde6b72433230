"""The options of fitting, each seen in what a whole job writes: one image over the limit or of another type, one option."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import put, row, write_lines
from laws import counters, rejections
from PIL import Image, ImageChops

from beam_jobs.prepare import prepare

LIMIT = 60_000
Fit = Callable[..., dict[str, Any]]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def photo(width: int = 640, height: int = 480) -> Image.Image:
    """A soft gradient with grain: at quality 95 over LIMIT, at 85 below it."""
    ground = Image.merge("RGB", [Image.radial_gradient("L").resize((width, height)).rotate(a) for a in (0, 90, 180)])
    grain = Image.frombytes("L", (width, height), bytes((x * 7919 >> 5) % 13 + 122 for x in range(width * height)))
    return ImageChops.add(ground, Image.merge("RGB", [grain] * 3), 1, -128)


def see_through() -> Image.Image:
    image = photo(300, 200).convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize((300, 200)))
    return image


@pytest.fixture
def fit(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Fit:
    """Run a job over one image -> its row of images.parquet, or of rejected.jsonl; `file`: what the dataset names."""

    def job(data: bytes, *argv: str, name: str = "a.img") -> dict[str, Any]:
        image = put(tmp_path / "in" / name, data)
        source = write_lines(tmp_path / "in/rows.jsonl", [row("see", [image]), row("no image")])
        output = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        options = ("--max_image_bytes", str(LIMIT), "--splits", "train=1", *argv)
        status = prepare(["--input", source, "--output", str(output), *options])
        assert status == 0, capfd.readouterr().err
        found = laws.sealed(output)
        if counters(found)["images_rejected"]:
            return rejections(found)[0]
        (seen,) = found["images.parquet"]
        files = list((output / "images").rglob("*.*"))
        return seen | {"file": files[0].read_bytes() if files else data}

    return job


def opened(found: dict[str, Any]) -> Image.Image:
    image = Image.open(io.BytesIO(found["file"]))
    image.load()
    return image


LARGE = encoded(photo(), "JPEG", quality=98, subsampling=0)
NOISE = Image.frombytes("L", (640, 480), random.Random(3).randbytes(640 * 480))
HARD = encoded(NOISE.point(lambda v: 128 + v // 4), "JPEG", quality=98)  # no quality from 85 on fits


def test_auto_keeps_all_pixels_or_takes_as_few_as_it_must(fit: Fit) -> None:
    kept = fit(LARGE)
    assert (kept["fate"], opened(kept).size) == ("recompressed", (640, 480))
    assert 0.9 * LIMIT < len(kept["file"]) <= LIMIT
    shrunk = fit(HARD)
    assert shrunk["fate"] == "resized" and 0.9 * LIMIT < len(shrunk["file"]) <= LIMIT


def test_recompress_never_changes_dimensions(fit: Fit) -> None:
    assert fit(LARGE, "--oversize", "recompress")["fate"] == "recompressed"
    rejected = fit(HARD, "--oversize", "recompress")
    assert (rejected["reason"], rejected["class"]) == ("cannot_fit", "yours")
    assert "--oversize recompress takes none away" in rejected["detail"]


def test_resize_goes_to_max_side_first(fit: Fit) -> None:
    assert opened(fit(LARGE, "--oversize", "resize", "--max_side", "320")).size == (320, 240)
    assert opened(fit(LARGE, "--oversize", "resize")).size == (640, 480)  # below what the model scales down to
    small = encoded(photo(), "JPEG", quality=50)
    assert fit(small, "--oversize", "resize", "--max_side", "320")["fate"] == "untouched"


def test_reject_names_the_reason_and_spares_what_fits(fit: Fit) -> None:
    rejected = fit(LARGE, "--oversize", "reject")
    assert (rejected["reason"], rejected["class"], rejected["stage"]) == ("too_large", "yours", "inspect")
    icon = encoded(photo(60, 40), "BMP")
    assert fit(icon, "--oversize", "reject")["fate"] == "converted"


def test_min_quality_decides_when_pixels_are_given_up(fit: Fit) -> None:
    assert fit(HARD, "--min_quality", "5")["fate"] == "recompressed"
    assert fit(HARD, "--min_quality", "95")["fate"] == "resized"


@pytest.mark.parametrize(("most", "reason"), [(60 * 40 - 1, "too_many_pixels"), (60 * 40, ""), (60 * 40 + 1, "")])
def test_max_pixels_is_inclusive(fit: Fit, most: int, reason: str) -> None:
    found = fit(encoded(photo(60, 40), "BMP"), "--max_pixels", str(most))
    assert found.get("reason", "") == reason


def test_frames_count_together(fit: Fit) -> None:
    frames = [photo(60, 40).rotate(angle) for angle in (0, 90, 180)]
    film = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert fit(film, "--max_pixels", str(3 * 60 * 40))["fate"] == "converted"
    assert fit(film, "--max_pixels", str(3 * 60 * 40 - 1))["reason"] == "too_many_pixels"


def test_alpha_is_kept_or_laid_on_white(fit: Fit) -> None:
    data = encoded(see_through(), "WEBP", lossless=True, quality=0)
    few = ("--types", "png,jpeg", "--max_image_bytes", "20000")
    kept = fit(data, *few)
    assert (opened(kept).mode, opened(kept).format, kept["fate"]) == ("RGBA", "PNG", "resized")
    flat = fit(data, *few, "--alpha", "flatten")
    image = opened(flat)
    assert (image.mode, image.format, flat["fate"], image.size) == ("RGB", "JPEG", "converted", (300, 200))
    white, seen = image.getpixel((150, 100)), see_through().getpixel((1, 1))
    assert all(value > 245 for value in white)  # alpha is 0 in the middle  # type: ignore[union-attr]
    assert all(abs(a - b) < 25 for a, b in zip(image.getpixel((1, 1)), seen[:3]))  # type: ignore[index, arg-type]


def test_an_animation_gives_its_first_frame_or_is_rejected(fit: Fit) -> None:
    frames = [photo(60, 40).rotate(angle) for angle in (0, 90)]
    for kind, fate in (("GIF", "converted"), ("PNG", "untouched"), ("TIFF", "converted")):
        film = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        assert fit(film)["fate"] == fate
        rejected = fit(film, "--animation", "reject")
        assert (rejected["reason"], rejected["class"]) == ("animated", "yours")
        assert not fit(encoded(frames[0], kind), "--animation", "reject")["reason"]


def test_effort_best_is_progressive_and_of_higher_quality(fit: Fit) -> None:
    fast, best = fit(LARGE), fit(LARGE, "--effort", "best")
    assert ["progressive" in opened(found).info for found in (fast, best)] == [False, True]
    assert fast["quality"] < best["quality"] and len(best["file"]) <= LIMIT


def test_the_levels_that_look_at_nothing_reject_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_lines(tmp_path / "rows.jsonl", [row("x")])
    from beam_jobs.__main__ import main

    for flags, said in (
        (("--verify", "none", "--oversize", "reject"), "--oversize reject"),
        (("--verify", "none", "--animation", "reject"), "--animation reject"),
        (("--min_quality", "96"), "--min_quality 96"),
        (("--min_quality", "0"), "--min_quality 0"),
        (("--max_side", "-1"), "--max_side -1"),
        (("--max_pixels", "0"), "--max_pixels 0"),
        (("--oversize", "shrink"), "--oversize"),
    ):
        assert main(["prepare", "--input", source, "--output", str(tmp_path / "out"), *flags]) == 2
        assert said in capfd.readouterr().err
