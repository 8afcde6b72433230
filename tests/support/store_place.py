"""A store with a folder or bucket of its own, and what tests put there."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.storage.api import Piece, Stat, Store, crc32c, join_uri


@dataclass
class Place:
    store: Store
    root: str

    def uri(self, name: str) -> str:
        return join_uri(self.root, name)

    def put(self, name: str, data: bytes) -> Stat:
        assert self.store.replace(self.uri(name), data, "")
        return self.store.stat(self.uri(name))

    def names(self) -> list[str]:
        return [found.uri.removeprefix(self.root + "/") for found in self.store.list(self.root)]

    def piece(self, name: str, data: bytes, start: int = 0, end: int | None = None) -> Piece:
        """Of an object made to hold `data`."""
        self.put(name, data)
        return Piece(self.uri(name), start, len(data) if end is None else end, len(data), crc32c(data))


JSONL = "application/json-lines"


def joined(place: Place, pieces: list[Piece]) -> bytes:
    """Join, and check all that is promised about the outcome but the bytes."""
    before = place.names()
    stat, checksum = place.store.join(place.uri("out/joined"), pieces, JSONL)
    data, found = place.store.read(place.uri("out/joined"))
    assert (stat, checksum) == (found, crc32c(data))
    assert place.names() == sorted({*before, "out/joined"})  # nothing temporary is left
    return data
