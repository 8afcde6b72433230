"""Join an output file from the chunks that segments wrote: by byte ranges, or, of a table, by its rows."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from transforms.core.arrow_stream import table
from transforms.dataset.block_files import EXAMPLES_FILE, REPEATING
from transforms.dataset.segments import JSONL, Chunk, SegmentWriter
from transforms.storage import store_for
from transforms.storage.api import crc32c
from transforms.storage.parallel import read_each

_CHUNKS = 4  # shares of a table, of up to so many rows, that are read at once


@dataclass(frozen=True)
class Joined:
    name: str
    lines: int
    size: int
    crc32c: int
    generation: str


def join_chunks(grouped: tuple[str, Iterable[Chunk]], writer: SegmentWriter) -> Joined:
    """Join an output file from its chunks, or merge it if it is a table."""
    name, chunks = grouped
    writer.check_claim()
    ordered = sorted(chunks, key=lambda chunk: chunk.at)
    uri, lines = f"{writer.folder}/{name}", sum(chunk.lines for chunk in ordered)
    pieces = [piece for chunk in ordered for piece in chunk.pieces]
    store = store_for(uri)
    if not name.endswith(".parquet"):
        found, checksum = store.join(uri, pieces, JSONL)
        return Joined(name, lines, found.size, checksum, found.generation)
    sink: Any = io.BytesIO()
    examples = name.startswith("examples")
    schema, repeating = (EXAMPLES_FILE, REPEATING) if examples else (writer.image_columns, True)
    with pq.ParquetWriter(sink, schema, compression="zstd", store_schema=False, use_dictionary=repeating) as parquet:
        for data in read_each([piece.uri for piece in pieces], _CHUNKS):
            parquet.write_table(table(data))
    data = sink.getvalue()
    store.replace(uri, data, "")
    found = store.stat(uri)
    return Joined(name, lines, found.size, crc32c(data), found.generation)
