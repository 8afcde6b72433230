"""Decompress bzip2, xz and Zstandard of one or many members, in pieces of bounded size. Gzip is read by compressed_members.py."""

from __future__ import annotations

import bz2
import io
import lzma
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa

_STEP, _MOST = 512, 1 << 16  # bytes that are given to a decompressor at once: of a new member, and later
_SMALL = 1024  # bytes that are asked of Arrow at once: what it has of them when it comes to damage is lost
_PADDING = re.compile(rb"\0*")
_XZ_MEMORY = 256 << 20  # bytes that a file may ask for; `xz -9` takes 65 MB
_MAGIC = {b"\x1f\x8b\x08": "gzip", b"BZh": "bz2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zst"}
ENDINGS = {".gz": "gzip", ".bz2": "bz2", ".xz": "xz", ".zst": "zst"}


class Damaged(ValueError):
    """A file that ends early or cannot be decompressed; what came before was given. `reason`: "" by how it is compressed."""

    def __init__(self, detail: str, reason: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


def packing_of_name(name: str) -> str:
    """gzip, bz2, xz or zst by a file's ending; "" of any other."""
    lower = name.lower()
    return next((packing for ending, packing in ENDINGS.items() if lower.endswith(ending)), "")


def packing_of_bytes(head: bytes) -> str:
    """gzip, bz2, xz or zst by a file's first bytes; "" of any other.

    >>> packing_of_bytes(b"BZh91AY&SY"), packing_of_bytes(b"BZh,label")
    ('bz2', '')
    """
    packing = next((packing for magic, packing in _MAGIC.items() if head.startswith(magic)), "")
    return "" if packing == "bz2" and head[4:10] not in (b"1AY&SY", b"\x17rE8P\x90") else packing


def without_ending(name: str) -> str:
    """A file's name in small letters, without the ending of its packing."""
    lower = name.lower()
    return next((lower.removesuffix(ending) for ending in ENDINGS if lower.endswith(ending)), lower)


def members(pieces: Iterable[bytes], most: int, packing: str) -> Iterator[bytes]:
    """The text of a file's members one after another, in pieces of 1 to `most` bytes.

    Args: packing: bz2, xz or zst.

    Raises:
      Damaged: it is damaged, or ends early.
    """
    if packing == "zst":
        return _frames(pieces, most)
    return _streams(pieces, most, bz2.BZ2Decompressor if packing == "bz2" else _xz)


def _xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(memlimit=_XZ_MEMORY)


def _streams(pieces: Iterable[bytes], most: int, new: Callable[[], Any]) -> Iterator[bytes]:
    """A decompressor copies what lies behind a member's end, so it is given little of a new one and then ever more, as of gzip."""
    stream, step = new(), _STEP
    for piece in pieces:
        view, at = memoryview(piece), 0
        while at < len(piece):
            if stream.eof:  # another member may follow, or padding
                at += len(_PADDING.match(piece, at)[0])  # type: ignore[index]
                if at == len(piece):
                    break
                stream, step = new(), _STEP
            some = view[at : at + step]
            data = _decompressed(stream, some, most)
            while data or not (stream.eof or stream.needs_input):
                if data:
                    yield data
                if stream.eof or stream.needs_input:
                    break
                data = _decompressed(stream, b"", most)
            at += len(some) - len(stream.unused_data)
            step = min(2 * step, _MOST)
    if not stream.eof:
        raise Damaged("it ends before its end mark")


def _decompressed(stream: Any, data: bytes | memoryview, most: int) -> bytes:
    try:
        return bytes(stream.decompress(data, most))
    except (OSError, lzma.LZMAError, ValueError) as error:
        raise Damaged(str(error)) from None


def _frames(pieces: Iterable[bytes], most: int) -> Iterator[bytes]:
    source, text, more = _Pieces(pieces), bytearray(), True
    with pa.CompressedInputStream(pa.PythonFile(source, "r"), "zstd") as stream:
        while more:
            try:
                data = stream.read(min(_SMALL, most - len(text)))
            except OSError as error:  # Arrow's own; storage fails in other ways
                yield from [bytes(text)] if text else []
                raise Damaged(str(error)) from None
            text += data
            more = bool(data)
            if text and (len(text) == most or not more):
                yield bytes(text)
                text.clear()
    if source.empty:
        raise Damaged("it ends before its end mark")


class _Pieces(io.RawIOBase):
    """Pieces of bytes as a file that is read from front to back."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._rest = iter(pieces), memoryview(b"")
        self.empty = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest, self.empty = memoryview(piece), False
        some = self._rest[: len(buffer)]
        buffer[: len(some)] = some
        self._rest = self._rest[len(some) :]
        return len(some)
