"""Look at what a pattern gives, again and again: the files that are there -> arrivals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from transforms.arrivals.kinds import arrives, is_image, suffixes_of
from transforms.arrivals.records import MICROS, Arrival
from transforms.arrivals.sidecars import paired
from transforms.inputs.cutting import Cutter
from transforms.inputs.formats.sidecars import ENDINGS, is_sidecar
from transforms.inputs.options import InputOptions
from transforms.inputs.patterns import is_folder, list_pattern
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

    def arrivals(self, since: int, now: int, draining: bool = False) -> Iterator[Arrival]:
        """What is there, and was whole by now.

        Args:
          since: in microseconds since 1970; what storage dates before is left out.
          now: of storage, in microseconds since 1970.
          draining: images no longer wait for words.
        """
        suffixes = suffixes_of(self.options, self.cutter)
        folder = is_folder(self.pattern)
        pairs = any(suffix in ENDINGS for suffix in suffixes)
        rows = list[Stat]()
        try:
            for file in list_pattern(self.pattern, without=self.without):
                if not arrives(file, self.options, suffixes if folder else ()):
                    continue
                if pairs and (is_image(file.uri) or is_sidecar(file.uri)):
                    rows.append(file)
                elif since <= file.dated <= now:
                    yield Arrival(file.uri, file.generation, file.size, file.dated, file.encoding)
        except NotFound:  # nothing has arrived yet
            return
        wait = self.sidecar_wait * MICROS
        for arrival in paired(rows, wait, now + wait if draining else now):
            if arrival.time >= since:
                yield arrival
