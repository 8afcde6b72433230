"""All GETs of a process through libcurl, in one thread: hundreds are under way at once, and no thread waits for one of them.

The thread begins with the first call and ends when nothing was under way for some seconds, with its connections. A forked
child begins one of its own.
"""

from __future__ import annotations

import atexit
import heapq
import os
import selectors
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from itertools import chain, count
from typing import Any

import pycurl

from transforms.storage import traffic
from transforms.storage.curl.handle import Answer, Failure, Get, Handle, Route
from transforms.storage.curl.threads import Threads

_IDLE_S = 10.0  # without work, until the thread ends
_ASIDE = 32  # threads: as many as images that may hold much at once (images/inspection.py)
_KEPT = 512  # connections that are kept open for what comes next
_EVENTS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


class CurlLoop:
    """The thread and its transfers. `call` is for any thread; all else only for what is called in the loop's own.

    waiting: those to be told if the loop breaks; while there are some, it goes on.
    lanes: what its users know of each other, by how many may be under way at once, or by a name.
    aside: threads for what waits for transfers. tokens: for what transfers wait for.
    """

    def __init__(self) -> None:
        self.waiting = set[Callable[[BaseException], None]]()
        self._lock = threading.Lock()
        self._calls = deque[Callable[[], None]]()
        self._thread: threading.Thread | None = None
        self._ending = False
        self.aside, self.tokens = Threads(_ASIDE), Threads(1)
        self._number = count()  # so that no two timers are equal

    def call(self, what: Callable[[], None]) -> None:
        """Have it called in the loop's thread, soon."""
        with self._lock:
            if self._ending:
                raise RuntimeError("nothing more is read: the process ends")
            self._calls.append(what)
            if self._thread is None:
                self._open()
            elif len(self._calls) == 1:
                os.write(self._alarm, b"!")

    def later(self, seconds: float, what: Callable[[], None]) -> None:
        """Have it called after so many seconds."""
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._number), what))

    def begin(self, get: Get) -> None:
        """Have a GET under way."""
        traffic.note()
        free = self._free[get.route]
        handle = free.pop() if free else Handle(get.route, self._share)
        handle.prepare(get)
        self._busy[handle] = get.then
        self._multi.add_handle(handle.curl)

    def beside(self, threads: Threads, call: Callable[[], None], then: Callable[[BaseException | None], None]) -> None:
        """Have something called in another thread, since it may wait; `then` gets its error, if any, in the loop's."""

        def work() -> None:
            error: BaseException | None = None
            try:
                call()
            except BaseException as fault:  # whatever it is: it is raised where the result is waited for
                error = fault
            with suppress(RuntimeError):  # the process ends: nobody waits any more
                self.call(lambda: then(error))

        threads.call(work)

    def end(self) -> None:
        """End the thread, whatever is under way."""
        with self._lock:
            thread, self._ending = self._thread, True
            if thread is not None:
                os.write(self._alarm, b"!")
        if thread is not None:
            thread.join(1.0)

    def _open(self) -> None:
        self.lanes = dict[Hashable, Any]()
        self._timers = list[tuple[float, int, Callable[[], None]]]()
        self._free: defaultdict[Route, list[Handle]] = defaultdict(list)
        self._busy = dict[Handle, Callable[[Answer | Failure], None]]()  # who gets what comes
        self._curl_due = float("inf")
        self._rests_at = time.monotonic() + _IDLE_S
        self._ready = selectors.DefaultSelector()
        self._watched = dict[int, int]()
        self._hears, self._alarm = os.pipe()
        self._ready.register(self._hears, selectors.EVENT_READ)
        self._share = pycurl.CurlShare()
        self._share.setopt(pycurl.SH_SHARE, pycurl.LOCK_DATA_SSL_SESSION)
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, _KEPT)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._set_timer)
        self._thread = threading.Thread(target=self._run, name="transfers", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        error: BaseException = RuntimeError("the process ends while storage is being read")
        try:
            while not self._closes():
                self._turn()
        except BaseException as fault:
            error = fault
            with self._lock:
                self._close()
            raise
        finally:
            # Whoever waits for this thread would wait for ever.
            waiting, self.waiting = self.waiting, set()
            for tell in waiting:
                tell(error)

    def _closes(self) -> bool:
        """Whether the thread has nothing more to do: then everything is closed, and a later call begins anew."""
        now = time.monotonic()
        if self.waiting:
            self._rests_at = now + _IDLE_S
        with self._lock:
            if not self._ending and (self._calls or now < self._rests_at):
                return False
            self._close()
        return True

    def _close(self) -> None:
        self._thread = None
        self._multi.close()
        for handle in chain(self._busy, *self._free.values()):
            handle.curl.close()
        self._share.close()
        self._ready.close()
        os.close(self._hears)
        os.close(self._alarm)

    def _turn(self) -> None:
        """Do what there is to do, then wait for what comes next."""
        with self._lock:
            calls, self._calls = self._calls, deque()
        for call in calls:
            call()
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
        if self._curl_due <= now:
            self._curl_due = float("inf")
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
            self._finish()
        due = min(self._rests_at, self._curl_due, self._timers[0][0] if self._timers else float("inf"))
        for key, events in self._ready.select(max(0.0, due - time.monotonic())):
            if key.fd == self._hears:
                os.read(self._hears, 4096)
                continue
            self._multi.socket_action(
                key.fd,
                (pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0)
                | (pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0),
            )
        self._finish()

    def _finish(self) -> None:
        """Hand over what is done."""
        waiting = 1
        while waiting:
            waiting, done, failed = self._multi.info_read()
            for curl in done:
                self._hand_over(curl.handle, 0, "")
            for curl, code, text in failed:
                self._hand_over(curl.handle, code, text)

    def _hand_over(self, handle: Handle, code: int, text: str) -> None:
        self._multi.remove_handle(handle.curl)
        then = self._busy.pop(handle)
        self._free[handle.route].append(handle)
        then(handle.outcome(code, text))

    def _watch(self, event: int, descriptor: int, *_: Any) -> None:
        """Called by libcurl: wait for a socket to be readable or writable, or no longer."""
        if event == pycurl.POLL_REMOVE:
            if self._watched.pop(descriptor, None) is not None:
                self._ready.unregister(descriptor)
        elif descriptor in self._watched:
            self._ready.modify(descriptor, _EVENTS[event])
        else:
            self._watched[descriptor] = event
            self._ready.register(descriptor, _EVENTS[event])

    def _set_timer(self, milliseconds: int) -> None:
        """Called by libcurl: when it wants to be called whatever comes; -1: no more."""
        self._curl_due = time.monotonic() + milliseconds / 1000 if milliseconds >= 0 else float("inf")


_loops = dict[Hashable, CurlLoop]()


def loop(who: Hashable = "") -> CurlLoop:
    """The loop of this process for those who may share connections.

    Args:
      who: "" for Cloud Storage; others say by what rules they judge addresses, since an open connection is not judged again.
    """
    return _loops.get(who) or _loops.setdefault(who, CurlLoop())


_inherited = list[CurlLoop]()


def _forget() -> None:
    """In a forked child: leave the parent's transfers alone.

    To free them would end the parent's TLS connections, and walk over what another thread was just changing.
    """
    _inherited.extend(_loops.values())
    _loops.clear()


def _end_all() -> None:
    for one in list(_loops.values()):
        one.end()


os.register_at_fork(after_in_child=_forget)
atexit.register(_end_all)
