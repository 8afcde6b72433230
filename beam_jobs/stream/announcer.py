"""Announced arrivals for an engine that streams by itself: its workers are threads of this process, which holds the messages' leases.

So a message is acknowledged here, once its window is sealed; what an engine remembers or forgets does not matter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from beam_jobs.stream.fronts import Front
from beam_jobs.stream.tally import Tally
from transforms.arrivals.intake import Intake
from transforms.arrivals.panes import Pane, identities_in
from transforms.arrivals.records import Arrival


class EngineAnnouncer:
    """Hands on what a front gives, each arrival once, and settles what is sealed.

    Args:
      front: gives arrivals.
      since: microseconds since 1970, from which on what is there is taken.
      intake: of the stream.
      tally: is told what waits.
    """

    def __init__(self, front: Front, since: int, intake: Intake, tally: Tally) -> None:
        self._front, self._since, self._intake, self._tally = front, since, intake, tally
        self._lock = threading.Lock()  # an engine's thread takes, the command's settles
        self._up_to = -1

    def arrivals(self, now: int, draining: bool, begin: int, end: int) -> list[Arrival]:
        """As steps.watch.Announcer has it."""
        with self._lock:
            lost = list(self._intake.held()) if self._up_to not in (-1, begin) else []
            self._up_to = end
            some = [one for one in self._front.arrivals(self._since, now, draining) if self._intake.offer(one)]
            self._note()
            return lost + some

    def settle(self, panes: Iterable[Pane]) -> None:
        """Acknowledge what panes that are done have taken."""
        with self._lock:
            for pane in panes:
                self._intake.drop(pane.start, identities_in(pane))
            self._front.settle(self._intake.waits)
            self._note()

    def _note(self) -> None:
        tally, intake = self._tally, self._intake
        tally.counts, tally.oldest = self._front.counts, intake.oldest
        tally.waiting, tally.open_windows = intake.waiting, intake.open_windows
