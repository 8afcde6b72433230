"""One line on a terminal that says how a stream stands, and is written over; elsewhere a plain line now and then."""

from __future__ import annotations

import threading
import time
from typing import TextIO

from beam_jobs.console import write
from beam_jobs.stream.tally import Tally

_LOOK_S = 0.1  # for a stop
_PAUSE_S = {True: 1.0, False: 60.0}  # between two lines, by whether it is a terminal


class LiveLine:
    """Context in which a thread tells how a stream stands.

    Args:
      out: where to.
      tally: how it stands.
      stop: set once the stream is to drain, which is told at once.
    """

    def __init__(self, out: TextIO, tally: Tally, stop: threading.Event) -> None:
        self._out, self._terminal, self._tally, self._stop = out, out.isatty(), tally, stop
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, name="live line", daemon=True)

    def __enter__(self) -> LiveLine:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._terminal:
            write(self._out, "\r\x1b[K")

    def _tell(self) -> None:
        before, pause = 0, _PAUSE_S[self._terminal]
        told, stopping = time.monotonic(), False
        while not self._ended.wait(_LOOK_S):
            if self._stop.is_set() and not stopping:
                stopping = True
                write(self._out, "Draining: open windows are sealed. Ctrl-C again ends at once.\n")
            if time.monotonic() - told >= pause:
                line = standing(self._tally, (self._tally.arrivals - before) / pause, time.time())
                before, told = self._tally.arrivals, time.monotonic()
                write(self._out, f"\r\x1b[K{line}" if self._terminal else f"  {line}\n")


def standing(tally: Tally, rate: float, now: float) -> str:
    """How a stream stands.

    Args:
      rate: arrivals a second.
      now: seconds since 1970.

    >>> standing(Tally(arrivals=12, sealed=2, waiting=3, open_windows=1, oldest=5_000_000, rejected=1, rewritten=7), 1.5, 9.0)
    '1.5 arrivals/s, 12 in all; 1 window open with 3, the oldest 4 s ago; 2 sealed; 1 rejected, 7 images rewritten'
    """
    open_windows = f"{tally.open_windows} window{'s' * (tally.open_windows != 1)} open"
    oldest = f" with {tally.waiting:,}, the oldest {now - tally.oldest / 1e6:.0f} s ago" if tally.oldest else ""
    unsealed = f", {tally.unsealed} not" if tally.unsealed else ""
    came_to = f"{tally.rejected:,} rejected, {tally.rewritten:,} image{'s' * (tally.rewritten != 1)} rewritten"
    return f"{rate:.1f} arrivals/s, {tally.arrivals:,} in all; {open_windows}{oldest}; {tally.sealed} sealed{unsealed}; {came_to}"
