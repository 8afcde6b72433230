"""A proxy in front of the storage server that does to answers what networks and services do, and counts requests.

with fault_proxy(server_url) as proxy:
    proxy.fault = lambda request: Fault("busy", status=429) if ... else None
"""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: dict[str, str]
    range: str
    bytes: int = 0  # of the answer's body, once it is there

    @property
    def name(self) -> str:
        """The object that is asked for ("" for a listing)."""
        return unquote(self.path.partition("/o/")[2])

    @property
    def reads(self) -> bool:
        return self.path.startswith("/download/")


@dataclass(frozen=True)
class Fault:
    """What becomes of one answer.

    kind: `answer` (status and body, the server is not asked), `reset` (half of the body, then the connection is reset),
    `short` (half of the body and a clean end), `drip` (a byte at a time), `lost` (the server did it; nobody hears of it),
    `stale` (what the same request was answered the first time).
    """

    kind: str
    status: int = 503
    body: bytes = b'{"error": {"message": "try again"}}'


@dataclass
class Proxy:
    url: str = ""
    fault: Callable[[Request], Fault | None] = lambda request: None
    seen: list[Request] = field(default_factory=list)
    first: dict[str, tuple[int, list[tuple[str, str]], bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def forget(self) -> None:
        self.seen.clear()


class _Handler(BaseHTTPRequestHandler):
    """Passes requests on to the server behind, but for those that the proxy has a fault for."""

    proxy: Proxy
    host: str
    upstreams: threading.local

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *args: object) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except (ConnectionError, TimeoutError):
            pass  # the client gave up
        finally:
            if connection := getattr(self.upstreams, "connection", None):
                connection.close()

    def serve(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        target = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(target.query).items()}
        request = Request(self.command, target.path, query, self.headers.get("Range", ""))
        with self.proxy.lock:
            fault = self.proxy.fault(request)
        if fault and fault.kind == "answer":
            self.note(request, len(fault.body))
            self.reply(fault.status, [("Content-Type", "application/json")], fault.body)
            return
        status, headers, body = self.ask(sent)
        key = f"{self.command} {self.path} {request.range}"
        if fault and fault.kind == "stale" and key in self.proxy.first:
            status, headers, body = self.proxy.first[key]
        self.proxy.first.setdefault(key, (status, headers, body))
        self.note(request, len(body))
        if fault and fault.kind == "lost":
            self.close_connection = True
            self.connection.close()
            return
        self.reply(status, headers, body, fault.kind if fault else "")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = serve

    def note(self, request: Request, size: int) -> None:
        with self.proxy.lock:
            self.proxy.seen.append(Request(request.method, request.path, request.query, request.range, size))

    def ask(self, sent: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = getattr(self.upstreams, "connection", None)
        if connection is None:
            connection = self.upstreams.connection = http.client.HTTPConnection(self.host, timeout=60)
        passed = {name: value for name, value in self.headers.items() if name.lower() not in _HOP | {"host"}}
        connection.request(self.command, self.path, body=sent or None, headers=passed | {"Host": self.host})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, [h for h in answer.getheaders() if h[0].lower() not in _HOP], body

    def reply(self, status: int, headers: list[tuple[str, str]], body: bytes, how: str = "") -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD" or status in (204, 304):
            return
        if how == "drip":
            for at in range(len(body)):
                self.wfile.write(body[at : at + 1])
                time.sleep(0.05)
        elif how in ("reset", "short"):
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            if how == "reset":
                # RST instead of FIN: the client sees a reset, not an end.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.wfile.write(body)


@contextmanager
def fault_proxy(upstream: str) -> Iterator[Proxy]:
    """A proxy of its own port; it ends with the context."""
    proxy = Proxy()
    belongings = {"proxy": proxy, "host": urlsplit(upstream).netloc, "upstreams": threading.local()}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), belongings))
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
