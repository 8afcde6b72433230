"""Splits by image: examples with four references each, a part of which other examples share, none of them looked at.

Against the default split of the same rows by processor time, and memory of a process; then the union-find alone, by as many edges as
one worker takes.

    python benchmarks/split_by_image.py [--examples 100000] [--edges 1000000] [--strict]
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

from common import Report, arguments, fastest, image_row, prepare, run, start_up, workdir, write_rows

_REFERENCES, _SHARED = 4, 0.1
_JOIN = """
import numpy as np
from transforms.dataset.shared_images.components import compact, roots_of
edges = {edges}
draw = np.random.default_rng(1)
parts = [draw.integers(0, 1 << 32, (min(1 << 22, edges - at), 2), np.uint32) for at in range(0, edges, 1 << 22)]
assert len(roots_of(parts, len(compact(parts)))) > edges
"""


def shared_rows(examples: int) -> Iterator[bytes]:
    """Rows whose references are, one in ten, to an image that on average one other example names."""
    draw, pool = random.Random(1), max(1, int(examples * _REFERENCES * _SHARED / 2))
    for number in range(examples):
        folder = f"gs://bucket/catalogue/photos/{number % 9973:04d}"
        names = [f"{folder}/{number:09d}-{i}.jpg" for i in range(_REFERENCES)]
        shared = (f"gs://bucket/catalogue/shared/{draw.randrange(pool):09d}.jpg" for _ in names)
        yield image_row(number, [other if draw.random() < _SHARED else name for name, other in zip(names, shared)])


def images_in_two_splits(dataset: Path) -> int:
    """How many images stand in two splits of a dataset."""
    seen: dict[str, set[str]] = {}
    for split in ("train", "validation"):
        with open(dataset / f"{split}.jsonl", "rb") as lines:
            for line in lines:
                for part in json.loads(line)["contents"][0]["parts"]:
                    if "fileData" in part:
                        seen.setdefault(part["fileData"]["fileUri"], set()).add(split)
    return sum(len(splits) > 1 for splits in seen.values())


def main() -> int:
    options = arguments(__doc__, examples=1_000_000, edges=50_000_000)
    report, count = Report(options.strict), options.examples
    with workdir(options.workdir) as folder:
        rows = write_rows(folder / "rows.jsonl", shared_rows(count))
        report.head(f"{count:,} examples x {_REFERENCES} references, of which {_SHARED:.0%} are shared, --verify none")
        start = start_up(options.repeat, folder)
        usual = fastest(options.repeat, lambda out: prepare(rows, out, "--verify", "none"), folder / "usual", keep=True)
        usual_net = report.run("the default split", usual, start)
        by_image = ("--verify", "none", "--split_by", "image")
        ours = fastest(options.repeat, lambda out: prepare(rows, out, *by_image), folder / "by-image", keep=True)
        ours_net = report.run("--split_by image", ours, start)
        leaks, none = images_in_two_splits(folder / "usual"), images_in_two_splits(folder / "by-image")
        print(f"  images in two splits: {leaks:,} by the default, {none} by image")
        assert none == 0
        report.bar(
            "processor time against the default split",
            (ours.cpu - start.cpu) / max(usual.cpu - start.cpu, 1e-3),
            ours_net,
            usual_net,
            most=2.5,
        )
        report.bar("memory of a process, MB", ours.peak / 1e6, ours_net, most=1000)

        join = run(sys.executable, "-c", _JOIN.format(edges=options.edges))
        join_net = report.run(f"union-find alone, {options.edges:,} edges", join)
        report.bar("its memory, MB", join.peak / 1e6, join_net, most=2000)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
