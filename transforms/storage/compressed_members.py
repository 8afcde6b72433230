"""Decompress gzip of one or many members: of a whole file as it comes, or of an object in memory.

A .gz cannot be ranged: it is read from front to back. What came before damage is given.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress

from transforms.core.records import Extent
from transforms.storage import store_for
from transforms.storage.api import Stat

_STEP, _MOST = 512, 1 << 20  # bytes that are given to zlib at once: of a new member, and later
_PADDING = re.compile(rb"\0*")


def is_gz(file: Stat | Extent) -> bool:
    """Whether a file is compressed: by its name, or as an object with Content-Encoding gzip."""
    return file.encoding == "gzip" or file.uri.lower().endswith(".gz")


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
