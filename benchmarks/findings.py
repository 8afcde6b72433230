"""What findings cost: `check` of text rows beside preparing the same, and findings and report as a part of `prepare` on local images.

python benchmarks/findings.py [--examples 100000] [--references 20000] [--strict]
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import (
    Report,
    Run,
    arguments,
    fastest,
    linked_images,
    prepare,
    run,
    start_up,
    text_rows,
    workdir,
    write_rows,
)

NEITHER = ("--findings", "none", "--report", "none")


def check(rows: Path, *options: str) -> Run:
    command = [sys.executable, "-m", "beam_jobs", "check", "--train", rows, "--fail_on", "never", "--quiet"]
    return run(*command, *options)


def main() -> int:
    options = arguments(__doc__, examples=1_000_000, references=200_000)
    report, count = Report(options.strict), options.examples
    references = max(options.references // 4, 1) * 4
    with workdir(options.workdir) as folder:
        rows = write_rows(folder / "rows.jsonl", text_rows(0, count))
        tenth = write_rows(folder / "tenth.jsonl", text_rows(0, max(count // 10, 1)))
        report.head(f"{count:,} examples x 4 references, --verify none; then {references:,} references to local JPEGs")

        start = start_up(options.repeat, folder)
        usual = fastest(options.repeat, lambda out: prepare(rows, out, "--verify", "none", *NEITHER), folder / "usual")
        usual_net = report.run("prepare, without findings and report", usual, start)
        small = check(tenth, "--verify", "none")
        checked = min((check(rows, "--verify", "none") for _ in range(options.repeat)), key=lambda one: one.wall)
        checked_net = report.run("check", checked, start)
        report.bar("check, of prepare's processor time", checked.cpu / usual.cpu, checked_net, usual_net, most=1.5)
        report.bar("its memory, of that of a tenth", checked.peak / small.peak, checked_net, most=1.3)

        images = linked_images(folder / "data", references)
        page = folder / "page.html"
        bare = fastest(options.repeat, lambda out: prepare(images, out, *NEITHER), folder / "bare")
        bare_net = report.run("prepare on images, without either", bare, start)
        whole = fastest(options.repeat, lambda out: prepare(images, out, "--report", page), folder / "whole")
        whole_net = report.run("prepare on images, findings and report", whole, start)
        report.bar("processor time with them", whole.cpu / bare.cpu, whole_net, bare_net, most=1.15)
        if page.stat().st_size > 2_000_000:
            raise SystemExit(f"the page has {page.stat().st_size:,} bytes")
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
