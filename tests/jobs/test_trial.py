"""--preview and --dry_run: they tell what the job then does, and write nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import bmp, jpeg, png, put, row, write_lines
from laws import counters

from beam_jobs.commands.prepare import prepare

Told = Callable[..., str]


@pytest.fixture
def told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Told:
    """Run with exit status 0 -> what is said, in which the folder of the test is `.`; no file has come or gone."""

    def run(source: str | Path, *argv: str, status: int = 0) -> str:
        before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        assert prepare(["--input", str(source), *argv]) == status
        assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
        said = capfd.readouterr()
        return (said.err if status else said.out).replace(str(tmp_path), ".")

    return run


def world(folder: Path) -> Path:
    """A table: good rows, an image to rewrite, one of ten images, a missing one, a ragged record."""
    for number in range(3):
        put(folder / f"{number}.jpg", jpeg(seed=number))
    put(folder / "x.bmp", bmp())
    many = '"[""0.jpg"",' + ",".join('""1.jpg""' for _ in range(9)) + ']"'
    lines = [
        "id,image,label",
        "1,0.jpg,cat",
        "2,x.bmp,dog",
        f"3,{many},ten",
        "4,nope.jpg,cat",
        "5,1.jpg",
        "6,2.jpg,la\x1b[31mst",
    ]
    return Path(put(folder / "t.csv", "\n".join(lines).encode()))


ASK = ("--prompt", "What is {id}?", "--answer", "{label}", "--max_images", "4", "--splits", "train=1")


def test_a_preview_shows_examples_and_their_fates(told: Told, tmp_path: Path) -> None:
    said = told(world(tmp_path / "in"), *ASK, "--system", "Be\nbrief.", "--preview", "4")
    body = re.sub(r"id [0-9a-f]{16}", "id ID", said.split("\n\n", 1)[1])
    images = "".join("  user    [./in/1.jpg] jpeg, 64 x 48, 2,150 bytes: as it is\n" for _ in range(3))
    piece = "  user    What is 3?\n  model   ten\n"
    first = images.replace("in/1.jpg] jpeg, 64 x 48, 2,150", "in/0.jpg] jpeg, 64 x 48, 2,108", 1)
    system = "  system  Be\n          brief.\n"
    tokens = [int(found.replace(",", "")) for found in re.findall(r"an estimated ([\d,]+) tokens", body)]
    body = re.sub(r"an estimated [\d,]+ tokens", "N tokens", body)
    assert len(tokens) == 3 and all(tokens)
    assert body == (
        f"train  ./in/t.csv, line 2  id ID\n{system}"
        "  user    [./in/0.jpg] jpeg, 64 x 48, 2,108 bytes: as it is\n  user    What is 1?\n  model   cat\n\n"
        f"train  ./in/t.csv, line 3  id ID\n{system}"
        "  user    [./in/x.bmp] bmp, 64 x 48, 9,270 bytes: to be rewritten\n  user    What is 2?\n  model   dog\n\n"
        f"train  ./in/t.csv, line 4  id ID, split into 3\n{system}"
        f"  piece 1, N tokens\n{first}{images[: len(images) // 3]}{piece}"
        f"  piece 2, N tokens\n{images}{piece}"
        f"  piece 3, N tokens\n{images}{piece}\n"
        "rejected  ./in/t.csv, line 5: image_not_found (missing)\n  ./in/nope.jpg does not exist\n\n"
        "rejected  ./in/t.csv, line 6: bad_record (yours)\n  the record has 2 cells, the header 3\n\n"
        f"train  ./in/t.csv, line 7  id ID\n{system}"
        "  user    [./in/2.jpg] jpeg, 64 x 48, 2,141 bytes: as it is\n  user    What is 6?\n  model   la\\x1b[31mst\n\n"
        "4 examples, and 2 rejected rows before the last of them. Nothing was written.\n"
    )


def test_a_preview_shows_fifty_parts_of_an_example(told: Told, tmp_path: Path) -> None:
    rows = [row("long", [f"gs://b/{number}.jpg" for number in range(8000)]), row("short", ["gs://b/1.jpg"])]
    said = told(write_lines(tmp_path / "a.jsonl", rows), "--preview", "2", "--verify", "none")
    long, short, _ = said.split("\n\n")
    parts = 8000 + 2 * 500  # question and answer in each piece
    assert long.endswith(f"  ... and {parts - 50:,} parts more") and len(long.strip().splitlines()) == 50 + 3 + 2
    assert short.endswith("  model   yes") and "more" not in short


def test_a_preview_goes_on_until_it_has_enough(told: Told, tmp_path: Path) -> None:
    rows = [row(f"question {number}", [] if number % 40 == 39 else ["gone.jpg"]) for number in range(120)]
    source = write_lines(tmp_path / "a.jsonl", rows)
    said = told(source, "--preview", "2", "--block_bytes", "1024")
    assert re.findall(r"line (\d+)  id", said) == ["40", "80"]
    assert said.count("rejected  ") == 2
    assert said.endswith(
        "2 examples, and 78 rejected rows before the last of them, the first 2 of them shown. Nothing was written.\n"
    )
    assert "not looked at" in told(
        write_lines(tmp_path / "b.jsonl", [row("x", ["gs://b/c.jpg"])]), "--preview", "1", "--verify", "none"
    )


def number(said: str, name: str) -> int:
    found = re.search(rf"^  {name} +([\d,]+)  ", said, re.MULTILINE)
    return int(found[1].replace(",", "")) if found else 0


def test_a_dry_run_tells_the_ledger_of_the_job(told: Told, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = world(tmp_path / "in")
    put(tmp_path / "in/big.png", png(300, 300))
    said = told(source, *ASK, "--dry_run")
    assert prepare(["--input", str(source), "--output", f"{tmp_path}/out", *ASK]) == 0
    capfd.readouterr()
    found = laws.sealed(tmp_path / "out")
    count = counters(found)
    for name in ("examples_read", "examples_used", "examples_rejected", "examples_split", "pieces_written",
                 "examples_written", "images_seen", "images_untouched", "images_rejected", "files_read"):  # fmt: skip
        assert number(said, name) == count[name], name
    assert number(said, "images_to_rewrite") == count["images_converted"] == 1
    assert f"  train.jsonl  {len(found['train.jsonl'].splitlines())} lines," in said
    for reason, times in found["manifest.json"]["reasons"].items():
        assert f"rejected {times:,} x {reason}:" in said
    assert "  images/  1 to rewrite, of 9.3 KB now; 0 to stage\n" in said
    assert re.search(r"  requests  some \d+ reads and \d+ writes\n", said) and "Nothing was written." in said


def test_a_dry_run_counts_an_image_of_many_blocks_once(told: Told, tmp_path: Path) -> None:
    put(tmp_path / "x.bmp", bmp())
    source = write_lines(tmp_path / "a.jsonl", [row(f"question {number}", ["x.bmp"]) for number in range(100)])
    put(tmp_path / "notes.txt", b"no dataset")
    said = told(tmp_path, "--dry_run", "--block_bytes", "1024")
    assert number(said, "images_to_rewrite") == 100 and "  images/  1 to rewrite, of 9.3 KB now" in said
    assert number(said, "files_skipped") == 2
    two = told(
        source,
        "--dry_run",
        "--block_bytes",
        "1024",
        "--direct_num_workers",
        "2",
        "--direct_running_mode",
        "multi_threading",
    )
    assert number(two, "images_to_rewrite") == 100


def test_images_in_rows_are_looked_at_in_memory(told: Told, tmp_path: Path) -> None:
    images = [{"bytes": data, "path": None} for data in (jpeg(), bmp(), b"no image")]
    pq.write_table(pa.table({"image": images, "label": list("abc")}), tmp_path / "t.parquet")
    ask = ("--prompt", "x", "--answer", "{label}", "--output", str(tmp_path / "out"))
    said = told(tmp_path / "t.parquet", *ask, "--preview", "5")
    assert re.findall(r"\[\./out/images/\S+\] (.*)", said) == [
        "jpeg, 64 x 48, 2,108 bytes: as it is", "bmp, 64 x 48, 9,270 bytes: to be rewritten",
    ]  # fmt: skip
    assert "not_an_image (yours)" in said
    dry = told(tmp_path / "t.parquet", *ask, "--dry_run")
    assert (number(dry, "images_untouched"), number(dry, "images_to_rewrite"), number(dry, "images_rejected")) == (
        1,
        1,
        1,
    )


@pytest.mark.parametrize(
    "flags, said",
    [
        (("--preview", "-1"), "--preview -1: expected at least 0"),
        (("--preview", "1", "--dry_run"), "--preview and --dry_run: give one of them"),
        (("--dry_run", "--no_wait"), "--dry_run has its answer at the end: leave --no_wait out"),
    ],
)
def test_what_cannot_be_is_told(told: Told, tmp_path: Path, flags: tuple[str, ...], said: str) -> None:
    source = write_lines(tmp_path / "a.jsonl", [row("x")])
    assert said in told(source, *flags, status=2)
