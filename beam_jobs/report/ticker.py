"""How far a command is that has no blocks: in a terminal a line that is written over, elsewhere a line every ten seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from beam_jobs.console import write
from beam_jobs.report import progress
from beam_jobs.report.pace import clock
from beam_jobs.report.progress import can_redraw, told_every

_LOOK_S = 0.5  # between two looks in a terminal
_CLEAR = "\r\x1b[K"


@contextmanager
def ticking(standing: Callable[[], str], *, hidden: bool, out: TextIO | None = None) -> Iterator[None]:
    """Tell what `standing` says while the context lasts.

    Args:
      hidden: nothing is told.
      out: where to; standard error unless it is given.
    """
    stream = out or sys.stderr
    if hidden or stream is None:  # a process may have been started without
        yield
        return
    began, redraws = time.monotonic(), can_redraw(stream)

    def tell() -> None:
        line = f"{clock(time.monotonic() - began)}  {standing()}"
        write(stream, f"{_CLEAR}{line[: _columns(stream) - 1]}" if redraws else f"  {line}\n")

    try:
        with told_every(_LOOK_S if redraws else progress.PAUSE_S, tell):
            yield
    finally:
        if redraws:
            write(stream, _CLEAR)


def _columns(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):  # it has gone
        return 80
