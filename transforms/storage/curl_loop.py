"""All GETs of a process through libcurl, in one thread: hundreds are under way at once, and no thread waits for one of them.

The thread begins with the first call and ends when nothing was under way for some seconds, with its connections. A forked
child begins one of its own.
"""

from __future__ import annotations

import atexit
import heapq
import os
import selectors
import socket
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

import pycurl

from transforms.storage import traffic

PATIENCE = 30.0  # seconds for an answer's first bytes, and between any two; and for a body, besides:
SLOWEST = 100_000  # bytes a second
CONNECT_S = 10.0
_IDLE_S = 10.0  # without work, until the thread ends
_ASIDE = 32  # threads: as many as images that may hold much at once (images/inspection.py)
_KEPT = 512  # connections that are kept open for what comes next
_BUFFER = 128 << 10  # bytes
_EVENTS = {
    pycurl.POLL_IN: selectors.EVENT_READ,
    pycurl.POLL_OUT: selectors.EVENT_WRITE,
    pycurl.POLL_INOUT: selectors.EVENT_READ | selectors.EVENT_WRITE,
}


@dataclass(frozen=True, slots=True)
class Route:
    """How a server is reached.

    proxy: URL of the proxy on the way; "": none.
    authorities: file or folder of the certificates that vouch for servers.
    guarded: each address is judged by the GET before a connection to it is opened.
    """

    proxy: str
    authorities: str
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """headers: by names in small letters. data: the body as it was sent."""

    status: int
    headers: Mapping[str, str]
    data: bytes


@dataclass(frozen=True, slots=True)
class Failure:
    """A GET without an answer.

    code: libcurl's; text: what a person should know.
    too_long: the body has more bytes than are taken.
    refused: an address was refused (Get.fault_of), and no other answered.
    """

    code: int
    text: str
    too_long: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Get:
    """One GET.

    headers: lines without their ends.
    most: bytes of a body that are taken.
    then: gets what came of it, in the loop's thread.
    seconds: that all of it may take, names and headers included; 0: as long as bytes come.
    fault_of: why no connection to an address may be opened, "" if one may; asked by a guarded route.
    """

    url: str
    headers: list[str]
    most: int
    route: Route
    then: Callable[[Answer | Failure], None]
    seconds: float = 0.0
    fault_of: Callable[[str], str] = lambda address: ""


class _Handle:
    """One of libcurl's handles, for one GET after another by the same route, and what has come of the present one."""

    def __init__(self, route: Route, share: Any) -> None:
        self.curl = pycurl.Curl()
        self.curl.handle = self  # libcurl tells which one is done
        self.route = route
        folder, authorities = os.path.isdir(route.authorities), os.fsencode(route.authorities)
        options = {
            pycurl.NOSIGNAL: 1,
            pycurl.SHARE: share,
            pycurl.BUFFERSIZE: _BUFFER,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.USERAGENT: "tuneset",
            pycurl.PROXY: route.proxy.encode(),  # "" also keeps libcurl from looking for one by itself
            pycurl.NOPROXY: "",
            pycurl.CAPATH if folder else pycurl.CAINFO: authorities,
            pycurl.PROXY_CAPATH if folder else pycurl.PROXY_CAINFO: authorities,
            pycurl.CONNECTTIMEOUT_MS: int(1000 * CONNECT_S),
            pycurl.LOW_SPEED_LIMIT: 1,
            pycurl.LOW_SPEED_TIME: max(1, round(PATIENCE)),
            pycurl.WRITEFUNCTION: self._take,
        }
        if route.guarded:
            options[pycurl.OPENSOCKETFUNCTION] = self._open
        for option, value in options.items():
            self.curl.setopt(option, value)

    def prepare(self, get: Get) -> None:
        self._most = get.most
        self._lines = list[bytes]()
        self._chunks = list[bytes]()
        self._bytes = 0
        self._refused: Failure | None = None
        self._fault_of, self._refused_address = get.fault_of, ""
        self._slow_after = time.monotonic() + PATIENCE
        self.curl.setopt(pycurl.TIMEOUT_MS, int(1000 * get.seconds))
        self.curl.setopt(pycurl.URL, get.url.encode())
        self.curl.setopt(pycurl.HTTPHEADER, get.headers)
        self.curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)

    def _open(self, purpose: int, address: Any) -> socket.socket | int:
        """Called by libcurl: open a socket for one of a name's addresses, or refuse it; then the next is tried.

        It sees what is really connected to, whatever the name came to at an earlier look.
        """
        family, kind, protocol, place = address
        if fault := self._fault_of(str(place[0])):
            self._refused_address = fault
            return int(pycurl.SOCKET_BAD)
        return socket.socket(family, kind, protocol)

    def _take(self, data: bytes) -> int | None:
        """Take bytes of a body; another number than theirs ends the transfer."""
        self._bytes += len(data)
        if self._bytes > self._most:
            text = f"the answer goes on behind {self._most:,} bytes, the most that is taken for a part"
            self._refused = Failure(pycurl.E_WRITE_ERROR, text, too_long=True)
            return -1
        if time.monotonic() > self._slow_after + self._bytes / SLOWEST:
            text = f"only {self._bytes:,} bytes came in {PATIENCE:.0f} s and more"
            self._refused = Failure(pycurl.E_OPERATION_TIMEDOUT, text)
            return -1
        self._chunks.append(data)
        return None

    def outcome(self, code: int, text: str) -> Answer | Failure:
        """What came of the GET."""
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        body = b"".join(self._chunks)
        self._chunks.clear()  # it may be long until the next GET
        failure = self._refused or (Failure(code, text or self.curl.errstr()) if code else None)
        if failure and code != pycurl.E_OK and self._refused_address and not self._lines:
            failure = Failure(code, self._refused_address, refused=True)
        if failure and failure.too_long and not 200 <= status < 300:
            failure = None  # of an error, the beginning tells enough
        return failure or Answer(status, _headers(self._lines), body)


def _headers(lines: list[bytes]) -> dict[str, str]:
    """Headers of the last of the answers whose lines came: others, as 100 Continue, stand before it."""
    headers = dict[str, str]()
    for line in lines:
        if line.startswith(b"HTTP/"):
            headers.clear()
            continue
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            name, value = name.lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


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
        self.aside, self.tokens = ThreadPoolExecutor(_ASIDE), ThreadPoolExecutor(1)
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
        handle = free.pop() if free else _Handle(get.route, self._share)
        handle.prepare(get)
        self._busy[handle] = get.then
        self._multi.add_handle(handle.curl)

    def beside(
        self, threads: ThreadPoolExecutor, call: Callable[[], None], then: Callable[[BaseException | None], None]
    ) -> None:
        """Have something called in another thread, since it may wait; `then` gets its error, if any, in the loop's."""

        def hand_back(done: Future[None]) -> None:
            error = done.exception()
            self.call(lambda: then(error))

        threads.submit(call).add_done_callback(hand_back)

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
        self._free: defaultdict[Route, list[_Handle]] = defaultdict(list)
        self._busy = dict[_Handle, Callable[[Answer | Failure], None]]()  # who gets what comes
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

    def _hand_over(self, handle: _Handle, code: int, text: str) -> None:
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
