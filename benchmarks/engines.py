"""The same dataset from every engine: FnApiRunner, Prism, Flink inside Beam's job server, and a Flink cluster of two.

Examples with four small local images each, which are looked at (--verify structure); engines other than FnApiRunner hand their
work to threads of one process (LOOPBACK). The cluster hands it to processes of its own, which may read no image of the launcher's, so
that there rows are compared whose images are not looked at. Then growth on Flink: a twentieth of the examples against all of them.
Needs `make engines`. A Flink's own memory is its Java processes', told apart.

    python benchmarks/engines.py [--examples 20000] [--grown 100000] [--strict]
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from common import (
    TWO_PROCESSES,
    Net,
    Report,
    arguments,
    fastest,
    image_row,
    prepare,
    start_up,
    text_rows,
    workdir,
    write_rows,
)

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests/support"))
import flink
from folders import jpeg, put

PRISM = ("--runner=PrismRunner", f"--prism_location={flink.PARTS / 'prism'}", "--environment_type=LOOPBACK")


def image_rows(images: Sequence[str], count: int) -> Iterator[bytes]:
    """Rows that name four of the images each."""
    draw = random.Random(0)
    for number in range(count):
        yield image_row(number, [draw.choice(images) for _ in range(4)])


def on_flink(endpoint: str) -> tuple[str, ...]:
    kept = "--environment_cache_millis=60000"  # else each stage starts its workers anew
    return ("--runner=PortableRunner", f"--job_endpoint={endpoint}", "--environment_type=LOOPBACK", kept)


def java_peaks() -> str:
    """The peaks of this process's Java children, in MB."""
    peaks = []
    for status in Path("/proc").glob("[0-9]*/status"):
        told = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        if told["Name"].strip() == "java" and int(told["PPid"]) == os.getpid():
            peaks.append(int(told["VmHWM"].split()[0]) / 1e3)
    return ", ".join(f"{peak:.0f}" for peak in sorted(peaks))


def contents(dataset: Path) -> dict[str, str]:
    """A dataset by file: digests of bytes, of a Parquet file's rows, of what the manifest says of the dataset.

    To be called in a process of its own: a child's peak is never told as less than its parent's.
    """
    found = {}
    files = (path for path in dataset.rglob("*") if path.is_file() and path.name not in ("report.html", "report.json"))
    for file in sorted(files):  # a report also tells how its run went
        if file.suffix == ".parquet":
            sink = pa.BufferOutputStream()
            table = pq.read_table(file).combine_chunks()
            with pa.ipc.new_stream(sink, table.schema) as stream:
                stream.write_table(table)
            data = sink.getvalue().to_pybytes()
        elif file.name == "manifest.json":
            data = json.dumps(json.loads(file.read_bytes())["dataset"], sort_keys=True).encode()
        else:
            data = file.read_bytes()
        found[str(file.relative_to(dataset))] = blake2b(data).hexdigest()
    return found


@dataclass
class Bench:
    """Runs the same rows on one engine after another."""

    report: Report
    folder: Path
    repeat: int

    def run(self, name: str, rows: Path, count: int, *flags: str, verify: str = "structure") -> tuple[Net, int]:
        """-> (time without start-up, bytes of peak memory); what was written stays at `name`."""
        out = self.folder / "dataset"  # its path stands in what is written
        start = start_up(self.repeat, self.folder, *flags)
        one = fastest(self.repeat, lambda folder: prepare(rows, folder, "--verify", verify, *flags), out, keep=True)
        net = self.report.run(name, one, start)
        if net.tells:
            print(f"  {count / net.seconds:,.0f} examples/s", flush=True)
        return net, one.peak

    def same(self, expected: dict[str, str] | None) -> dict[str, str]:
        """Hold what was just written against the first engine's.

        Raises:
          SystemExit: they differ.
        """
        with get_context("spawn").Pool(1) as pool:
            found = pool.apply(contents, (self.folder / "dataset",))
        shutil.rmtree(self.folder / "dataset")
        if expected is not None and found != expected:
            raise SystemExit("two engines wrote different datasets")
        return found


def main() -> int:
    options = arguments(__doc__, examples=200_000, distinct=5_000, grown=1_000_000)
    report, count, grown = Report(options.strict), options.examples, options.grown
    with workdir(options.workdir) as folder:
        bench = Bench(report, folder, options.repeat)
        images = [put(folder / f"images/{i:05d}.jpg", jpeg(320, 240, seed=i)) for i in range(options.distinct)]
        rows = write_rows(folder / "rows.jsonl", image_rows(images, count))
        report.head(f"{count:,} examples x 4 local images, {len(images):,} distinct ones, looked at")
        bench.run("FnApiRunner, 1 process", rows, count)
        expected = bench.same(None)
        for name, flags in (("FnApiRunner, 2 processes", TWO_PROCESSES), ("Prism", PRISM)):
            bench.run(name, rows, count, *flags)
            bench.same(expected)
        (folder / "flink").mkdir()
        with flink.job_server(folder / "flink") as endpoint:
            bench.run("Flink inside the job server", rows, count, *on_flink(endpoint))
            bench.same(expected)
            print(f"  and its Java process, MB: {java_peaks()}")
        print("  every engine wrote the same files, byte for byte\n")

        texts = write_rows(folder / "texts.jsonl", text_rows(0, count))
        bench.run("FnApiRunner, text alone", texts, count, verify="none")
        expected = bench.same(None)
        (folder / "cluster").mkdir()
        with flink.cluster(folder / "cluster") as (master, _), flink.job_server(folder / "cluster", master) as endpoint:
            workers = (*flink.process_environment(folder), "--parallelism=2")
            text = ("--runner=PortableRunner", f"--job_endpoint={endpoint}", *workers)
            bench.run("Flink cluster of two, text alone", texts, count, *text, verify="none")
            bench.same(expected)
            print(f"  its four Java processes, MB: {java_peaks()}; the peak above is the launcher's")
        print("  both wrote the same files, byte for byte\n")

        few = max(grown // 20, 1)
        small = write_rows(folder / "small.jsonl", image_rows(images, few))
        large = write_rows(folder / "large.jsonl", image_rows(images, grown))
        with flink.job_server(folder / "flink") as endpoint:
            some, some_peak = bench.run(f"Flink, {few:,} examples", small, few, *on_flink(endpoint))
            shutil.rmtree(folder / "dataset")
            every, every_peak = bench.run(f"Flink, {grown:,} examples", large, grown, *on_flink(endpoint))
            print(f"  and its Java process, MB: {java_peaks()}")
        each = (every.seconds / grown) / (some.seconds / few)
        report.bar("time for an example against that of a twentieth", each, some, every, most=1.15)
        report.bar("memory against that of a twentieth", every_peak / some_peak, every, most=1.3)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
