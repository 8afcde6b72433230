"""Nothing but the requests of an inspection: a thread pool over the library's own session, two ranged GETs an image.

STORAGE_EMULATOR_HOST=URL python bare_requests.py FOLDER ROWS THREADS
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import requests
from common import named_objects
from google.cloud import storage
from requests.adapters import HTTPAdapter

from transforms.images.inspection import HEAD, TAIL


def reader() -> Callable[[str], int]:
    """gs:// URI -> bytes read of its head and tail."""
    client = storage.Client(project=None)
    session: requests.Session = client._http
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=256))

    def get(url: str, start: int, end: int) -> tuple[int, int]:
        headers = {"Accept-Encoding": "gzip", "Range": f"bytes={start}-{end - 1}"}
        with session.get(url, headers=headers, stream=True, timeout=(10, 30)) as answer:
            answer.raise_for_status()
            size = int(answer.headers["Content-Range"].rpartition("/")[2])
            return len(answer.raw.read(decode_content=False)), size

    def read(uri: str) -> int:
        bucket, _, name = uri[5:].partition("/")
        url = f"{client.api_endpoint}/download/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media"
        got, size = get(url, 0, HEAD)
        return got if size <= HEAD else got + get(url, size - TAIL, size)[0]

    return read


def main() -> None:
    folder, rows, threads = sys.argv[1:]
    with ThreadPoolExecutor(int(threads)) as pool:
        read = sum(pool.map(reader(), named_objects(Path(rows))))
    Path(folder).mkdir()
    Path(folder, "bytes.txt").write_text(f"{read}\n")


if __name__ == "__main__":
    main()
