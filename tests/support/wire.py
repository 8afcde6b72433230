"""Stands between the client and the storage server: records requests, answers in the server's place, changes or loses what goes by."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host"}


@dataclass
class Sent:
    """A request; its body may be changed before it is passed on."""

    method: str
    url: str  # from the path on
    body: bytes


@dataclass
class Given:
    """An answer. A Content-Length that is not its body's is sent as it is, and the connection ends."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Wire:
    """lose: answers that the server gave, and nobody hears of. answer: None lets the server answer; LOST: nobody does."""

    url: str = ""
    sent: list[str] = field(default_factory=list)
    lose: int = 0
    answer: Callable[[Sent], Given | None] = lambda request: None
    lock: threading.Lock = field(default_factory=threading.Lock)


LOST = Given(0, b"", {})


def response(status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> Given:
    return Given(status, body, {"Content-Length": str(len(body))} | (headers or {}))


class _Handler(BaseHTTPRequestHandler):
    wire: Wire
    behind: str  # the server's host and port

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: Any) -> None:
        pass

    def serve(self) -> None:
        request = Sent(self.command, self.path, self.rfile.read(int(self.headers.get("Content-Length", 0))))
        with self.wire.lock:
            self.wire.sent.append(f"{self.command} {self.path.split('?')[0]}")
            given = self.wire.answer(request)
        if given is None:
            given = self.ask(request)
            with self.wire.lock:
                if self.wire.lose:
                    self.wire.lose -= 1
                    given = LOST
        if given is LOST:
            self.close_connection = True
            return
        self.send_response_only(given.status)
        for name, value in given.headers.items():
            self.send_header(name, value)
        self.close_connection = given.headers["Content-Length"] != str(len(given.body))
        self.end_headers()
        self.wfile.write(given.body)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve

    def ask(self, request: Sent) -> Given:
        kept = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        connection = http.client.HTTPConnection(self.behind, timeout=60)
        try:
            connection.request(
                request.method, request.url, request.body or None, {"Accept-Encoding": "identity", **kept}
            )
            answer = connection.getresponse()
            body = answer.read()
        finally:
            connection.close()
        told = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
        return response(answer.status, body, told)


@contextmanager
def wired(upstream: str) -> Iterator[Wire]:
    """A wire to the server at a URL, with a URL of its own; it ends with the context."""
    wire = Wire()
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), type("Handler", (_Handler,), {"wire": wire, "behind": urlsplit(upstream).netloc})
    )
    server.daemon_threads = True
    wire.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield wire
    finally:
        server.shutdown()
        server.server_close()
