"""Tables as Arrow streams: record batches -> bytes, and back; and some of them at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa

SLICE = 64 << 10  # rows that are held at once: a segment may be many times the average one


def stream(*batches: pa.RecordBatch) -> bytes:
    """Record batches as one Arrow stream; deterministic."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batches[0].schema) as writer:
        for batch in batches:
            writer.write_batch(batch)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def table(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


def slices(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of many tables, of at least SLICE rows each but for the last, in order."""
    some, count = list[pa.Table](), 0
    for one in tables:
        some.append(one)
        count += len(one)
        if count >= SLICE:
            yield pa.concat_tables(some)
            some, count = [], 0
    if some:
        yield pa.concat_tables(some)
