"""The script people write: fetch every URL whole, 64 at a time, and keep what Pillow can open.

python fetch_script.py FOLDER URLS
"""

from __future__ import annotations

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from PIL import Image
from requests.adapters import HTTPAdapter


def main() -> None:
    folder, urls = Path(sys.argv[1]), Path(sys.argv[2]).read_text().split()
    folder.mkdir()
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=64))

    def fetch(numbered: tuple[int, str]) -> None:
        number, url = numbered
        data = session.get(url, timeout=30).content
        with Image.open(io.BytesIO(data)) as image:
            if image.format in ("JPEG", "PNG"):
                (folder / f"{number:07d}.jpg").write_bytes(data)

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(fetch, enumerate(urls)))


if __name__ == "__main__":
    main()
