"""The line of a run's progress that a terminal draws over: a bar and what is known, in as many rows as its width takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, TextIO, cast

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from beam_jobs.console import write
from beam_jobs.report.pace import Standing, rows_of

_LOOKS_S = 4  # a second
_NARROW, _SHORT_BAR, _BAR = 100, 10, 20  # columns
_USUAL_WIDTH = 80


@contextmanager
def live_line(standing: Callable[[], Standing], out: TextIO) -> Iterator[None]:
    """Draw what `standing` says some times a second, while the context lasts; then leave the terminal as it was."""
    console = Console(file=cast(IO[str], _Unfailing(out)), force_terminal=True, width=_width(out), highlight=False)

    def drawn() -> RenderableType:
        console.width = _width(out)  # the window may have been resized
        return draw(standing(), console.width)

    live = Live(
        get_renderable=drawn,
        console=console,
        refresh_per_second=_LOOKS_S,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    with live:
        yield


def draw(standing: Standing, width: int) -> RenderableType:
    """What a terminal of some columns shows of a standing."""
    head = f"{standing.elapsed}  {standing.stage:<4} "
    share = f"{standing.percent:>5}  "
    indent = " " * len(head)
    bar_width = _BAR if width > _NARROW else _SHORT_BAR
    first, *others = rows_of(standing.facts, width - len(head) - bar_width - len(share), width - len(head))
    line = Table.grid(padding=0)
    for _ in range(3):
        line.add_column(no_wrap=True)
    bar = ProgressBar(total=standing.total or None, completed=standing.done, width=bar_width)
    line.add_row(Text(head), bar, Text(share + first))
    return Group(line, *(Text(indent + row, no_wrap=True, overflow="ellipsis") for row in others))


def _width(out: TextIO) -> int:
    """Columns of the terminal that a stream leads to; Python's own question asks another stream."""
    try:
        return os.get_terminal_size(out.fileno()).columns or _USUAL_WIDTH
    except (OSError, ValueError):  # it has gone
        return _USUAL_WIDTH


class _Unfailing:
    """A stream for rich: what cannot be written is dropped, and fails no job."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.encoding = getattr(out, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        write(self._out, text)
        return len(text)

    def flush(self) -> None:
        """Nothing waits: each write is flushed."""

    def isatty(self) -> bool:
        return True
