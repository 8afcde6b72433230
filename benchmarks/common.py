"""What the comparisons share: data sets, child processes that are measured, and a table of ratios and their bars."""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).resolve().parent
TELLING = 1.0  # seconds that a script must take, so that starting Python is no part of its time
TWO_PROCESSES = ("--direct_num_workers=2", "--direct_running_mode=multi_processing")
_COLOURS = ("red", "blue", "green", "black", "white", "silver")


def arguments(doc: str, texts: dict[str, str] | None = None, **sizes: int) -> argparse.Namespace:
    """--workdir, --strict, --repeat and one option for each size and text (its default)."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, size in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=size, help=f"default {size:,}")
    for name, text in (texts or {}).items():
        parser.add_argument(f"--{name}", default=text, help=f"default {text}")
    parser.add_argument("--workdir", default="", help="folder for data and results (default: a temporary one)")
    parser.add_argument("--repeat", type=int, default=2, help="runs of each kind; the fastest counts (default 2)")
    parser.add_argument("--strict", action="store_true", help="exit status 1 if a bar is missed")
    return parser.parse_args()


@contextmanager
def workdir(given: str) -> Iterator[Path]:
    """An empty folder of the benchmark's own, removed afterwards."""
    if given:
        os.makedirs(given, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="tuneset-benchmark-", dir=given or None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


# Data sets


def image_row(number: int, references: Sequence[str]) -> bytes:
    colour = _COLOURS[number % len(_COLOURS)]
    parts: list[dict[str, Any]] = [{"fileData": {"mimeType": "image/jpeg", "fileUri": uri}} for uri in references]
    question = (
        f"Describe product {number} as the catalogue does: brand, colour and size, "
        "and say which of the pictures shows its front."
    )
    answer = json.dumps({"brand": f"Brand {number % 997}", "colour": colour, "size": "SML"[number % 3]})
    parts.append({"text": question})
    turns = [{"role": "user", "parts": parts}, {"role": "model", "parts": [{"text": answer}]}]
    return json.dumps({"contents": turns}).encode() + b"\n"


def text_rows(start: int, stop: int, references: int = 4) -> Iterator[bytes]:
    """Rows of some 700 bytes, each of which names objects of Cloud Storage."""
    for number in range(start, stop):
        folder = f"gs://bucket/catalogue/photos/{number % 9973:04d}"
        yield image_row(number, [f"{folder}/{number:09d}-{i}.jpg" for i in range(references)])


def object_rows(kind: str, start: int, stop: int, references: int = 4) -> Iterator[bytes]:
    """Rows that name objects start to stop of the stand-in, `references` a row."""
    for at in range(start, stop, references):
        yield image_row(at, [f"gs://bucket/{kind}/{number:09d}.jpg" for number in range(at, at + references)])


def named_objects(rows: Path) -> list[str]:
    """The URIs that a file of rows names, in order."""
    with open(rows, "rb") as file:
        parts = (part for line in file for part in json.loads(line)["contents"][0]["parts"])
        return [part["fileData"]["fileUri"] for part in parts if "fileData" in part]


def write_rows(path: Path, rows: Iterator[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb", buffering=1 << 20) as file:
        file.writelines(rows)
    return path


def jpegs(folder: Path, distinct: int) -> list[Path]:
    """Distinct JPEGs of 300 to 400 KB, 1600 x 1066 pixels: noise, whose strength decides the size."""

    folder.mkdir(parents=True)
    strength = next(s for s in range(16, 257, 8) if len(noise_jpeg(0, 1600, 1066, s)) > 340_000)
    paths = [folder / f"{number:03d}.jpg" for number in range(distinct)]
    for number, path in enumerate(paths):
        path.write_bytes(noise_jpeg(number, 1600, 1066, strength))
    return paths


def noise_jpeg(number: int, width: int, height: int, strength: int) -> bytes:
    """A JPEG of seeded noise at half resolution; its strength (0 to 256) decides the bytes."""
    half = (width // 2, height // 2)
    noise = Image.frombytes("L", half, random.Random(number).randbytes(half[0] * half[1])).resize((width, height))
    out = io.BytesIO()
    noise.point([128 + (level - 128) * strength // 256 for level in range(256)]).save(out, "JPEG", quality=85)
    return out.getvalue()


def linked_images(folder: Path, references: int, distinct: int = 200) -> Path:
    """rows.jsonl with four references a row, each of another name: hard links to `distinct` files."""
    originals = jpegs(folder / "originals", min(distinct, references))
    names = []
    for number in range(references):
        if number % 1000 == 0:
            (folder / f"images/{number // 1000:04d}").mkdir(parents=True)
        name = f"images/{number // 1000:04d}/{number:07d}.jpg"
        os.link(originals[number % len(originals)], folder / name)
        names.append(name)
    rows = (image_row(at // 4, names[at : at + 4]) for at in range(0, references, 4))
    return write_rows(folder / "rows.jsonl", rows)


# Runs


@dataclass(frozen=True)
class Run:
    """One child process, with its children."""

    wall: float  # seconds
    cpu: float  # seconds, of all of them
    peak: int  # bytes of memory, of the largest of them


def run(*command: str | Path, code: Path | None = None) -> Run:
    """Run a command to its end; `code` is the checkout whose packages it imports, if not those of this Python.

    Raises:
      SystemExit: it failed; the text is what it wrote.
    """
    began = time.perf_counter()
    with tempfile.TemporaryFile() as out:
        environment = os.environ | ({"PYTHONPATH": str(code)} if code else {})
        words = [str(word) for word in command]
        child = subprocess.Popen(words, stdout=out, stderr=subprocess.STDOUT, cwd=code, env=environment)
        try:
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        finally:
            if child.returncode is None:  # this process was told to end
                child.kill()
        wall = time.perf_counter() - began
        if child.returncode:
            out.seek(0)
            raise SystemExit(f"{' '.join(map(str, command))}\n{out.read().decode(errors='replace')}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


def script(name: str, *arguments: str | Path) -> Run:
    """Run a script of this folder."""
    return run(sys.executable, HERE / name, *arguments)


def prepare(source: Path, output: Path, *options: str) -> Run:
    return run(sys.executable, "-m", "beam_jobs", "prepare", "--input", source, "--output", output, *options)


def fastest(times: int, work: Callable[[Path], Run], folder: Path, keep: bool = False) -> Run:
    """The fastest of several runs of work(output folder); `keep` leaves the last one's output."""
    runs = []
    for left in reversed(range(times)):
        runs.append(work(folder))
        if left or not keep:
            shutil.rmtree(folder)
    return min(runs, key=lambda one: one.wall)


def start_up(times: int, folder: Path, *options: str) -> Run:
    """The engine's start-up: a run on one row, the fastest of several."""
    row = write_rows(folder / "one.jsonl", text_rows(0, 1))
    return fastest(times, lambda out: prepare(row, out, "--verify", "none", *options), folder / "empty")


# Results


@dataclass(frozen=True)
class Net:
    """Seconds of a run without the start-up; it tells something if it took longer than the start-up, which varies."""

    seconds: float
    tells: bool


@dataclass
class Report:
    """Prints runs and ratios as they come; remembers whether a bar was missed."""

    strict: bool
    missed: list[str] = field(default_factory=list)

    def head(self, title: str) -> None:
        print(f"{title}\n{os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
        print(f"{'':46}  {'wall s':>8}  {'start-up':>8}  {'net s':>8}  {'CPU s':>8}  {'peak MB':>8}")

    def run(self, name: str, one: Run, start: Run | None = None) -> Net:
        """Print a run -> its time without the engine's start-up."""
        seconds = max(one.wall - (start.wall if start else 0), 1e-3)
        begun = f"{start.wall:8.2f}" if start else f"{'':8}"
        print(f"{name:46}  {one.wall:8.2f}  {begun}  {seconds:8.2f}  {one.cpu:8.2f}  {one.peak / 1e6:8.0f}", flush=True)
        return Net(seconds, seconds >= (start.wall if start else TELLING))

    def bar(self, name: str, found: float, *of: Net, least: float | None = None, most: float | None = None) -> None:
        """Print a ratio and hold it against its bar, unless a run it is made `of` was too short to tell."""
        good = (least is None or found >= least) and (most is None or found <= most)
        verdict = "held" if good else "MISSED"
        if not all(net.tells for net in of):
            verdict = "too short a run to tell"
        wanted = f"at least {least:g}" if least is not None else f"at most {most:g}"
        print(f"  {name}: {found:.2f} ({wanted}: {verdict})", flush=True)
        if verdict == "MISSED":
            self.missed.append(name)

    def end(self) -> int:
        """-> exit status."""
        if self.missed:
            print(f"\nMissed: {'; '.join(self.missed)}")
        return 1 if self.missed and self.strict else 0


def environment(folder: Path, packages: Sequence[str]) -> Path:
    """A new environment with some packages -> its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin/python"
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *packages]
    subprocess.run(install, check=True)
    return python


def same_bytes(left: Path, right: Path) -> bool:
    """Whether two files hold the same bytes."""
    with open(left, "rb") as one, open(right, "rb") as two:
        while chunk := one.read(1 << 20):
            if chunk != two.read(len(chunk)):
                return False
        return not two.read(1)
