"""Shuffle lines by a hash of their example's id (--shuffle_seed): Receipts -> Receipts whose blocks hold them in that order.

An external sort through storage: each segment scatters its lines into buckets by hash, each bucket is sorted by itself and committed
as a block of its own. The seal then joins those blocks as it would any others. Memory: one segment, or one bucket, at a time. Equal
examples have one hash and so lie in one bucket, however many they are: where one row makes up most of a large dataset, the worker
that sorts its bucket needs memory for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b

import pyarrow as pa

from transforms.core.arrow_stream import stream, table
from transforms.core.records import Part, Receipt
from transforms.dataset.block_files import EXAMPLES, SPLITS
from transforms.dataset.findings.written import KIND
from transforms.dataset.seal_plan import Summary, first_lines, source_carries
from transforms.dataset.segments import SegmentWriter
from transforms.storage import store_for
from transforms.storage.api import crc32c
from transforms.storage.parallel import read_each

BUCKET_BYTES = 64 << 20  # of lines in a bucket, on average
_SCATTERED = pa.schema([*EXAMPLES, ("source", pa.string()), ("rank", pa.uint64()), ("text", pa.binary())])


def without_lines(receipt: Receipt) -> Receipt:
    parts = tuple(part for part in receipt.parts if part.kind in ("images", "rejected", KIND))
    return replace(receipt, parts=parts)


def rank_of(example_id: int, seed: bytes) -> int:
    """The place of an example in the shuffled order (0 .. 2^64 - 1)."""
    digest = blake2b(example_id.to_bytes(8, "big"), digest_size=8, key=seed[:64], person=b"tuneset shuffle")
    return int.from_bytes(digest.digest(), "big")


def scatter(
    grouped: tuple[int, Iterable[Receipt]], writer: SegmentWriter, seed: bytes, summaries: list[Summary]
) -> Iterator[tuple[int, tuple[int, str]]]:
    """A segment's lines -> (bucket, (segment, object that holds its lines of that bucket))."""
    segment, receipts = grouped
    ordered = sorted(receipts, key=lambda r: r.order)
    total = sum(size for s in summaries for sizes in s.sizes for size in sizes)
    buckets = max(1, -(-total // BUCKET_BYTES))
    held: list[list[dict]] = [[] for _ in range(buckets)]
    for receipt, firsts in zip(ordered, first_lines(ordered, source_carries(summaries)[segment])):
        for row in _lines(receipt, firsts, writer):
            row["rank"] = rank_of(row["id"], seed)
            held[row["rank"] * buckets >> 64].append(row)
    for bucket, rows in enumerate(held):
        if rows:
            # One batch; but several of texts over 2 GiB.
            data = stream(*pa.Table.from_pylist(rows, schema=_SCATTERED).combine_chunks().to_batches())
            yield bucket, (segment, writer.put(data, f"{segment}.{bucket}.scattered").uri)


def _lines(receipt: Receipt, firsts: list[int], writer: SegmentWriter) -> Iterator[dict]:
    """A block's lines as rows of _SCATTERED, but for the rank."""
    store = store_for(writer.folder)
    parts = {part.kind: part for part in receipt.parts}
    if "examples" not in parts:
        return
    texts = {name: store.read(parts[name].name)[0] for name in SPLITS if name in parts}
    offsets = dict.fromkeys(SPLITS, 0)
    for row in table(store.read(parts["examples"].name)[0]).to_pylist():
        name, extent = SPLITS[row["split"]], row["extent"]
        row["text"] = texts[name][offsets[name] : offsets[name] + row["bytes"]]
        offsets[name] += row["bytes"]
        row["source"] = receipt.lines[extent][0]
        row["row_line"] += firsts[extent]
        yield row


def sort_bucket(grouped: tuple[int, Iterable[tuple[int, str]]], writer: SegmentWriter) -> Receipt:
    """A bucket -> the receipt of a block that holds its lines in order; equal examples stay in the order of the input."""
    bucket, objects = grouped
    rows = pa.concat_tables(map(table, read_each([uri for _, uri in sorted(objects)])))
    order = sorted(range(len(rows)), key=rows["rank"].to_pylist().__getitem__)  # a stable sort
    texts = rows["text"].to_pylist()  # Arrow takes no more than 2 GiB of them in another order
    rows = rows.drop_columns(["text"]).take(pa.array(order)).combine_chunks()
    sources = rows["source"].unique()
    extents = pa.compute.index_in(rows["source"], sources).cast(pa.int32())
    columns = [extents if field.name == "extent" else rows[field.name] for field in EXAMPLES]
    examples = pa.table(columns, schema=EXAMPLES).combine_chunks().to_batches()
    split, text = rows["split"].to_pylist(), [texts[at] for at in order]
    written = [(name, [t for s, t in zip(split, text) if s == index]) for index, name in enumerate(SPLITS)]
    parts = [_part(writer, bucket, name, b"".join(lines), len(lines)) for name, lines in written if lines]
    parts.append(_part(writer, bucket, "examples", stream(*examples), len(rows)))
    key = blake2b(repr(parts).encode(), digest_size=16).hexdigest()
    # Lines are counted already: a source of 0 lines leaves them as they are.
    lines = tuple((source, 0) for source in sources.to_pylist())
    return Receipt(key, (-1, b"", bucket), 0, False, tuple(parts), lines, (), ())


def _part(writer: SegmentWriter, bucket: int, kind: str, data: bytes, lines: int) -> Part:
    return Part(kind, writer.put(data, f"{bucket}.{kind}").uri, len(data), lines, crc32c(data))
