"""What became of the names that the inputs list: counts by kind, an example of each, and the endings of what is not read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from transforms.core.counters import LEFT_OUT
from transforms.core.warning_codes import WarningCounts

SHOWN_ENDINGS = 20
_MOST_ENDINGS = 1000  # that are told apart
OTHER_ENDINGS = "other endings"


@dataclass(slots=True)
class ListingTally:
    """Names listed = files taken + pictures taken + names left out, by kind. Tallies add up in any order."""

    counters: Counter[str] = field(default_factory=Counter)
    warnings: WarningCounts = field(default_factory=WarningCounts)
    endings: dict[str, tuple[int, str]] = field(default_factory=dict)  # count, smallest example

    def leave_out(self, kind: str, uri: str, ending: str = "") -> None:
        """Count a name that is not read, as one of inputs/name_kinds.KINDS."""
        self.counters[LEFT_OUT + kind] += 1
        self.counters["files_skipped"] += 1
        self.warnings.add(LEFT_OUT + kind, _told(uri))
        if ending:
            self._add_ending(ending, 1, _told(uri))

    def update(self, other: ListingTally) -> ListingTally:
        self.counters.update(other.counters)
        self.warnings.update(other.warnings.counts)
        for ending, (count, example) in other.endings.items():
            self._add_ending(ending, count, example)
        return self

    def frequent_endings(self) -> list[dict[str, Any]]:
        """The most frequent endings of what is not read, as the manifest tells them."""
        ranked = sorted(self.endings.items(), key=lambda item: (-item[1][0], item[0]))
        return [{"ending": name, "count": count, "example": uri} for name, (count, uri) in ranked[:SHOWN_ENDINGS]]

    def _add_ending(self, ending: str, count: int, example: str) -> None:
        if ending not in self.endings and len(self.endings) >= _MOST_ENDINGS:
            ending = OTHER_ENDINGS
        before, smallest = self.endings.get(ending, (0, example))
        self.endings[ending] = (before + count, min(smallest, example))


def added_up(tallies: Iterable[ListingTally]) -> ListingTally:
    total = ListingTally()
    for tally in tallies:
        total.update(tally)
    return total


def _told(uri: str) -> str:
    """A name as a manifest can tell it: one that is not UTF-8 has its bytes escaped."""
    return uri.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
