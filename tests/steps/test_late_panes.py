"""What comes behind the watermark is dropped nowhere: it makes a pane of its own, whatever its window has come to by then."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing import test_stream
from apache_beam.transforms.window import TimestampedValue
from stream_engines import engine_flags

from beam_jobs.job import Job
from beam_jobs.stream.graph import StreamJob
from beam_jobs.stream.options import parse_stream
from transforms.arrivals.records import MICROS, Arrival
from transforms.arrivals.windows import late_name, window_name
from transforms.core.counters import NAMESPACE
from transforms.dataset.claim import Claim
from transforms.steps.panes import CutPanes, FilledPane

pytestmark = pytest.mark.engines
SECONDS, SLACK = 10, 3


def arrival(name: str, second: float) -> Arrival:
    return Arrival(f"/in/{name}.jpg", "1", 1, int(second * MICROS))


def note(filled: FilledPane, folder: Path) -> None:
    names = "+".join(one.uri.rpartition("/")[2].removesuffix(".jpg") for one in filled.arrivals)
    (folder / f"{filled.pane.name} {names}").touch()


def test_late_arrivals_make_panes_of_their_own(tmp_path: Path) -> None:
    given = parse_stream(
        ["--watch", "/in", "--output", str(tmp_path / "out"), "--prompt=What?", f"--window={SECONDS}s"]
    )
    stream = StreamJob(Job(given.of_job, Claim("", 0, False), remote=False), given.of_stream)
    first, second, at_end, next_one = arrival("a", 1), arrival("b", 9.99), arrival("c", 2), arrival("d", 11)
    last = arrival("e", 3)

    def stamped(*some: Arrival) -> list[TimestampedValue]:
        return [TimestampedValue((False, one), one.time / MICROS + SLACK) for one in some]

    events = (
        test_stream.TestStream()
        .add_elements(stamped(first, first, second))  # twice the same one
        .advance_watermark_to(SECONDS + SLACK - 0.1)  # the window is over, but its slack is not
        .add_elements(stamped(at_end))
        .advance_watermark_to(SECONDS + SLACK + 1)
        .add_elements(stamped(next_one, last))  # the one is on time, the other late, while its window is at work
        .advance_processing_time(SECONDS + 1)
        .advance_watermark_to_infinity()
    )
    (tmp_path / "panes").mkdir()
    with engine_flags("prism", tmp_path) as flags:
        options = PipelineOptions([*flags, "--environment_type=LOOPBACK", "--streaming"])
    cut = CutPanes(
        output=stream.output,
        cutter=stream.cutter,
        access=stream.job.access,
        windows=stream.windows,
        slack=SLACK,
        late=True,
    )
    with beam.Pipeline(options=options) as pipeline:
        panes, _ = pipeline | events | "Cut" >> cut
        _ = panes | beam.Map(note, tmp_path / "panes")
    counted = pipeline.result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    assert {one.key.metric.name: one.committed for one in counted} == {"arrivals": 5, "late": 1, "doubles": 1}
    assert sorted(path.name for path in (tmp_path / "panes").iterdir()) == [
        f"{window_name(0)} a+b+c",
        f"{late_name(0, [last])} e",
        f"{window_name(10)} d",
    ]
