"""The script people write: download every object whole, 16 at a time, look at it with Pillow, keep the line if it is good.

STORAGE_EMULATOR_HOST=URL python download_script.py FOLDER ROWS [...]
"""

from __future__ import annotations

import io
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from common import named_objects
from google.cloud import storage
from PIL import Image


def main() -> None:
    folder, rows = sys.argv[1:3]
    client = storage.Client(project=None)

    def good(uri: str) -> bool:
        data = storage.Blob.from_string(uri, client=client).download_as_bytes()
        with Image.open(io.BytesIO(data)) as image:
            return len(data) <= 20_000_000 and image.format in ("JPEG", "PNG")

    with ThreadPoolExecutor(16) as pool:
        found = dict(zip(uris := named_objects(Path(rows)), pool.map(good, uris)))
    Path(folder).mkdir()
    Path(folder, "good.txt").write_text("".join(f"{uri}\n" for uri, kept in found.items() if kept))


if __name__ == "__main__":
    main()
