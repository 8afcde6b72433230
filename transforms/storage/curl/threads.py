"""Threads for what may wait: cheaper for each call than those of the standard library, whose futures take as long as a transfer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue


class Threads:
    """Calls, each in some thread of its own; threads are begun as they are needed, and end with the process.

    Args:
      most: threads.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._calls = SimpleQueue[Callable[[], None]]()
        self._lock = threading.Lock()
        self._begun = self._free = self._waiting = 0

    def call(self, what: Callable[[], None]) -> None:
        """Have it called, soon. It must not raise."""
        with self._lock:
            self._waiting += 1
            begins = self._waiting > self._free and self._begun < self._most
            self._begun += begins
        self._calls.put(what)
        if begins:
            threading.Thread(target=self._run, name=f"aside-{self._begun}", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                self._free += 1
            what = self._calls.get()
            with self._lock:
                self._free -= 1
                self._waiting -= 1
            what()
            del what  # it may hold an image
