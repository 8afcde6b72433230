"""The same dataset from every engine, file by file: FnApiRunner, DirectRunner, Prism and Flink. `make engines` brings the parts."""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import flink
import pytest
from flink import group_lives, kill_group, need
from folders import assert_equal_folders, bmp, jpeg, png, put, read_folder, row, write_lines, write_rows
from waiting import until
from web_server import web_server

pytestmark = pytest.mark.engines

PRISM = flink.PARTS / "prism"
OPTIONS = ["--block_bytes", "4096", "--max_image_bytes", "20000", "--splits", "train=0.7,validation=0.2,test=0.1"]
OPTIONS += ["--allow_prefix", "http://", "--allow_private_hosts"]

Folder = dict[str, Any]


@pytest.fixture(scope="module")
def flink_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with flink.job_server(tmp_path_factory.mktemp("flink")) as endpoint:
        yield endpoint


@pytest.fixture
def flags(request: pytest.FixtureRequest) -> list[str]:
    """Beam's flags for the engine that a test is parametrized with."""
    engine = request.param
    if engine == "prism":
        need(PRISM.exists(), "engines/prism is not there")
        return ["--runner=PrismRunner", f"--prism_location={PRISM}", "--environment_type=LOOPBACK"]
    if engine == "flink":
        endpoint = request.getfixturevalue("flink_endpoint")
        return ["--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK"]
    return {
        "one process": ["--runner=FnApiRunner"],
        "two processes": [
            "--runner=FnApiRunner",
            "--direct_num_workers=2",
            "--direct_running_mode=multi_processing",
        ],
        # It tries Prism first, and would look for it on the network: so it is told of one that is not there.
        "direct": ["--runner=DirectRunner", "--prism_location=/nowhere/prism"],
    }[engine]


