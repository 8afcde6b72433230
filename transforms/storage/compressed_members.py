"""Decompress files of one or many members: gzip here, others by packings.py; a whole file as it comes, or an object in memory.

A compressed file cannot be ranged: it is read from front to back. What came before damage is given.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace

from transforms.core.file_kinds import LOOK, kind_of
from transforms.core.reasons import RowError
from transforms.core.records import Extent, Fault
from transforms.storage import store_for
from transforms.storage.api import Stat
from transforms.storage.packings import Damaged, members, packing_of_bytes, packing_of_name

_STEP, _MOST = 512, 1 << 20  # bytes that are given to zlib at once: of a new member, and later
_CONTROL = re.compile(rb"[\0-\x08\x0e-\x1f]")
_PADDING = re.compile(rb"\0*")


DAMAGE = (zlib.error, EOFError, Damaged)  # what a compressed file that cannot be read to its end raises


def packing_of(file: Stat | Extent) -> str:
    """gzip, bz2, xz or zst: by what is known of a file (as an object with Content-Encoding gzip), or by its name; "": none."""
    return file.encoding or packing_of_name(file.uri)


def is_packed(file: Stat | Extent) -> bool:
    """Whether a file is compressed."""
    return packing_of(file) != ""


def fault_of(file: Stat | Extent, error: Exception) -> Fault:
    """What is said of a damaged file, with its reason."""
    reason = "corrupt_gzip" if packing_of(file) == "gzip" else "corrupt_packing"
    return Fault(getattr(error, "reason", "") or reason, str(error))


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
    """The text of a compressed file in pieces; of text that is only named so, as it is.

    Raises:
      DAMAGE: it is damaged, or ends early; what came before was given.
    """
    store = store_for(extent.uri)
    starts = range(0, extent.size, chunk)
    pieces = (store.read(extent.uri, at, at + chunk, extent.generation)[0] for at in starts)
    first = next(pieces, b"")
    packing = packing_of_bytes(first) or packing_of(extent)  # bytes know better than names
    if _is_plain(first):
        yield first
        yield from pieces
        return
    packed = itertools.chain([first], pieces) if first else ()
    yield from _members(packed, chunk) if packing == "gzip" else members(packed, chunk, packing)


def _is_plain(head: bytes) -> bool:
    """Whether a file that is named as a compressed one is none: text without a control character, or of another known kind."""
    if not head or packing_of_bytes(head):
        return False
    return not _CONTROL.search(head, 0, LOOK) or kind_of(head) is not None


def whole_text(extent: Extent, data: bytes, most: int) -> bytes:
    """The bytes of a whole small file; decompressed, if they are compressed and its name does not say so.

    Raises:
      RowError: corrupt_gzip or corrupt_packing.
    """
    packing = packing_of_bytes(data) if (extent.start, extent.end) == (0, extent.size) else ""
    if not packing:
        return data
    text = bytearray()
    try:
        for piece in _members([data], _MOST) if packing == "gzip" else members([data], _MOST, packing):
            text += piece
            if len(text) > most:
                raise Damaged(f"it holds more than {most:,} bytes, and its name does not say that it is compressed")
    except DAMAGE as error:
        fault = fault_of(replace(extent, encoding=packing), error)
        raise RowError(fault.reason, fault.detail) from None
    return bytes(text)


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
