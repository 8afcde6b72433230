"""The usual pipeline: one element a row. ReadFromText, Reshuffle, ParDo, partition, WriteToText; the plain script's rules.

It shuffles every row and writes its lines in no order. What it cannot do by itself is left out: the cap of validation, numbered
files, the ledger.

    python benchmarks/elementwise_beam.py OUTPUT INPUT.jsonl [BEAM OPTIONS]
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator

import apache_beam as beam
import plain_rules
import plain_script
from apache_beam.coders import BytesCoder
from apache_beam.options.pipeline_options import PipelineOptions


class CheckRow(beam.DoFn):
    """A line -> (id, the line to write)."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def process(self, raw: bytes) -> Iterator[tuple[int, str]]:
        try:
            yield plain_rules.example(raw, self._folder, (self._folder,), Counter())
        except plain_rules.Bad:
            beam.metrics.Metrics.counter("usual", "rejected").inc()


def split_of(row: tuple[int, str], _: int) -> int:
    return int(row[0] < plain_script.VALIDATION_BELOW)


def main(output: str, source: str, *options: str) -> None:
    os.makedirs(output, exist_ok=True)
    with beam.Pipeline(
        options=PipelineOptions(["--runner=FnApiRunner", *options], save_main_session=False)
    ) as pipeline:
        splits = (
            pipeline
            | "Read" >> beam.io.ReadFromText(source, coder=BytesCoder())
            | "Spread" >> beam.Reshuffle()
            | "Check" >> beam.ParDo(CheckRow(os.path.dirname(os.path.abspath(source))))
            | "Split" >> beam.Partition(split_of, 2)
        )
        for name, rows in zip(("train", "validation"), splits):
            lines = rows | f"Line of {name}" >> beam.Map(lambda row: row[1].rstrip("\n"))
            _ = lines | f"Write {name}" >> beam.io.WriteToText(os.path.join(output, name))


if __name__ == "__main__":
    main(*sys.argv[1:])
