"""The demo dataset: the same bytes each time, every promised kind of file in it, and answers that are true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageOps

from beam_jobs.sample import drawing
from beam_jobs.sample.content import PARTS
from beam_jobs.sample.rows import write_sample

ROOT = Path(__file__).parents[2]
LIMIT = 20_000_000
MAGIC = {b"\xff\xd8\xff": "jpeg", b"\x89PNG": "png", b"RIFF": "webp", b"BM": "bmp", b"GIF8": "gif"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "new" / "sample"
    assert write_sample(folder) == folder / "examples.jsonl"
    return folder


@pytest.fixture(scope="module")
def lines(sample: Path) -> list[str]:
    data = (sample / "examples.jsonl").read_bytes()
    assert data.endswith(b"}\n")
    assert b"\r" not in data
    return data.decode("utf-8").splitlines()


@pytest.fixture(scope="module")
def rows(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines if _is_json(line)]


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _uris(row: dict[str, Any]) -> list[str]:
    found = []
    for turn in row["contents"]:
        for part in turn["parts"]:
            if "file_data" in part:
                found.append(part["file_data"]["file_uri"])
            elif "fileData" in part:
                found.append(part["fileData"]["fileUri"])
    return found


def _files(sample: Path) -> dict[str, bytes]:
    return {p.relative_to(sample).as_posix(): p.read_bytes() for p in sample.rglob("*") if p.is_file()}


def _of_type(data: bytes) -> str:
    return next(kind for magic, kind in MAGIC.items() if data.startswith(magic))


def test_a_second_write_in_another_process_moves_nothing_but_mends_what_is_damaged(sample: Path) -> None:
    before = _files(sample)
    stamps = {name: (sample / name).stat().st_mtime_ns for name in before}
    (sample / "images/mug-01.jpg").write_bytes(before["images/mug-01.jpg"][:-1])
    (sample / "images/mug-02.png").unlink()
    code = (
        "import sys, pathlib; from beam_jobs.sample.rows import write_sample; write_sample(pathlib.Path(sys.argv[1]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    subprocess.run([sys.executable, "-c", code, str(sample)], cwd=ROOT, env=environment, check=True)
    assert _files(sample) == before
    moved = {name for name, stamp in stamps.items() if (sample / name).stat().st_mtime_ns != stamp}
    assert moved == {"images/mug-01.jpg", "images/mug-02.png"}


def test_use_cases_and_the_one_malformed_line(lines: list[str], rows: list[dict[str, Any]]) -> None:
    assert Counter(row["use_case"] for row in rows) == {
        "catalogue": 23, "moderation": 9, "inspection": 10, "classification": 11, "recommendation": 6, "tables": 6,
    }  # fmt: skip
    assert [n for n, line in enumerate(lines, 1) if not _is_json(line)] == [43]
    assert len(lines) == len(rows) + 1 == 66
    assert all(row["group"] for row in rows)
    assert sum("systemInstruction" in row for row in rows) == 11
    assert sum(not line.isascii() for line in lines) == 2


def test_rows_name_the_files_beside_them_and_only_one_is_missing(sample: Path, rows: list[dict[str, Any]]) -> None:
    named = {uri for row in rows for uri in _uris(row)}
    drawn = set(_files(sample)) - {"examples.jsonl"}
    assert named - drawn == {"images/mug-99.jpg"}
    assert drawn - named == set()


def test_rows_obey_the_rules_of_the_format(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        roles = [turn["role"] for turn in row["contents"]]
        assert roles == ["user", "model"] * (len(roles) // 2)
        for turn in row["contents"]:
            assert turn["parts"]
            for part in turn["parts"]:
                ((kind, value),) = part.items()
                assert value.strip() if kind == "text" else turn["role"] == "user"


def test_mime_types_are_those_of_the_names(rows: list[dict[str, Any]]) -> None:
    seen = set()
    for part in (part for row in rows for turn in row["contents"] for part in turn["parts"]):
        if "fileData" in part:
            seen.add((part["fileData"]["fileUri"].rsplit(".")[-1], part["fileData"]["mimeType"]))
    kinds = {"jpg": "jpeg", "png": "png", "webp": "webp", "bmp": "bmp", "gif": "gif"}
    assert seen == {(end, f"image/{kind}") for end, kind in kinds.items()}


def test_numbers_of_images_and_turns_and_the_shared_image(rows: list[dict[str, Any]]) -> None:
    sizes = Counter(len(_uris(row)) for row in rows)
    assert sizes == {0: 1, 1: 55, 3: 1, 4: 5, 7: 1, 24: 1, 40: 1}
    turns = Counter(len(row["contents"]) // 2 for row in rows)
    assert turns == {1: 63, 6: 1, 7: 1}
    assert sum("images/mug-03.jpg" in _uris(row) for row in rows) == 5
    snake = [part for row in rows for part in row["contents"][0]["parts"] if "file_data" in part]
    assert snake == [{"file_data": {"mime_type": "image/jpeg", "file_uri": "images/mug-03.jpg"}}]


def test_forty_captioned_images(rows: list[dict[str, Any]]) -> None:
    (row,) = (row for row in rows if len(_uris(row)) == 40)
    user, model = row["contents"]
    assert [part["text"] for part in user["parts"][1:80:2]] == [f"Image {i}." for i in range(1, 41)]
    assert [part["fileData"]["fileUri"] for part in user["parts"][0:80:2]] == [
        f"images/thumbs/flower-{i:02d}.jpg" for i in range(1, 41)
    ]
    assert len(user["parts"]) == 81
    assert len(model["parts"]) == 1


def test_every_kind_of_file_by_its_bytes(sample: Path) -> None:
    files = {name: data for name, data in _files(sample).items() if name.startswith("images/")}
    types = {name: _of_type(data) for name, data in files.items()}
    assert Counter(types.values()) == {"jpeg": 75, "png": 10, "webp": 6, "bmp": 1, "gif": 1}
    assert {n for n, kind in types.items() if not n.endswith(kind.replace("jpeg", "jpg"))} == {"images/shoe-04.jpg"}
    assert types["images/shoe-04.jpg"] == "png"
    assert {name for name, data in files.items() if len(data) > LIMIT} == {"images/shelf.jpg"}
    assert sum(map(len, files.values())) < 60_000_000


def test_every_kind_of_image_by_its_header(sample: Path) -> None:
    orientation, frames, cmyk = {}, {}, set()
    for path in sorted(sample.glob("images/*.*")):
        with Image.open(path) as image:
            if (turned := image.getexif().get(0x0112, 1)) != 1:
                orientation[path.name] = (turned, image.size, ImageOps.exif_transpose(image).size)
            if (count := getattr(image, "n_frames", 1)) > 1:
                frames[path.name] = count
            if image.mode == "CMYK":
                cmyk.add(path.name)
    assert orientation == {
        "shelf.jpg": (6, (4400, 3300), (3300, 4400)),
        "shirt-02.jpg": (6, (480, 640), (640, 480)),
    }
    assert frames == {"lamp-03.gif": 4}
    assert cmyk == {"shirt-04.jpg"}


def test_only_the_truncated_file_does_not_load(sample: Path) -> None:
    failed = {}
    for path in sorted(sample.glob("images/**/*.*")):
        try:
            with Image.open(path) as image:
                image.load()
        except OSError as error:
            failed[path.name] = str(error).startswith("image file is truncated")
    assert failed == {"part-09.jpg": True}


@pytest.mark.parametrize("kind", ["mug", "shoe", "shirt", "lamp", "bag"])
def test_the_colour_in_the_answer_is_the_colour_in_the_picture(
    sample: Path, rows: list[dict[str, Any]], kind: str
) -> None:
    spot = {"mug": (212, 200), "shoe": (120, 180), "shirt": (200, 190), "lamp": (180, 246), "bag": (140, 225)}[kind]
    seen, answered = [], []
    for row in rows:
        if row.get("sku", "").lower().startswith(kind) and (sample / _uris(row)[0]).exists():
            with Image.open(sample / _uris(row)[0]) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB").resize((400, 300))
            pixel = upright.getpixel(spot)
            near = {name: sum((a - b) ** 2 for a, b in zip(pixel, rgb)) for name, rgb in drawing.COLOURS.items()}
            seen.append(min(near, key=lambda name: near[name]))
            answer = row["contents"][1]["parts"][0]["text"]
            answered.append(json.loads(answer)["colour"] if answer.startswith("{") else "green")  # the French row's
    assert seen == answered
    assert len(seen) >= 3


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.file)
def test_the_defect_in_the_answer_is_where_the_picture_shows_it(
    sample: Path, rows: list[dict[str, Any]], part: Any
) -> None:
    (row,) = (row for row in rows if _uris(row) == [f"images/{part.file}"])
    answer = json.loads(row["contents"][1]["parts"][0]["text"])
    flawless = drawing.part(part.form, "none", 0, 0, Random(part.file)).done()
    with Image.open(sample / "images" / part.file) as image:
        difference = ImageChops.difference(image.convert("RGB"), flawless).convert("L")
    found = difference.point([255 * (v > 60) for v in range(256)]).getbbox()
    if part.defect == "none":
        assert (found, answer) == (None, {"verdict": "pass"})
    else:
        left, top, right, bottom = found
        place = f"{'upper' if bottom < 260 else 'lower'} {'left' if right < 340 else 'right'}"
        assert (top > 220) == (bottom >= 260)
        assert (left > 300) == (right >= 340)
        assert answer == {"verdict": "fail", "defect": part.defect, "place": place}
