"""Local files as a store: nothing is seen half written (aside first, then placed under its name)."""

from __future__ import annotations

import os
import stat as stat_module
import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import BinaryIO

import google_crc32c

from transforms.storage.api import Changed, NotAFile, NotFound, Piece, Stat, verified
from transforms.storage.local_create import lacks_links, locked, place
from transforms.storage.local_walk import below, folders_in, generation_of, stat_of, translate

_COPY_CHUNK = 8 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TOKEN = os.urandom(4).hex()  # machines that share a folder may have equal process numbers


def open_regular(path: str, folder: int = -1) -> tuple[int, Stat]:
    """A descriptor of a regular file: never waits on a FIFO, never opens a device for its side effects.

    Args:
      folder: descriptor of the path's folder: the file's name is looked up there, and no link is followed.

    Raises:
      NotAFile: it is something else.
      OSError: as `os.open`.
    """
    if folder < 0:
        descriptor = os.open(path, _FLAGS)
    else:
        descriptor = os.open(path.rpartition("/")[2], _FLAGS | os.O_NOFOLLOW, dir_fd=folder)
    info = os.fstat(descriptor)
    if not stat_module.S_ISREG(info.st_mode):
        os.close(descriptor)
        raise NotAFile(f"{path} is not a regular file")
    return descriptor, Stat(path, info.st_size, generation_of(info))


def read_open(descriptor: int, found: Stat, start: int, end: int, generation: str = "") -> tuple[bytes, Stat]:
    """Bytes of what `open_regular` opened.

    Raises:
      Changed: it is another generation by now.
    """
    if generation and generation != (now := generation_of(os.fstat(descriptor))):
        raise Changed(f"{found.uri} was {generation} (size-mtime) when it was seen and is {now} now")
    return _pread(descriptor, start, min(end, found.size)), found


def _pread(descriptor: int, start: int, stop: int) -> bytes:
    if stop <= start:
        return b""
    data = os.pread(descriptor, stop - start, start)
    if len(data) == stop - start:
        return data
    chunks = [data]  # Linux reads at most 2 GiB a call
    while chunks[-1] and (got := sum(map(len, chunks))) < stop - start:
        chunks.append(os.pread(descriptor, stop - start - got, start + got))
    return b"".join(chunks)


