"""Windows of arrivals -> sealed datasets, one for each pane: what arrived in a window, or what came late to it.

cut     (late, arrival), windowed -> the pane that they make, and its blocks, whose parts go below the pane's folder
seal    (pane, receipts of its blocks) -> its dataset: the arithmetic of steps/seal.py, done in one place, as a pane has few blocks

Both may run again, and side by side: a block's receipt and a pane's manifest are created only if they are absent.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.metrics import Metrics
from apache_beam.transforms.trigger import AccumulationMode, AfterProcessingTime, AfterWatermark
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming

from transforms.arrivals.kinds import ROWS, ArrivalCutter
from transforms.arrivals.ledgers import ledgers_of
from transforms.arrivals.noted_lines import NOTED, noted_lines
from transforms.arrivals.panes import ARRIVALS, UNSEALED, Pane, arrivals_text, is_done, pane_for
from transforms.arrivals.records import Arrival
from transforms.arrivals.windows import Windows
from transforms.core.counters import NAMESPACE
from transforms.core.listing_tally import ListingTally
from transforms.core.output_names import WORK
from transforms.core.records import Block, Receipt
from transforms.dataset import seal_plan
from transforms.dataset.join import Joined, join_chunks
from transforms.dataset.manifest import file_entry, file_names
from transforms.dataset.receipts import from_parts
from transforms.dataset.seal_plan import Cuts
from transforms.dataset.segments import Chunk
from transforms.steps.billing import StorageDoFn
from transforms.steps.seal import SealDataset
from transforms.storage import patiently, store_for
from transforms.storage.api import Access, crc32c

_KEPT_S = 31 * 24 * 3600  # as long as Pub/Sub keeps a message at most, so that none comes too late


@dataclass(frozen=True, slots=True)
class FilledPane:
    """A pane with what it takes. tally: what became of the files."""

    pane: Pane
    arrivals: tuple[Arrival, ...]
    tally: ListingTally


@dataclass(kw_only=True)
class CutPanes(beam.PTransform):
    """(late, Arrival), stamped -> (panes, their blocks).

    Whoever hands an arrival on knows whether it is late: its window may be at work already, and it makes a pane of its own.

    Args:
      output: of the stream.
      cutter: makes blocks.
      windows: that arrivals lie in.
      slack: seconds by which elements are stamped later than their arrivals' times.
      late: whether elements may come behind the watermark, too; they are then taken in a later window.
    """

    output: str
    cutter: ArrivalCutter
    access: Access
    windows: Windows
    slack: int = 0
    late: bool = False

    def expand(
        self, arrivals: beam.PCollection[tuple[bool, Arrival]]
    ) -> tuple[beam.PCollection[FilledPane], beam.PCollection[Block]]:
        taken = (
            arrivals | "Window" >> self._window() | "Group arrivals" >> beam.GroupByKey()  # (late, [Arrival])
        )
        if self.late:
            taken = (
                taken | "Tell late ones" >> beam.ParDo(_TellLate()) | "Window of now" >> beam.WindowInto(self._fixed)
            )
        cut = taken | "Cut panes" >> beam.ParDo(_CutPanes(self)).with_outputs("blocks", main="panes")
        return cut.panes, cut.blocks | "Spread blocks" >> beam.Reshuffle()

    @property
    def _fixed(self) -> FixedWindows:
        seconds = self.windows.seconds
        return FixedWindows(seconds, self.slack % seconds)

    def _window(self) -> beam.WindowInto:
        if not self.late:
            return beam.WindowInto(self._fixed)
        return beam.WindowInto(
            self._fixed,
            trigger=AfterWatermark(late=AfterProcessingTime(self.windows.seconds)),
            accumulation_mode=AccumulationMode.DISCARDING,
            allowed_lateness=_KEPT_S,
        )


class _TellLate(beam.DoFn):
    """What came behind the watermark goes on as if it came now: nothing after this step is late, so nothing is dropped."""

    def process(
        self, grouped: tuple[bool, Iterable[Arrival]], pane: PaneInfo = beam.DoFn.PaneInfoParam
    ) -> Iterator[tuple[bool, list[Arrival]] | TimestampedValue]:
        arrivals = list(grouped[1])
        if pane.timing == PaneInfoTiming.LATE:
            yield TimestampedValue((True, arrivals), Timestamp.now())
        else:
            yield False, arrivals


class _CutPanes(StorageDoFn):
    def __init__(self, options: CutPanes) -> None:
        super().__init__(options.access)
        self._output, self._cutter, self._windows = options.output, options.cutter, options.windows

    def process(self, taken: tuple[bool, Iterable[Arrival]]) -> Iterator[Any]:
        late, arrivals = taken[0], list(taken[1])
        unique = {one.identity: one for one in arrivals}  # some engines send an empty pane when a window is closed
        Metrics.counter(NAMESPACE, "doubles").inc(len(arrivals) - len(unique))
        by_start: dict[int, list[Arrival]] = {}
        for arrival in sorted(unique.values(), key=lambda one: (one.uri, one.version)):
            by_start.setdefault(self._windows.start_of(arrival.time), []).append(arrival)
        for start, some in by_start.items():
            yield from self._cut(start, some, late)

    def _cut(self, start: int, ordered: list[Arrival], late: bool) -> Iterator[Any]:
        pane, arrivals = patiently(pane_for, self._output, start, ordered, late)
        if not arrivals:  # all of them are sealed: the work is done a second time
            return
        Metrics.counter(NAMESPACE, "arrivals").inc(len(arrivals))
        Metrics.counter(NAMESPACE, "late").inc(len(arrivals) if pane.late else 0)
        blocks, tally = patiently(self._cutter.cut, arrivals, pane.folder)
        yield FilledPane(pane, tuple(arrivals), tally)
        for block in blocks:
            yield beam.pvalue.TaggedOutput("blocks", block)


@dataclass(kw_only=True)
class SealPanes(beam.PTransform):
    """(panes, receipts of their blocks) -> URIs of what was written last in each: a manifest, or what says why there is none.

    Args:
      sealing: of the stream: its writer's folder is replaced by that of each pane.
      seconds: that a window lasts.
      closed_by: seconds since 1970; a window that ends later is sealed part-filled, and says so. None: the time of its seal.
    """

    sealing: SealDataset
    seconds: int
    closed_by: int | None

    def expand(self, inputs: tuple[beam.PCollection[FilledPane], beam.PCollection[Receipt]]) -> beam.PCollection[str]:
        panes, receipts = inputs
        by_folder = (
            panes | "Folder of pane" >> beam.Map(lambda filled: (filled.pane.folder, filled)),
            receipts | "Folder of receipt" >> beam.Map(lambda receipt: (receipt.folder, receipt)),
        )
        return (
            by_folder
            | "Panes and receipts" >> beam.Flatten()
            | "Group panes" >> beam.GroupByKey()  # (folder, [FilledPane, Receipt, ...])
            | "Seal panes" >> beam.ParDo(_SealPanes(self))
        )


class _SealPanes(StorageDoFn):
    def __init__(self, options: SealPanes) -> None:
        super().__init__(options.sealing.writer.access)
        self._options = options

    def process(self, grouped: tuple[str, Iterable[FilledPane | Receipt]]) -> Iterator[str]:
        members = list(grouped[1])
        filled = next((one for one in members if isinstance(one, FilledPane)), None)
        if filled is None:  # an empty pane
            return
        # Where a message may be worked twice, so may a block: both times it comes to what storage says of it.
        receipts = list({one.order: one for one in members if isinstance(one, Receipt)}.values())
        if not patiently(is_done, filled.pane):
            o = self._options
            closed_by = int(time.time()) if o.closed_by is None else o.closed_by
            part_filled = filled.pane.start + o.seconds > closed_by
            sealed = patiently(seal_pane, o.sealing, filled, receipts, o.seconds, part_filled)
            Metrics.counter(NAMESPACE, "windows_sealed" if sealed else "windows_unsealed").inc()
            if not (part_filled or filled.pane.late):
                waited = time.time() - filled.pane.start - o.seconds
                Metrics.distribution(NAMESPACE, "seal_latency_ms").update(int(waited * 1000))
        patiently(_sweep, filled.pane)
        yield filled.pane.folder


def seal_pane(
    sealing: SealDataset, filled: FilledPane, receipts: list[Receipt], seconds: int, part_filled: bool
) -> bool:
    """Write a pane's dataset from the receipts of all its blocks -> whether there is one.

    If too much of it was rejected, what is written says so instead.
    """
    pane = filled.pane
    writer = replace(sealing.writer, folder=pane.folder, claimed=sealing.writer.folder)
    sealing = replace(sealing, writer=writer, dataset=sealing.dataset | {"window": described(pane, seconds)})
    boundaries = sorted(receipt.order for receipt in receipts if seal_plan.is_boundary(receipt))
    ordered = sorted(receipts, key=lambda receipt: receipt.order)
    segments = [
        (number, list(some)) for number, some in groupby(ordered, lambda r: seal_plan.segment_of(r.order, boundaries))
    ]
    summaries = [from_parts(writer.sum_up, segment, Cuts()) for segment in segments]
    plan = sealing.plan_of(summaries, [filled.tally], Cuts())

    chunks: dict[str, list[Chunk]] = {}
    for name, chunk in file_names(plan, writer.images, sealing.names):
        chunks.setdefault(name, []).append(chunk)
    for segment in segments:
        for name, chunk in from_parts(lambda one: list(writer.write(one, plan, Cuts())), segment):
            chunks.setdefault(name, []).append(chunk)
    files = [from_parts(join_chunks, named, writer) for named in chunks.items()]
    uploads = replace(sealing.uploads, writer=writer).write(None, files, plan) if sealing.uploads else None
    files += [_put_arrivals(filled, ledgers_of(ordered)), *_rows_of(filled)]
    if plan.fault:
        told = {"unsealed": plan.fault, "window": described(pane, seconds), "finished": time.time()}
        path = f"{pane.folder}/{UNSEALED}"
        store_for(path).create(path, (json.dumps(told, indent=1, sort_keys=True) + "\n").encode())
        return False
    more: dict[str, Any] = {"upload_list": file_entry(uploads)} if uploads else {}
    if sealing.findings:
        sealer = replace(sealing.findings, folder=pane.folder)
        gathered = [from_parts(sealer.gather, segment, Cuts()) for segment in segments]
        more["findings"] = sealer.tell(gathered, files)
        files.append(_put_notes(pane, from_parts(noted_lines, ordered)))
    run = {"window_end": pane.start + seconds, "part_filled": part_filled, "late": pane.late}
    sealing.put_manifest(files, plan, more, run)
    return True


def described(pane: Pane, seconds: int) -> dict[str, Any]:
    """What a manifest says of the window that it is of."""
    return {"name": pane.name, "start": pane.start, "seconds": seconds}


def _put_arrivals(filled: FilledPane, ledgers: Mapping[str, Any]) -> Joined:
    return _put_file(filled.pane, ARRIVALS, arrivals_text(filled.arrivals, ledgers), len(filled.arrivals))


def _put_notes(pane: Pane, notes: pa.Table) -> Joined:
    out = io.BytesIO()
    pq.write_table(notes, out, compression="zstd")
    return _put_file(pane, NOTED, out.getvalue(), len(notes))


def _put_file(pane: Pane, name: str, data: bytes, rows: int) -> Joined:
    """Write a file of a pane, in place of what another execution wrote."""
    uri = f"{pane.folder}/{name}"
    store = store_for(uri)
    store.replace(uri, data, "")
    return Joined(name, rows, len(data), crc32c(data), store.stat(uri).generation)


def _rows_of(filled: FilledPane) -> list[Joined]:
    """The file of the rows that came by themselves, if there were any."""
    number = sum(arrival.row is not None for arrival in filled.arrivals)
    if not number:
        return []
    uri = f"{filled.pane.folder}/{ROWS}"
    data, found = store_for(uri).read(uri)
    return [Joined(ROWS, number, found.size, crc32c(data), found.generation)]


def _sweep(pane: Pane) -> None:
    """Delete what a done pane no longer needs."""
    store, work = store_for(pane.folder), f"{pane.folder}/{WORK}"
    store.delete(file.uri for file in store.list(work))
    store.remove_empty(work)
