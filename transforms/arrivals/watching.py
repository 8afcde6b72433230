"""Look at what a pattern gives, again and again: the files that are there -> arrivals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from transforms.arrivals.kinds import is_image, kind_of_left_out, suffixes_of
from transforms.arrivals.records import MICROS, Arrival
from transforms.arrivals.sidecars import paired
from transforms.core.listing_tally import ListingTally
from transforms.inputs.cutting import Cutter
from transforms.inputs.formats.sidecars import ENDINGS, is_sidecar
from transforms.inputs.name_kinds import BY_ENDING, ending_of
from transforms.inputs.options import InputOptions
from transforms.inputs.patterns import is_folder, list_names
from transforms.storage.api import NotFound, Stat


@dataclass(frozen=True)
class Watcher:
    """Lists a pattern.

    pattern: folder, glob or file. options: of the inputs. cutter: tells what endings are read. sidecar_wait: seconds that an image
    waits for the words beside it. without: folders that are left out.
    """

    pattern: str
    options: InputOptions
    cutter: Cutter
    sidecar_wait: int
    without: tuple[str, ...]

    def arrivals(
        self, since: int, now: int, draining: bool = False, tally: ListingTally | None = None
    ) -> Iterator[Arrival]:
        """What is there, and was whole by now.

        Args:
          since: in microseconds since 1970; what storage dates before is left out.
          now: of storage, in microseconds since 1970.
          draining: images no longer wait for words.
          tally: is told what is left out.
        """
        suffixes = suffixes_of(self.options, self.cutter)
        folder = is_folder(self.pattern)
        pairs = any(suffix in ENDINGS for suffix in suffixes)
        rows = list[Stat]()
        try:
            for file, place in list_names(self.pattern, without=self.without):
                kind = place or kind_of_left_out(file, self.options, suffixes if folder else ())
                if kind:
                    if tally:
                        tally.leave_out(kind, file.uri, ending_of(file.uri) if kind in BY_ENDING else "")
                elif pairs and (is_image(file.uri) or is_sidecar(file.uri)):
                    rows.append(file)
                elif since <= file.dated <= now:
                    yield Arrival(file.uri, file.generation, file.size, file.dated, file.encoding)
        except NotFound:  # nothing has arrived yet
            return
        wait = self.sidecar_wait * MICROS
        for arrival in paired(rows, wait, now + wait if draining else now):
            if arrival.time >= since:
                yield arrival
