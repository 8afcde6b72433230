"""Local images: references to 200 distinct JPEGs of 300 to 400 KB under as many names (hard links), --verify structure.

Against the script people write, which copies every image (on a part of the references: it would fill the disk), and against
a bare loop of open, two reads and a header parse, which nothing that looks at images can outrun.

    python benchmarks/local_images.py [--references 20000] [--strict]
"""

from __future__ import annotations

import json
import shutil
import sys

from common import TWO_PROCESSES, Report, arguments, fastest, linked_images, prepare, script, start_up, workdir


def main() -> int:
    options = arguments(__doc__, references=200_000, copied=10_000)
    report = Report(options.strict)
    count = max(options.references // 4, 1) * 4
    copied = min(max(options.copied // 4, 1) * 4, count)
    with workdir(options.workdir) as folder:
        rows = linked_images(folder / "data", count)
        report.head(f"{count:,} references to local JPEGs, --verify structure")

        starts = {1: start_up(options.repeat, folder), 2: start_up(options.repeat, folder, *TWO_PROCESSES)}
        script("bare_loop.py", rows)  # so that every run finds the names and bytes in memory
        bare = min((script("bare_loop.py", rows) for _ in range(options.repeat)), key=lambda run: run.wall)
        bare_net = report.run("bare loop: open, 2 reads, header", bare)
        one = fastest(options.repeat, lambda out: prepare(rows, out), folder / "one", keep=True)
        one_net = report.run("tuneset, 1 process", one, starts[1])
        counters = json.loads((folder / "one/manifest.json").read_bytes())["dataset"]["counters"]
        assert counters["images_untouched"] == count
        two_net = report.run(
            "tuneset, 2 processes",
            fastest(options.repeat, lambda out: prepare(rows, out, *TWO_PROCESSES), folder / "two"),
            starts[2],
        )
        copying = script("copy_script.py", folder / "copied", rows, str(copied // 4))
        shutil.rmtree(folder / "copied")
        copy_net = report.run(f"thread pool, Pillow, copy: {copied:,} references", copying)

        ours, theirs = count / one_net.seconds, copied / copy_net.seconds
        report.bar("references a second, of the copying script's", ours / theirs, one_net, copy_net, least=8)
        loop = bare_net.seconds / one_net.seconds
        report.bar("references a second, of the bare loop's", loop, one_net, bare_net, least=0.35)
        report.bar("2 processes against 1", one_net.seconds / two_net.seconds, one_net, two_net, least=1.6)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
