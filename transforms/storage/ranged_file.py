"""One version of a stored object as a file that can be sought: what Parquet's reader asks for is read by ranges."""

from __future__ import annotations

import io
import os
from typing import Any

from transforms.storage import store_for


class RangedFile(io.RawIOBase):
    """Bytes of a URI; `generation`: that which is expected, "": any. `size` is that of the whole, in bytes."""

    def __init__(self, uri: str, generation: str, size: int) -> None:
        self._uri, self._generation, self._size, self._at = uri, generation, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        place = offset + (0, self._at, self._size)[whence]
        if place < 0:
            raise ValueError(f"a place before the file: {place}")  # as io's own files do
        self._at = place
        return place

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._at + size, self._size)
        if end <= self._at:
            return b""
        data = store_for(self._uri).read(self._uri, self._at, end, self._generation)[0]
        self._at += len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        """For io.BufferedReader."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