class LocalStore:
    """Files of this machine."""

    def stat(self, uri: str) -> Stat:
        try:
            info = os.stat(uri)
        except (OSError, ValueError) as error:
            raise translate(error, uri) if isinstance(error, OSError) else NotFound(f"{uri!r}: {error}") from None
        if not stat_module.S_ISREG(info.st_mode):
            raise NotAFile(f"{uri} is not a regular file")
        return stat_of(uri, info)

    def list(
        self,
        prefix: str,
        *,
        deep: bool = True,
        start: str = "",
        end: str = "",
        page: int = 0,
        without: Collection[str] = (),
    ) -> Iterator[Stat]:
        found = below(prefix, deep, without)
        yield from (one for one in found if start <= one.uri and (not end or one.uri < end))

    def folders(self, folder: str) -> Iterator[tuple[Sequence[str], bool]]:
        yield folders_in(folder), False

    def metadata(self, uri: str, generation: str) -> dict[str, str]:
        return {}

    def verify(self, uri: str, size: int, crc32c: int) -> Stat:
        return verified(self.read(uri), size, crc32c)

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        try:
            descriptor, found = open_regular(uri)
            try:
                return read_open(descriptor, found, start, found.size if end is None else end, generation)
            finally:
                os.close(descriptor)
        except ValueError as error:  # an embedded NUL
            raise NotFound(f"{uri!r}: {error}") from None
        except OSError as error:
            raise translate(error, uri) from error

    @contextmanager
    def _aside(self, uri: str) -> Iterator[str]:
        """A path beside `uri` that no other writer uses, free again afterwards; makes the folder."""
        folder, name = os.path.split(uri)
        os.makedirs(folder or ".", exist_ok=True)
        # 40 characters of the name, for a person: at 4 bytes each it still fits the 255 bytes of a file name.
        aside = os.path.join(folder, f".tmp-{os.getpid()}-{threading.get_ident()}-{_TOKEN}-{name[:40]}")
        try:
            yield aside
        finally:
            with suppress(FileNotFoundError):
                os.unlink(aside)

    def _write(self, path: str, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
        finally:
            os.close(descriptor)

    def create(self, uri: str, data: bytes, content_type: str = "") -> bool:
        try:
            if os.path.lexists(uri):
                return False
            with self._aside(uri) as aside:
                self._write(aside, data)
                return place(aside, uri)
        except OSError as error:
            raise translate(error, uri) from None

    def replace(self, uri: str, data: bytes, generation: str) -> bool:
        try:
            # The folder itself is the lock: a rename cannot be made conditional any other way.
            with self._aside(uri) as aside, locked(os.path.dirname(uri) or "."):
                seen = os.stat(uri) if os.path.exists(uri) else None
                if generation and (seen is None or generation_of(seen) != generation):
                    return False
                self._write(aside, data)
                written = os.stat(aside)
                if seen is not None and written.st_mtime_ns <= seen.st_mtime_ns:
                    # Within one tick of the file system's clock equal sizes would be equal generations.
                    os.utime(aside, ns=(written.st_atime_ns, seen.st_mtime_ns + 1))
                os.replace(aside, uri)
                return True
        except OSError as error:
            raise translate(error, uri) from None

    def renew(self, uri: str, data: bytes, generation: str) -> bool:
        """Touch the opened file: one that was removed or replaced meanwhile does not come back, and a full disk is no hindrance."""
        try:
            descriptor, found = open_regular(uri)
            try:
                if found.generation != generation:
                    return False
                os.utime(descriptor)  # without a time, so that a file server takes its own
                return True
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise translate(error, uri) from None

    def age(self, uri: str) -> tuple[str, float]:
        """By the clock of whoever serves the folder, which dates a new file in it."""
        try:
            descriptor, found = open_regular(uri)  # opened: a network file system would tell an old time from its cache
            try:
                written = os.fstat(descriptor).st_mtime
            finally:
                os.close(descriptor)
            with self._aside(uri) as aside:
                self._write(aside, b"")
                return found.generation, os.stat(aside).st_mtime - written
        except OSError as error:
            raise translate(error, uri) from None

    def copy(self, source: Stat, uri: str) -> bool:
        """One more link to the file, which nobody writes into; its bytes again where there can be none."""
        try:
            if os.path.lexists(uri):
                return False
            if source.generation and self.stat(source.uri).generation != source.generation:
                raise Changed(f"{source.uri} is no longer {source.generation} (size-mtime), which was to be copied")
            os.makedirs(os.path.dirname(uri) or ".", exist_ok=True)
            os.link(source.uri, uri)
            return True
        except FileExistsError:
            return False
        except OSError as error:
            if not lacks_links(error):
                raise translate(error, uri) from None
        return self.create(uri, self.read(source.uri, generation=source.generation)[0])

    def join(self, uri: str, pieces: Sequence[Piece], content_type: str = "") -> tuple[Stat, int]:
        checksum = 0
        try:
            with self._aside(uri) as aside:
                with open(aside, "wb", buffering=_COPY_CHUNK) as out:
                    for piece in pieces:
                        checksum = self._append(out, piece, checksum)
                os.replace(aside, uri)
        except OSError as error:
            raise translate(error, uri) from None
        return self.stat(uri), checksum

    def _append(self, out: BinaryIO, piece: Piece, checksum: int) -> int:
        whole, position = 0, piece.start
        while position < piece.end:
            data, found = self.read(piece.uri, position, min(position + _COPY_CHUNK, piece.end))
            if not data or found.size != piece.size:
                raise Changed(f"{piece.uri} has {found.size} bytes, expected {piece.size}")
            position += len(data)
            checksum = google_crc32c.extend(checksum, data)
            whole = google_crc32c.extend(whole, data)
            out.write(data)
        if piece.crc32c >= 0 and piece.start == 0 and piece.end == piece.size and whole != piece.crc32c:
            raise Changed(f"{piece.uri}: its bytes are not those that were committed (CRC32C differs)")
        return checksum

    def delete(self, uris: Iterable[str]) -> None:
        for uri in uris:
            try:
                with suppress(FileNotFoundError, NotADirectoryError):
                    os.unlink(uri)
            except OSError as error:
                raise translate(error, uri) from None

    def remove_empty(self, folder: str) -> None:
        for path, _, _ in os.walk(folder, topdown=False):
            with suppress(OSError):
                os.rmdir(path)
