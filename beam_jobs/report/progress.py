"""Standard error while a job runs: ours alone, with a line now and then of how many blocks and images are through."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import TextIO

from beam_jobs.console import write
from beam_jobs.report.screen import count
from transforms.core.output_names import WORK
from transforms.storage.api import is_local

_FIRST, _PAUSE = 3.0, 5.0  # seconds


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
    """Context in which progress is told to `out`. It only looks at names in the work folder."""

    def __init__(self, folder: str, *, hidden: bool, out: TextIO) -> None:
        self._folder, self._out = folder, out
        self._stop = threading.Event()
        hidden = hidden or not is_local(folder)
        self._thread = None if hidden else threading.Thread(target=self._tell, daemon=True)

    def __enter__(self) -> Progress:
        if self._thread:
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _tell(self) -> None:
        began, pause = time.monotonic(), _FIRST
        while not self._stop.wait(pause):
            blocks, images = self._count()
            seconds = int(time.monotonic() - began)
            fitted = f", {count(images, 'image')} fitted" if images else ""
            line = f"  {seconds // 60:02d}:{seconds % 60:02d}  {count(blocks, 'block')} committed{fitted}"
            write(self._out, f"{line}\n")
            pause = _PAUSE

    def _count(self) -> tuple[int, int]:
        blocks = images = 0
        for path, _, names in os.walk(f"{self._folder}/{WORK}"):
            blocks += sum(name.endswith(".receipt") for name in names)
            images += sum(name.endswith(".json") for name in names) if "/fits/" in path else 0
        return blocks, images
