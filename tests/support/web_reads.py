"""A file on servers of other people, how it is read, and the reason why it is not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from web_server import Said

from transforms.storage import store_for
from transforms.storage.api import Access, Stat, StorageError, WebAccess, set_access
from transforms.storage.reads import Range, Reads

FILE = bytes(range(256)) * 20


def allow(*prefixes: str, private_hosts: bool = False, per_host: int = 8) -> None:
    set_access(Access("", WebAccess(tuple(prefixes), private_hosts, per_host)))


def read(url: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
    return store_for(url).read(url, start, end, generation)


def why(url: str) -> str:
    """The reason why something is not read, or "" if it is, and what is said."""
    try:
        read(url, 0, 10)
    except StorageError as error:
        return f"{error.reason}: {error}"
    return ""


def always(
    status: int, headers: dict[str, str] | None = None, body: bytes = b""
) -> Callable[[int, Mapping[str, str]], Said]:
    return lambda number, asked: (status, headers or {}, body)


def both_ends(url: str) -> Reads[tuple[bytes, bytes] | str]:
    try:
        head, found = yield Range(0, 100)
        tail, _ = yield Range(found.size - 50, found.size, found.generation)
    except StorageError as error:
        return error.reason
    return head[:100], tail
