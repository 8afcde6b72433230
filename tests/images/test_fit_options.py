"""The options of fitting, each seen in what a whole job writes: one image over the limit or of another type, one option."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pytest
from folders import put, row, write_lines
from image_bytes import saved
from laws import counters, rejections
from PIL import Image, ImageChops
from usual_options import with_usual

from beam_jobs.commands.prepare import prepare
from transforms.core.records import FitOrder, Fitted
from transforms.images import inspection, orders
from transforms.images.helper import pool
from transforms.images.orders import ImageRewriter

LIMIT = 60_000
Fit = Callable[..., dict[str, Any]]


def photo(width: int = 640, height: int = 480) -> Image.Image:
    """A soft gradient with grain: at quality 95 over LIMIT, at 85 below it."""
    ground = Image.merge("RGB", [Image.radial_gradient("L").resize((width, height)).rotate(a) for a in (0, 90, 180)])
    grain = Image.frombytes("L", (width, height), bytes((x * 7919 >> 5) % 13 + 122 for x in range(width * height)))
    return ImageChops.add(ground, Image.merge("RGB", [grain] * 3), 1, -128)


def see_through() -> Image.Image:
    image = photo(300, 200).convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize((300, 200)))
    return image


def warned(found: dict[str, Any]) -> dict[str, int]:
    """{code: how often} of the warnings that tell of an image."""
    told = found["manifest.json"]["warnings"]
    assert all(one["example"].endswith("/a.img") for one in told if one["example"])
    return {one["code"]: one["count"] for one in told if one["example"]}


@pytest.fixture
def fit(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Fit:
    """Run a job over one image -> its row of images.parquet, or of rejected.jsonl; `file`: what the dataset names."""

    def job(data: bytes, *argv: str, name: str = "a.img") -> dict[str, Any]:
        image = put(tmp_path / "in" / name, data)
        source = write_lines(tmp_path / "in/rows.jsonl", [row("see", [image]), row("no image")])
        output = tmp_path / f"out{len(list(tmp_path.glob('out*')))}"
        options = with_usual(argv, {"max_image_bytes": str(LIMIT), "splits": "train=1"})
        status = prepare(["--input", source, "--output", str(output), *options])
        assert status == 0, capfd.readouterr().err
        found = laws.sealed(output)
        if counters(found)["images_rejected"]:
            return rejections(found)[0]
        (seen,) = found["images.parquet"]
        files = list((output / "images").rglob("*.*"))
        return seen | {
            "file": files[0].read_bytes() if files else data,
            "counters": counters(found),
            "warnings": warned(found),
        }

    return job


def opened(found: dict[str, Any]) -> Image.Image:
    image = Image.open(io.BytesIO(found["file"]))
    image.load()
    return image


LARGE = saved(photo(), "JPEG", quality=98, subsampling=0)
NOISE = Image.frombytes("L", (640, 480), random.Random(3).randbytes(640 * 480))
HARD = saved(NOISE.point(lambda v: 128 + v // 4), "JPEG", quality=98)  # no quality from 85 on fits


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
    small = saved(photo(), "JPEG", quality=50)
    assert fit(small, "--oversize", "resize", "--max_side", "320")["fate"] == "untouched"


def test_reject_names_the_reason_and_spares_what_fits(fit: Fit) -> None:
    rejected = fit(LARGE, "--oversize", "reject")
    assert (rejected["reason"], rejected["class"], rejected["stage"]) == ("too_large", "yours", "inspect")
    icon = saved(photo(60, 40), "BMP")
    assert fit(icon, "--oversize", "reject")["fate"] == "converted"


def test_min_quality_decides_when_pixels_are_given_up(fit: Fit) -> None:
    assert fit(HARD, "--min_quality", "5")["fate"] == "recompressed"
    assert fit(HARD, "--min_quality", "95")["fate"] == "resized"


@pytest.mark.parametrize(("most", "reason"), [(60 * 40 - 1, "too_many_pixels"), (60 * 40, ""), (60 * 40 + 1, "")])
def test_max_pixels_is_inclusive(fit: Fit, most: int, reason: str) -> None:
    found = fit(saved(photo(60, 40), "BMP"), "--max_pixels", str(most))
    assert found.get("reason", "") == reason


def test_of_many_frames_the_first_alone_counts(fit: Fit) -> None:
    frames = [photo(60, 40).rotate(angle) for angle in (0, 90, 180)]
    film = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert fit(film, "--max_pixels", str(60 * 40))["fate"] == "converted"
    assert fit(film, "--max_pixels", str(60 * 40 - 1))["reason"] == "too_many_pixels"


def test_dropped_frames_and_flat_pictures_are_counted(fit: Fit) -> None:
    frames = [photo(60, 40).rotate(angle) for angle in (0, 90, 180)]
    film = fit(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    deep = Image.new("I;16", (60, 40))
    deep.frombytes(b"\x40\x9c\x80\x9d" * 1200)  # 40,000 and 40,320
    flat = fit(saved(deep, "TIFF"))
    plain = fit(saved(photo(60, 40), "BMP"))
    names = ("images_frames_dropped", "images_flat", "images_converted")
    assert [[one["counters"][name] for name in names] for one in (film, flat, plain)] == [
        [2, 0, 1],
        [0, 1, 1],
        [0, 0, 1],
    ]


def test_a_jpeg_without_its_end_is_rewritten_whole(fit: Fit) -> None:
    whole = saved(photo(60, 40), "JPEG", quality=90)
    mended = fit(whole[:-2])
    assert (mended["fate"], mended["escalated"], opened(mended).size) == ("recompressed", True, (60, 40))
    assert mended["file"].endswith(b"\xff\xd9") and whole[:-2] not in mended["file"]
    assert fit(whole[:-200])["reason"] == "truncated_image"


def test_alpha_is_kept_or_laid_on_white(fit: Fit) -> None:
    data = saved(see_through(), "WEBP", lossless=True, quality=0)
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
        film = saved(frames[0], kind, save_all=True, append_images=frames[1:])
        assert fit(film)["fate"] == fate
        rejected = fit(film, "--animation", "reject")
        assert (rejected["reason"], rejected["class"]) == ("animated", "yours")
        assert not fit(saved(frames[0], kind), "--animation", "reject")["reason"]


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
        (("--max_side", "800"), "--max_side 800 is for --oversize resize"),
        (("--max_pixels", "0"), "--max_pixels 0"),
        (("--decode_memory", "-1"), "--decode_memory -1"),
        (("--oversize", "shrink"), "--oversize"),
    ):
        assert main(["prepare", "--input", source, "--output", str(tmp_path / "out"), *flags]) == 2
        assert said in capfd.readouterr().err


COUNTING = """
import transforms.images.fit.fit as images
real = images.encode_jpeg
def counted(image, setting):
    with open({log!r}, "a") as log:
        log.write(f"{{image.width}}\\n")
    return real(image, setting)
