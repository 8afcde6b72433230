"""From listed files to Blocks: small files together (packing.py), large ones in ranges, a compressed one by one worker.

Ranges of a CSV file are cut at record ends, which takes a scan of the file by one worker; nothing else is read but the first bytes of
a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from transforms.core.file_kinds import LOOK
from transforms.core.listing_tally import ListingTally
from transforms.core.reasons import RowError
from transforms.core.records import Block, Dialect, Extent, Fault, Input
from transforms.examples.prompt_templates import asks_for
from transforms.inputs.cells.csv_dialect import HEAD, Wanted, dialect_of, first_records, with_newlines
from transforms.inputs.cells.csv_record_ends import RecordEnds, cut_records
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.compressed_rows import AROUND_LINE, UTF16, raw_blocks, text_of
from transforms.inputs.formats.automl_boxes import grouped_blocks, not_endless
from transforms.inputs.formats.json_files import fault_of_json, is_json
from transforms.inputs.formats.sidecars import ENDINGS as SIDECAR_ENDINGS
from transforms.inputs.formats.unanswered import ANSWERED, Unanswered
from transforms.inputs.json_array import spans_lines
from transforms.inputs.packing import pack_files, pack_images
from transforms.inputs.parquet.blocks import parquet_blocks
from transforms.inputs.patterns import suffixes_of
from transforms.inputs.registry import CONTAINERS, MEANINGS, Meaning, container_of
from transforms.inputs.survey.not_rows import check_bytes, fault_of_lines
from transforms.storage import store_for
from transforms.storage.api import Stat
from transforms.storage.compressed_members import DAMAGE, fault_of, is_packed
from transforms.storage.packings import packing_of_bytes

_SCAN = 8 << 20  # bytes read at a time
_NAME_BYTES = 512  # of a block, for each of a folder's images


@dataclass(frozen=True)
class Cutter:
    """Cuts whole files into blocks.

    block_bytes: of rows in a block. wanted: what options say of tables. images: columns of theirs.
    """

    block_bytes: int
    max_line_bytes: int
    wanted: Wanted
    images: tuple[str, ...] = ()  # columns of a table's images
    unanswered: Unanswered = ANSWERED

    @property
    def _sidecars(self) -> bool:
        return self.wanted.every or asks_for(self.wanted.columns, "sidecar")

    def suffixes(self, row_format: str, json: bool = False) -> tuple[str, ...]:
        """Endings of the files that are listed for a format; `json`: as patterns.is_dataset takes it."""
        meaning = MEANINGS[row_format]
        return suffixes_of(row_format, json) + (SIDECAR_ENDINGS if meaning.of_files and self._sidecars else ())

    def pack(self, index: int, one_input: Input, files: Iterable[Stat], tally: ListingTally) -> Iterator[Block]:
        """Files of an input, in order -> blocks; `tally` is told what became of each."""
        if MEANINGS[one_input.format].of_files:
            names = max(self.block_bytes // _NAME_BYTES, 1)
            yield from pack_images(index, files, names, one_input.base, tally, self._sidecars)
        else:
            for block in pack_files(index, files, self.block_bytes, one_input.format):
                tally.counters["files_taken"] += len(block.extents)
                yield replace(block, base=one_input.base, nearer=one_input.nearer) if one_input.base else block

    def cut(self, block: Block) -> Iterator[Block]:
        """A whole file -> the blocks of its ranges; a pack of small files as it is."""
        meaning = MEANINGS[block.format]
        if meaning.of_files:
            yield block
        elif meaning.only_lines and (fault := self._fault_of_json(block, meaning)):
            yield replace(block, raw=b"", fault=fault)
        elif meaning.only_lines:
            yield from cut_blocks(block, self.block_bytes, meaning.longest_line(self.max_line_bytes))
        elif len(block.extents) > 1 or block.dialect or meaning.file_columns:
            yield block
        else:
            yield from self._cut_table(block)

    def _fault_of_json(self, block: Block, meaning: Meaning) -> Fault | None:
        """What stands for a large or packed .json file without a row; a small one is looked at by who reads it."""
        first = block.extents[0]
        if not is_json(first.uri) or (first.size <= self.block_bytes and not is_packed(first)):
            return None
        extent, head = opened_head(first)
        return fault_of_json(extent.uri, head, meaning, self.wanted.columns)

    def _cut_table(self, block: Block) -> Iterator[Block]:
        extent, first = as_stored(block.extents[0])
        block = replace(block, extents=(extent,))
        if extent.encoding in CONTAINERS:  # lines are made of it
            yield from raw_blocks(
                replace(block, dialect=Dialect(extent.encoding)), self.block_bytes, self.max_line_bytes
            )
            return
        head = _head(extent, first, [])
        try:
            check_bytes(extent.uri, head, is_packed(extent))
            if container_of(extent.uri, head).is_columnar:
                limits = self.block_bytes, self.max_line_bytes
                own = MEANINGS[block.format].image_columns
                columns = None if self.wanted.every or own else self.wanted.columns
                yield from parquet_blocks(block, *limits, columns, own or self.images)
                return
            dialect = dialect_of(extent.uri, head, self.wanted, block.format)
        except RowError as error:
            yield replace(block, fault=Fault(error.reason, error.detail))
            return
        whole, meaning = replace(block, dialect=dialect), MEANINGS[block.format]
        is_box = meaning.is_box
        if CONTAINERS[dialect.kind].is_lines and (
            fault := fault_of_json(extent.uri, head, meaning, self.wanted.columns)
            or self.unanswered.fault_of_lines(extent.uri, head)
        ):
            yield replace(block, fault=fault)
        elif CONTAINERS[dialect.kind].is_lines:
            yield from cut_blocks(whole, self.block_bytes, self.max_line_bytes)
        elif is_box and any(map(is_box, first_records(extent.uri, head, self.wanted))):
            yield from self._detection_blocks(whole)
        elif extent.size <= self.block_bytes and not is_packed(extent):
            yield whole
        else:
            yield from self._csv_blocks(whole)

    @property
    def _reader(self) -> TableReader:
        return TableReader(self.wanted, self.max_line_bytes, (), _no_images)

    def _detection_blocks(self, block: Block) -> Iterator[Block]:
        reader = self._reader
        ranges = self._csv_blocks(block, gathered=True)
        try:
            yield from grouped_blocks(block, ranges, lambda some: reader.read(some, _no_key), self.block_bytes)
        except RowError as error:
            yield replace(block, fault=Fault(error.reason, error.detail))

    def _csv_blocks(self, block: Block, gathered: bool = False) -> Iterator[Block]:
        """Args: gathered: one worker takes them all; they hold their bytes, as those of a .gz always do, and have an end."""
        assert block.dialect
        block = replace(block, dialect=self._reader.with_quotes_of(_text_of(block, []), block.dialect))
        assert block.dialect
        extent, (index, name, _), end = block.extents[0], block.order, 0
        packed = is_packed(extent)
        faults: list[Fault] = []
        chunks = _text_of(block, faults)
        longest, quoted = self.max_line_bytes + AROUND_LINE, block.dialect.quoted
        for found in cut_records(
            not_endless(chunks) if gathered else chunks, block.dialect.delimiter, self.block_bytes, longest, quoted
        ):
            data, end = found.data, found.end
            if faults and data:  # the last record is the damaged one
                ends = RecordEnds(block.dialect.delimiter, quoted=quoted).feed(data)
                data = data[: int(ends[-1]) if len(ends) else 0]
                end = found.start + len(data)
            part = replace(extent, start=found.start, end=end)
            cut = replace(block, order=(index, name, found.start), extents=(part,))
            if not found.data:
                detail = f"the record is longer than {self.max_line_bytes:,} bytes; is a quote missing?"
                yield replace(cut, fault=Fault("line_too_long", detail), lines=found.lines)
            elif data:
                yield replace(cut, raw=data) if packed or gathered else cut
        if faults:
            part = replace(extent, start=end, end=end)
            yield replace(block, order=(index, name, end), extents=(part,), fault=faults[0])


def _no_images(data: bytes) -> tuple[str, str]:
    raise AssertionError("CSV holds no bytes of images")


def _no_key(block: Block) -> str:
    return ""  # it is not committed


def _text_of(block: Block, faults: list[Fault]) -> Iterator[bytes]:
    """The text of a whole CSV file; damage of a compressed one ends it and is noted."""
    extent = block.extents[0]
    chunks = _before_fault(extent, faults) if is_packed(extent) else _chunks(extent)
    return map(with_newlines, chunks) if block.dialect and block.dialect.carriage_returns else chunks


def _chunks(extent: Extent) -> Iterator[bytes]:
    store = store_for(extent.uri)
    for start in range(0, extent.size, _SCAN):
        yield store.read(extent.uri, start, min(start + _SCAN, extent.size), extent.generation)[0]


def _before_fault(extent: Extent, faults: list[Fault]) -> Iterator[bytes]:
    """The text of a compressed file; damage ends it and is noted."""
    try:
        yield from text_of(extent)
    except DAMAGE as error:
        faults.append(fault_of(extent, error))


def opened_head(extent: Extent, faults: list[Fault] | None = None) -> tuple[Extent, bytes]:
    """A whole file as it is stored, and its first bytes, decompressed or converted; damage is noted in `faults`."""
    extent, first = as_stored(extent)
    return extent, _head(extent, first, [] if faults is None else faults)


def as_stored(extent: Extent) -> tuple[Extent, bytes]:
    """A whole file as its first bytes show it, and these.

    Its encoding tells what its name may not say: how it is compressed, or the name of the container that lines are made of.
    """
    if is_packed(extent):
        return extent, b""
    first = store_for(extent.uri).read(extent.uri, 0, HEAD, extent.generation)[0]
    container = container_of(extent.uri, first)
    encoding = container.name if container.convert else packing_of_bytes(first)
    return replace(extent, encoding=encoding), first


def _head(extent: Extent, first: bytes, faults: list[Fault]) -> bytes:
    """The first bytes of what a file holds, unless all of it has to be read for them."""
    if not is_packed(extent):
        return first
    if extent.encoding in CONTAINERS and not CONTAINERS[extent.encoding].shows_columns:
        return b""
    head = bytearray()
    for chunk in _before_fault(extent, faults):
        head += chunk
        if len(head) >= HEAD:
            break
    return bytes(head[:HEAD])


def cut_blocks(block: Block, block_bytes: int, max_line_bytes: int) -> Iterator[Block]:
    """A whole file of lines -> the blocks of its ranges; a pack of small files as it is."""
    first, head = block.extents[0], b""
    if first.size > block_bytes and not is_packed(first):
        head = store_for(first.uri).read(first.uri, 0, LOOK, first.generation)[0]
        first = replace(first, encoding=packing_of_bytes(head))
        block = replace(block, extents=(first,))
    if not is_packed(first) and (fault := fault_of_lines(head)):
        yield replace(block, extents=(replace(first, end=0),), raw=b"", fault=fault)
    elif is_packed(first) or spans_lines(head):
        yield from raw_blocks(block, block_bytes, max_line_bytes)
    elif len(block.extents) > 1 or first.size <= block_bytes:
        yield block
    else:
        index, name, _ = block.order
        if head[:2] in UTF16:
            yield replace(block, extents=(replace(first, end=2),))  # one clear rejection, no more read
            return
        for start in range(0, first.size, block_bytes):
            part = replace(first, start=start, end=min(start + block_bytes, first.size))
            yield replace(block, order=(index, name, start), extents=(part,))
