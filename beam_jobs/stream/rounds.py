"""Rounds: the front of this machine. Look at what arrived, work the windows that are over, and look again.

Beam's in-process runner hands on nothing past a grouping until its input ends, so each round is a bounded run of the same graph.
What a round does not end, by a crash or a kill, is done again by the next start: only what is sealed counts.
"""

from __future__ import annotations

import gc
import logging
import time
from dataclasses import replace

import apache_beam as beam
from apache_beam.options.pipeline_options import TypeOptions

from beam_jobs.job import Job
from beam_jobs.preflight import beam_options
from beam_jobs.settings import Settings
from beam_jobs.signals import Stop
from beam_jobs.stream.fronts import Front
from beam_jobs.stream.graph import StreamJob, build_round
from beam_jobs.stream.tally import NewPanes, Tally
from transforms.arrivals.intake import Intake
from transforms.arrivals.kinds import fill_in
from transforms.arrivals.messages import LEASE_S
from transforms.arrivals.records import MICROS, Arrival
from transforms.core.output_names import WORK
from transforms.storage import abilities, store_for
from transforms.storage.api import Unavailable

_LOG = logging.getLogger(__name__)
SLACK_S = {True: 1, False: 10}  # until a file that storage dates is listed, by whether it is one of this machine
_PAUSES_S = (1.0, 10.0)  # before a round is run again
_MOST = 20_000  # arrivals of a round, after which no further window is begun


class Rounds:
    """Works a stream until it is told to stop.

    Args:
      stream: what is to be done.
      front: gives its arrivals.
      since: microseconds since 1970, before which nothing is taken.
      stop: set once the stream is to drain.
      panes: notes those that are done.
      tally: is told how the stream stands.
    """

    def __init__(self, stream: StreamJob, front: Front, since: int, stop: Stop, panes: NewPanes, tally: Tally) -> None:
        self._stream, self._front, self._since, self._stop = stream, front, since, stop
        self._panes, self._tally = panes, tally
        self._intake = Intake(stream.windows, panes.done.settled)
        self._slack = SLACK_S[bool(stream.own.watch) and abilities(stream.own.watch).has_paths]
        self._began = time.monotonic()
        self._horizon = since

    def run(self) -> None:
        """Take rounds until the stream is drained."""
        closed_before = -1
        hold = self._began + self._held_back
        while not self._stopping():
            try:
                closed_by = self._look()
            except Unavailable as error:  # an outage says nothing about what arrives: it is waited for
                _LOG.warning("Storage is away: %s", error)
                self._stop.wait(self._stream.own.poll_interval)
                continue
            # A clock may also go back: what arrives then is of windows that are over, or soon will be.
            if closed_by != closed_before and time.monotonic() >= hold:
                closed_before = closed_by
                while self._work(closed_by, closed_by):
                    pass
                self._forget(closed_by)
            self._wait(closed_by)
        self._drain()

    @property
    def _held_back(self) -> int:
        """Seconds for which no window is closed: what a dead run of a subscription had leased comes only after that."""
        resumed = self._stream.job.claim.resumed and self._stream.own.subscription
        return LEASE_S + SLACK_S[True] if resumed else 0

    def _stopping(self) -> bool:
        after = self._stream.own.stop_after
        return self._stop.is_set() or 0 <= after <= time.monotonic() - self._began

    def _look(self, draining: bool = False) -> int:
        """Take in what has arrived -> the end, in seconds, of the last window that is over."""
        cut = int((time.time() - self._slack) * MICROS)
        for arrival in self._front.arrivals(self._horizon, cut, draining):
            self._tally.arrivals += self._intake.offer(arrival)
        self._note()
        return self._stream.windows.closed_by(cut)

    def _note(self) -> None:
        """Tell the front, and whoever watches, what waits."""
        intake = self._intake
        self._front.settle(intake.waits)
        self._tally.counts, self._tally.left_out = self._front.counts, self._front.left_out
        self._tally.waiting, self._tally.open_windows = intake.waiting, intake.open_windows
        self._tally.oldest = intake.oldest

    def _work(self, take_by: int, closed_by: int) -> bool:
        """Seal the windows that end by a time -> whether there were any.

        Args:
          closed_by: a window that ends later is part-filled.
        """
        windows = self._intake.take(take_by, _MOST)
        arrivals = [arrival for some in windows.values() for arrival in some]
        if not arrivals:
            return False
        self._run(self._filled_in(arrivals), arrivals, closed_by)
        self._panes.look(windows)
        self._note()
        return True

    def _run(self, stream: StreamJob, arrivals: list[Arrival], closed_by: int) -> None:
        """Run a round, again if it fails: storage may be away for longer than its client asks, or a file change under its reader."""
        for pause in _PAUSES_S:
            try:
                return run_round(stream, arrivals, closed_by)
            except Exception as error:  # an engine's, which wraps what its workers raise
                if self._stop.at_once:
                    raise KeyboardInterrupt from error
                _LOG.warning("A round failed and is run again", exc_info=True)
                if self._stop.wait(pause):
                    break
        run_round(stream, arrivals, closed_by)

    def _filled_in(self, arrivals: list[Arrival]) -> StreamJob:
        """The stream with what the first table among some arrivals tells, if options leave it open."""
        job = self._stream.job
        options = fill_in(job.settings.of_inputs, sorted(arrivals, key=lambda one: (one.time, one.uri)))
        if options.image_column == job.settings.image_column:
            return self._stream
        settings: Settings = replace(job.settings, image_column=options.image_column)
        return StreamJob(Job(settings, job.claim, job.remote), self._stream.own)

    def _forget(self, closed_by: int) -> None:
        """From now on only what can still come late is looked for, and remembered."""
        earliest = closed_by - self._stream.own.allowed_lateness - self._stream.own.window
        self._horizon = max(self._since, earliest * MICROS)
        self._intake.forget(earliest)

    def _wait(self, closed_by: int) -> None:
        """Until the next look: after the pause, or once the next window is over."""
        ends = closed_by + self._stream.own.window + self._slack - time.time()
        self._stop.wait(max(0.05, min(self._stream.own.poll_interval, ends + 0.05)))

    def _drain(self) -> None:
        """Seal all that has arrived by now, windows that are not over part-filled."""
        time.sleep(self._slack)
        closed_by = self._look(draining=True)
        far = closed_by + 2 * (self._stream.own.window + self._stream.own.sidecar_wait)
        while self._work(far, closed_by):
            pass


def run_round(stream: StreamJob, arrivals: list[Arrival], closed_by: int) -> None:
    """Work some windows to their ends, in this process."""
    options = beam_options(stream.job.settings)
    options.view_as(TypeOptions).pipeline_type_check = False  # the graph is always the same one
    pipeline = beam.Pipeline(options=options)
    build_round(pipeline, stream, arrivals, closed_by)
    pipeline.run().wait_until_finish()

    fits = f"{stream.output}/{WORK}/fits"
    store = store_for(fits)
    store.delete(file.uri for file in store.list(fits))
    store.remove_empty(fits)
    gc.collect()  # a graph is a web of cycles, and cycles are looked for seldom here: memory would grow round by round
