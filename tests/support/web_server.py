"""Servers of other people, on loopback: files with versions and ranges, and answers of any kind that a test names."""

from __future__ import annotations

import hashlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Headers = dict[str, str]
Said = tuple[int, Headers, bytes]  # status, headers, body


@dataclass
class WebServer:
    """One server.

    files: by path, without a query. says: what it answers at a path instead: (number of the question there, headers) -> answer.
    ranges, etags: whether it gives them. dated: its Last-Modified. asked: (path with query, headers in small letters), in order.
    at_once: the most questions that were being answered at the same time; wait: seconds that each takes.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    says: dict[str, Callable[[int, Mapping[str, str]], Said]] = field(default_factory=dict)
    ranges: bool = True
    etags: bool = True
    dated: str = ""
    wait: threading.Event | None = None
    port: int = 0
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    at_once: int = 0
    is_down: bool = False
    _now: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    def answer(self, path: str, headers: dict[str, str]) -> Said:
        with self._lock:
            number = sum(path == other for other, _ in self.asked)
            self.asked.append((path, headers))
            self._now += 1
            self.at_once = max(self.at_once, self._now)
        try:
            if self.wait:
                self.wait.wait(20)
            plain = path.partition("?")[0]
            if plain in self.says:
                return self.says[plain](number, headers)
            return self.file(self.files[plain], headers) if plain in self.files else (404, {}, b"no such page")
        finally:
            with self._lock:
                self._now -= 1

    def file(self, data: bytes, headers: Mapping[str, str]) -> Said:
        """The answer that a good server gives who asks for a file."""
        told: Headers = {}
        if self.etags:
            told["ETag"] = f'"{hashlib.sha1(data).hexdigest()}"'
            if headers.get("if-none-match") == told["ETag"]:
                return 304, told, b""
        if self.dated:
            told["Last-Modified"] = self.dated
            if headers.get("if-modified-since") == self.dated:
                return 304, told, b""
        part = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", "")) if self.ranges else None
        if not part:
            return 200, told, data
        first, last = int(part[1]), min(int(part[2] or len(data) - 1), len(data) - 1)
        if first >= len(data):
            return 416, told | {"Content-Range": f"bytes */{len(data)}"}, b""
        return 206, told | {"Content-Range": f"bytes {first}-{last}/{len(data)}"}, data[first : last + 1]


@contextmanager
def web_server(
    files: Mapping[str, bytes] | None = None,
    host: str = "127.0.0.1",
    tls: Path | None = None,
    at: int = 0,
    **kind: Any,
) -> Iterator[WebServer]:
    """A server with some files, and with TLS if it has a certificate to show; at a port that is free, or at that one."""
    web = WebServer(dict(files or {}), **kind)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if web.is_down:  # connections outlive the socket that took them
                self.close_connection = True
                return
            status, headers, body = web.answer(self.path, {n.lower(): v for n, v in self.headers.items()})
            self.send_response_only(status)
            told = {"Content-Length": str(len(body))} | headers
            for name, value in told.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body if status != 304 else b"")

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *_: Any) -> None:
            """The client has enough."""

    server = Server((host, at), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls)
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    web.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.is_down = True
        server.shutdown()
        server.server_close()
        thread.join()
