"""Inspection of objects in Cloud Storage: requests, bytes, processor time and time an image, with a stand-in that answers late.

Against a bare loop of the same requests through libcurl; and against the script people write, which downloads whole objects 16 at a
time (on a part of the objects). The stand-in shares the machine: what it takes of the processors is told beside it. Processor time
is the whole process's, the slope between a sixteenth of the images and all, so that no start-up is part of it. Two processes, as
Beam's workers have one a core, are told too. What `--threads` is worth is told first.

    python benchmarks/storage.py [--images 16000] [--late 0,10,30,100] [--kinds plain,phone] [--scheme https] [--strict]

Cloud Storage itself is spoken to over TLS: --scheme https counts what that takes, of the stand-in too.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import (
    TWO_PROCESSES,
    Report,
    Run,
    arguments,
    fastest,
    object_rows,
    prepare,
    script,
    start_up,
    workdir,
    write_rows,
)
from stand_in import Running, standing_in

from beam_jobs.options import OPTIONS

NO_REPORT = ("--report", "none")  # it reads 48 images more, however many there are
THREADS = next(option.default for option in OPTIONS if option.name == "threads")


@contextmanager
def serving(late: int, scheme: str, folder: Path) -> Iterator[Running]:
    shown = folder / "certificate.pem" if scheme == "https" else None
    with standing_in(late, tls=shown) as server:
        os.environ |= {"STORAGE_EMULATOR_HOST": server.url} | ({"REQUESTS_CA_BUNDLE": str(shown)} if shown else {})
        yield server


def inspect(rows: Path, output: Path, *options: str) -> Run:
    return prepare(rows, output, *NO_REPORT, *options)


def measure(
    kind: str, late: int, scheme: str, report: Report, folder: Path, images: int, downloads: int, repeat: int
) -> None:
    sizes = {"rows": images, "few": images // 16, "fewer": downloads}
    rows, few, fewer = (
        write_rows(folder / f"data/{name}.jsonl", object_rows(kind, 0, size)) for name, size in sizes.items()
    )
    with serving(late, scheme, folder) as server:
        print(f"\n{kind} images over {scheme}, answers {late} ms late", flush=True)
        start = start_up(repeat, folder, *NO_REPORT)
        part = fastest(repeat, lambda out: inspect(few, out), folder / "part")
        server.counts()
        one = fastest(repeat, lambda out: inspect(rows, out), folder / "one")
        counts = server.counts()
        ours = report.run(f"tuneset, {THREADS} at once: {images:,} images", one, start)
        print(f"  the stand-in's share of the processors: {share(counts, one, repeat):.0%}", flush=True)
        start = start_up(repeat, folder, *NO_REPORT, *TWO_PROCESSES)
        run = fastest(repeat, lambda out: inspect(rows, out, *TWO_PROCESSES), folder / "two")
        two = report.run("tuneset, two processes", run, start)
        bare_part, bare_run = (bare(folder, some, repeat) for some in (few, rows))
        loop = report.run(f"bare loop, {THREADS} at once", bare_run, bare(folder, first_row(folder), repeat))
        name = f"whole objects, 16 threads: {downloads:,} images"
        server.counts()
        script_run = fastest(repeat, lambda out: script("download_script.py", out, fewer), folder / "peer")
        script_counts = server.counts()
        start = fastest(repeat, lambda out: script("download_script.py", out, first_row(folder)), folder / "peer")
        whole = report.run(name, script_run, start)
        print(f"  the stand-in's share of the processors: {share(script_counts, script_run, repeat):.0%}", flush=True)
        report.bar("requests an image", counts["requests"] / images / repeat, most=2)
        report.bar("KiB an image", counts["bytes"] / images / 1024 / repeat, most=84)
        own, least = slope(part, one, images), slope(bare_part, bare_run, images)
        report.bar("processor time an image, ms", own, ours, loop, most=max(0.3, 3 * least))
        print(f"  the bare loop's: {least:.2f}", flush=True)
        report.bar("request rate, of the bare loop's", loop.seconds / ours.seconds, ours, loop, least=0.7)
        script_pace = downloads / whole.seconds
        report.bar(
            "images a second, of the downloading script's", images / ours.seconds / script_pace, ours, whole, least=5
        )
        print(f"  the same, two processes: {images / two.seconds / script_pace:.2f}", flush=True)


def slope(part: Run, whole: Run, images: int) -> float:
    """Milliseconds of processor time that an image more takes, by a run on a sixteenth of the images and one on all."""
    return 1000 * (whole.cpu - part.cpu) / (images - images // 16)


def share(counts: Counter[str], run: Run, repeat: int) -> float:
    """What the stand-in took of all processors, about, while runs like one were made."""
    return counts["cpu_ms"] / 1000 / repeat / run.wall / (os.cpu_count() or 1)


def bare(folder: Path, rows: Path, repeat: int) -> Run:
    return fastest(repeat, lambda out: script("bare_curl.py", out, rows, str(THREADS)), folder / "peer")


def first_row(folder: Path) -> Path:
    """A row of one image: what a run on it takes is the start-up."""
    return write_rows(folder / "data/one.jsonl", object_rows("plain", 0, 1, 1))


def sweep(scheme: str, folder: Path, lates: list[int], swept: list[str], images: int) -> None:
    """How many images a second each number of threads comes to."""
    rows = write_rows(folder / "data/swept.jsonl", object_rows("plain", 0, images))
    print(f"{'images a second':46}  " + "  ".join(f"{n:>6}" for n in swept) + "  threads")
    for late in lates:
        with serving(late, scheme, folder):
            start, found = start_up(2, folder, *NO_REPORT), []
            for threads in swept:
                run = inspect(rows, folder / "swept", "--threads", threads)
                shutil.rmtree(folder / "swept")
                found.append(images / max(run.wall - start.wall, 1e-3))
            print(f"{f'  answers {late} ms late':46}  " + "  ".join(f"{rate:6.0f}" for rate in found), flush=True)


def main() -> int:
    options = arguments(
        __doc__,
        {"late": "0,10,30,100", "kinds": "plain,phone", "swept": "16,64,128,256", "scheme": "http"},
        images=16000,
        downloads=1000,
    )
    lates = [int(late) for late in options.late.split(",")]
    report = Report(options.strict)
    images, downloads = max(options.images // 4, 1) * 4, max(options.downloads // 4, 1) * 4
    with workdir(options.workdir) as folder:
        report.head(f"{images:,} references to gs:// images, --verify structure")
        if options.swept:
            sweep(options.scheme, folder, lates, options.swept.split(","), images // 2)
        for late in lates:
            for kind in options.kinds.split(","):
                measure(kind, late, options.scheme, report, folder, images, min(downloads, images), options.repeat)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
