"""Decompress a .gz: a whole file -> raw blocks of whole lines, the only rows that ever travel; rejects: corrupt_gzip.

It cannot be ranged, so one worker goes through it from front to back. What came before damage is used.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from transforms.core.records import Block, Extent
from transforms.storage import Stat, store_for

UTF16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks
AROUND_LINE = 5  # bytes that do not count as a line's: a byte order mark before it, CRLF after it


def is_gz(file: Stat | Extent) -> bool:
    """Whether a file is compressed: by its name, or as an object with Content-Encoding gzip."""
    return file.encoding == "gzip" or file.uri.lower().endswith(".gz")


def raw_blocks(block: Block, block_bytes: int, max_line_bytes: int) -> Iterator[Block]:
    """Decompress a (multi-member) .gz from front to back into blocks of whole lines.

    Of a line that is too long only its first bytes travel, enough for the reader to see that it is.
    """
    index, name, _ = block.order
    extent = block.extents[0]
    held, start, skipping, fault = bytearray(), 0, False, ""

    def raw(data: bytes, fault: str = "") -> Block:
        part = Extent(extent.uri, extent.generation, extent.size, start, start + len(data))
        return replace(block, order=(index, name, start), extents=(part,), raw=data, fault=fault)

    try:
        for chunk in decompressed(extent):
            if skipping:  # the rest of a line that was too long
                cut = chunk.find(b"\n") + 1
                start += cut or len(chunk)
                if not cut:
                    continue
                chunk, skipping = chunk[cut:], False
            held += chunk
            if start == 0 and held[:2] in UTF16:
                yield raw(bytes(held[:2]))  # one clear rejection, whatever follows
                return
            while (cut := held.rfind(b"\n", 0, max(block_bytes, held.find(b"\n") + 1)) + 1) and len(
                held
            ) >= block_bytes:
                yield raw(bytes(held[:cut]))
                start += cut
                del held[:cut]
            if len(held) >= max_line_bytes + AROUND_LINE and b"\n" not in held:
                yield raw(bytes(held[: max_line_bytes + AROUND_LINE]))
                start += len(held)
                held.clear()
                skipping = True
    except (zlib.error, EOFError) as error:
        fault = f"corrupt_gzip: {error}"
    if held or fault:
        yield raw(bytes(held), fault)


def unpacked(data: bytes, most: int) -> bytes:
    """A (multi-member) gzip in memory as one.

    Raises:
      zlib.error, EOFError: it is damaged, or ends early.
      OverflowError: it comes to more than `most` bytes.
    """
    out, left, rest = [], most, data
    while rest:
        inflate = zlib.decompressobj(wbits=31)
        out.append(inflate.decompress(rest, left + 1))
        left -= len(out[-1])
        if left < 0:
            raise OverflowError(f"it unpacks to more than {most:,} bytes")
        if not inflate.eof:
            raise EOFError("it ends before its end mark")
        rest = inflate.unused_data.lstrip(b"\0")
    return b"".join(out)


def decompressed(extent: Extent, chunk: int = 1 << 20) -> Iterator[bytes]:
    """The text of a .gz in pieces.

    Raises:
      zlib.error, EOFError: it is damaged, or ends early; what came before was given.
    """
    store = store_for(extent.uri)
    inflate, position, pending = zlib.decompressobj(wbits=31), 0, b""
    while pending or position < extent.size:
        if not pending:
            pending, _ = store.read(extent.uri, position, position + chunk, extent.generation)
            position += len(pending)
        before = inflate.copy()
        try:
            data = inflate.decompress(pending, chunk)
        except zlib.error:
            yield _before_damage(before, pending)
            raise
        yield data
        pending = inflate.unconsumed_tail
        if inflate.eof:  # another member may follow, or padding
            pending = inflate.unused_data.lstrip(b"\0")
            inflate = zlib.decompressobj(wbits=31)
            if not pending and position >= extent.size:
                return
    raise EOFError("it ends before its end mark")


def _before_damage(inflate: zlib._Decompress, pending: bytes) -> bytes:
    """What zlib gives of a piece up to the byte that it stumbles over: it returns nothing from the call that fails."""
    good = bytearray()
    with suppress(zlib.error):
        for i in range(len(pending)):
            good += inflate.decompress(pending[i : i + 1])
    return bytes(good)
