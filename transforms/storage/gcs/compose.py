"""Join objects of Cloud Storage on the server: byte ranges in order -> one object; rejects what is not what was committed.

Whole objects of one bucket are composed, 32 at a time in a tree; other ranges are read and uploaded first. What is uploaded on
the way lies in `_tuneset/join/` beside the object, named by what it holds, and is deleted at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from transforms.storage.api import Changed, Forbidden, Piece, Stat, StorageError, Unavailable, crc32c
from transforms.storage.gcs.client import split_object, split_uri
from transforms.storage.gcs.crc32c import combine

COMPOSE = 32  # sources of one compose: https://cloud.google.com/storage/docs/composite-objects, read 2026-11-22
THREADS = 8  # requests of one join under way at once
SMALL = 8 << 20  # bytes that a join may read and upload instead, where that takes fewer requests
COPY = 16 << 20  # bytes of a range that are held in memory at once


class Source(NamedTuple):
    """An object that is composed; `crc32c` -1: not known."""

    name: str
    size: int
    crc32c: int
    temporary: bool = False


# (URI, at most COMPOSE sources, content type) -> the stat and CRC32C of the one object that they became.
Compose = Callable[[str, Sequence[Source], str], tuple[Stat, int]]


class Objects(Protocol):
    """What joining asks of a store, beside composing."""

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]: ...
    def write(self, uri: str, data: bytes, content_type: str = "") -> Stat: ...
    def delete(self, uris: Iterable[str]) -> None: ...


def join(store: Objects, compose: Compose, uri: str, pieces: Sequence[Piece], content_type: str) -> tuple[Stat, int]:
    """As `Store.join`. An object that is not what its pieces promised is deleted again.

    Args:
      store: where the pieces lie.
      compose: one request that composes objects of a bucket.

    Raises:
      Changed: a piece is not of the size or CRC32C given.
      Unavailable: also when another execution of the same join deleted what this one had uploaded.
    """
    bucket, _ = split_object(uri)
    groups = _grouped(pieces, bucket)
    if not groups or (len(groups) == 1 and not _as_it_is(groups[0], bucket)):
        data = b"".join(_copied(store, piece) for piece in (groups[0] if groups else []))
        return store.write(uri, data, content_type), crc32c(data)
    folder = uri.rpartition("/")[0] + "/_tuneset/join/"
    made: list[str] = []

    def source(group: list[Piece]) -> Source:
        first = group[0]
        if _as_it_is(group, bucket):
            return Source(split_uri(first.uri)[1], first.size, first.crc32c)
        data = b"".join(_copied(store, piece) for piece in group)
        temporary = folder + _digest(group)
        made.append(temporary)
        store.write(temporary, data)
        return Source(split_uri(temporary)[1], len(data), crc32c(data), temporary=True)

    def composed(sources: list[Source]) -> Source:
        if len(sources) == 1:
            return sources[0]
        temporary = folder + _digest(sources)
        made.append(temporary)
        stat, found = _checked(store, compose, temporary, sources, "")
        return Source(split_uri(temporary)[1], stat.size, found, temporary=True)

    try:
        with ThreadPoolExecutor(THREADS) as pool:
            sources = list(pool.map(source, groups))
            while len(sources) > COMPOSE:
                level = [sources[i : i + COMPOSE] for i in range(0, len(sources), COMPOSE)]
                sources = list(pool.map(composed, level))
        result = _checked(store, compose, uri, sources, content_type)
    except Changed:
        store.delete(made)
        raise
    store.delete(made)
    return result


def _checked(
    store: Objects, compose: Compose, uri: str, sources: Sequence[Source], content_type: str
) -> tuple[Stat, int]:
    """At most 32 sources into one object, checked against what they should come to."""
    size, expected = 0, 0
    for source in sources:
        size += source.size
        known = expected >= 0 and source.crc32c >= 0
        expected = combine(expected, source.crc32c, source.size) if known else -1
    stat, found = compose(uri, sources, content_type)
    if stat.size != size or (expected >= 0 and expected != found):
        store.delete([uri])
        raise Changed(
            f"{uri}: {len(sources)} objects were joined to {stat.size} bytes, CRC32C {found:08x}; expected {size} "
            f"bytes{f', {expected:08x}' if expected >= 0 else ''}: one of them is not what was committed"
        )
    return stat, found


def _copied(store: Objects, piece: Piece) -> bytes:
    data, found = store.read(piece.uri, piece.start, piece.end)
    if found.size != piece.size or len(data) != piece.end - piece.start:
        raise Changed(f"{piece.uri} has {found.size} bytes, expected {piece.size}")
    if piece.crc32c >= 0 and _whole(piece) and crc32c(data) != piece.crc32c:
        raise Changed(f"{piece.uri}: its bytes are not those that were committed (CRC32C differs)")
    return data


def _whole(piece: Piece) -> bool:
    return piece.start == 0 and piece.end == piece.size


def _composable(piece: Piece, bucket: str) -> bool:
    return _whole(piece) and split_uri(piece.uri)[0] == bucket


def _as_it_is(group: list[Piece], bucket: str) -> bool:
    return len(group) == 1 and _composable(group[0], bucket)


def _grouped(pieces: Sequence[Piece], bucket: str) -> list[list[Piece]]:
    """What becomes one source each: an object composed as it is, or neighbouring ranges uploaded together.

    Uploading a group takes a read for each range, a put and a delete. So few small pieces are all one group.
    """
    pieces = [piece for piece in pieces if piece.end > piece.start]
    groups: list[list[Piece]] = []
    room = requests_needed = 0
    for piece in pieces:
        if _composable(piece, bucket):
            groups.append([piece])
            room = 0
            continue
        for start in range(piece.start, piece.end, COPY):
            part = Piece(piece.uri, start, min(start + COPY, piece.end), piece.size, piece.crc32c)
            requests_needed += 1
            if part.end - part.start > room:
                groups.append([])
                requests_needed += 2
                room = COPY
            groups[-1].append(part)
            room -= part.end - part.start
    if sum(piece.end - piece.start for piece in pieces) <= SMALL and len(pieces) < requests_needed:
        return [pieces]
    return groups


def _digest(parts: Sequence[Piece] | Sequence[Source]) -> str:
    return hashlib.blake2b(repr(list(parts)).encode(), digest_size=16).hexdigest()


def uncomposable(uri: str, error: StorageError) -> StorageError:
    """What a compose was refused for, so that a person knows what to do."""
    if isinstance(error, Forbidden | Unavailable):
        return error
    return StorageError(
        f"{error} (the files of a dataset are joined from their parts by compose, within one bucket, and this bucket does not "
        f"take it: choose an --output in another one. What was committed below {uri.rpartition('/')[0]} stays there)"
    )
