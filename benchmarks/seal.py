"""A seal of many blocks: time, memory and compose calls, with receipts and parts that stand in for committed ones.

Every block has the same ten lines and four images under a key of its own. Storage answers at once, but joins as Cloud Storage does:
what is counted is what the seal asks for. What it writes is kept in files, so that memory is the seal's and the runner's alone.

    python benchmarks/seal.py [--blocks 100000] [--late 0]      (milliseconds before each answer)
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
from common import arguments, workdir

from transforms import storage
from transforms.core.arrow_stream import stream
from transforms.core.limits import PROFILES
from transforms.core.records import Part, Receipt
from transforms.dataset.block_files import EXAMPLES, IMAGES, Caps
from transforms.dataset.segments import SegmentWriter
from transforms.steps.seal import SealDataset
from transforms.storage.api import NotFound, Stat, crc32c
from transforms.storage.gcs import crc32c as gcs_crc32c
from transforms.storage.gcs.compose import Source
from transforms.storage.gcs.store import GcsStore

LINES, REFERENCES, OUTPUT, RUN = 10, 4, "gs://bucket/out", "benchmark"
_LINE = b'{"contents":[' + b"x" * 680 + b"]}\n"


def _example(number: int) -> tuple[int, ...]:
    return (0, number, number, 0, number * len(_LINE), number + 1, 1, 1, 1, 300, len(_LINE))


def _image(number: int) -> tuple[object, ...]:
    known = {
        "source": f"gs://bucket/{number}.jpg", "generation": "1", "fate": "untouched", "reason": "", "references": 1,
        "bytes": 1, "type": "jpeg", "encoding": "", "output": "", "escalated": False, "renamed_from": [],
    }  # fmt: skip
    return tuple(known.get(field.name, 0 if not pa.types.is_string(field.type) else "") for field in IMAGES)


def _stream(schema: pa.Schema, rows: list[tuple]) -> bytes:
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows), schema)]
    return stream(pa.record_batch(columns, schema=schema))


PARTS = {
    "train": _LINE * LINES,
    "examples": _stream(EXAMPLES, [_example(i) for i in range(LINES)]),
    "images": _stream(IMAGES, [_image(i) for i in range(REFERENCES)]),
}
COUNTERS = {"examples_read": LINES, "examples_used": LINES, "examples_written": LINES}
COUNTERS |= {"images_seen": REFERENCES, "images_untouched": REFERENCES}


class Canned(GcsStore):
    """Parts of every block in memory, what the seal writes in a folder. Counts requests."""

    def __init__(self, folder: Path, late: float) -> None:
        super().__init__()
        self.asked: Counter[str] = Counter()
        self._folder, self._late, self._held = folder, late, dict[str, Path]()
        self._sizes: dict[str, int] = {}
        self._lock = threading.Lock()

    def _count(self, what: str) -> None:
        with self._lock:
            self.asked[what] += 1
        if self._late:
            time.sleep(self._late)

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        self._count("read")
        path = self._held.get(uri)
        data = path.read_bytes() if path else PARTS.get(uri.rpartition(".")[2] if "/seal/" not in uri else "")
        if data is None:
            raise NotFound(uri)
        return data[start:end], Stat(uri, len(data), "1")

    def stat(self, uri: str) -> Stat:
        self._count("stat")
        return Stat(uri, self._sizes[uri], "1")

    def create(self, uri: str, data: bytes, content_type: str = "") -> bool:
        self.write(uri, data)
        return True

    def replace(self, uri: str, data: bytes, generation: str) -> bool:
        self.write(uri, data)
        return True

    def write(self, uri: str, data: bytes, content_type: str = "") -> Stat:
        self._count("write")
        self._sizes[uri] = len(data)
        if "/_tuneset/" in uri or uri.endswith(".json"):  # read again; files of the dataset are not
            path = self._folder / blake2b(uri.encode()).hexdigest()
            path.write_bytes(data)
            self._held[uri] = path
        return Stat(uri, len(data), "1")

    def _compose(self, uri: str, sources: Sequence[Source], content_type: str) -> tuple[Stat, int]:
        self._count("compose")
        size = found = 0
        for source in sources:
            size, found = size + source.size, gcs_crc32c.combine(found, source.crc32c, source.size)
        self._sizes[uri] = size
        return Stat(uri, size, "1"), found

    def delete(self, uris: Iterable[str]) -> None:
        for _ in uris:
            self._count("delete")


CHECKSUMS = {kind: crc32c(data) for kind, data in PARTS.items()}


def receipts(start: int, stop: int) -> Iterator[Receipt]:
    for number in range(start, stop):
        key = blake2b(str(number).encode(), digest_size=16).hexdigest()
        parts = tuple(
            Part(kind, f"{OUTPUT}/_tuneset/{key[:2]}/{key}.{kind}", len(data), LINES, CHECKSUMS[kind])
            for kind, data in PARTS.items()
        )
        source = "gs://bucket/rows.jsonl"
        order = (0, source.encode(), number * len(PARTS["train"]))
        yield Receipt(key, order, 1, False, parts, ((source, LINES),), tuple(COUNTERS.items()), ())


def main() -> int:
    options = arguments(__doc__, blocks=100_000, late=0)
    with workdir(options.workdir) as folder:
        return measure(options.blocks, Canned(folder, options.late / 1000))


def measure(blocks: int, store: Canned) -> int:
    profile = PROFILES["image-tuning"]
    storage._stores["gs"] = store
    claim = {"run": RUN, "epoch": 1, "since": "", "host": "", "pid": 0, "started": "", "remote": True, "resumed": False}
    store.write(f"{OUTPUT}/_tuneset/claim.json", json.dumps(claim).encode())
    store.asked.clear()
    seal = SealDataset(
        writer=SegmentWriter(OUTPUT, True, RUN),
        caps=Caps(None, None),
        names=("train", "validation"),
        max_lines=profile.max_file_examples,
        max_bytes=profile.max_file_bytes,
        max_rejected_fraction=0.1,
        dataset={
            "output": OUTPUT,
            "options": {"shuffle_seed": "", "uri_prefix": "", "model": profile.name},
            "verified": True,
        },
    )
    began = time.perf_counter()
    with beam.Pipeline("FnApiRunner") as pipeline:
        starts = pipeline | "Hundreds" >> beam.Create(range(0, blocks, 100)) | beam.Reshuffle()
        made = starts | "Receipts" >> beam.FlatMap(lambda at: receipts(at, min(at + 100, blocks)))
        skipped = pipeline | "None skipped" >> beam.Create([], reshuffle=False)
        _ = (made, skipped) | "Seal" >> seal
    wall = time.perf_counter() - began
    manifest = json.loads(store.read(f"{OUTPUT}/manifest.json")[0])
    assert manifest["dataset"]["counters"]["examples_written"] == blocks * LINES
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    print(f"seal of {blocks:,} blocks in one process: {wall:.1f} s, {peak / 1e6:.0f} MB")
    for what, number in sorted(store.asked.items()):
        print(f"  {what:8} {number:>9,}  {number / blocks:.3f} a block")
    return 0


if __name__ == "__main__":
    sys.exit(main())
