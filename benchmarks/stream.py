"""Streams in rounds: how soon windows are sealed at several rates of small images, and how long it takes to merge many windows.

python benchmarks/stream.py [--rates 50,250,500] [--seconds 60] [--window 10] [--windows 1000] [--lines 500]
    [--engine '--runner=PrismRunner --prism_location=engines/prism'] [--strict]

Times are those that manifests tell. A rate is sustained if its last windows are sealed before the next one is over. `make soak` is a
long run at 50 a second, whose memory may not grow by a tenth after its first two minutes.
"""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from common import Report, arguments, run, workdir
from PIL import Image

from transforms.arrivals.noted_lines import NOTED
from transforms.arrivals.windows import window_name

_NUMBER = b"number %07d"  # within each image: what stood behind its end would have it decoded
_SIZES, _SPARE = 20, 8  # seconds at either end that are compared; descriptors of what happens to be open
_SETTLED_S = 120.0  # after which memory may no longer grow


@dataclass(frozen=True)
class Measured:
    """What a stream came to."""

    waits: list[float]  # seconds from the end of each whole window to its seal, in order
    arrivals: int
    growth: float  # memory at the end against that when it had settled; 0: the run was too short to tell
    more_open: int  # descriptors at the end beyond those when it had settled
    left: int  # processes that it started, and that outlive it
    peak: int  # bytes
    cpu: float  # seconds


def feed(folder: Path, rate: float, seconds: float) -> int:
    """Let small conforming images arrive, each whole from the first moment -> how many."""
    out = io.BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 150)).save(out, "JPEG", comment=_NUMBER % 0)
    data, began, number = out.getvalue(), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        while number < int((time.monotonic() - began) * rate):
            name = f"{number:07d}.jpg"
            (folder / f".{name}").write_bytes(data.replace(_NUMBER % 0, _NUMBER % number))
            os.rename(folder / f".{name}", folder / name)
            number += 1
        time.sleep(0.02)
    return number


def stream(folder: Path, rate: float, seconds: float, window: int, engine: Sequence[str] = ()) -> Measured:
    """Run a stream over images that arrive at a rate; `engine`: flags that lead to one, else it works in rounds."""
    raw, output = folder / "raw/class", folder / "out"
    raw.mkdir(parents=True)
    words = [
        "--watch",
        str(folder / "raw"),
        "--output",
        str(output),
        "--window",
        f"{window}s",
        "--prompt",
        "What is it?",
        *engine,
    ]
    command = [sys.executable, "-m", "beam_jobs", "stream", *words]
    log = open(folder / "screen", "wb")  # noqa: SIM115
    child = subprocess.Popen(command, stdout=log, stderr=log)
    while b"Watching" not in (folder / "screen").read_bytes():
        if child.poll() is not None:
            raise SystemExit((folder / "screen").read_text())
        time.sleep(0.1)
    sizes, started = list[Size](), set[int]()
    over = threading.Event()
    watcher = threading.Thread(target=note_sizes, args=(child.pid, sizes, started, over))
    watcher.start()
    fed = feed(raw, rate, seconds)
    over.set()
    watcher.join()
    child.send_signal(signal.SIGTERM)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit((folder / "screen").read_text())
    settled = [size for size in sizes if size.at >= _SETTLED_S]
    growth, more_open = 0.0, 0
    if len(settled) > 2 * _SIZES:
        first, last = settled[:_SIZES], settled[-_SIZES:]
        growth = max(size.memory for size in last) / max(size.memory for size in first)
        more_open = max(size.descriptors for size in last) - max(size.descriptors for size in first)
    left = sum(Path(f"/proc/{one}").exists() for one in started)
    waits, arrived = [], 0
    for path in sorted((output / "windows").iterdir()):
        told = json.loads((path / "manifest.json").read_bytes())
        arrived += told["dataset"]["counters"]["examples_used"]
        if not told["run"]["part_filled"]:
            waits.append(told["run"]["finished"] - told["run"]["window_end"])
    assert arrived == fed, f"{fed} images arrived, and {arrived} were sealed"
    peak, cpu = max(size.memory for size in sizes), used.ru_utime + used.ru_stime
    return Measured(waits, fed, growth, more_open, left, peak, cpu)


