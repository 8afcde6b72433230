"""Many small files: 20,000 files of ten rows against one file with the same rows (small files share blocks).

python benchmarks/small_files.py [--examples 20000] [--strict]
"""

from __future__ import annotations

import sys

from common import Report, arguments, fastest, prepare, same_bytes, start_up, text_rows, workdir, write_rows

ROWS = 10  # a file


def main() -> int:
    options = arguments(__doc__, examples=200_000)
    report = Report(options.strict)
    files = max(options.examples // ROWS, 1)
    with workdir(options.workdir) as folder:
        for number in range(files):
            rows = text_rows(number * ROWS, (number + 1) * ROWS)
            write_rows(folder / f"many/{number // 1000:04d}/{number:07d}.jsonl", rows)
        one_file = write_rows(folder / "rows.jsonl", text_rows(0, files * ROWS))
        report.head(f"{files:,} files of {ROWS} rows, and one file of {files * ROWS:,} rows, --verify none, 1 process")

        start = start_up(options.repeat, folder)
        one = fastest(options.repeat, lambda out: prepare(one_file, out, "--verify", "none"), folder / "one", keep=True)
        one_net = report.run("one file", one, start)
        many = fastest(
            options.repeat, lambda out: prepare(folder / "many", out, "--verify", "none"), folder / "all", keep=True
        )
        many_net = report.run(f"{files:,} files", many, start)
        for path in (folder / "one").glob("*.jsonl"):
            if not same_bytes(path, folder / "all" / path.name):
                raise SystemExit(f"{path.name} differs")
        report.bar("many files against one", many_net.seconds / one_net.seconds, one_net, many_net, most=1.5)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
