"""Reading alone, a million rows of each format, against the library that owns the format iterating the same rows.

Both sides run in a process of their own, in processor time inside it without start-up, one after the other. Ours lists, cuts, reads
and parses: a row is an object of Python's, as the library's is; of a folder it is an example. What examples of the rows take, with
their ids, is printed beside it and has no bar. No image is opened and nothing is written. Memory is that of a tenth of the rows
against all, made examples.

python benchmarks/readers.py [--rows 1000000] [--files 200000] [--kinds csv,jsonl,parquet,folder] [--strict]
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from common import Report, arguments, run, workdir

from beam_jobs.job import Job
from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms.core import jsonl
from transforms.core.records import Record
from transforms.dataset.claim import Claim
from transforms.inputs.lines import read_block
from transforms.inputs.rows import build_examples
from transforms.steps.listing import ListBlocks, listed_blocks
from transforms.steps.open_block_coder import quiet_collector

_NAMES = ("id", "image", "brand", "colour", "note")
_COLOURS = ("red", "blue", "green", "black")


def values(number: int) -> tuple[int, str, str, str, str]:
    note = f'sold "as is",\nsize {number % 50}' if number % 10 == 0 else f"in stock, size {number % 50}"
    return number, f"gs://bucket/p/{number:08d}.jpg", f"Brand {number % 997}", _COLOURS[number % 4], note


def write(kind: str, folder: Path, rows: int) -> Path:
    """A file (or for `folder` a tree) of so many rows, by the library that owns the format."""
    path = folder / f"{rows}.{kind}"
    if kind == "csv":
        with open(path, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(_NAMES)
            writer.writerows(map(values, range(rows)))
    elif kind == "jsonl":
        with open(path, "w") as file:
            file.writelines(json.dumps(dict(zip(_NAMES, values(n)))) + "\n" for n in range(rows))
    elif kind == "parquet":
        pq.write_table(pa.table(dict(zip(_NAMES, map(list, zip(*map(values, range(rows))))))), path)
    else:
        for n in range(rows):
            if n % 1000 == 0:
                (path / f"{n // 1000:04d}").mkdir(parents=True)
            os.close(os.open(path / f"{n // 1000:04d}/{n:07d}.jpg", os.O_CREAT | os.O_WRONLY))
    return path


def worked(path: Path, flags: Sequence[str], examples: bool) -> int:
    """Read an input's rows as objects, or make examples of them -> how many there are."""
    settings, _ = look_at_inputs(on_this_machine(parse(["--input", str(path), "--output", f"{path}-out", *flags])))
    plan = Job(settings, Claim("", 0, False), False)
    quiet_collector()
    tables = replace(plan.tables, stage=lambda data: ("/staged/a.jpg", "0" * 32))
    rows = 0
    for block in listed_blocks(ListBlocks(inputs=plan.inputs, cutter=plan.cutter, output=settings.output)):
        opened = read_block(block, plan.keys, tables)
        if examples:
            rows += len(build_examples(opened, plan.seed, None, 1 << 64, settings.recipe).examples)
        else:
            rows += sum(1 for row in opened.rows if isinstance(row, Record) or jsonl.loads_canonical(row.raw))
    return rows


def ours(path: Path, kind: str, examples: bool) -> int:
    answer = "{path.parent}" if kind == "folder" else "{brand,colour,note|object}"
    return worked(path, ["--prompt", "Describe the product.", "--answer", answer], examples)


def theirs(path: Path, kind: str) -> int:
    def each() -> Iterator[object]:
        if kind == "csv":
            with open(path, newline="") as file:
                yield from csv.DictReader(file)
        elif kind == "jsonl":
            with open(path, "rb") as file:
                yield from map(json.loads, file)
        elif kind == "parquet":
            for batch in pq.ParquetFile(path).iter_batches():
                yield from batch.to_pylist()
        else:
            for _, _, names in os.walk(path):
                yield from names

    return sum(1 for _ in each())


def written(kind: str, folder: Path, rows: int) -> Path:
    """`write` in a process of its own: a child's peak is at least what its parent held when it was started."""
    run(sys.executable, __file__, "--write", kind, folder, str(rows))
    return folder / f"{rows}.{kind}"


def timed(side: str, kind: str, path: Path) -> float:
    """Rows a second of processor time of one side, in a process of its own."""
    command = [sys.executable, __file__, "--only", side, kind, str(path)]
    rows, seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(rows) / float(seconds)


def main() -> int:
    peers = {"csv": "csv.DictReader", "jsonl": "json.loads", "parquet": "pyarrow to_pylist", "folder": "os.walk"}
    options = arguments(__doc__ or "", {"kinds": ",".join(peers)}, rows=1_000_000, files=200_000)
    report = Report(options.strict)
    report.head(f"{options.rows:,} rows, {options.files:,} files, read by one process")
    with workdir(options.workdir) as folder:
        for kind in options.kinds.split(","):
            peer = peers[kind]
            rows = options.files if kind == "folder" else options.rows
            path, small = written(kind, folder, rows), written(kind, folder, max(rows // 10, 1))
            whole = [run(sys.executable, __file__, "--only", "examples", kind, one) for one in (small, path)]
            nets = [report.run(f"{kind}: {name}", one) for name, one in zip(("a tenth", "all"), whole)]
            sides = ("examples", "theirs") if kind == "folder" else ("rows", "examples", "theirs")
            speeds = {side: max(timed(side, kind, path) for _ in range(options.repeat)) for side in sides}
            print("  each second: " + "; ".join(f"{side} {speed:,.0f}" for side, speed in speeds.items()))
            print(f"  examples against {peer}: {speeds['examples'] / speeds['theirs']:.2f}")
            report.bar(f"{kind} against {peer}", speeds[sides[0]] / speeds["theirs"], nets[1], least=0.8)
            report.bar(f"{kind}: memory, all against a tenth", whole[1].peak / whole[0].peak, nets[1], most=1.3)
    return report.end()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--write"]:
        write(sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
    elif sys.argv[1:2] == ["--only"]:
        started = time.process_time()
        _, _, which, one_kind, file = sys.argv
        count = theirs(Path(file), one_kind) if which == "theirs" else ours(Path(file), one_kind, which == "examples")
        print(count, time.process_time() - started)
    else:
        sys.exit(main())
