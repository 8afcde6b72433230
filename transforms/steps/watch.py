"""A folder, or what is announced, as an unbounded source for engines that stream -> arrivals with their times, and a watermark.

What a listing has emitted is told by one number: everything that storage dated before it. So a checkpoint is small, nothing is
remembered by name, and nothing that is emitted is ever behind the watermark. A first listing leaves out what sealed windows name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import apache_beam as beam
from apache_beam.io.restriction_trackers import OffsetRange, OffsetRestrictionTracker
from apache_beam.io.watermark_estimators import ManualWatermarkEstimator
from apache_beam.transforms.core import RestrictionProvider
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Duration, Timestamp

from transforms.arrivals.intake import Intake
from transforms.arrivals.panes import DonePanes
from transforms.arrivals.records import MICROS, Arrival
from transforms.arrivals.watching import Watcher
from transforms.arrivals.windows import Windows
from transforms.steps.billing import StorageDoFn
from transforms.storage.api import USUAL, Access

drain = threading.Event()  # set in the process whose threads are the workers: one more listing, then the end
_FOREVER = 1 << 62


@dataclass(kw_only=True)
class WatchFolder(beam.PTransform):
    """A pipeline -> (late, Arrival).

    Args:
      watcher: lists.
      output: of the stream.
      seconds: that a window lasts.
      since: microseconds since 1970, from which on arrivals are taken.
      slack: seconds after which a listing shows all that storage dates before.
      pause: seconds between two listings.
    """

    watcher: Watcher
    output: str
    seconds: int
    since: int
    slack: int
    pause: int
    access: Access = USUAL

    def expand(self, root: beam.Pipeline) -> beam.PCollection[tuple[bool, Arrival]]:
        watched = root | "Watched" >> beam.Create([self.since], reshuffle=False)
        return watched | "List" >> beam.ParDo(_List(self)).with_output_types(tuple[bool, Arrival])


class _Tracker(OffsetRestrictionTracker):
    """Positions are microseconds of storage's own time."""

    def is_bounded(self) -> bool:
        return False

    def try_split(self, fraction_of_remainder: float) -> Any:
        """Only what has not begun is given away: a listing is one claim, and some engines would cut a slow one in the middle."""
        return super().try_split(0) if fraction_of_remainder == 0 else None


class _Provider(RestrictionProvider):
    def initial_restriction(self, element: int) -> OffsetRange:
        return OffsetRange(element, _FOREVER)

    def create_tracker(self, restriction: OffsetRange) -> _Tracker:
        return _Tracker(restriction)

    def restriction_size(self, element: int, restriction: OffsetRange) -> int:
        return 1

    def split(self, element: int, restriction: OffsetRange) -> Iterator[OffsetRange]:
        yield restriction

    def truncate(self, element: int, restriction: OffsetRange) -> None:
        """A drain by the engine: nothing more is listed, and open windows close."""


_TRACKER = beam.DoFn.RestrictionParam(_Provider())
_WATERMARK = beam.DoFn.WatermarkEstimatorParam(ManualWatermarkEstimator.default_provider())


class _List(StorageDoFn):
    def __init__(self, options: WatchFolder) -> None:
        super().__init__(options.access)
        self._options = options

    @beam.DoFn.unbounded_per_element()
    def process(
        self,
        since: int,
        tracker: Any = _TRACKER,
        watermark: Any = _WATERMARK,
    ) -> Iterator[TimestampedValue]:
        o, start = self._options, tracker.current_restriction().start
        draining = drain.is_set()
        if draining:
            time.sleep(o.slack)
        cut = max(int((time.time() - o.slack) * MICROS), start + 1)
        arrivals: Iterator[Arrival] = o.watcher.arrivals(start, cut - 1, draining)
        if start == since:
            intake = Intake(Windows(o.seconds), DonePanes(o.output).settled)
            arrivals = filter(intake.offer, arrivals)
        for arrival in arrivals:
            yield TimestampedValue((False, arrival), Timestamp(micros=arrival.time))
        _claim(tracker, watermark, cut, draining, o.pause)


def _claim(tracker: Any, watermark: Any, cut: int, draining: bool, pause: int) -> None:
    """Note that all that is dated before a cut is out, and come back after a pause, unless this was the last time."""
    if not tracker.try_claim(cut - 1):
        return
    watermark.set_watermark(Timestamp(micros=cut))
    if draining:
        tracker.try_claim(_FOREVER - 1)
    else:
        tracker.defer_remainder(Duration(seconds=pause))


class Announcer(Protocol):
    """Where announced arrivals come from: an object of the process whose threads are the workers."""

    def arrivals(self, now: int, draining: bool, begin: int, end: int) -> list[Arrival]:
        """What was announced since the last call.

        Args:
          now: of storage, in microseconds since 1970.
          draining: images no longer wait for words.
          begin, end: where the caller goes on, and where it will have come to. One that does not go on where it was has gone back to a
            checkpoint: what it had been given since is lost, and as much of it as is not sealed is given again.
        """


announcer: Announcer | None = None  # of this process; set before the job begins


@dataclass(kw_only=True)
class TakeAnnounced(beam.PTransform):
    """A pipeline -> (late, Arrival) of what `announcer` gives.

    Args:
      since: microseconds since 1970, from which on arrivals are taken.
      seconds: that a window lasts.
      slack: seconds that an announcement may take.
      pause: seconds between two looks.
      hold: seconds since the epoch before which no window is closed.
    """

    since: int
    seconds: int
    slack: int
    pause: int
    hold: float
    access: Access = USUAL

    def expand(self, root: beam.Pipeline) -> beam.PCollection[tuple[bool, Arrival]]:
        since = root | "Announced" >> beam.Create([self.since], reshuffle=False)
        return since | "Take" >> beam.ParDo(_Take(self)).with_output_types(tuple[bool, Arrival])


class _Take(StorageDoFn):
    """As _List. What was announced after its window was closed is late; it goes on with what comes now."""

    def __init__(self, options: TakeAnnounced) -> None:
        super().__init__(options.access)
        self._options = options

    @beam.DoFn.unbounded_per_element()
    def process(self, since: int, tracker: Any = _TRACKER, watermark: Any = _WATERMARK) -> Iterator[TimestampedValue]:
        o, start = self._options, tracker.current_restriction().start
        draining = drain.is_set()
        if draining:
            time.sleep(o.slack)
        held = time.time() < o.hold and not draining
        cut = start + 1 if held else max(int((time.time() - o.slack) * MICROS), start + 1)
        assert announcer, "it is set before the job begins"
        windows = Windows(o.seconds)
        for arrival in announcer.arrivals(int(time.time() * MICROS), draining, start, cut):
            late = start > since and windows.start_of(arrival.time) < windows.start_of(start)
            yield TimestampedValue((late, arrival), Timestamp(micros=max(arrival.time, start)))
        _claim(tracker, watermark, cut, draining, o.pause)
