"""Decompress a file: whole -> raw blocks of whole lines, the only rows that ever travel; rejects: corrupt_gzip, corrupt_packing.

It cannot be ranged, so one worker goes through it from front to back. What came before damage is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from hashlib import blake2b

from transforms.core.file_kinds import LOOK
from transforms.core.records import Block, Extent, Fault
from transforms.inputs.json_array import as_lines
from transforms.inputs.registry import CONTAINERS
from transforms.inputs.survey.not_rows import fault_of_lines
from transforms.storage.compressed_members import DAMAGE, decompressed, fault_of

UTF16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks
SMALL_FILE = 64 << 20  # bytes that a small file may hold if only its first bytes say that it is compressed
AROUND_LINE = 5  # bytes that do not count as a line's: a byte order mark before it, CRLF after it


def raw_blocks(block: Block, block_bytes: int, max_line_bytes: int) -> Iterator[Block]:
    """Decompress a file of one or many members from front to back into blocks of whole lines.

    Of a line that is too long only its first bytes travel, enough for the reader to see that it is.
    """
    index, name, _ = block.order
    extent = block.extents[0]
    held, start, skipping = bytearray(), 0, False
    fault: Fault | None = None
    reads_others = extent.encoding in CONTAINERS and CONTAINERS[extent.encoding].reads_others
    sought = 0  # bytes of `held` that hold no line end

    def raw(data: bytes, fault: Fault | None = None) -> Block:
        part = Extent(extent.uri, extent.generation, extent.size, start, start + len(data))
        told = blake2b(data, digest_size=16).hexdigest() if reads_others else ""
        return replace(block, order=(index, name, start), extents=(part,), raw=data, fault=fault, told=told)

    try:
        for chunk in as_lines(with_head(text_of(extent), LOOK)):
            if skipping:  # the rest of a line that was too long
                cut = chunk.find(b"\n") + 1
                start += cut or len(chunk)
                if not cut:
                    continue
                chunk, skipping = chunk[cut:], False
            begins = start == 0 and not held
            held += chunk
            if begins and (fault := fault_of_lines(bytes(held[:LOOK]))):
                yield raw(b"", fault)
                return
            if start == 0 and held[:2] in UTF16:
                yield raw(bytes(held[:2]))  # one clear rejection, whatever follows
                return
            while (first := held.find(b"\n", sought)) >= 0 and len(held) >= block_bytes:
                cut = held.rfind(b"\n", 0, max(block_bytes, first + 1)) + 1
                yield raw(bytes(held[:cut]))
                start += cut
                del held[:cut]
                sought = 0
            sought = len(held) if first < 0 else first
            if first < 0 and len(held) >= max_line_bytes + AROUND_LINE:
                yield raw(bytes(held[: max_line_bytes + AROUND_LINE]))
                start += len(held)
                held.clear()
                sought, skipping = 0, True
    except DAMAGE as error:
        fault = fault_of(extent, error)
    if held or fault:
        yield raw(bytes(held), fault)


def text_of(extent: Extent) -> Iterator[bytes]:
    """The text of a compressed file, or the lines of JSON that are made of another one, in pieces.

    Raises:
      DAMAGE: it is damaged, or ends early; what came before was given.
    """
    convert = CONTAINERS[extent.encoding].convert if extent.encoding in CONTAINERS else None
    return convert(extent) if convert else decompressed(extent)


def with_head(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same text, whose first piece holds at least `size` bytes if there are so many; damage follows what came before it."""
    parts, head = iter(chunks), bytearray()
    try:
        while len(head) < size and (chunk := next(parts, b"")):
            head += chunk
    except DAMAGE:
        if head:
            yield bytes(head)
        raise
    if head:
        yield bytes(head)
    yield from parts