def tuneset(source: Path, output: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    """Run `tuneset prepare` in a session of its own, which must be empty once it has ended."""
    command = [sys.executable, "-m", "beam_jobs", "prepare", "--input", str(source), "--output", str(output)]
    process = subprocess.Popen(
        [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        said, told = process.communicate(timeout=120)
        assert until(lambda: not group_lives(process.pid), 10), "processes were left behind"
        return subprocess.CompletedProcess(command, process.returncode, said, told)
    finally:
        kill_group(process.pid)


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of some 400 rows in a large file, small files and a .gz; images to fit, broken, by URL, and 40 in one example."""
    folder = tmp_path_factory.mktemp("raw")
    images = [put(folder / f"images/{i}.jpg", jpeg(seed=i)) for i in range(24)]
    images += [put(folder / f"images/{i}.bmp", bmp(seed=i)) for i in range(24, 30)]
    images += [put(folder / f"images/{i}.jpg", jpeg(300, 200, seed=i, quality=100)) for i in range(30, 33)]
    assert all(os.path.getsize(image) > 20_000 for image in images[30:])
    write_rows(folder / "a.jsonl", 280, seed=1, images=images)
    for i in range(12):
        write_rows(folder / f"small/{i}.jsonl", 4, seed=10 + i, images=images)
    packed = write_rows(folder / "packed", 60, seed=3, images=images)
    put(folder / "b.jsonl.gz", gzip.compress(Path(packed).read_bytes()))
    os.unlink(packed)
    cut, gone = put(folder / "images/cut.jpg", jpeg(seed=99)[:-60]), str(folder / "images/none.jpg")
    special = [row("all of these?", [images[i % 33] for i in range(40)]), row("no image"), row("gone?", [gone])]
    special += [row("cut?", [images[0], cut]), row("web?", ["https://example.com/a.png"]), {"contents": []}]
    served = {f"/{name}": (folder / f"images/{name}").read_bytes() for name in ("0.jpg", "24.bmp", "30.jpg")}
    stack = ExitStack()
    url = stack.enter_context(web_server(served)).url
    special += [
        row(f"served {number}?", [f"{url}{name}" for name in [*served, "/none.jpg"][: number + 1]])
        for number in range(4)
    ]
    bad = Path(write_lines(folder / "c.jsonl", special))
    bad.write_bytes(bad.read_bytes() + b'{"contents": [oops\n\xff\xfe\n')
    put(folder / "notes.txt", b"no dataset\n")
    with stack:
        yield folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one output path that every engine writes to in turn: it stands in the manifest and in each rewritten URI."""
    return tmp_path_factory.mktemp("out") / "dataset"


def dataset_of(source: Path, place: Path, *flags: str, options: Sequence[str] = OPTIONS) -> Folder:
    """Run into the empty `place` -> what was written there."""
    shutil.rmtree(place, ignore_errors=True)
    done = tuneset(source, place, *options, *flags)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (place / "_tuneset").exists()
    return read_folder(place)


@pytest.fixture(scope="module")
def expected(raw: Path, place: Path) -> Folder:
    found = dataset_of(raw, place, "--runner=FnApiRunner")
    counters, reasons = found["manifest.json"]["counters"], found["manifest.json"]["reasons"]
    assert counters["examples_read"] == 280 + 12 * 4 + 60 + 12
    assert counters["examples_split"] == 1 and counters["pieces_written"] == 3
    assert counters["images_converted"] > 20 and counters["images_recompressed"] > 20
    assert reasons == {
        "image_not_found": 2,
        "missing_contents": 1,
        "not_allowed": 1,
        "not_json": 1,
        "not_utf8": 1,
        "truncated_image": 1,
    }
    return found


ALL = pytest.mark.parametrize("flags", ["one process", "two processes", "direct", "prism", "flink"], indirect=True)
OTHERS = pytest.mark.parametrize("flags", ["prism", "flink"], indirect=True)


@ALL
def test_every_engine_writes_the_same_dataset(flags: list[str], raw: Path, place: Path, expected: Folder) -> None:
    assert_equal_folders(dataset_of(raw, place, *flags), expected)


@pytest.fixture(scope="module")
def capped(raw: Path, place: Path) -> Folder:
    found = dataset_of(raw, place, "--sample", "300", "--max_validation", "20", "--runner=FnApiRunner")
    lines = {file["name"]: file.get("lines") for file in found["manifest.json"]["files"]}
    assert lines["validation.jsonl"] == 20 and lines["validation-unused.jsonl"] > 0
    return found


@OTHERS
def test_caps_choose_the_same_lines(flags: list[str], raw: Path, place: Path, capped: Folder) -> None:
    assert_equal_folders(dataset_of(raw, place, "--sample", "300", "--max_validation", "20", *flags), capped)


def checked(source: Path, *flags: str) -> list[dict[str, Any]]:
    """What a check of rows tells: each finding, and the summary."""
    command = [sys.executable, "-m", "beam_jobs", "check", "--input", str(source), "--format", "json", "--quiet"]
    done = subprocess.run([*command, *flags], capture_output=True, text=True, timeout=120)
    assert done.returncode == 1, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def found(raw: Path) -> list[dict[str, Any]]:
    told = checked(raw, "--runner=FnApiRunner", "--block_bytes", "65536")
    codes = {"not_json", "truncated_image", "too_many_images", "unsupported_media", "common_image"}
    assert codes <= told[-1]["counts"].keys()
    return told


@pytest.mark.parametrize("flags", ["two processes", "prism", "flink"], indirect=True)
def test_every_engine_finds_the_same(flags: list[str], raw: Path, found: list[dict[str, Any]]) -> None:
    assert checked(raw, *flags, "--block_bytes", "4096") == found


SHARE = ("--sample", "300", "--max_validation", "auto")
# Ids, and with them splits, go by paths of this run: validation is large enough to be cut whatever they are.
LARGE_VALIDATION = [word.replace("train=0.7,validation=0.2", "train=0.5,validation=0.4") for word in OPTIONS]


@pytest.fixture(scope="module")
def shared(raw: Path, place: Path) -> Folder:
    """Validation is cut by the bytes of the training file, which needs the segments twice."""
    found = dataset_of(raw, place, *SHARE, "--runner=FnApiRunner", options=LARGE_VALIDATION)
    files = {file["name"]: file.get("bytes", 0) for file in found["manifest.json"]["files"]}
    assert files["validation-unused.jsonl"] and 0 < files["validation.jsonl"] <= files["train.jsonl"] // 5
    return found


@pytest.mark.parametrize("flags", ["prism"], indirect=True)
def test_a_share_is_the_same_lines(flags: list[str], raw: Path, place: Path, shared: Folder) -> None:
    assert_equal_folders(dataset_of(raw, place, *SHARE, *flags, options=LARGE_VALIDATION), shared)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, place: Path) -> tuple[Path, Folder]:
    source = Path(write_rows(tmp_path_factory.mktemp("plain") / "rows.jsonl", 30))
    return source, dataset_of(source, place, "--runner=FnApiRunner")


@OTHERS
def test_nothing_to_fit_and_nothing_rejected(flags: list[str], plain: tuple[Path, Folder], place: Path) -> None:
    source, alike = plain
    assert_equal_folders(dataset_of(source, place, *flags), alike)


@OTHERS
def test_what_was_not_sealed_is_said_in_one_paragraph_and_goes_on(flags: list[str], tmp_path: Path) -> None:
    rows = [row(f"look {i}", [str(tmp_path / "raw/late.png")] if i % 4 == 0 else []) for i in range(120)]
    source, output = Path(write_lines(tmp_path / "raw/rows.jsonl", rows)), tmp_path / "out"
    failed = tuneset(source, output, *OPTIONS, *flags)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(
        "tuneset: not sealed. 30 of 120 examples were rejected, more than --max_rejected_fraction 0.1 allows "
        "(image_not_found 30)."
    )
    assert "Traceback" not in failed.stderr + failed.stdout
    put(tmp_path / "raw/late.png", png())
    mended = tuneset(source, output, *OPTIONS, *flags)
    assert mended.returncode == 0, mended.stderr
    counters = json.loads((output / "manifest.json").read_bytes())["dataset"]["counters"]
    assert counters["examples_written"] == 120 and "examples_rejected" not in counters


BY_IMAGE = ("--split_by", "image")


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, place: Path) -> tuple[Path, tuple[str, ...], Folder]:
    """Rows that have grown by an example which joins two others, what a night of them is given, and what a full run makes of them."""
    folder, draw = tmp_path_factory.mktemp("grown"), random.Random(3)
    images = [put(folder / f"raw/images/{i}.jpg", jpeg(seed=i)) for i in range(50)]
    images += [put(folder / "raw/images/again.jpg", jpeg(seed=4)), put(folder / "raw/images/fit.bmp", bmp(seed=60))]
    for name in ("a", "b"):
        write_lines(
            folder / f"raw/{name}.jsonl", [row(f"{name} {i}", draw.sample(images, 1 + i % 2)) for i in range(30)]
        )
    options = (*BY_IMAGE, "--image_folder", str(folder / "images"))
    one = tuneset(folder / "raw", folder / "one", *OPTIONS, *options, "--keep_blocks", "--runner=FnApiRunner")
    assert one.returncode == 0, one.stdout + one.stderr
    write_lines(folder / "raw/c.jsonl", [row("joins", [images[7], images[31]])])
    full = dataset_of(folder / "raw", place, *options, "--runner=FnApiRunner")
    assert len(full["train.jsonl"].splitlines()) > 15 < 60 - len(full["train.jsonl"].splitlines())
    return folder / "raw", (*options, "--previous", str(folder / "one")), full


@OTHERS
def test_splits_by_image_are_the_same_on_a_night_that_joins_groups(
    flags: list[str], grown: tuple[Path, tuple[str, ...], Folder], place: Path
) -> None:
    source, options, full = grown
    assert_equal_folders(dataset_of(source, place, *options, *flags), full)
