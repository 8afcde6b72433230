"""Images named by URL, fetched from a stand-in on loopback, checked and copied beside the dataset: against img2dataset's downloader.

img2dataset is no part of Tuneset's environment, so it is given with the Python that it is installed in. It downloads the same URLs
into files, without resizing them or coding them anew. Without it the comparison is with a pool of 64 threads of requests. The
floor is a job on one row whose images are not looked at: Beam and pyarrow, and no image.

    python benchmarks/urls.py [--images 20000] [--peer /path/to/python] [--strict]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from common import (
    TWO_PROCESSES,
    Report,
    Run,
    arguments,
    fastest,
    image_row,
    prepare,
    run,
    script,
    start_up,
    workdir,
    write_rows,
)
from url_stand_in import serving_urls

_LIKE_OURS = {
    "output_format": "files",
    "resize_mode": "no",
    "skip_reencode": "True",
    "processes_count": "2",
    "thread_count": "64",
    "number_sample_per_shard": "1000",
    "enable_wandb": "False",
}


def peer(python: str, urls: Path, output: Path) -> Run:
    options = {"url_list": str(urls), "output_folder": str(output)} | _LIKE_OURS
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    call = "import sys; from img2dataset.main import main; sys.exit(main())"
    return run(python, "-c", call, *words) if python else script("fetch_script.py", output, urls)


def main() -> int:
    options = arguments(__doc__, {"peer": ""}, images=20_000)
    report, count = Report(options.strict), options.images
    with workdir(options.workdir) as folder, serving_urls() as server:
        names = [f"{server}/{number:07d}.jpg" for number in range(count)]
        rows = write_rows(folder / "rows.jsonl", (image_row(number, [url]) for number, url in enumerate(names)))
        urls = folder / "urls.txt"
        urls.write_text("".join(f"{url}\n" for url in names))
        report.head(f"{count:,} images of some 60 KB, by URL")

        start, start_of_two = start_up(options.repeat, folder), start_up(options.repeat, folder, *TWO_PROCESSES)
        flags = ("--allow_prefix", server, "--per_host", "64", "--report", "none")
        ours = fastest(options.repeat, lambda out: prepare(rows, out, *flags), folder / "ours", keep=True)
        report.run("the floor: one row, no image", start)
        net = report.run("tuneset, 1 process", ours, start)
        counters = json.loads((folder / "ours/manifest.json").read_bytes())["dataset"]["counters"]
        assert counters["images_fetched"] == counters["images_staged"] == count
        two = fastest(options.repeat, lambda out: prepare(rows, out, *flags, *TWO_PROCESSES), folder / "two")
        two_net = report.run("tuneset, 2 processes", two, start_of_two)
        theirs = fastest(options.repeat, lambda out: peer(options.peer, urls, out), folder / "theirs", keep=True)
        peer_net = report.run("img2dataset, 2 processes" if options.peer else "64 threads of requests", theirs)
        fetched = sum(1 for _ in (folder / "theirs").rglob("*.jpg"))
        assert fetched == count, f"{fetched} of {count}"
        ratio = peer_net.seconds / (two_net if options.peer else net).seconds
        report.bar("images a second, of the peer's in as many processes", ratio, net, two_net, peer_net, least=5)
        report.bar("processor time, of the peer's", (ours.cpu - start.cpu) / theirs.cpu, net, peer_net, most=1 / 3)
        report.bar("memory of the largest process, of the peer's", ours.peak / theirs.peak, net, peer_net, most=1 / 3)
        print(
            f"  the floor alone: {start.peak / theirs.peak:.2f} of the peer's; images added {(ours.peak - start.peak) / 1e6:.0f} MB"
        )
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
