"""Take the body of an answer of Cloud Storage, and trust it no further than it can be checked: response -> bytes.

A body that ends early, is not what is stored, or drips in is a broken connection: whoever asked asks again.
"""

from __future__ import annotations

import base64
import time

import requests
import urllib3

from transforms.storage import crc32c

_PATIENCE = 30.0  # seconds for an answer's first bytes, and for the rest:
_SLOWEST = 100_000  # bytes a second
_CHUNK = 1 << 20  # bytes


def body_of(response: urllib3.BaseHTTPResponse, uri: str) -> bytes:
    """The bytes of an answer as they were sent.

    Raises:
      requests.ConnectionError: they ended early, or came so slowly that asking again is better.
    """
    length = int(response.headers.get("Content-Length", -1))
    deadline = time.monotonic() + _PATIENCE + max(length, 0) / _SLOWEST
    chunks, got = [], 0
    while got != length and (chunk := response.read1(_CHUNK, decode_content=False)):
        chunks.append(chunk)
        got += len(chunk)
        if got != length and time.monotonic() > deadline:
            raise requests.ConnectionError(f"{uri}: only {got} bytes of {length} came in {_PATIENCE:.0f} s and more")
    if length >= 0 and got != length:
        raise requests.ConnectionError(f"{uri}: the answer ended after {got} bytes of {length}")
    return b"".join(chunks)


def check_whole(response: urllib3.BaseHTTPResponse, data: bytes, uri: str) -> None:
    """Hold a whole object against the CRC32C that came with it."""
    for part in response.headers.get("x-goog-hash", "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "crc32c" and int.from_bytes(base64.b64decode(value), "big") != crc32c(data):
            raise requests.ConnectionError(f"{uri}: the bytes that came are not those that are stored (CRC32C)")
