"""Overlap calls that wait for storage: (call, items) -> results in order, by one pool of threads that a process shares.

However many blocks a process works on at once, no more than `threads` of these calls are under way in it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from transforms import throttling
from transforms.storage import is_local, store_for

Item = TypeVar("Item")
Result = TypeVar("Result")

_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def overlapped(call: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """Results in the order of the items, in the thread of a bundle. A call must not overlap others in turn: it could wait for ever."""
    if not items:
        return  # as in every block of local images: no thread is begun for them
    try:
        yield from _pool(threads).map(call, items)
    finally:
        throttling.tell()


def ahead(items: Iterator[Item], most: int, threads: int) -> Iterator[Item]:
    """The same items; from now on the next `most` of them are always under way in another thread."""

    def some() -> list[Item]:
        return list(islice(items, most))

    def rest(begun: Future[list[Item]]) -> Iterator[Item]:
        while found := begun.result():
            begun = _pool(threads).submit(some)
            yield from found

    return rest(_pool(threads).submit(some))


def read_each(uris: Sequence[str], at_once: int = 32) -> Iterator[bytes]:
    """Objects whole, in order; `at_once` of them are read side by side, and held. Local files are read one after another."""

    def read(uri: str) -> bytes:
        return store_for(uri).read(uri)[0]

    for at in range(0, len(uris), at_once):
        some = uris[at : at + at_once]
        yield from map(read, some) if is_local(some[0]) else overlapped(read, some, at_once)


def _pool(threads: int) -> ThreadPoolExecutor:
    key = os.getpid(), threads  # a forked child has none of its parent's threads
    with _lock:
        return _pools.get(key) or _pools.setdefault(key, _begin(threads))


def _begin(threads: int) -> ThreadPoolExecutor:
    """All of the threads, while none has work: begun beside others at work, each takes 5 ms."""
    pool, begun = ThreadPoolExecutor(threads), threading.Event()
    try:
        for _ in range(threads):
            pool.submit(begun.wait)
    finally:
        begun.set()
    return pool
