"""Overlap calls that wait for storage: (call, items) -> results in order, by one pool of threads that a process shares.

However many blocks a process works on at once, no more than `threads` of these calls are under way in it.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import islice
from types import MappingProxyType
from typing import Protocol, TypeVar, runtime_checkable

from transforms.storage import persistent, store_for, throttling
from transforms.storage.api import Stat, StorageError, Store, Unavailable
from transforms.storage.reads import Range, Reads, follow
from transforms.storage.uris import is_local

Item = TypeVar("Item")
Result = TypeVar("Result")

_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def overlapped(call: Callable[[Item], Result], items: Sequence[Item], threads: int) -> Iterator[Result]:
    """Results in the order of the items. The calls begin now; take what they come to in the thread of a bundle.

    A call must not overlap others in turn: it could wait for ever.
    """
    left, found = iter(enumerate(items)), dict[int, Result]()

    def some() -> None:
        """One thread's calls: `next` gives no two the same. A future for each call would cost as much as a request."""
        try:
            for at, item in left:
                found[at] = call(item)
        finally:
            none_more()

    def none_more() -> None:
        deque(left, maxlen=0)  # after an error: what has not begun does not

    def rest(begun: list[Future[None]]) -> Iterator[Result]:
        try:
            wait(begun)
            for at in range(len(found)):
                if at not in found:
                    break
                yield found.pop(at)
            for one in begun:
                one.result()
        finally:
            none_more()
            throttling.tell()

    # No items, as in every block of local images: no thread is begun for them.
    return rest([_pool(threads).submit(some) for _ in range(min(threads, len(items)))])


def read_together(reads: Callable[[str], Reads[Result]], uris: Sequence[str], at_once: int) -> Iterator[Result]:
    """`overlapped`, for what reads objects: without a thread for each, where their store can do that.

    Args:
      reads: what an object comes to. It may not overlap others in turn.
      at_once: objects, over all of one store that a process reads so.
    """
    by_store: dict[Store, list[str]] = {}
    for uri in uris:
        by_store.setdefault(store_for(uri), []).append(uri)
    results = {store: _read_of_one(store, reads, some, at_once) for store, some in by_store.items()}
    return next(iter(results.values())) if len(results) == 1 else (next(results[store_for(uri)]) for uri in uris)


@runtime_checkable
class _Looping(Protocol):
    def loops(self) -> bool: ...
    def together(
        self, reads: Callable[[str], Reads[Result]], uris: Sequence[str], at_once: int
    ) -> Iterator[Result]: ...


def _read_of_one(
    store: Store, reads: Callable[[str], Reads[Result]], uris: Sequence[str], at_once: int
) -> Iterator[Result]:
    """`read_together`, of one store."""
    if isinstance(store, _Looping) and store.loops():
        return _told(store.together(reads, uris, at_once))
    return overlapped(lambda uri: follow(reads(uri), partial(store.read, uri)), uris, at_once)


def _told(results: Iterator[Result]) -> Iterator[Result]:
    try:
        yield from results
    finally:
        throttling.tell()


def stat_each(
    uris: Sequence[str], at_once: int, known: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Stat | StorageError]:
    """The stat of each file or object, or what is wrong with it, in order. Of local ones it is asked when it is wanted.

    Args:
      known: generations by URI: one that is another by now is `Changed`.

    Raises:
      Unavailable: storage is away.
    """
    reads = partial(_stat, known=known)
    remote = read_together(reads, [uri for uri in uris if not is_local(uri)], at_once)
    return (follow(_stat(uri), partial(_stat_here, uri)) if is_local(uri) else next(remote) for uri in uris)


def _stat(uri: str, known: Mapping[str, str] = MappingProxyType({})) -> Reads[Stat | StorageError]:
    def ask() -> Reads[Stat]:
        found: Stat = (yield Range(0, 0, known.get(uri, "")))[1]
        return found

    try:
        return (yield from persistent(ask))
    except Unavailable:
        raise
    except StorageError as error:
        return error


def _stat_here(uri: str, *_: object) -> tuple[bytes, Stat]:
    return b"", store_for(uri).stat(uri)


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
    """Objects whole, in order, as `read_ranges` reads them."""
    return read_ranges([(uri, 0, None) for uri in uris], at_once)


def read_ranges(ranges: Sequence[tuple[str, int, int | None]], at_once: int = 32) -> Iterator[bytes]:
    """Bytes of objects, in order; `at_once` of them are read side by side, and held. Local files are read one after another.

    Args:
      ranges: (URI, start, end), where no end is that of the object.
    """

    def read(wanted: tuple[str, int, int | None]) -> bytes:
        uri, start, end = wanted
        return store_for(uri).read(uri, start, end)[0]

    for at in range(0, len(ranges), at_once):
        some = ranges[at : at + at_once]
        yield from map(read, some) if is_local(some[0][0]) else overlapped(read, some, at_once)


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
