"""The intake: what has arrived and is in no sealed window yet. Whatever is offered, in any order and however often, comes out once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from transforms.arrivals.records import Arrival
from transforms.arrivals.windows import Windows


class Intake:
    """Holds arrivals until their windows are over.

    Args:
      windows: tells an arrival's window by its time.
      settled: start of a window -> identities of the arrivals that its sealed panes name; asked once a window, until `forget`.
    """

    def __init__(self, windows: Windows, settled: Callable[[int], Iterable[int]]) -> None:
        self._windows, self._settled = windows, settled
        self._waiting: dict[int, dict[int, Arrival]] = {}  # by start of the window, then identity
        self._known: dict[int, set[int]] = {}  # identities that were taken, or sealed before, by start of the window

    def offer(self, arrival: Arrival) -> bool:
        """Take an arrival in -> whether it is new: neither waiting, nor taken, nor sealed."""
        start = self._windows.start_of(arrival.time)
        known = self._known.get(start)
        if known is None:
            known = self._known[start] = set(self._settled(start))
        identity = arrival.identity
        if identity in known:
            return False
        known.add(identity)
        self._waiting.setdefault(start, {})[identity] = arrival
        return True

    def waits(self, identity: int) -> bool:
        """Whether the arrival of an identity is held here."""
        return any(identity in some for some in self._waiting.values())

    def held(self) -> Iterator[Arrival]:
        """All arrivals that wait."""
        return (arrival for some in self._waiting.values() for arrival in some.values())

    def drop(self, start: int, identities: Iterable[int]) -> None:
        """No longer hold arrivals of a window that others have sealed; they stay known."""
        waiting = self._waiting.get(start, {})
        for identity in identities:
            waiting.pop(identity, None)
        if not waiting:
            self._waiting.pop(start, None)

    def take(self, closed_by: int, most: int) -> dict[int, list[Arrival]]:
        """Remove and return the arrivals of whole windows that are over, by their starts, oldest first.

        Args:
          closed_by: seconds since 1970; windows that end by then are over.
          most: arrivals after which no further window is taken.
        """
        taken: dict[int, list[Arrival]] = {}
        number = 0
        for start in sorted(self._waiting):
            if number >= most or start + self._windows.seconds > closed_by:
                break
            taken[start] = list(self._waiting.pop(start).values())
            number += len(taken[start])
        return taken

    def forget(self, before: int) -> None:
        """No longer hold in memory what windows that ended by a time, in seconds, came to: storage knows it."""
        for start in [one for one in self._known if one + self._windows.seconds <= before and one not in self._waiting]:
            del self._known[start]

    @property
    def waiting(self) -> int:
        """Arrivals that are in no sealed window."""
        return sum(map(len, self._waiting.values()))

    @property
    def open_windows(self) -> int:
        """Windows that hold arrivals and are not sealed."""
        return len(self._waiting)

    @property
    def oldest(self) -> int | None:
        """The time of the oldest arrival that waits, in microseconds since 1970; None: nothing waits."""
        return min((one.time for some in self._waiting.values() for one in some.values()), default=None)
