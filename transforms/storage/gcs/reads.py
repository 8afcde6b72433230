"""Take an answer of Cloud Storage, and trust it no further than it can be checked: a socket or a response -> bytes.

A body that ends early, is not what is stored, or drips in is a broken connection: whoever asked asks again.
"""

from __future__ import annotations

import base64
import re
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import requests
import urllib3

from transforms.storage.api import Refused, crc32c

_PATIENCE = 30.0  # seconds for an answer's first bytes, and for the rest:
_SLOWEST = 100_000  # bytes a second
_CHUNK = 1 << 20  # bytes
_FIRST = 96 << 10  # bytes: an inspection's answer in one piece
_PLAIN = re.compile(r"HTTP/1\.1 (20[06]|[45]\d\d)(?: [^\r\n]*)?\r\n")
_FIELD = re.compile(r"\n([\w!#$%&'*+.^`|~-]+):[ \t]*([^\r\n]*)\r", re.ASCII)
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Answer:
    """headers: `get` finds them by names in small letters."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def exchange(sock: socket.socket, request: bytes, uri: str, most: int = sys.maxsize) -> Answer | None:
    """Send a GET over an open connection and take a plain answer: HTTP/1.1, a length, and 200, 206 or an error.

    http.client and urllib3 take any answer, for most of the CPU of a request. None: it is another, and the connection of no more use.

    Raises:
      OSError: the connection broke, ended early, or was so slow that asking again is better.
      Refused: the body has more than `most` bytes.
    """
    sock.sendall(request)
    deadline, held = time.monotonic() + _PATIENCE, sock.recv(_FIRST)
    while (end := held.find(b"\r\n\r\n")) < 0:
        if len(held) > _FIRST:
            return None
        more = sock.recv(_FIRST)
        if not more or time.monotonic() > deadline:
            raise requests.ConnectionError(f"{uri}: no answer but {len(held)} bytes")
        held += more
    head = held[: end + 2].decode("latin-1")
    plain, fields, headers = _PLAIN.match(head), _FIELD.findall(head), dict[str, str]()
    for name, value in fields:
        name = name.lower()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    length, begun = _LENGTH.fullmatch(headers.get("content-length", "")), held[end + 4 :]
    if not plain or not length or "transfer-encoding" in headers or len(fields) != head.count("\n") - 1:
        return None
    if len(begun) > int(length[0]):
        return None
    return Answer(int(plain[1]), headers, _rest(sock.recv, begun, int(length[0]), uri, most))


def body_of(response: urllib3.BaseHTTPResponse, uri: str, most: int = sys.maxsize) -> bytes:
    """The bytes of an answer as they were sent.

    Raises:
      requests.ConnectionError: they ended early, or came so slowly that asking again is better.
      Refused: there are more than `most`.
    """
    length = int(response.headers.get("Content-Length", -1))
    return _rest(lambda size: response.read1(size, decode_content=False), b"", length, uri, most)


def _rest(read: Callable[[int], bytes], begun: bytes, length: int, uri: str, most: int) -> bytes:
    """A body of `length` bytes (-1: of all that come), of which some have come."""
    if length > most:
        raise Refused(f"{uri}: the answer has {length:,} bytes: for a part at most {most:,} bytes are taken")
    if len(begun) == length:
        return begun
    deadline = time.monotonic() + _PATIENCE + max(length, 0) / _SLOWEST
    chunks, got = [begun], len(begun)
    while (got < length or length < 0) and (chunk := read(_CHUNK if length < 0 else min(_CHUNK, length - got))):
        chunks.append(chunk)
        got += len(chunk)
        if got > most:
            raise Refused(f"{uri}: the answer goes on behind {most:,} bytes, the most that is taken for a part")
        if got != length and time.monotonic() > deadline:
            raise requests.ConnectionError(f"{uri}: only {got} bytes of {length} came in {_PATIENCE:.0f} s and more")
    if length >= 0 and got != length:
        raise requests.ConnectionError(f"{uri}: the answer ended after {got} bytes of {length}")
    return b"".join(chunks)


def told_crc32c(headers: Mapping[str, str]) -> str:
    """The CRC32C of the whole object that an answer tells, in base64; "" if it tells none.

    >>> told_crc32c({"x-goog-hash": "crc32c=AAAAAA==, md5=1B2M2Y8AsgTpgAmY7PhCfg=="}), told_crc32c({})
    ('AAAAAA==', '')
    """
    for part in headers.get("x-goog-hash", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "crc32c":
            return value
    return ""


def check_whole(answer: Answer, uri: str) -> None:
    """Hold a whole object against the CRC32C that came with it."""
    told = told_crc32c(answer.headers)
    if told and int.from_bytes(base64.b64decode(told), "big") != crc32c(answer.data):
        raise requests.ConnectionError(f"{uri}: the bytes that came are not those that are stored (CRC32C)")
