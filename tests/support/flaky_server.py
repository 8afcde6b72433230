"""A storage server that does harm to a share of its answers, each once, and gives every name bytes of its own."""

from __future__ import annotations

import re
import socket
import socketserver
import struct
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIZE = 3000  # bytes of an object
_ASKED = re.compile(rb"GET /download/storage/v1/b/bucket/o/(\S+)\?alt=media.*?bytes=(\d+)-(\d+)", re.DOTALL)
FAULTS = (
    "429", "503", "500", "408", "reset", "short", "lost", "other range", "longer", "endless", "drip", "chunked", "close",
    "no length", "HTTP/2",
)  # fmt: skip


def content(name: str) -> bytes:
    """The bytes of an object."""
    return (zlib.crc32(name.encode()).to_bytes(4, "big") + name.encode()).ljust(SIZE, b"x")


class _Connection(socketserver.StreamRequestHandler):
    disable_nagle_algorithm = True

    def handle(self) -> None:
        server: Any = self.server
        lines = b""
        try:
            for line in self.rfile:
                lines += line
                if line == b"\r\n":
                    name, first, last = _ASKED.search(lines).groups()  # type: ignore[union-attr]
                    lines = b""
                    if not self.answer(server, name.decode(), int(first), min(int(last), SIZE - 1)):
                        return
        except OSError:
            pass  # the client has enough

    def answer(self, server: Any, name: str, first: int, last: int) -> bool:
        """Whether the connection goes on."""
        if name.startswith(("gone", "shut")):
            self.say(f"{404 if name.startswith('gone') else 403} No", b"{}")
            return True
        with server.lock:
            fault = server.share_of(name, first)
            server.done[fault] += 1
        part = f'Content-Range: bytes {first}-{last}/{SIZE}\r\nx-goog-generation: 7\r\nETag: "7"'
        body = content(name)[first : last + 1]
        if fault == "":
            self.say("206 OK", body, part)
        elif fault.isdigit():
            self.say(f"{fault} No", b"{}", "Retry-After: 0")
        elif fault == "other range":
            self.say("206 OK", body, part.replace(f"{first}-{last}", f"{first + 1}-{last + 1}"))
        elif fault == "longer":
            self.say("206 OK", body + b"x", part)
        elif fault in ("endless", "drip", "chunked"):
            self.send_strangely(fault, body, part)
        else:
            self.break_off(fault, body, part)
            return False
        return True

    def send_strangely(self, fault: str, body: bytes, part: str) -> None:
        server: Any = self.server
        if fault == "endless":
            while True:
                self.wfile.write(b"HTTP/1.1 206 OK\r\n" + b"X: y\r\n" * 10_000)
        elif fault == "drip":
            self.wfile.write(f"HTTP/1.1 206 OK\r\nContent-Length: {len(body)}\r\n{part}\r\n\r\n".encode())
            while not server.ended.wait(0.2):
                self.wfile.write(b"x")
        elif fault == "chunked":
            chunks = b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in (body[:1], body[1:], b""))
            self.wfile.write(f"HTTP/1.1 206 OK\r\nTransfer-Encoding: chunked\r\n{part}\r\n\r\n".encode() + chunks)

    def break_off(self, fault: str, body: bytes, part: str) -> None:
        """After this, the connection ends."""
        if fault in ("reset", "short"):
            self.say("206 OK", body, part, cut=20)
            if fault == "reset":
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif fault == "HTTP/2":
            self.wfile.write(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64")
        elif fault != "lost":
            length = f"Content-Length: {len(body)}\r\n" if fault == "close" else ""
            self.wfile.write(f"HTTP/1.1 206 OK\r\nConnection: close\r\n{length}{part}\r\n\r\n".encode() + body)

    def say(self, status: str, body: bytes, more: str = "X-More: none", cut: int = 0) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{more}\r\n\r\n".encode()
        self.wfile.write(head + body[: len(body) - cut])


class FlakyServer(socketserver.ThreadingTCPServer):
    """done: answers by fault; "": none."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, percent: float) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.percent, self.done, self.lock = percent, Counter[str](), threading.Lock()
        self.ended = threading.Event()
        self._met = set[tuple[str, int]]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def share_of(self, name: str, first: int) -> str:
        """Which harm comes to a request: each fault to its share, and only to the first of equal requests."""
        asked = name, first
        at = zlib.crc32(repr(asked).encode()) % 10_000 / (100 * self.percent)
        if asked in self._met or at >= len(FAULTS):
            return ""
        self._met.add(asked)
        return FAULTS[int(at)]


@contextmanager
def flaky_server(percent: float) -> Iterator[FlakyServer]:
    """percent: of the requests that each fault comes to."""
    with FlakyServer(percent) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield server
        finally:
            server.ended.set()
            server.shutdown()
