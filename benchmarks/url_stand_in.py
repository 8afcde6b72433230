"""A stand-in for a server of images: GET /NUMBER.jpg is a JPEG of some 60 KB, each with bytes of its own, in parts if it is asked so.

python benchmarks/url_stand_in.py     (prints its URL, ends with its standard input)
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import noise_jpeg
from stand_in import Answers

DISTINCT = 8  # pictures; a comment in each file tells the names apart


class UrlStandIn:
    late = 0.0

    def __init__(self) -> None:
        self._pictures = [noise_jpeg(number, 640, 480, 64) for number in range(DISTINCT)]

    def answer(self, head: bytes) -> list[bytes]:
        first, *headers = head.decode("latin-1").split("\r\n")
        number = int(first.split(" ")[1][1:].partition(".")[0])
        picture, comment = self._pictures[number % DISTINCT], b"%012d" % number
        data = b"%b\xff\xfe\x00\x0e%b%b" % (picture[:2], comment, picture[2:])
        start, end, status, more = 0, len(data), "200 OK", ""
        for header in headers:
            if header.lower().startswith("range: bytes="):
                low, _, high = header[13:].partition("-")
                start, end, status = int(low), min(int(high or end) + 1, end), "206 Partial Content"
                more = f"Content-Range: bytes {start}-{end - 1}/{len(data)}\r\n"
        told = f'HTTP/1.1 {status}\r\nContent-Length: {end - start}\r\nETag: "{number}"\r\nContent-Type: image/jpeg\r\n{more}\r\n'
        return [told.encode(), data[start:end]]

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: Answers(self), "127.0.0.1", 0, backlog=1024)
        print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
        await loop.run_in_executor(None, sys.stdin.read)  # until whoever started this is gone


@contextmanager
def serving_urls() -> Iterator[str]:
    """The URL of the server, which is a child process."""
    with subprocess.Popen(
        [sys.executable, str(Path(__file__))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin and child.stdout
        try:
            yield child.stdout.readline().strip()
        finally:
            child.stdin.close()
            child.wait(10)


if __name__ == "__main__":
    asyncio.run(UrlStandIn().serve())
