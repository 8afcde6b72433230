"""What an engine is given of a subscription: each arrival once, again after it went back to a checkpoint, and settled once sealed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from folders import put

from beam_jobs.stream.announcer import EngineAnnouncer
from beam_jobs.stream.tally import Tally
from transforms.arrivals.intake import Intake
from transforms.arrivals.panes import ARRIVALS, Pane, arrivals_text
from transforms.arrivals.records import MICROS, Arrival
from transforms.arrivals.windows import Windows
from transforms.core.listing_tally import ListingTally


def arrival(name: str, second: int) -> Arrival:
    return Arrival(f"gs://shop/{name}.jpg", str(second), 1, second * MICROS)


class Deliveries:
    """A front of a test: what is delivered next, and what waited when it was last settled."""

    def __init__(self, *known: Arrival) -> None:
        self.next: list[Arrival] = []
        self.counts, self.left_out, self._known = Counter[str](), ListingTally(), known
        self.settled: list[str] = []

    def arrivals(self, since: int, now: int, draining: bool = False) -> Iterator[Arrival]:
        come, self.next = self.next, []
        return iter(come)

    def settle(self, waits: Callable[[int], bool]) -> None:
        self.settled = [one.uri for one in self._known if not waits(one.identity)]

    def close(self) -> None: ...


def test_arrivals_are_handed_on_once_and_again_after_a_checkpoint(tmp_path: Path) -> None:
    a, b, c = arrival("a", 1), arrival("b", 2), arrival("c", 12)
    front, tally = Deliveries(a, b, c), Tally()
    announcer = EngineAnnouncer(front, 0, Intake(Windows(10), lambda start: ()), tally)
    front.next = [a, b, a]
    assert announcer.arrivals(0, False, begin=0, end=5) == [a, b]
    front.next = [c, b]
    assert announcer.arrivals(0, False, begin=5, end=9) == [c]
    assert (tally.waiting, tally.open_windows, tally.oldest) == (3, 2, MICROS)
    assert announcer.arrivals(0, False, begin=5, end=11) == [a, b, c]  # it had come to 9
    assert announcer.arrivals(0, False, begin=11, end=12) == []

    # A pane is sealed: what it took is settled, and lost by no engine any more.
    window = Pane(str(tmp_path / "windows/1970-01-01T00-00-00Z"), 0)
    put(f"{window.folder}/{ARRIVALS}", arrivals_text([a, b], {}))
    announcer.settle([window])
    assert front.settled == [a.uri, b.uri]
    assert (tally.waiting, tally.open_windows, tally.oldest) == (1, 1, 12 * MICROS)
    front.next = [a]
    assert announcer.arrivals(0, False, begin=3, end=13) == [c]
