"""Text alone: examples with four image references each, which are not looked at (--verify none).

Against the plain script (the same rules, the standard library, one thread; its bytes must be the same), against the usual
pipeline of one element a row on a part of the rows, and against itself on a tenth of them: memory must not grow.

    python benchmarks/text_scale.py [--examples 100000] [--strict]
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

from common import (
    TWO_PROCESSES,
    Report,
    arguments,
    fastest,
    prepare,
    same_bytes,
    script,
    start_up,
    text_rows,
    workdir,
    write_rows,
)

# The plain script knows one policy for examples with too many images; no row here has that many.
# It compares no example with another and makes no page, either: findings.py tells what that takes.
OPTIONS = ("--verify", "none", "--on_too_many_images", "reject", "--findings", "none", "--report", "none")


def check_same(plain: Path, dataset: Path) -> int:
    """Hold the plain script's files against a dataset's -> their number.

    Raises:
      SystemExit: they differ.
    """
    names = sorted(path.name for path in plain.iterdir())
    ours = sorted(p.name for p in dataset.glob("*.jsonl") if p.name != "rejected.jsonl")
    if names != ours:
        raise SystemExit(f"the plain script wrote {names}, the pipeline {ours}")
    for name in names:
        if not same_bytes(plain / name, dataset / name):
            raise SystemExit(f"{name} differs between {plain} and {dataset}")
    return len(names)


def check_lines(elementwise: Path, dataset: Path) -> int:
    """Hold the element-wise pipeline's lines, which are in no order, against a dataset's -> their number.

    Raises:
      SystemExit: they differ.
    """

    def lines(folder: Path, *patterns: str) -> list[bytes]:
        files = [path for pattern in patterns for path in folder.glob(pattern)]
        return sorted(itertools.chain.from_iterable(path.read_bytes().splitlines() for path in files))

    found = 0
    for split in ("train", "validation"):
        theirs = lines(elementwise, f"{split}-*-of-*")
        if theirs != lines(dataset, f"{split}.jsonl", f"{split}-*.jsonl"):
            raise SystemExit(f"the lines of {split} differ between {elementwise} and {dataset}")
        found += len(theirs)
    return found


def main() -> int:
    options = arguments(__doc__, examples=1_000_000, elementwise=200_000)
    report = Report(options.strict)
    count, few = options.examples, min(options.elementwise, options.examples)
    with workdir(options.workdir) as folder:
        rows = write_rows(folder / "rows.jsonl", text_rows(0, count))
        tenth = write_rows(folder / "tenth.jsonl", text_rows(0, max(count // 10, 1)))
        part = write_rows(folder / "part.jsonl", text_rows(0, few))
        report.head(f"{count:,} examples x 4 references, {rows.stat().st_size / 1e6:,.0f} MB, --verify none")

        starts = {1: start_up(options.repeat, folder), 2: start_up(options.repeat, folder, *TWO_PROCESSES)}
        plain = fastest(options.repeat, lambda out: script("plain_script.py", out, rows), folder / "plain", keep=True)
        plain_net = report.run("plain script, 1 thread", plain)
        one = fastest(options.repeat, lambda out: prepare(rows, out, *OPTIONS), folder / "one", keep=True)
        one_net = report.run("tuneset, 1 process", one, starts[1])
        files = check_same(folder / "plain", folder / "one")
        two = fastest(
            options.repeat, lambda out: prepare(rows, out, *OPTIONS, *TWO_PROCESSES), folder / "two", keep=True
        )
        two_net = report.run("tuneset, 2 processes", two, starts[2])
        check_same(folder / "plain", folder / "two")
        counters = json.loads((folder / "one/manifest.json").read_bytes())["dataset"]["counters"]
        assert counters["examples_read"] == count
        print(f"  {files} JSONL files of each are the same, byte for byte")
        report.bar(
            "1 process against the plain script", one_net.seconds / plain_net.seconds, one_net, plain_net, most=0.6
        )
        report.bar(
            "2 processes against the plain script", two_net.seconds / plain_net.seconds, two_net, plain_net, most=0.35
        )

        small = fastest(options.repeat, lambda out: prepare(tenth, out, *OPTIONS), folder / "tenth")
        report.run("tuneset, 1 process, a tenth of the rows", small, starts[1])
        report.bar("memory against that of a tenth", one.peak / small.peak, one_net, most=1.3)
        report.bar("memory of a process, MB", max(one.peak, two.peak) / 1e6, one_net, most=400)

        one_row = folder / "one.jsonl"
        usual_start = fastest(
            options.repeat, lambda out: script("elementwise_beam.py", out, one_row), folder / "usual/one"
        )
        usual = fastest(
            options.repeat, lambda out: script("elementwise_beam.py", out, part), folder / "usual/part", keep=True
        )
        usual_net = report.run(f"element-wise pipeline, {few:,} examples", usual, usual_start)
        ours = fastest(options.repeat, lambda out: prepare(part, out, *OPTIONS), folder / "part", keep=True)
        ours_net = report.run(f"tuneset, 1 process, {few:,} examples", ours, starts[1])
        lines = check_lines(folder / "usual/part", folder / "part")
        print(f"  {lines:,} lines of each are the same, in another order")
        report.bar(
            "faster than the element-wise pipeline", usual_net.seconds / ours_net.seconds, usual_net, ours_net, least=8
        )
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
