"""Windows: which one a time lies in, and what its folders are called. They stand side by side from 1970 on, as Beam's do."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import blake2b

from transforms.arrivals.records import MICROS, Arrival

WINDOWS = "windows"  # the folder of a stream that holds them
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(\.late-[0-9a-f]{16})?")
_FORMAT = "%Y-%m-%dT%H-%M-%SZ"


@dataclass(frozen=True)
class Windows:
    """Fixed windows of so many seconds."""

    seconds: int

    def start_of(self, time: int) -> int:
        """The start, in seconds since 1970, of the window that a time in microseconds lies in: its start is in it, its end is not.

        >>> [Windows(300).start_of(seconds * 1_000_000) for seconds in (0, 299, 300)]
        [0, 0, 300]
        """
        return time // MICROS // self.seconds * self.seconds

    def closed_by(self, time: int) -> int:
        """The end, in seconds, of the last window that is over at a time in microseconds: the start of the one that is not."""
        return self.start_of(time)


def window_name(start: int) -> str:
    """The folder of a window, by its start in seconds since 1970.

    >>> window_name(1795428300)
    '2026-11-23T10-05-00Z'
    """
    return datetime.fromtimestamp(start, timezone.utc).strftime(_FORMAT)


def late_name(start: int, arrivals: Iterable[Arrival]) -> str:
    """The folder of what came after its window had been sealed: named by what it holds, so that none is ever written over."""
    digest = blake2b(digest_size=8, person=b"tuneset late")
    for one in sorted(arrival.identity for arrival in arrivals):
        digest.update(one.to_bytes(8, "big"))
    return f"{window_name(start)}.late-{digest.hexdigest()}"


def is_late(name: str) -> bool:
    """Whether a folder holds what came after its window had been sealed."""
    return ".late-" in name


def start_of_name(name: str) -> int | None:
    """The start of the window that a folder belongs to, in seconds since 1970; None: it is no window's.

    >>> start_of_name("2026-11-23T10-05-00Z.late-0123456789abcdef"), start_of_name("images"), start_of_name("2026-99-99T10-05-00Z")
    (1795428300, None, None)
    """
    match = _NAME.fullmatch(name)
    try:
        return int(datetime.strptime(match[1] + "+0000", _FORMAT + "%z").timestamp()) if match else None
    except ValueError:
        return None
