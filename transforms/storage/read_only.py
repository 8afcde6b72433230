"""What a store answers that is read alone: it tells no folders and no metadata, and refuses whatever would write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import NoReturn

from transforms.storage.api import Piece, Stat, verified


class ReadOnlyStore(ABC):
    """A store that says for itself how it is read, and why nothing can be written."""

    @abstractmethod
    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        """As `Store.read`."""

    @abstractmethod
    def _refuse(self, uri: str) -> NoReturn:
        """Raises StorageError: what can be done instead of writing there."""

    def verify(self, uri: str, size: int, crc32c: int) -> Stat:
        return verified(self.read(uri), size, crc32c)

    def folders(self, folder: str) -> Iterator[tuple[Sequence[str], bool]]:
        return iter(())

    def metadata(self, uri: str, generation: str) -> dict[str, str]:
        return {}

    def create(self, uri: str, data: bytes, content_type: str = "") -> bool:
        self._refuse(uri)

    def replace(self, uri: str, data: bytes, generation: str) -> bool:
        self._refuse(uri)

    def renew(self, uri: str, data: bytes, generation: str) -> bool:
        self._refuse(uri)

    def age(self, uri: str) -> tuple[str, float]:
        self._refuse(uri)

    def copy(self, source: Stat, uri: str) -> bool:
        self._refuse(uri)

    def join(self, uri: str, pieces: Sequence[Piece], content_type: str = "") -> tuple[Stat, int]:
        self._refuse(uri)

    def delete(self, uris: Iterable[str]) -> None:
        for uri in uris:
            self._refuse(uri)

    def remove_empty(self, folder: str) -> None:
        return None  # nothing was written, so nothing is left
