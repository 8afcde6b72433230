"""What makes a good guest of a worker: a log that can be read, and few metrics of fixed names."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from folders import bmp, jpeg, png, put, row, write_lines

from beam_jobs.graph import build
from beam_jobs.job import Job
from beam_jobs.preflight import beam_options
from beam_jobs.settings import parse
from transforms.core.counters import COUNTERS, NAMESPACE
from transforms.dataset.claim import take_claim


@pytest.fixture
def plan(tmp_path: Path) -> Job:
    """A job of some blocks, with an image to fit and one that is missing."""
    images = [
        put(tmp_path / "raw/a.jpg", jpeg()),
        put(tmp_path / "raw/b.bmp", bmp()),
        put(tmp_path / "raw/c.png", png()),
    ]
    images.append(str(tmp_path / "raw/none.png"))
    rows = [row(f"question {i} " + "abc " * 40, [images[i % 4]]) for i in range(40)]
    source = write_lines(tmp_path / "raw/rows.jsonl", rows)
    settings = parse(
        ["--input", source, "--output", str(tmp_path / "out"), "--block_bytes", "2048", "--max_rejected_fraction", "1"]
    )
    return Job(settings, take_claim(settings.output, "run", take_over=False), False)


def run(plan: Job) -> beam.runners.runner.PipelineResult:
    pipeline = beam.Pipeline(options=beam_options(plan.settings))
    build(pipeline, plan)
    result = pipeline.run()
    result.wait_until_finish()
    return result


def test_the_log_has_a_line_a_block_and_none_an_image(plan: Job, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "transforms"):
        run(plan)
    ours = [record for record in caplog.records if record.name.startswith(("transforms", "beam_jobs"))]
    blocks = [record.getMessage() for record in ours]
    size = Path(plan.settings.input[0]).stat().st_size
    assert len(blocks) == -(-size // 2048) > 5 and {record.levelno for record in ours} == {logging.DEBUG}
    told = [re.fullmatch(r"(\S+) from (\d+): (\d+) lines, (\d+) rejected", line) for line in blocks]
    assert all(told), blocks
    assert sum(int(line[3]) for line in told if line) == 30 and sum(int(line[4]) for line in told if line) == 10


def test_metrics_are_the_ledgers_and_no_more(plan: Job) -> None:
    """Their names are fixed: one that held a file's name would end in a service's limit."""
    found = run(plan).metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    assert found["distributions"] == found["gauges"] == []
    names = {counter.key.metric.name for counter in found["counters"]}
    assert {"examples_read", "images_converted"} <= names <= {*COUNTERS, "files_skipped"}
