"""Inspection of objects in Cloud Storage: requests, bytes and time an image, with a stand-in that answers late.

Against the same requests in a bare thread pool over the library's session, which has the same threads; and against the script
people write, which downloads whole objects 16 at a time (on a part of the objects). Two processes, as Beam's workers have one a core,
are told beside it. What `--threads` is worth is told first.

    python benchmarks/storage.py [--images 16000] [--late 0,10,30,100] [--kinds plain,phone] [--scheme https] [--strict]

Cloud Storage itself is spoken to over TLS: --scheme https counts what that takes, of the stand-in too.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import (
    TWO_PROCESSES,
    Net,
    Report,
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

THREADS = next(option.default for option in OPTIONS if option.name == "threads")


@contextmanager
def serving(late: int, scheme: str, folder: Path) -> Iterator[Running]:
    shown = folder / "certificate.pem" if scheme == "https" else None
    with standing_in(late, tls=shown) as server:
        os.environ |= {"STORAGE_EMULATOR_HOST": server.url} | ({"REQUESTS_CA_BUNDLE": str(shown)} if shown else {})
        yield server


def measure(
    kind: str, late: int, scheme: str, report: Report, folder: Path, images: int, downloads: int, repeat: int
) -> None:
    rows = write_rows(folder / "data/rows.jsonl", object_rows(kind, 0, images))
    fewer = write_rows(folder / "data/fewer.jsonl", object_rows(kind, 0, downloads))
    with serving(late, scheme, folder) as server:
        print(f"\n{kind} images over {scheme}, answers {late} ms late", flush=True)
        start = start_up(repeat, folder)
        one = fastest(repeat, lambda out: prepare(rows, out), folder / "one", keep=True)
        shutil.rmtree(folder / "one")
        server.counts()
        prepare(rows, folder / "counted")
        counts = server.counts()
        shutil.rmtree(folder / "counted")
        ours = report.run(f"tuneset, {THREADS} threads: {images:,} images", one, start)
        start = start_up(repeat, folder, *TWO_PROCESSES)
        run = fastest(repeat, lambda out: prepare(rows, out, *TWO_PROCESSES), folder / "two")
        two = report.run("tuneset, two processes", run, start)
        loop = peer(report, f"bare loop, {THREADS} threads", "bare_requests.py", folder, rows, repeat)
        name = f"whole objects, 16 threads: {downloads:,} images"
        whole = peer(report, name, "download_script.py", folder, fewer, repeat)
        report.bar("requests an image", counts["requests"] / images, most=2)
        report.bar("KiB an image", counts["bytes"] / images / 1024, most=96)
        report.bar("request rate, of the bare loop's", loop.seconds / ours.seconds, ours, loop, least=0.7)
        script_pace = downloads / whole.seconds
        report.bar(
            "images a second, of the downloading script's", images / ours.seconds / script_pace, ours, whole, least=5
        )
        print(f"  the same, two processes: {images / two.seconds / script_pace:.2f}", flush=True)


def peer(report: Report, name: str, program: str, folder: Path, rows: Path, repeat: int) -> Net:
    """A script's time without its start-up, which is a run on one image."""
    one = write_rows(folder / "data/one.jsonl", object_rows("plain", 0, 1, 1))
    start = fastest(repeat, lambda out: script(program, out, one, str(THREADS)), folder / "peer")
    return report.run(
        name, fastest(repeat, lambda out: script(program, out, rows, str(THREADS)), folder / "peer"), start
    )


def sweep(scheme: str, folder: Path, lates: list[int], swept: list[str], images: int) -> None:
    """How many images a second each number of threads comes to."""
    rows = write_rows(folder / "data/swept.jsonl", object_rows("plain", 0, images))
    print(f"{'images a second':46}  " + "  ".join(f"{n:>6}" for n in swept) + "  threads")
    for late in lates:
        with serving(late, scheme, folder):
            start, found = start_up(2, folder), []
            for threads in swept:
                run = prepare(rows, folder / "swept", "--threads", threads)
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
        sweep(options.scheme, folder, lates, options.swept.split(","), images // 2)
        for late in lates:
            for kind in options.kinds.split(","):
                measure(kind, late, options.scheme, report, folder, images, min(downloads, images), options.repeat)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
