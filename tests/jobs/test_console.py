"""What cannot be shown does not change what was done: readers that leave, full disks, closed streams, encodings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

import pytest
from folders import png, put, row, write_lines

from beam_jobs import console
from beam_jobs.__main__ import main
from transforms.dataset.sharing import add_user

TUNESET = f"{sys.executable} -m beam_jobs"
IMAGES = [f"{number % 256:02x}/{number:032x}.jpg" for number in range(2000)]  # their paths fill a pipe


def shell(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=120, env=os.environ | environment
    )
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr, done.stderr
    return done


# A job


@pytest.mark.parametrize(
    ("stdout", "environment"),
    [
        ("| head -c 1; exit ${PIPESTATUS[0]}", {}),
        ("> /dev/full 2> /dev/full", {}),
        (">&- 2>&-", {}),
        ("2>&1", {"PYTHONIOENCODING": "ascii"}),
    ],
)
def test_a_job_is_sealed_whatever_becomes_of_its_screen(
    stdout: str, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "grün ☂"
    picture = put(folder / "a.png", png())
    source = write_lines(folder / "rows.jsonl", [row("What?", [picture])])
    done = shell(f"{TUNESET} prepare --input '{source}' --output '{folder}/out' {stdout}", **environment)
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert json.loads((folder / "out/manifest.json").read_bytes())["dataset"]["splits"]["train"] >= 0
    assert not (folder / "out/_tuneset").exists()
    if environment:
        assert f"Sealed {ascii(str(folder))[1:-1]}/out in " in done.stdout


# Commands whose work is what they print


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder of images that no dataset names, and a sealed dataset."""
    for name in IMAGES:
        put(tmp_path / "shared" / name, b"x")
    files = [{"name": "rejected.jsonl"}, {"name": "train.jsonl"}]
    put(tmp_path / "set/manifest.json", json.dumps({"dataset": {"files": files}}).encode())
    put(tmp_path / "set/train.jsonl", b"{}\n")
    put(tmp_path / "set/rejected.jsonl", b"")
    add_user(f"{tmp_path}/shared", f"{tmp_path}/set")
    return tmp_path


def left(folder: Path) -> int:
    return sum(1 for _ in (folder / "shared").rglob("*.jpg"))


@pytest.fixture
def swept(shared: Path) -> str:
    return f"{TUNESET} sweep --image_folder {shared}/shared --datasets {shared}/set --min_age_hours 0"


@pytest.mark.parametrize("reader", ["| head -1 > /dev/null; exit ${PIPESTATUS[0]}", "> /dev/full", ">&- 2>&-"])
def test_a_removal_removes_all_whoever_reads(reader: str, swept: str, shared: Path) -> None:
    done = shell(f"{swept} --remove {reader}")
    assert (done.returncode, left(shared)) == (0, 0)
    if "2>" not in reader:
        assert done.stderr == "tuneset: 2,000 images, 2,000 bytes, removed.\n"


def test_a_removal_does_not_wait_for_its_reader(swept: str, shared: Path) -> None:
    """The reader reads nothing until all is removed; then it gets every line."""
    process = subprocess.Popen(["bash", "-c", f"exec {swept} --remove"], stdout=subprocess.PIPE, text=True)
    while left(shared):
        assert process.poll() is None
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, len(out.splitlines())) == (0, len(IMAGES))


@pytest.mark.parametrize(
    ("reader", "status", "said"),
    [
        ("| head -1 > /dev/null; exit ${PIPESTATUS[0]}", 0, ""),
        (">&-", 0, "2,000 images, 2,000 bytes, named by none of them; --remove removes them."),
        ("> /dev/full", 1, "standard output cannot be written to: No space left on device. What was to be printed is not whole."),
        ("> /dev/null", 0, "2,000 images, 2,000 bytes, named by none of them; --remove removes them."),
    ],
)  # fmt: skip
def test_a_list_that_was_cut_short_says_so(reader: str, status: int, said: str, swept: str, shared: Path) -> None:
    done = shell(f"{swept} {reader}")
    assert (done.returncode, done.stderr, left(shared)) == (status, said and f"tuneset: {said}\n", len(IMAGES))


@contextmanager
def full_disk() -> Iterator[None]:
    """Standard output is a file on a full disk. Not a fixture: pytest has its own way with standard output before a test begins."""
    with open("/dev/full", "w") as stream, redirect_stdout(stream):
        yield


@pytest.fixture
def rows(tmp_path: Path) -> str:
    return str(write_lines(tmp_path / "rows.jsonl", [row(f"What is {i}?", []) for i in range(3)]))


@pytest.mark.parametrize(
    "command",
    ["--help", "--version", "prepare --help", "sweep -h", "demo -h", "template -h", "template metadata",
     "template dockerfile", "template spec --image i", "prepare --input ROWS --preview 2", "prepare --input ROWS --dry_run"],
)  # fmt: skip
def test_what_was_to_be_printed_and_was_not_is_a_failure(
    command: str, rows: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with full_disk():
        assert main(command.replace("ROWS", rows).split()) == 1
    assert "standard output cannot be written to: No space left on device." in capfd.readouterr().err


def test_a_spec_that_is_written_to_a_file_is_written(tmp_path: Path) -> None:
    with full_disk():
        assert main(["template", "spec", "--image", "i", "--spec", str(tmp_path / "spec.json")]) == 0
    assert json.loads((tmp_path / "spec.json").read_bytes())["image"] == "i"


def test_the_next_standard_output_is_another(capsys: pytest.CaptureFixture[str]) -> None:
    with full_disk():
        assert main(["--version"]) == 1
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("tuneset ")


def test_what_a_stream_cannot_encode_is_escaped(tmp_path: Path) -> None:
    for encoding, shown in (
        ("ascii", "gr\\xfcn \\udcff\n"),
        ("latin-1", "grün \\udcff\n"),
        ("utf-8", "grün \\udcff\n"),
    ):
        with open(tmp_path / encoding, "w", encoding=encoding) as stream:
            assert console.write(stream, "grün \udcff\n") is None
        assert (tmp_path / encoding).read_text(encoding) == shown
