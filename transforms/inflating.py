"""Decompress a .gz: a whole file -> raw blocks of whole lines, the only rows that ever travel; rejects: corrupt_gzip.

It cannot be ranged, so one worker goes through it from front to back. What came before damage is used.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from transforms.core.records import Block, Extent
from transforms.storage import Stat, store_for

UTF16 = (b"\xff\xfe", b"\xfe\xff")  # byte order marks
AROUND_LINE = 5  # bytes that do not count as a line's: a byte order mark before it, CRLF after it
_STEP, _MOST = 512, 1 << 20  # bytes that are given to zlib at once: of a new member, and later
_PADDING = re.compile(rb"\0*")


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
    sought = 0  # bytes of `held` that hold no line end

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
    out, left = [], most
    for piece in _members([data], _MOST) if data else ():
        out.append(piece)
        left -= len(piece)
        if left < 0:
            raise OverflowError(f"it unpacks to more than {most:,} bytes")
    return b"".join(out)


def decompressed(extent: Extent, chunk: int = _MOST) -> Iterator[bytes]:
    """The text of a .gz in pieces.

    Raises:
      zlib.error, EOFError: it is damaged, or ends early; what came before was given.
    """
    store = store_for(extent.uri)
    starts = range(0, extent.size, chunk)
    yield from _members((store.read(extent.uri, at, at + chunk, extent.generation)[0] for at in starts), chunk)


def _members(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    """The text of gzip members one after another, with padding behind each, in pieces of 1 to `most` bytes.

    zlib copies what lies behind the end of a member. So it is given little of a new one, and then twice as much each time: what is
    copied is no more than what was read, however many members there are.
    """
    inflate, step, ended = zlib.decompressobj(wbits=31), _STEP, False
    for piece in pieces:
        view, at = memoryview(piece), 0
        while at < len(piece):
            if ended:  # another member may follow, or padding
                at += len(_PADDING.match(piece, at)[0])  # type: ignore[index]
                if at == len(piece):
                    break
                inflate, step, ended = zlib.decompressobj(wbits=31), _STEP, False
            some, before = view[at : at + step], inflate.copy()
            try:
                data = inflate.decompress(some, most)
            except zlib.error:
                yield _before_damage(before, bytes(some))
                raise
            ended = inflate.eof
            at += len(some) - len(inflate.unused_data if ended else inflate.unconsumed_tail)
            step = min(2 * step, _MOST)
            if data:
                yield data
    if not ended:
        raise EOFError("it ends before its end mark")


def _before_damage(inflate: zlib._Decompress, pending: bytes) -> bytes:
    """What zlib gives of a piece up to the byte that it stumbles over: it returns nothing from the call that fails."""
    good = bytearray()
    with suppress(zlib.error):
        for i in range(len(pending)):
            good += inflate.decompress(pending[i : i + 1])
    return bytes(good)
