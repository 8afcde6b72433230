"""Standard error while a job runs: ours alone, with how far the job is."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr
from typing import TextIO

from beam_jobs.console import write
from beam_jobs.report.pace import Pace, Standing
from transforms.steps.running_counts import RunningCounts

PAUSE_S = 10.0  # between two lines where no terminal is


@contextmanager
def stderr_alone(verbose: bool) -> Iterator[TextIO]:
    """Silence what Beam's workers, threads and child processes, print to standard error: tracebacks, in Beam's own words.

    Yields:
      Where to tell a person something meanwhile; under `verbose` nothing is silenced.
    """
    if verbose:
        yield sys.stderr
        return
    saved, encoding = os.dup(2), getattr(sys.stderr, "encoding", None)
    with open(os.devnull, "w") as null, open(saved, "w", encoding=encoding, errors="backslashreplace") as ours:
        try:
            real = sys.stderr.fileno() == 2
        except (OSError, AttributeError):  # a test's or a notebook's
            real = False
        told = ours if real else sys.stderr
        os.dup2(null.fileno(), 2)
        try:
            with redirect_stderr(null):
                yield told
        finally:
            os.dup2(saved, 2)


class Progress:
    """Context in which a run's progress is told to `out`: a live line in a terminal, elsewhere a line every ten seconds.

    Args:
      counts: what the run's workers write, on this machine.
      hidden: nothing is told.
      live: whether a terminal may get a line that is drawn over.
      last: what the stage is called in which all blocks are done.
    """

    def __init__(
        self, counts: RunningCounts, *, hidden: bool, out: TextIO, live: bool = True, last: str = "seal"
    ) -> None:
        self._counts, self._hidden, self._out = counts, hidden, out
        self._live, self._pace = live and can_redraw(out), Pace(last)

    def __enter__(self) -> Progress:
        self._began = time.monotonic()
        self._ending = ExitStack()
        if self._hidden:
            return self
        if self._live:
            from beam_jobs.report.live_line import live_line

            self._ending.enter_context(live_line(self._standing, self._out))
        else:
            self._ending.enter_context(told_every(PAUSE_S, self._tell))
        return self

    def __exit__(self, *exception: object) -> None:
        self._ending.close()

    def _standing(self) -> Standing:
        return self._pace.standing(time.monotonic() - self._began, self._counts.total())

    def _tell(self) -> None:
        write(self._out, f"  {self._standing().line}\n")


@contextmanager
def watched_counts() -> Iterator[RunningCounts]:
    """A place for running counts while a run lasts; where no temporary file can be made nobody watches."""
    with ExitStack() as ending:
        try:
            folder = ending.enter_context(tempfile.TemporaryDirectory(prefix="tuneset-", ignore_cleanup_errors=True))
        except OSError:
            folder = ""
        yield RunningCounts(folder)


@contextmanager
def told_every(pause: float, tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` in a thread, each time that so many seconds have passed."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(pause):
            tell()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def can_redraw(out: TextIO) -> bool:
    """Whether a stream is a terminal that can draw over what it shows."""
    try:
        return out.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    except ValueError:  # it is closed
        return False
