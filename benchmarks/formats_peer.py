"""One format iterated by the library that owns it, or a file decompressed by its codec: prints how many, and its seconds.

They are of processor time.

python benchmarks/formats_peer.py KIND FILE
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import sys
import time
from collections.abc import Iterator


def each(kind: str, path: str) -> Iterator[object]:
    """The rows of a file, as Python's objects."""
    if kind == "array":
        import ijson

        with open(path, "rb") as file:
            yield from ijson.items(file, "item")
    elif kind == "coco":
        from pycocotools.coco import COCO

        told = COCO(path)
        yield from (told.loadAnns(told.getAnnIds(image)) for image in told.getImgIds())
    elif kind == "webdataset":
        import webdataset

        yield from webdataset.WebDataset(path, shardshuffle=False)
    elif kind == "arrow":
        import pyarrow

        for batch in pyarrow.ipc.open_stream(path):
            yield from batch.to_pylist()
    elif kind == "excel":
        import openpyxl

        yield from openpyxl.load_workbook(path, read_only=True).worksheets[0].iter_rows(values_only=True)
    elif kind in ("llava", "label_studio"):
        with open(path, "rb") as file:
            yield from json.load(file)
    elif kind == "openai":
        with open(path, "rb") as file:
            yield from map(json.loads, file)
    else:
        yield from _decompressed(kind, path)


def _decompressed(kind: str, path: str) -> Iterator[bytes]:
    if kind == "zst":
        import pyarrow

        opened = pyarrow.input_stream(path, compression="zstd")
    else:
        opened = {"gz": gzip.open, "bz2": bz2.open, "xz": lzma.open}[kind](path, "rb")
    with opened as file:
        while chunk := file.read(1 << 20):
            yield chunk


if __name__ == "__main__":
    started = time.process_time()
    count = sum(1 for _ in each(sys.argv[1], sys.argv[2]))
    print(count, time.process_time() - started)
