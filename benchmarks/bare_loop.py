"""The physical limit: open every image, read its head and its tail, parse the header, and nothing else. One thread.

python benchmarks/bare_loop.py ROWS.jsonl
"""

from __future__ import annotations

import json
import os
import sys

from transforms.images.headers.parse import parse

HEAD, TAIL = 16 << 10, 4 << 10  # bytes, as the pipeline reads of local files


def references(path: str) -> list[str]:
    folder = os.path.dirname(os.path.abspath(path))
    with open(path, "rb") as rows:
        return [
            os.path.join(folder, part["fileData"]["fileUri"])
            for row in rows
            for part in json.loads(row)["contents"][0]["parts"]
            if "fileData" in part
        ]


def main(rows: str) -> None:
    pixels = 0
    for path in references(rows):
        descriptor = os.open(path, os.O_RDONLY)
        size = os.fstat(descriptor).st_size
        header = parse(os.pread(descriptor, HEAD, 0), size)
        os.pread(descriptor, TAIL, max(0, size - TAIL))
        os.close(descriptor)
        pixels += header.width * header.height
    print(f"{pixels:,} pixels")


if __name__ == "__main__":
    main(sys.argv[1])
