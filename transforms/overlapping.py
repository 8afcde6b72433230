"""Overlap calls that wait for storage: (call, items) -> results in order, by one pool of threads that a process shares.

However many blocks a process works on at once, no more than `threads` of these calls are under way in it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from transforms import throttling

Item = TypeVar("Item")
Result = TypeVar("Result")

_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def overlapped(call: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """Results in the order of the items, in the thread of a bundle. A call must not overlap others in turn: it could wait for ever."""
    key = os.getpid(), threads  # a forked child has none of its parent's threads
    with _lock:
        pool = _pools.get(key) or _pools.setdefault(key, ThreadPoolExecutor(threads))
    try:
        yield from pool.map(call, items)
    finally:
        throttling.tell()
