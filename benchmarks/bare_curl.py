"""The requests that an inspection makes, and nothing else: head and tail of every image through libcurl, in one thread.

STORAGE_EMULATOR_HOST=URL python bare_curl.py FOLDER ROWS TRANSFERS
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pycurl
from common import named_objects

from transforms.images.inspection import HEAD, TAIL


class BareLoop:
    """Reads heads and tails of some objects, so many at once; `read` counts their bytes."""

    def __init__(self, uris: list[str], transfers: int) -> None:
        self._uris, self.read = iter(uris), 0
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, 512)
        self._handles = [self._handle() for _ in range(transfers)]  # libcurl forgets one that is collected

    def _handle(self) -> Any:
        curl = pycurl.Curl()
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.BUFFERSIZE, 128 << 10)
        curl.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        curl.setopt(pycurl.HTTPHEADER, ["Accept-Encoding: gzip"])
        if "REQUESTS_CA_BUNDLE" in os.environ:
            curl.setopt(pycurl.CAINFO, os.environ["REQUESTS_CA_BUNDLE"])
        return curl

    def run(self) -> None:
        under_way = sum([self._next_head(curl) for curl in self._handles])
        while under_way:
            self._multi.perform()
            for curl in self._ended():
                self._multi.remove_handle(curl)
                self.read += len(curl.body.getvalue())
                size = self._size(curl)
                if curl.at_tail or size <= HEAD:
                    under_way -= not self._next_head(curl)
                else:
                    curl.at_tail = True
                    self._begin(curl, size - TAIL, size)
            self._multi.select(1.0)

    def _ended(self) -> Iterator[Any]:
        waiting = 1
        while waiting:
            waiting, done, failed = self._multi.info_read()
            assert not failed, failed
            yield from done

    def _next_head(self, curl: Any) -> bool:
        uri = next(self._uris, None)
        if uri is not None:
            bucket, _, name = uri[5:].partition("/")
            path = f"download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
            curl.setopt(pycurl.URL, f"{os.environ['STORAGE_EMULATOR_HOST']}/{path}")
            curl.at_tail = False
            self._begin(curl, 0, HEAD)
        return uri is not None

    def _begin(self, curl: Any, start: int, end: int) -> None:
        curl.body, curl.lines = BytesIO(), []
        curl.setopt(pycurl.RANGE, f"{start}-{end - 1}")
        curl.setopt(pycurl.WRITEDATA, curl.body)
        curl.setopt(pycurl.HEADERFUNCTION, curl.lines.append)
        self._multi.add_handle(curl)

    def _size(self, curl: Any) -> int:
        assert curl.getinfo(pycurl.RESPONSE_CODE) == 206
        told = next(line for line in curl.lines if line.lower().startswith(b"content-range:"))
        return int(told.rpartition(b"/")[2])


def main() -> None:
    folder, rows, transfers = sys.argv[1:]
    loop = BareLoop(named_objects(Path(rows)), int(transfers))
    loop.run()
    Path(folder).mkdir()
    Path(folder, "bytes.txt").write_text(f"{loop.read}\n")


if __name__ == "__main__":
    main()
