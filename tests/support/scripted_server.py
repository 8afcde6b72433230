"""A storage server that gives the answers it is told, and what reading from it comes to."""

from __future__ import annotations

import socketserver
from collections.abc import Iterable, Iterator
from typing import Any

from transforms.storage.api import Stat, StorageError
from transforms.storage.gcs.store import GcsStore

FOUND = b"abc", Stat("gs://bucket/f", 10, "7")


class Scripted(socketserver.StreamRequestHandler):
    """Answers as it is told, piece by piece, and ends the connection if there is no more to say or it is told so (END)."""

    def handle(self) -> None:
        server: Any = self.server
        asked = ""
        for line in self.rfile:
            if line != b"\r\n":
                asked += line.decode()
                continue
            server.asked.append(asked)
            asked = ""
            try:
                for piece in server.script.pop(0):
                    self.wfile.write(piece.removesuffix(END))
                    if piece.endswith(END):
                        return
            except OSError:
                return  # it was enough for the client


END = b"(end)"


class ScriptedServer(socketserver.ThreadingTCPServer):
    """script: the pieces of each answer."""

    asked: list[str]
    script: list[Iterable[bytes]]


def said(status: str, *headers: str, body: bytes = b"abc", end: bytes = b"") -> list[bytes]:
    return ["\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body + end]


LENGTH, RANGE, SEVEN = "Content-Length: 3", "Content-Range: bytes 0-2/10", "x-goog-generation: 7"
CHUNKED = "Transfer-Encoding: chunked"
IN_CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
USUAL = said("206 Partial Content", LENGTH, RANGE, SEVEN)


def endless(head: list[bytes], piece: bytes) -> Iterator[bytes]:
    yield head[0]
    while True:
        yield piece


def outcome(store: GcsStore) -> Any:
    try:
        return store.read("gs://bucket/f", 0, 3)
    except StorageError as error:
        return type(error)
