"""What storage says of a stream's windows: which are done, and what they took. That, and nothing in memory, is the truth.

windows/2026-11-22T10-05-00Z/                 a window, as a dataset of its own; `arrivals.jsonl` names what it took
windows/2026-11-22T10-05-00Z.late-<digest>/   what came after it had been sealed: a late pane
.../manifest.json                             written last: the pane is sealed
.../unsealed.json                             written last instead, where too much was rejected: it is done, and no dataset
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from transforms.arrivals.records import Arrival, identity
from transforms.arrivals.windows import WINDOWS, is_late, late_name, start_of_name, window_name
from transforms.core import jsonl
from transforms.core.output_names import MANIFEST, WORK
from transforms.storage import exists, store_for
from transforms.storage.api import NotFound

ARRIVALS = "arrivals.jsonl"
UNSEALED = "unsealed.json"
_ASIDE = re.compile(r"\.tmp-\d+-")  # what LocalStore writes before it has its name


@dataclass(frozen=True, slots=True)
class Pane:
    """A folder of a stream: a window, or what came late to one.

    start: of the window, in seconds since 1970.
    """

    folder: str
    start: int

    @property
    def name(self) -> str:
        return self.folder.rpartition("/")[2]

    @property
    def late(self) -> bool:
        return is_late(self.name)


def panes_of(output: str) -> Iterator[Pane]:
    """All panes of a stream, done or not, in the order of their names."""
    with suppress(NotFound):  # there is none yet
        for some, _ in store_for(output).folders(f"{output}/{WINDOWS}"):
            for folder in some:
                start = start_of_name(folder.rpartition("/")[2])
                if start is not None:
                    yield Pane(folder, start)


def is_done(pane: Pane) -> bool:
    """Whether a pane is sealed, or marked as one that is not to be."""
    return exists(f"{pane.folder}/{MANIFEST}") or exists(f"{pane.folder}/{UNSEALED}")


def arrivals_text(arrivals: Iterable[Arrival], ledgers: Mapping[str, Any]) -> bytes:
    """What arrivals.jsonl holds.

    Args:
      ledgers: of files of rows, by their URIs (ledgers.py).
    """
    ordered = sorted(arrivals, key=lambda one: (one.uri, one.version))
    told = (one.as_json() | ({"ledger": ledgers[one.uri]} if one.uri in ledgers else {}) for one in ordered)
    return b"".join(jsonl.dumps(line) + b"\n" for line in told)


def identities_in(pane: Pane) -> set[int]:
    """Identities of the arrivals that a pane took; none if it has no such file."""
    uri = f"{pane.folder}/{ARRIVALS}"
    try:
        data, _ = store_for(uri).read(uri)
    except NotFound:
        return set()
    return {identity(told["uri"], told["version"]) for told in map(jsonl.loads, data.splitlines())}


class DonePanes:
    """The panes of a stream that are done, as storage told when it was last asked, and what they took."""

    def __init__(self, output: str) -> None:
        self._by_start: dict[int, list[Pane]] = {}
        for pane in panes_of(output):
            if is_done(pane):
                self.add(pane)

    def add(self, pane: Pane) -> None:
        """Note a pane that was sealed since."""
        self._by_start.setdefault(pane.start, []).append(pane)

    def of(self, start: int) -> list[Pane]:
        """Those of one window."""
        return self._by_start.get(start, [])

    def settled(self, start: int) -> set[int]:
        """Identities of all arrivals that the done panes of a window took."""
        return {one for pane in self.of(start) for one in identities_in(pane)}

    def __len__(self) -> int:
        return sum(map(len, self._by_start.values()))


def pane_for(
    output: str, start: int, arrivals: Sequence[Arrival], late: bool = False
) -> tuple[Pane, Sequence[Arrival]]:
    """Where the arrivals of a window go: its own folder, or a late one beside it once that is done.

    Args:
      late: the window is being sealed without them, whether that is done yet or not.

    Returns:
      The pane, and what it takes: nothing that a pane which is done has taken, as when a round is run again.
    """
    window = Pane(f"{output}/{WINDOWS}/{window_name(start)}", start)
    if not late and not is_done(window):
        return window, arrivals
    done = [pane for pane in panes_of(output) if pane.start == start and is_done(pane)]
    known = {one for pane in done for one in identities_in(pane)}
    rest = [arrival for arrival in arrivals if arrival.identity not in known]
    return Pane(f"{output}/{WINDOWS}/{late_name(start, rest)}", start), rest


def remove_unfinished(output: str, images: str) -> None:
    """Delete what a run that died left of what it did not finish. Whatever such panes took arrives again.

    Args:
      images: the stream's own folder of images; "" if others may be at work in it.
    """
    store = store_for(output)
    for pane in panes_of(output):
        rest = f"{pane.folder}/{WORK}" if is_done(pane) else pane.folder
        store.delete(file.uri for file in store.list(rest))
        store.remove_empty(rest)
    aside = [file.uri for file in store.list(output, deep=False)]
    aside += [file.uri for file in store.list(images)] if images else []
    store.delete(uri for uri in aside if _ASIDE.match(uri.rpartition("/")[2]))
