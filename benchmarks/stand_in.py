"""A stand-in for Cloud Storage that answers late: it serves ranges of made-up images, in a process of its own.

The names of objects say what they are: `plain/NUMBER.jpg` is a JPEG of some 340 KB, `phone/NUMBER.jpg` one of 3 MB with 64 KB of
EXIF. Of each kind there are a few distinct ones; every name has a generation of its own. GET /counts tells what was asked for
since the last time, and what that took of the processor. Nothing can be written.

    python benchmarks/stand_in.py --late 30 [--tls FILE]     (milliseconds; prints its URL, ends with its standard input)

FILE gets the certificate of localhost that it shows, made anew each time, which a client has to be told to trust.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import urlopen

from common import noise_jpeg
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HERE = Path(__file__).resolve().parent
DISTINCT = 2  # of each kind
PAGE = 1000


def phone_like(jpeg: bytes) -> bytes:
    """The JPEG with an EXIF segment of 65,533 bytes and a colour profile of 3 KB, as phones write them."""
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x01\0\0\0\0\0\0\0".ljust(65_533 - 2, b"\0")
    profile = b"ICC_PROFILE\0\x01\x01".ljust(3_000, b"\0")
    segments = [
        b"\xff" + mark + (len(body) + 2).to_bytes(2, "big") + body
        for mark, body in ((b"\xe1", exif), (b"\xe2", profile))
    ]
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def kinds() -> dict[str, list[bytes]]:
    plain = [noise_jpeg(number, 1600, 1066, 40) for number in range(DISTINCT)]
    phone = [phone_like(noise_jpeg(number, 4000, 3000, 60)) for number in range(DISTINCT)]
    return {"plain": plain, "phone": phone}


class Answers(asyncio.Protocol):
    """One connection: requests without a body, one after another."""

    def __init__(self, server: StandIn) -> None:
        self._server, self._held = server, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._held += data
        while b"\r\n\r\n" in self._held:
            head, _, self._held = self._held.partition(b"\r\n\r\n")
            answer = self._server.answer(head)
            if self._server.late:
                asyncio.get_running_loop().call_later(self._server.late, self._send, answer)
            else:
                self._send(answer)

    def _send(self, answer: list[bytes]) -> None:
        if not self._transport.is_closing():
            self._transport.writelines(answer)


class StandIn:
    def __init__(self, late: float, listed: int) -> None:
        self.late, self._listed, self._kinds = late, listed, kinds()
        self._counts: Counter[str] = Counter()
        self._told_cpu = self._cpu_ms()

    @staticmethod
    def _cpu_ms() -> int:
        return int(1000 * time.process_time())

    def answer(self, head: bytes) -> list[bytes]:
        first, *headers = head.decode("latin-1").split("\r\n")
        target = urlsplit(first.split(" ")[1])
        if target.path == "/counts":
            counts, self._counts = self._counts, Counter()
            counts["cpu_ms"], self._told_cpu = self._cpu_ms() - self._told_cpu, self._cpu_ms()
            return _answer("200 OK", json.dumps(counts).encode())
        self._counts["requests"] += 1
        path, query = target.path, parse_qs(target.query)
        bucket, _, name = path.partition("/b/")[2].partition("/o")
        name = unquote(name[1:])
        if not name:
            return self._list(bucket, query)
        data = self._object(name)
        if data is None:
            return _answer("404 Not Found", b"{}")
        generation = 1 + zlib.crc32(name.encode())
        if not path.startswith("/download/"):
            about = {"bucket": bucket, "name": name, "size": str(len(data)), "generation": str(generation)}
            return _answer("200 OK", json.dumps(about).encode())
        start, end, status, more = 0, len(data), "200 OK", f"x-goog-generation: {generation}\r\n"
        for header in headers:
            if header.lower().startswith("range: bytes="):
                low, _, high = header[13:].partition("-")
                start, end, status = int(low), min(int(high or end) + 1, end), "206 Partial Content"
                more += f"Content-Range: bytes {start}-{end - 1}/{len(data)}\r\n"
        self._counts["bytes"] += end - start
        return _answer(status, memoryview(data)[start:end], more)

    def _object(self, name: str) -> bytes | None:
        made = self._kinds.get(name.partition("/")[0]) if name.endswith(".jpg") else None
        return made[zlib.crc32(name.encode()) % DISTINCT] if made else None

    def _list(self, bucket: str, query: dict[str, list[str]]) -> list[bytes]:
        """Names `KIND/%09d.jpg` below `listed`, a page at a time, in the fields that are asked for most."""
        prefix, low = query.get("prefix", [""])[0], query.get("startOffset", [""])[0]
        high, page = query.get("endOffset", [""])[0], query.get("pageToken", ["0"])[0]
        size, items, number = int(query.get("maxResults", [PAGE])[0]), [], int(page)
        kind = prefix.partition("/")[0]
        if kind not in self._kinds:
            return _answer("200 OK", b"{}")
        if low > f"{kind}/" and page == "0":
            digits = low[len(kind) + 1 :][:9].rstrip(".jpg")
            number = int(digits.ljust(9, "0")) if digits.isdigit() else 0
        while number < self._listed and len(items) < size:
            name = f"{kind}/{number:09d}.jpg"
            number += 1
            if name < low:
                continue
            if high and name >= high:
                number = self._listed
                break
            if name.startswith(prefix):
                data = self._object(name) or b""
                generation = 1 + zlib.crc32(name.encode())
                items.append({"name": name, "size": str(len(data)), "generation": str(generation)})
        more = {"nextPageToken": str(number)} if number < self._listed else {}
        return _answer("200 OK", json.dumps({"items": items} | more).encode())

    async def serve(self, shown: Path | None) -> None:
        loop, secure = asyncio.get_running_loop(), None
        if shown:
            shown.write_bytes(certificate())
            secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            secure.load_cert_chain(shown)
        server = await loop.create_server(lambda: Answers(self), "127.0.0.1", 0, backlog=1024, ssl=secure)
        scheme = "https://localhost" if secure else "http://127.0.0.1"
        print(f"{scheme}:{server.sockets[0].getsockname()[1]}", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)  # until whoever started this is gone


def _answer(status: str, body: bytes | memoryview, more: str = "") -> list[bytes]:
    head = f"HTTP/1.1 {status}\r\nDate: {formatdate(usegmt=True)}\r\nContent-Length: {len(body)}\r\n{more}\r\n".encode()
    return [head, bytes(body)]


def certificate() -> bytes:
    """A certificate of localhost that is its own authority, and its key (PEM)."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now, day = datetime.now(timezone.utc), timedelta(days=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - day, now + day)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM) + secret


