"""Bytes that a process may hold at once, of which nobody waits for some."""

from __future__ import annotations

import threading


class Room:
    """Thread-safe.

    Args:
      size: bytes.
    """

    def __init__(self, size: int) -> None:
        self.free = size
        self._lock = threading.Lock()

    def take(self, wanted: int) -> int:
        """The bytes that are wanted; 0: there are not so many."""
        with self._lock:
            if wanted > self.free:
                return 0
            self.free -= wanted
            return wanted

    def give_back(self, taken: int) -> None:
        with self._lock:
            self.free += taken
