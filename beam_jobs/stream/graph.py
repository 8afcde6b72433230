"""The floor plan of a stream: the batch job's trunk (graph.py) between an own front and an own end, both in windows.

    front    arrivals -> windows -> panes -> blocks
    trunk    blocks -> read -> build -> inspect -> ... -> receipts
    seal     (panes, receipts) -> a dataset for each pane

A front hands on arrivals that are stamped with their own times, so that a window is a function of what arrived and never of when it
was read. `rounds.py` is the front of this machine: its arrivals are bounded, and are all of windows that are over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import apache_beam as beam
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from beam_jobs.graph import seal, trunk, trunk_steps
from beam_jobs.job import Job
from beam_jobs.stream.options import StreamOptions
from transforms.arrivals.kinds import ArrivalCutter, images_arrive
from transforms.arrivals.records import Arrival
from transforms.arrivals.windows import Windows
from transforms.dataset.block_files import Caps
from transforms.inputs.patterns import static_folder
from transforms.steps.panes import CutPanes, SealPanes
from transforms.steps.seal import SealDataset
from transforms.steps.writer import StorageWriter


@dataclass(frozen=True)
class StreamJob:
    """A stream, ready to be laid out."""

    job: Job
    own: StreamOptions

    @property
    def output(self) -> str:
        return self.job.settings.output

    @property
    def windows(self) -> Windows:
        return Windows(self.own.window)

    @property
    def base(self) -> str:
        """The folder that the paths of arriving images are told from; "": that of their bucket."""
        return static_folder(self.own.watch).rstrip("/") if self.own.watch else ""

    @cached_property
    def cutter(self) -> ArrivalCutter:
        return ArrivalCutter(self.job.settings.of_inputs, self.job.cutter, self.base)

    @cached_property
    def sealing(self) -> SealDataset:
        """Caps are for whoever sees all examples: `tuneset merge`."""
        settings = self.job.settings
        arrives_by = [name for name in (self.own.watch, self.own.subscription) if name]
        dataset = self.job.dataset | {"formats": [settings.input_format], "inputs": arrives_by}
        whole = seal(self.job)
        writer = replace(whole.writer, identities=bool(self.job.inspector.identify))
        return replace(whole, writer=writer, caps=Caps(), dataset=dataset, by_class=images_arrive(settings.of_inputs))


def build_round(
    pipeline: beam.Pipeline, stream: StreamJob, arrivals: Sequence[Arrival], closed_by: int
) -> beam.PCollection[str]:
    """Lay out the work on some windows -> the folder of each pane, once it is done.

    Args:
      closed_by: as SealPanes has it.
    """
    stamped = (
        pipeline
        | "Arrivals" >> beam.Create(arrivals, reshuffle=False)
        | "Time of arrival" >> beam.Map(lambda one: TimestampedValue((False, one), Timestamp(micros=one.time)))
    )
    return stamped | "Stream" >> windows_of(stream, closed_by)


def windows_of(stream: StreamJob, closed_by: int | None, *, slack: int = 0, late: bool = False) -> beam.PTransform:
    """(late, Arrival), stamped -> the folder of each pane, once it is done.

    Args:
      closed_by: as SealPanes has it. slack, late: as CutPanes has them.
    """
    return _Windows(stream, closed_by, slack, late)


class _Windows(beam.PTransform):
    def __init__(self, stream: StreamJob, closed_by: int | None, slack: int, late: bool) -> None:
        super().__init__()
        self._stream, self._closed_by, self._slack, self._late = stream, closed_by, slack, late

    def expand(self, arrivals: beam.PCollection[tuple[bool, Arrival]]) -> beam.PCollection[str]:
        stream, job = self._stream, self._stream.job
        cut = CutPanes(
            output=stream.output,
            cutter=stream.cutter,
            access=job.access,
            windows=stream.windows,
            slack=self._slack,
            late=self._late,
        )
        panes, blocks = arrivals | "Cut" >> cut
        worked = trunk(blocks, trunk_steps(job, StorageWriter(job.rewriter, Caps(), job.notes)))
        receipts = worked.receipts | "All receipts" >> beam.Flatten()
        sealing = SealPanes(sealing=stream.sealing, seconds=stream.own.window, closed_by=self._closed_by)
        return (panes, receipts) | "Seal" >> sealing