class Size(NamedTuple):
    """What a process holds. at: seconds after its begin."""

    at: float
    memory: int  # bytes
    descriptors: int


def note_sizes(process: int, sizes: list[Size], started: set[int], over: threading.Event) -> None:
    """Note each second what a process holds, and the processes that it started."""
    began, proc = time.monotonic(), Path(f"/proc/{process}")
    while not over.wait(1):
        memory = int((proc / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        sizes.append(Size(time.monotonic() - began, memory, len(os.listdir(proc / "fd"))))
        for children in proc.glob("task/*/children"):
            started |= set(map(int, children.read_text().split()))


def quantile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def many_windows(folder: Path, windows: int, lines: int) -> Path:
    """A stream's folder with so many windows of so many lines: one that was streamed, and copies of it with names of their own."""
    raw, output = folder / "raw", folder / "out"
    raw.mkdir(parents=True)
    row = {"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]}
    for number in range(lines):
        row["contents"][0]["parts"][0]["text"] = f"question {number}"
        (raw / f"{number:06d}.jsonl").write_text(json.dumps(row) + "\n")
    words = ["--watch", raw, "--output", output, "--window", "24h", "--stop_after", "1s"]
    run(sys.executable, "-m", "beam_jobs", "stream", *words)
    [first, *_] = sorted((output / "windows").iterdir())
    for number in range(1, windows):
        copy = first.with_name(window_name(number * 24 * 3600))
        shutil.copytree(first, copy)
        rename(copy, str(raw), str(folder / f"raw{number}"))
    return output


def rename(window: Path, before: str, after: str) -> None:
    """Let a window be of files in another folder."""
    told = (window / "arrivals.jsonl").read_text()
    (window / "arrivals.jsonl").write_text(told.replace(before, after))
    for name in ("examples.parquet", NOTED):
        table = pq.read_table(window / name)
        sources = pa.array([re.sub(f"^{re.escape(before)}", after, one) for one in table["source"].to_pylist()])
        place = table.column_names.index("source")
        pq.write_table(table.set_column(place, "source", sources), window / name)


def main() -> int:
    options = arguments(__doc__, {"rates": "50,250,500", "engine": ""}, seconds=60, window=10, windows=1000, lines=500)
    report = Report(options.strict)
    with workdir(options.workdir) as folder:
        report.head(f"images that arrive for {options.seconds} s, windows of {options.window} s, one process")
        for rate in map(float, filter(None, options.rates.split(","))):
            engine = options.engine.split()
            found = stream(folder / f"at{rate:g}", rate, options.seconds, options.window, engine)
            told = ", ".join(f"p{share} {quantile(found.waits, share / 100):.1f} s" for share in (50, 95, 99))
            print(
                f"{rate:g} a second: {found.arrivals:,} arrivals, {len(found.waits)} whole windows, seal after the end {told}; "
                f"{found.peak / 1e6:.0f} MB, {found.cpu / options.seconds:.2f} s of CPU a second",
                flush=True,
            )
            report.bar(f"p95 at {rate:g} a second (at 250 and below)", quantile(found.waits, 0.95), most=5)
            report.bar(f"last window at {rate:g} a second, in windows", found.waits[-1] / options.window, most=1)
            if found.growth:
                report.bar(f"memory at {rate:g} a second", found.growth, most=1.1)
                report.bar("descriptors beyond those after two minutes", found.more_open, most=_SPARE)
            report.bar("processes left", found.left, most=0)
        if options.windows:
            windows = many_windows(folder / "windows", options.windows, options.lines)
            merged = run(sys.executable, "-m", "beam_jobs", "merge", windows, "--output", folder / "merged")
            report.run(f"merge of {options.windows:,} windows of {options.lines:,} lines", merged)
            report.bar("merge, seconds", merged.wall, most=60)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
