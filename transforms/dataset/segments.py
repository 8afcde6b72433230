"""Write a segment of the dataset: receipts of neighbouring blocks -> its chunks of the output files, which join.py joins.

A chunk is a segment's share of one output file: byte ranges of committed parts where they can be taken as they are (the common
case: nothing is read), or a new object where lines are chosen, numbered or merged.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import groupby

import numpy as np
import pyarrow as pa

from transforms.core.arrow_stream import SLICE, slices, table
from transforms.core.output_names import WORK
from transforms.core.places import keep_buckets
from transforms.core.reasons import JobStopped
from transforms.core.records import Part, Receipt
from transforms.dataset import seal_plan
from transforms.dataset.block_files import BLOCK_IMAGES, EXAMPLES_FILE, IMAGES, words
from transforms.dataset.claim import still_ours
from transforms.dataset.seal_plan import GROUPS, Cuts, SealPlan, Summary
from transforms.dataset.segment_lines import Lines, groups_of, lines_of, sizes_of, whole_sizes
from transforms.examples.rejected_rows import number_rejected
from transforms.storage import abilities, store_for
from transforms.storage.api import USUAL, Access, Piece, crc32c
from transforms.storage.parallel import read_each

pa.set_memory_pool(pa.system_memory_pool())  # the others keep what they once held: 55 MB more after a million lines
JSONL = "application/json-lines"


class Unsealed(JobStopped):
    """The job ran to its end, but the dataset may not be sealed. The text is for a person."""


@dataclass(frozen=True)
class Chunk:
    """A share of an output file; chunks of a file are joined in the order of `at`."""

    at: tuple[int, ...]
    pieces: tuple[Piece, ...] = ()
    lines: int = 0


@dataclass(frozen=True)
class SegmentWriter:
    """Sums up and writes segments of one dataset.

    folder: of the output. images: whether there is a table of images (not under --verify none). run: that claimed the folder.
    claimed: the folder that the run claimed, if it is another: that of a stream, whose windows are datasets of their own.
    identities: whether the table of images tells what each image is told from others by, for a night that meets it again.
    """

    folder: str
    images: bool
    run: str
    access: Access = USUAL
    claimed: str = ""
    identities: bool = False

    @property
    def image_columns(self) -> pa.Schema:
        """Of the table of images."""
        return BLOCK_IMAGES if self.identities else IMAGES

    def check_claim(self) -> None:
        """Raises Unsealed if another job took the folder over: then its files may not be touched any more."""
        claimed = self.claimed or self.folder
        if not still_ours(claimed, self.run):
            raise Unsealed(f"Another job took {claimed} over; this one leaves it as it is.")

    def line_sizes(self, table_name: str, group: int, cuts: Cuts) -> Sequence[int]:
        """Bytes of each line that a block writes to a group."""
        rows = table(store_for(self.folder).read(table_name)[0])
        sizes: list[int] = rows["bytes"].to_numpy()[groups_of(rows, cuts) == group].tolist()
        return sizes

    def sum_up(self, grouped: tuple[int, Iterable[Receipt]], cuts: Cuts) -> Summary:
        """What the plan needs to know of a segment; reads storage only where a cap chooses among lines."""
        segment, receipts = grouped
        summary, ordered = Summary(segment), sorted(receipts, key=lambda r: r.order)
        chosen = [self._chosen(receipt, cuts) for receipt in ordered]
        tables = read_each([part.name for part in chosen if part])
        for receipt, examples in zip(ordered, chosen):
            summary.counters.update(dict(receipt.counters))
            summary.reasons.update(dict(receipt.reasons))
            keep_buckets(summary.buckets, receipt.buckets)
            for code, count, example in receipt.warnings:
                summary.warnings.add(code, example, count)
            seal_plan.note_sources(summary, receipt)
            parts = {part.kind: part for part in receipt.parts}
            summary.tables.append(parts["examples"].name if "examples" in parts else "")
            summary.images += parts["images"].lines if "images" in parts else 0
            sizes = sizes_of(table(next(tables)), cuts) if examples else whole_sizes(parts)
            for group, (lines, size) in enumerate(sizes):
                summary.lines[group].append(lines)
                summary.sizes[group].append(size)
        return summary

    def _chosen(self, receipt: Receipt, cuts: Cuts) -> Part | None:
        """The table of a block's examples if a cap chooses among them."""
        parts = {part.kind: part for part in receipt.parts}
        caps = cuts.sample < 1 << 64 or (cuts.validation < 1 << 64 and "validation" in parts)
        return parts.get("examples") if caps else None

    def write(self, grouped: tuple[int, Iterable[Receipt]], plan: SealPlan, cuts: Cuts) -> Iterator[tuple[str, Chunk]]:
        """-> (output file name, this segment's chunk of it)."""
        segment, receipts = grouped
        ordered = sorted(receipts, key=lambda r: r.order)
        yield from self._rejected(segment, ordered, plan)
        if plan.fault:
            return
        if self.images:
            yield from self._images(segment, ordered, plan)
        parts = [(index, part) for index, r in enumerate(ordered) for part in r.parts if part.kind == "examples"]
        if not parts:
            return
        lines = lines_of(parts, map(table, read_each([part.name for _, part in parts])), cuts)
        first_lines = seal_plan.first_lines(ordered, plan.carry[segment])
        for group in range(len(GROUPS)):
            places = plan.places[segment][group]
            of_group = np.flatnonzero(lines.group == group)
            for number, chosen in enumerate(np.split(of_group, places.cuts), places.file):
                if not len(chosen):
                    continue
                name = seal_plan.file_name(GROUPS[group], ".jsonl", number, plan.files[group])
                pieces = self._pieces(segment, ordered, lines, chosen, group, name)
                yield name, Chunk((segment,), self._composed(pieces, segment, name), len(chosen))
                line, offset = (places.line, places.offset) if number == places.file else (0, 0)
                count = plan.tables("examples")
                target = seal_plan.file_name("examples", ".parquet", plan.table_of("examples", group, segment), count)
                for at in range(0, len(chosen), SLICE):
                    some = chosen[at : at + SLICE]
                    rows = self._rows(ordered, lines, some, group, name, (line, offset), first_lines)
                    yield target, self._put(rows, (group, segment, number, at), target)
                    line, offset = line + len(some), offset + int(lines.size[some].sum())

    def _pieces(
        self, segment: int, receipts: list[Receipt], lines: Lines, chosen: np.ndarray, group: int, name: str
    ) -> list[Piece]:
        """Byte ranges that hold exactly the chosen lines: runs of neighbouring lines of one part."""
        split = "validation" if group == 3 else GROUPS[group]
        block, offset, size = lines.block[chosen], lines.offset[chosen], lines.size[chosen]
        breaks = np.ones(len(chosen), bool)
        breaks[1:] = (block[1:] != block[:-1]) | (offset[1:] != offset[:-1] + size[:-1])
        starts = np.flatnonzero(breaks)
        stops = np.append(starts[1:], len(chosen)) - 1
        pieces = []
        for start, stop in zip(starts.tolist(), stops.tolist()):
            part = next(p for p in receipts[int(block[start])].parts if p.kind == split)
            end = int(offset[stop] + size[stop])
            pieces.append(Piece(part.name, int(offset[start]), end, part.size, part.crc32c))
        if len(pieces) <= 2 * len(receipts) + 2:
            return pieces
        out = io.BytesIO()  # a cap chose many single lines: gathered once, here
        uris = list(dict.fromkeys(piece.uri for piece in pieces))
        for text, (_, some) in zip(read_each(uris), groupby(pieces, lambda piece: piece.uri)):
            out.writelines(text[piece.start : piece.end] for piece in some)
        return [self.put(out.getvalue(), f"{segment}.{name}")]

    def _composed(self, pieces: list[Piece], segment: int, name: str) -> tuple[Piece, ...]:
        """In Cloud Storage each segment joins its own pieces, side by side, so that the last join has few."""
        if not abilities(self.folder).composes or len(pieces) < 2:
            return tuple(pieces)
        digest = blake2b(repr(pieces).encode(), digest_size=10).hexdigest()
        uri = f"{self.folder}/{WORK}/seal/{digest}.{segment}.{name}"
        found, checksum = store_for(uri).join(uri, pieces, JSONL)
        return (Piece(uri, 0, found.size, found.size, checksum),)

    def put(self, data: bytes, name: str) -> Piece:
        """Store an object of the seal, named by its content -> the whole of it."""
        uri = f"{self.folder}/{WORK}/seal/{blake2b(data, digest_size=10).hexdigest()}.{name}"
        store_for(uri).create(uri, data)
        return Piece(uri, 0, len(data), len(data), crc32c(data))

    def _put(self, rows: pa.Table, at: tuple[int, ...], name: str) -> Chunk:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows)
        return Chunk(at, (self.put(sink.getvalue().to_pybytes(), f"{'.'.join(map(str, at))}.{name}"),), len(rows))

    def _rows(
        self,
        receipts: list[Receipt],
        lines: Lines,
        chosen: np.ndarray,
        group: int,
        name: str,
        start: tuple[int, int],
        first_lines: list[list[int]],
    ) -> pa.Table:
        rows, size = lines.table.take(pa.array(chosen)), lines.size[chosen]
        bases = np.cumsum([0] + [len(receipt.lines) for receipt in receipts])
        extent = bases[lines.block[chosen]] + rows["extent"].to_numpy()
        sources = [source for receipt in receipts for source, _ in receipt.lines]
        number = {source: index for index, source in enumerate(dict.fromkeys(sources))}
        before = np.array([first for firsts in first_lines for first in firsts])
        count = len(chosen)
        ids = rows["id"].to_numpy().astype(">u8").tobytes().hex()
        return pa.table(
            [
                words(np.zeros(count, np.int32), [GROUPS[group]]),
                words(np.zeros(count, np.int32), [name]),
                pa.array(np.arange(count) + start[0] + 1),
                pa.array(np.cumsum(size) - size + start[1]),
                pa.array([ids[i : i + 16] for i in range(0, len(ids), 16)]),
                words(np.array([number[source] for source in sources], np.int32)[extent], list(number)),
                pa.array(before[extent] + rows["row_line"].to_numpy()),
                *(rows[column] for column in ("row_offset", "piece", "pieces", "images", "tokens", "bytes")),
            ],
            schema=EXAMPLES_FILE,
        )

    def _rejected(self, segment: int, receipts: list[Receipt], plan: SealPlan) -> Iterator[tuple[str, Chunk]]:
        out = []
        firsts = seal_plan.first_lines(receipts, plan.carry[segment])
        some = [(r, first, part) for r, first in zip(receipts, firsts) for part in r.parts if part.kind == "rejected"]
        texts = read_each([part.name for _, _, part in some])
        for text, (receipt, first, _) in zip(texts, some):
            before = {source: lines for (source, _), lines in zip(receipt.lines, first)}
            out += number_rejected(text, before)
        if out:
            yield "rejected.jsonl", Chunk((segment,), (self.put(b"".join(out), f"{segment}.rejected"),), len(out))

    def _images(self, segment: int, receipts: list[Receipt], plan: SealPlan) -> Iterator[tuple[str, Chunk]]:
        parts = [part for receipt in receipts for part in receipt.parts if part.kind == "images"]
        number, count = plan.table_of("images", 0, segment), plan.tables("images")
        target = seal_plan.file_name("images", ".parquet", number, count)
        tables = (table(data).select(self.image_columns.names) for data in read_each([part.name for part in parts]))
        for at, rows in enumerate(slices(tables)):
            yield target, self._put(rows, (segment, at), target)
