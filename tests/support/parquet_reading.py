"""Parquet files of tests, and their rows as a job reads them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.core import jsonl
from transforms.core.records import Block, Extent, Record
from transforms.dataset.receipts import BlockKeys
from transforms.inputs.cells.csv_dialect import Wanted
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.cutting import Cutter
from transforms.storage import store_for

MB = 1 << 20


@dataclass
class Found:
    blocks: list[Block]
    rows: dict[int, dict[str, Any]]  # by number
    rejected: dict[int, tuple[str, str]]  # reason and detail, by number


def extent_of(path: Path) -> Extent:
    file = store_for(str(path)).stat(str(path))
    return Extent(file.uri, file.generation, file.size, 0, file.size)


def read(
    path: Path,
    *columns: str,
    images: tuple[str, ...] = ("image",),
    longest: int = 16_000_000,
    stage: Callable[[bytes], tuple[str, str]] = lambda data: (f"/staged/{len(data)}", "digest"),
) -> Found:
    """All rows of a file, as the job reads them."""
    wanted = Wanted(columns=columns or ("image", "label"))
    whole = Block((0, b"f", 0), (extent_of(path),), "table")
    found = Found(list(Cutter(262144, longest, wanted, images=images).cut(whole)), {}, {})
    reader = TableReader(wanted, longest, images, stage)
    for block in found.blocks:
        opened = reader.read(block, BlockKeys(""))
        for row in opened.rows:
            assert isinstance(row, Record) and jsonl.dumps(row.columns)
            found.rows[row.offset] = row.columns
        found.rejected |= {r.row.offset: (r.reason, r.detail) for r in opened.rejections}
        assert opened.counters["examples_read"] == len(opened.rows) + len(opened.rejections)
    assert not found.rows.keys() & found.rejected.keys()
    return found


def write(path: Path, label: Any, image: Any = None, metadata: Any = None, **options: Any) -> Path:
    table = pa.table({"image": ["a.png"] * len(label) if image is None else image, "label": label})
    pq.write_table(table.replace_schema_metadata(metadata), path, **options)
    return path


def nested(depth: int, wrap: Callable[[Any], Any], kind_of: Callable[[Any], Any]) -> pa.Array:
    kind, value = pa.string(), "x"
    for _ in range(depth):
        kind, value = kind_of(kind), wrap(value)
    return pa.array([value, value], kind)


def features(names: str) -> dict[str, str]:
    return {"huggingface": f'{{"info": {{"features": {{"label": {{"_type": "ClassLabel", "names": {names}}}}}}}}}'}
