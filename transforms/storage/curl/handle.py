"""One GET through libcurl: how it is reached, what is asked and what came of it; a handle makes one after another."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pycurl

PATIENCE = 30.0  # seconds for an answer's first bytes, and between any two; and for a body, besides:
SLOWEST = 100_000  # bytes a second
CONNECT_S = 10.0
_BUFFER = 128 << 10  # bytes
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)

RestIf = Callable[[bytes, int], bool]


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
    """headers: by names in small letters. data: the body as it was sent.

    is_cut: the body goes on, and the rest was not wanted (Get.rest_if). length: of a body that was cut; -1: it was not told.
    """

    status: int
    headers: Mapping[str, str]
    data: bytes
    is_cut: bool = False
    length: int = -1


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
    first, rest_if: a body of 200 is taken to its end if this is true of its first so many bytes and of its length (-1: not told).
      Else the answer has these bytes alone, as it has where its length is told and is more than `most`.
    fault_of: why no connection to an address may be opened, "" if one may; asked by a guarded route.
    """

    url: str
    headers: list[str]
    most: int
    route: Route
    then: Callable[[Answer | Failure], None]
    seconds: float = 0.0
    first: int = 0
    rest_if: RestIf | None = None
    fault_of: Callable[[str], str] = lambda address: ""


class Handle:
    """One of libcurl's handles, for one GET after another by the same route, and what has come of the present one."""

    def __init__(self, route: Route, share: Any) -> None:
        self.curl = pycurl.Curl()
        self.curl.handle = self  # libcurl tells which one is done
        self._lines = list[bytes]()
        self._seconds = -1.0
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
            pycurl.HEADERFUNCTION: self._lines.append,
        }
        if route.guarded:
            options[pycurl.OPENSOCKETFUNCTION] = self._open
        for option, value in options.items():
            self.curl.setopt(option, value)

    def prepare(self, get: Get) -> None:
        self._most = get.most
        self._lines.clear()
        self._chunks = list[bytes]()
        self._bytes = 0
        self._refused: Failure | None = None
        self._first, self._rest_if, self._is_cut = get.first, get.rest_if, False
        self._length = -1
        self._fault_of, self._refused_address = get.fault_of, ""
        self._slow_after = time.monotonic() + PATIENCE
        if get.seconds != self._seconds:
            self._seconds = get.seconds
            self.curl.setopt(pycurl.TIMEOUT_MS, int(1000 * get.seconds))
        self.curl.setopt(pycurl.URL, get.url.encode())
        self.curl.setopt(pycurl.HTTPHEADER, get.headers)

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
        if self._rest_if and self._bytes >= self._first:
            return self._judge()
        return None

    def _judge(self) -> int | None:
        """Whether the rest of the body is taken, as the first of it tells; asked once."""
        assert self._rest_if
        rest_if, self._rest_if = self._rest_if, None
        status, self._length = _told(self._lines)  # libcurl is at work, and cannot be asked
        if status != b"200" or self._length == self._bytes:
            return None
        first = b"".join(self._chunks)[: self._first]
        if self._length <= self._most and rest_if(first, self._length):
            return None
        self._chunks, self._is_cut = [first], True
        return -1

    def outcome(self, code: int, text: str) -> Answer | Failure:
        """What came of the GET."""
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        body = b"".join(self._chunks)
        self._chunks.clear()  # it may be long until the next GET
        if self._is_cut:
            return Answer(status, _headers(self._lines), body, True, self._length)
        failure = self._refused or (
            Failure(code, text or self.curl.errstr() or f"error {code} of libcurl") if code else None
        )
        if failure and code != pycurl.E_OK and self._refused_address and not self._lines:
            failure = Failure(code, self._refused_address, refused=True)
        if failure and failure.too_long and not 200 <= status < 300:
            failure = None  # of an error, the beginning tells enough
        return failure or Answer(status, _headers(self._lines), body)


def _told(lines: list[bytes]) -> tuple[bytes, int]:
    """The status of the last of the answers whose lines came, and the length of its body; -1: it is not told."""
    status = next(line for line in reversed(lines) if line.startswith(b"HTTP/")).split()[1]
    headers = _headers(lines)
    length = "" if "transfer-encoding" in headers else headers.get("content-length", "")
    return status, int(length) if _LENGTH.fullmatch(length) else -1


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