class Running:
    """The server's URL, and what it was asked for."""

    def __init__(self, url: str) -> None:
        self.url = url

    def counts(self) -> Counter[str]:
        """Requests, bytes and the server's own processor time (cpu_ms) since the last call."""
        own = ssl._create_unverified_context() if self.url.startswith("https") else None
        with urlopen(f"{self.url}/counts", context=own) as answer:
            return Counter(json.load(answer))


@contextmanager
def standing_in(late: int, listed: int = 0, tls: Path | None = None) -> Iterator[Running]:
    """The server as a child process.

    late: milliseconds before every answer. listed: objects of each kind that a listing gives. tls: gets its certificate.
    """
    command = [sys.executable, str(HERE / "stand_in.py"), "--late", str(late), "--listed", str(listed)]
    command += ["--tls", str(tls)] if tls else []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield Running(process.stdout.readline().strip())
        finally:
            process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--late", type=int, default=0, help="milliseconds before every answer")
    parser.add_argument("--listed", type=int, default=0, help="objects of each kind that a listing gives")
    parser.add_argument("--tls", type=Path, help="file for the certificate that is shown")
    options = parser.parse_args()
    asyncio.run(StandIn(options.late / 1000, options.listed).serve(options.tls))


if __name__ == "__main__":
    main()
