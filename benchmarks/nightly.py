"""Three nights that grow by 1 %: requests, time and memory against full runs, with a stand-in of Cloud Storage that answers late.

Once with rows that name objects, trusted and asked about; once with a folder of objects as input, whose listing tells what changed.

    python benchmarks/nightly.py [--images 100000] [--late 10] [--strict]
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from pathlib import Path

from common import Report, Run, arguments, object_rows, prepare, start_up, workdir, write_rows
from stand_in import standing_in

FILES = 100  # of rows, in the first night
KIND = "plain"


class Nights:
    """Runs on one kind of input; `rows`: local files that name objects, else the listing of a folder of them."""

    def __init__(self, folder: Path, images: int, late: int, rows: bool, repeat: int) -> None:
        self._folder, self._late, self._rows, self._repeat = folder, late, rows, repeat
        self._file = images // FILES  # images in a file of rows
        self.images = self._file * FILES

    def run(self, night: int, output: str, *flags: str) -> tuple[Run, Counter[str], float]:
        """A run on the input of a night -> itself, what it asked for, and its start-up in seconds."""
        grown = self.images + night * (self.images // 100)
        with standing_in(self._late, grown) as server:
            os.environ["STORAGE_EMULATOR_HOST"] = server.url
            start = start_up(self._repeat, self._folder)
            server.counts()
            run = prepare(
                self._input(grown), self._folder / output, "--image_folder", str(self._folder / "images"), *flags
            )
            return run, server.counts(), start.wall

    def _input(self, images: int) -> str:
        if not self._rows:
            return f"gs://bucket/{KIND}/"
        for at in range(0, images, self._file):
            target = self._folder / f"rows/{at:09d}.jsonl"
            if not target.exists():
                write_rows(target, object_rows(KIND, at, min(at + self._file, images)))
        return str(self._folder / "rows")


def three_nights(name: str, nights: Nights, report: Report, folder: Path, *flags: str) -> None:
    print(f"\n{name}", flush=True)
    keep = ("--keep_blocks", *flags)
    first, asked, start = nights.run(0, "night0", *keep)
    report.run(f"first night, {nights.images:,} images, {asked['requests']:,} requests", first)
    peaks = [first.peak]
    for night in (1, 2):
        trust = ("--trust_uris",) if "asked" not in name else ()
        run, asked, start = nights.run(
            night, f"night{night}", *keep, *trust, "--previous", str(folder / f"night{night - 1}")
        )
        report.run(f"night {night}, 1 % new, {asked['requests']:,} requests", run)
        peaks.append(run.peak)
        told = json.loads((folder / f"night{night}/manifest.json").read_bytes())["run"]["night"]
        print(f"  files: {told['files']}; blocks: {told['blocks']}")
    full, whole, start_full = nights.run(2, "full", *flags)
    full_net = report.run(f"the same input in full, {whole['requests']:,} requests", full)
    for one in ("train.jsonl", "validation.jsonl"):
        assert (folder / "full" / one).read_bytes() == (folder / "night2" / one).read_bytes(), one
    net = max(run.wall - start, 1e-3)  # seconds without the start-up
    most = 0.1 if trust else 1.0  # who asks about every image pays half of the requests, and says so
    report.bar("requests of a night, of the full run's", asked["requests"] / whole["requests"], full_net, most=most)
    report.bar("time of a night, of the full run's", net / max(full.wall - start_full, 1e-3), full_net, most=most)
    report.bar("memory of the last night, of the first's", peaks[-1] / peaks[0], full_net, most=1.1)
    for output in ("night0", "night1", "night2", "full"):
        shutil.rmtree(folder / output)
    shutil.rmtree(folder / "rows", ignore_errors=True)


def main() -> int:
    options = arguments(__doc__, {"kinds": "trusted,asked,folder"}, images=100_000, late=10)
    report = Report(options.strict)
    images = max(options.images // (4 * FILES), 1) * 4 * FILES
    folder_flags = ("--prompt", "What is it?", "--answer", "{path.stem}")
    kinds: dict[str, tuple[str, bool, tuple[str, ...]]] = {
        "trusted": ("rows, trusted", True, ()),
        "asked": ("rows, every image asked about", True, ()),
        "folder": ("a folder of images", False, folder_flags),
    }
    with workdir(options.workdir) as folder:
        report.head(f"three nights, answers {options.late} ms late")
        for name, rows, flags in (kinds[kind] for kind in options.kinds.split(",")):
            three_nights(name, Nights(folder, images, options.late, rows, options.repeat), report, folder, *flags)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
