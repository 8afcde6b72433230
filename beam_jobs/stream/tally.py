"""What a stream has come to: counts for whoever watches, and the panes that are done, each told once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from transforms.arrivals.panes import UNSEALED, DonePanes, Pane, is_done, panes_of
from transforms.core import jsonl
from transforms.core.counters import REWRITTEN_FATES
from transforms.core.listing_tally import ListingTally
from transforms.core.output_names import MANIFEST
from transforms.storage import store_for
from transforms.storage.api import NotFound


@dataclass
class Tally:
    """Counts of a stream since it was started."""

    arrivals: int = 0
    sealed: int = 0
    unsealed: int = 0
    late: int = 0
    part_filled: int = 0
    rejected: int = 0  # examples of sealed windows
    rewritten: int = 0  # references to images that were rewritten, of sealed windows
    waiting: int = 0
    open_windows: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)  # of messages that were no new arrival
    left_out: ListingTally = field(
        default_factory=ListingTally
    )  # names that the last listing met, and that are not read
    oldest: int | None = None  # time of the oldest arrival that is not sealed, in microseconds since 1970


class NewPanes:
    """Looks for panes that were done since the last look.

    Args:
      output: of the stream.
      tally: counts them.
      tell: is given a line for each.
      report: is given each that is sealed, with its manifest.
    """

    def __init__(
        self,
        output: str,
        tally: Tally,
        tell: Callable[[str], object],
        report: Callable[[Pane, Mapping[str, Any]], object],
    ) -> None:
        self._output, self._tally, self._tell, self._report = output, tally, tell, report
        self.done = DonePanes(output)

    def look(self, starts: Collection[int] | None = None) -> dict[Pane, int]:
        """Note panes that are done now -> each with the number of rows and files that it took; 0 if it is not sealed.

        Args:
          starts: of the windows that are looked at; None: of all.
        """
        noted = dict[Pane, int]()
        for pane in panes_of(self._output):
            if (starts is None or pane.start in starts) and pane not in self.done.of(pane.start) and is_done(pane):
                self.done.add(pane)
                noted[pane] = self._note(pane)
        return noted

    def _note(self, pane: Pane) -> int:
        told, unsealed = _said_of(pane)
        self._tally.unsealed += unsealed
        self._tally.sealed += not unsealed
        self._tally.late += pane.late
        part_filled = not unsealed and bool(told["run"]["part_filled"])
        self._tally.part_filled += part_filled
        counters = {} if unsealed else told["dataset"]["counters"]
        self._tally.rejected += counters.get("examples_rejected", 0)
        self._tally.rewritten += sum(counters.get(f"images_{fate}", 0) for fate in REWRITTEN_FATES)
        what = "not sealed: too much was rejected" if unsealed else "sealed"
        self._tell(f"{pane.name}  {what}{', part-filled' if part_filled else ''}")
        if not unsealed:
            self._report(pane, told)
        return (
            0 if unsealed else sum(one["lines"] for one in told["dataset"]["files"] if one["name"] == "arrivals.jsonl")
        )


def _said_of(pane: Pane) -> tuple[dict, bool]:
    """What was written last in a pane, and whether it says that the pane is not sealed."""
    for name in (MANIFEST, UNSEALED):
        try:
            return jsonl.loads(store_for(pane.folder).read(f"{pane.folder}/{name}")[0]), name == UNSEALED
        except NotFound:
            continue
    raise NotFound(f"{pane.folder} was done, and is gone")
