"""Formats of other tools, read, against the library that owns each iterating them; packed rows against plain ones.

Both sides run in a process of their own, in processor time inside it without start-up. Ours lists, converts, reads and parses: a row
is an object of Python's, as the library's is. What examples of the rows take is printed beside it and has no bar. No image is opened
and nothing is written. A packed file may take 1.3 times its decompression plus the plain rows, as examples. The libraries are
installed into an environment beside the data.

python benchmarks/formats.py [--rows 100000] [--kinds array,coco,...,gz,bz2,xz,zst] [--peers 0] [--strict]
"""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
from common import Report, arguments, environment, run, workdir
from readers import values, worked

_ASK = ("--prompt", "Describe the product.")
_TABLE = (*_ASK, "--answer", "{brand,colour,note|object}")
_NAMES = ("id", "image", "brand", "colour", "note")
_PIXELS = b"\xff\xd8\xff\xe0" + bytes(2000)  # of an image that nobody opens
# The file's name, the options, and the packages that a peer needs beside Python's own.
KINDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "array": ("rows.json", _TABLE, ("ijson",)),
    "coco": ("coco.json", _ASK, ("pycocotools",)),
    "llava": ("llava.json", (), ()),
    "openai": ("openai.jsonl", (), ()),
    "label_studio": ("tasks.json", _ASK, ()),
    "webdataset": ("0.tar", _ASK, ("webdataset",)),
    "arrow": ("0.arrow", (*_ASK, "--answer", "{label}"), ()),
    "excel": ("rows.xlsx", _TABLE, ()),
}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": lambda data: bytes(pa.compress(data, codec="zstd", asbytes=True)),
}


def row(number: int) -> dict[str, Any]:
    return dict(zip(_NAMES, values(number)))


def write(kind: str, path: Path, rows: int) -> None:
    """A file of so many rows (of COCO: annotations, five an image)."""
    if kind == "webdataset":
        with tarfile.open(path, "w") as tar:
            for n in range(rows):
                for ending, data in (("jpg", _PIXELS), ("txt", b"a product")):
                    info = tarfile.TarInfo(f"{n:08}.{ending}")
                    info.size = len(data)
                    tar.addfile(info, io.BytesIO(data))
    elif kind == "arrow":
        table = pa.table({"image": pa.array([_PIXELS] * rows), "label": [f"kind {n % 80}" for n in range(rows)]})
        with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=100)
    elif kind == "excel":
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(_NAMES)
        for n in range(rows):
            sheet.append(values(n))
        book.save(path)
    elif kind == "openai":
        path.write_text("".join(json.dumps(_TEXTS[kind](n)) + "\n" for n in range(rows)))
    elif kind == "coco":
        path.write_text(json.dumps(coco(rows)))
    else:
        path.write_text(json.dumps(list(map(_TEXTS[kind], range(rows)))))


def llava_row(number: int) -> dict[str, Any]:
    turns = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A product in stock."}]
    return {"id": number, "image": f"{number:08}.jpg", "conversations": turns}


def openai_row(number: int) -> dict[str, Any]:
    image = {"type": "image_url", "image_url": {"url": f"gs://bucket/{number:08}.jpg"}}
    asked = {"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}
    return {"messages": [asked, {"role": "assistant", "content": "A product."}]}


def task(number: int) -> dict[str, Any]:
    result = [{"type": "choices", "from_name": "kind", "to_name": "image", "value": {"choices": ["shoe"]}}]
    return {"id": number, "data": {"image": f"{number:08}.jpg"}, "annotations": [{"result": result}]}


def coco(annotations: int) -> dict[str, Any]:
    images = [{"id": n, "file_name": f"{n:08}.jpg", "width": 640, "height": 480} for n in range(annotations // 5)]
    boxes = [
        {"id": n, "image_id": n // 5, "category_id": n % 80, "bbox": [n % 600, 10.5, 20, 30]}
        for n in range(annotations)
    ]
    return {"images": images, "annotations": boxes, "categories": [{"id": n, "name": f"kind {n}"} for n in range(80)]}


_TEXTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "array": row,
    "llava": llava_row,
    "openai": openai_row,
    "label_studio": task,
}


def _ours(what: str) -> tuple[str, ...]:
    """The command that reads `rows`, or makes `examples` of them."""
    return sys.executable, __file__, "--only", what


def timed(*command: str | Path) -> tuple[int, float]:
    """(rows, seconds of processor time) of one side, in a process of its own."""
    words = [str(word) for word in command]
    rows, seconds = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[
        -2:
    ]  # a peer may talk before
    return int(rows), float(seconds)


def fastest(times: int, *command: str | Path) -> tuple[int, float]:
    return min((timed(*command) for _ in range(times)), key=lambda one: one[1])


def main() -> int:
    options = arguments(__doc__ or "", {"kinds": ",".join((*KINDS, *PACKINGS))}, rows=100_000, peers=1)
    kinds, peer = options.kinds.split(","), Path(__file__).with_name("formats_peer.py")
    report = Report(options.strict)
    report.head(f"{options.rows:,} rows, read by one process")
    with workdir(options.workdir) as folder:
        packages = sorted({package for kind in kinds if kind in KINDS for package in KINDS[kind][2]})
        python = environment(folder / "peers", packages) if packages and options.peers else None
        for kind in (one for one in kinds if one in KINDS):
            name, flags, needed = KINDS[kind]
            write(kind, folder / name, options.rows)
            net = report.run(kind, run(*_ours("rows"), folder / name, *flags))
            read, seconds = fastest(options.repeat, *_ours("rows"), folder / name, *flags)
            made, built = fastest(options.repeat, *_ours("examples"), folder / name, *flags)
            print(f"  rows: {read:,} in {seconds:.2f} s; examples: {made:,} in {built:.2f} s")
            if python or not needed:
                _, theirs = fastest(
                    options.repeat, python if needed and python else sys.executable, peer, kind, folder / name
                )
                print(f"  its library: {theirs:.2f} s; examples against it: {theirs / built:.2f}")
                report.bar(f"{kind} against its library", theirs / seconds, net, least=0.5)
        plain = folder / "plain.jsonl"
        plain.write_text("".join(json.dumps(row(n)) + "\n" for n in range(options.rows)))
        _, plain_seconds = fastest(options.repeat, *_ours("examples"), plain, *_TABLE)
        for kind in (one for one in kinds if one in PACKINGS):
            packed = folder / f"packed.jsonl.{kind}"
            packed.write_bytes(PACKINGS[kind](plain.read_bytes()))
            net = report.run(f"packed, {kind}", run(*_ours("examples"), packed, *_TABLE))
            _, seconds = fastest(options.repeat, *_ours("examples"), packed, *_TABLE)
            _, codec = fastest(options.repeat, sys.executable, peer, kind, packed)
            report.bar(f"{kind} against its codec and plain rows", seconds / (codec + plain_seconds), net, most=1.3)
    return report.end()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        started = time.process_time()
        count = worked(Path(sys.argv[3]), sys.argv[4:], examples=sys.argv[2] == "examples")
        print(count, time.process_time() - started)
    else:
        sys.exit(main())
