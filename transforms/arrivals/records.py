"""What a stream takes in: an arrival is one version of a file of rows, or of an image with the words beside it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from transforms.storage.api import Stat

MICROS = 1_000_000  # in a second


@dataclass(frozen=True, slots=True)
class Arrival:
    """One version of a file that is to be read, or a row that came by itself.

    uri, generation, size: as storage tells them. time: when it was whole, by storage's own dates, in microseconds since 1970: its
    window follows from that alone. sidecars: the files beside an image, as they were then. row: the line, if it is no file.
    """

    uri: str
    generation: str
    size: int  # bytes
    time: int
    encoding: str = ""
    sidecars: tuple[Stat, ...] = ()
    row: bytes | None = None

    def __reduce__(self) -> tuple[type[Arrival], tuple[Any, ...]]:
        """Thousands cross a shuffle in each round: without this, most of it is dataclasses telling their fields."""
        fields = (self.uri, self.generation, self.size, self.time, self.encoding, self.sidecars, self.row)
        return Arrival, fields

    @property
    def version(self) -> str:
        """What tells it from other versions of the same name: a changed sidecar makes another one, too."""
        return "+".join((self.generation, *(one.generation for one in self.sidecars)))

    @property
    def identity(self) -> int:
        """64 bits that stand for name and version."""
        return identity(self.uri, self.version)

    @property
    def files(self) -> list[Stat]:
        """The file, and those beside it."""
        return [Stat(self.uri, self.size, self.generation, self.encoding), *self.sidecars]

    def as_json(self) -> dict[str, Any]:
        """A line of arrivals.jsonl."""
        return {"uri": self.uri, "version": self.version, "time": self.time}


def identity(uri: str, version: str) -> int:
    """As Arrival.identity, of what arrivals.jsonl tells."""
    data = f"{uri}\n{version}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8, person=b"tuneset arrival").digest(), "big")