images.encode_jpeg = counted
"""


def test_one_image_in_fifty_examples_on_two_workers_is_encoded_once(tmp_path: Path) -> None:
    """Counted in every process of the job, by what Python itself imports at its start."""
    log = str(tmp_path / "encodes")
    put(tmp_path / "hook/sitecustomize.py", COUNTING.format(log=log).encode())
    large = saved(
        photo(1600, 1200), "JPEG", quality=98, subsampling=0
    )  # not its own sample: encodes of tiles are not counted
    image = put(tmp_path / "in/a.jpg", large)
    source = write_lines(tmp_path / "in/rows.jsonl", [row(f"see {n} " + "x" * 200, [image]) for n in range(50)])
    command = [sys.executable, "-m", "beam_jobs", "prepare", "--input", source, "--output", str(tmp_path / "out")]
    command += ["--max_image_bytes", str(len(large) // 2), "--splits", "train=1", "--block_bytes", "2048"]
    command += ["--report", "none", "--direct_num_workers", "2", "--direct_running_mode", "multi_processing"]
    path = os.pathsep.join((str(tmp_path / "hook"), str(Path(__file__).parents[2])))
    result = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-3000:]
    found = laws.sealed(tmp_path / "out")
    assert counters(found)["images_recompressed"] == counters(found)["examples_written"] == 50
    assert len(found["images.parquet"]) > 5  # blocks that waited for it
    assert len(list((tmp_path / "out/images").rglob("*.jpg"))) == 1
    assert Path(log).read_text(encoding="ascii") == "1600\n"


def test_decode_memory_is_shared_by_what_is_decoded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int | None] = []
    real = pool.shared_pool

    def watched(*, workers: int, budget_bytes: int | None) -> Any:
        asked.append(budget_bytes)
        return real(workers=workers, budget_bytes=budget_bytes)

    monkeypatch.setattr(inspection, "shared_pool", watched)
    source = write_lines(tmp_path / "rows.jsonl", [row("x", [put(tmp_path / "a.bmp", saved(photo(60, 40), "BMP"))])])
    for memory, expected in (("700", 700_000_000), ("0", None)):
        options = ("--decode_memory", memory, "--splits", "train=1")
        assert prepare(["--input", source, "--output", str(tmp_path / f"out{memory}"), *options]) == 0
        assert set(asked) == {expected}
        asked.clear()


def test_a_process_fits_several_images_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits until another is at work as well: one after the other they would wait for ever."""
    both = threading.Barrier(2)
    real = orders._outcome

    def together(order: FitOrder, rewriter: ImageRewriter) -> Fitted:
        both.wait(30)
        return real(order, rewriter)

    monkeypatch.setattr(orders, "_outcome", together)
    images = [put(tmp_path / f"{n}.bmp", saved(photo(60, 40 + n), "BMP")) for n in range(4)]
    source = write_lines(tmp_path / "rows.jsonl", [row("x", images)])
    assert prepare(["--input", source, "--output", str(tmp_path / "out"), "--splits", "train=1"]) == 0
    assert len(list((tmp_path / "out/images").rglob("*.png"))) == 4
