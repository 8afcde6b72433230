"""Tables as Arrow streams: record batches -> bytes, and back."""

from __future__ import annotations

import pyarrow as pa


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
