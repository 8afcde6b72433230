"""Arrivals that a subscription announces: messages -> arrivals, each with what it is acknowledged by once its window is sealed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from transforms.arrivals.kinds import is_image, kind_of_left_out, suffixes_of
from transforms.arrivals.messages import GARBAGE, OTHER, Message, RowMessage, said_by
from transforms.arrivals.records import MICROS, Arrival
from transforms.arrivals.sidecars import paired
from transforms.core.places import FolderSet, inside
from transforms.inputs.cutting import Cutter
from transforms.inputs.formats.sidecars import ENDINGS, is_sidecar, stem_of
from transforms.inputs.name_kinds import unread_place
from transforms.inputs.options import InputOptions
from transforms.inputs.patterns import is_folder, static_folder
from transforms.storage import store_for
from transforms.storage.api import NotFound, Stat
from transforms.storage.globs import compiled
from transforms.storage.parallel import overlapped

_AT_ONCE = 16  # objects asked after


class Messages(Protocol):
    """Where messages come from."""

    has_dead_letters: bool

    def messages(self) -> list[Message]: ...
    def acknowledge(self, acks: list[str]) -> None: ...
    def give_back(self, acks: list[str]) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of the announced objects are read.

    pattern: folder or glob that they lie in; "": wherever. without: folders that are left out.
    """

    pattern: str
    options: InputOptions
    cutter: Cutter
    without: tuple[str, ...]

    def takes(self, file: Stat) -> bool:
        """Whether an object is read."""
        if FolderSet(self.without).holding(file.uri):
            return False
        suffixes = suffixes_of(self.options, self.cutter)
        if not self.pattern or is_folder(self.pattern):
            folder = self.pattern.rstrip("/")
            placed = inside(file.uri, folder) if folder else True
            below = file.uri[len(folder) :].lstrip("/")
            return placed and not (unread_place(below) or kind_of_left_out(file, self.options, suffixes))
        return compiled(self.pattern).fullmatch(file.uri) is not None and not kind_of_left_out(file, self.options, ())

    @property
    def pairs(self) -> bool:
        """Whether images have words beside them."""
        return any(suffix in ENDINGS for suffix in suffixes_of(self.options, self.cutter))


class Announced:
    """Turns messages into arrivals, and acknowledges them once they are sealed.

    Args:
      name: of the subscription.
      source: gives its messages.
      sidecar_wait: seconds that an image waits for the words beside it.
    """

    def __init__(self, name: str, source: Messages, wanted: Wanted, sidecar_wait: int) -> None:
        self._name, self._source, self._wanted, self._wait = name, source, wanted, sidecar_wait * MICROS
        # What is acknowledged: of arrivals that were handed on, by identity; and of files that are not whole yet, by their stem.
        self._acks: dict[int, list[str]] = {}
        self._stems: dict[str, list[str]] = {}
        self.counts: Counter[str] = Counter()

    def arrivals(self, now: int, draining: bool = False) -> Iterator[Arrival]:
        """What was announced since the last call, and is whole by now.

        Args:
          now: of storage, in microseconds since 1970.
          draining: images no longer wait for words.
        """
        done, unknown, uploads = list[str](), list[str](), list[tuple[Stat, str]]()
        for message in self._source.messages():
            said = said_by(message)
            if isinstance(said, RowMessage):
                uri = f"{self._name}/{message.name}"
                row = Arrival(uri, str(message.published), len(said.row), message.published, row=said.row)
                yield self._handed_on(row, [message.ack])
            elif isinstance(said, Stat) and self._wanted.takes(said):
                uploads.append((said, message.ack))
            else:
                kind = said if isinstance(said, str) else OTHER
                self.counts[kind] += 1
                (unknown if kind == GARBAGE else done).append(message.ack)
        yield from self._uploaded(uploads)
        yield from self._whole(now, draining, done)
        self._source.acknowledge(done)
        if self._source.has_dead_letters:
            self._source.give_back(unknown)
        else:
            self._source.acknowledge(unknown)

    def settle(self, waits: Callable[[int], bool]) -> None:
        """Acknowledge what was handed on and no longer waits: it is sealed, or was before.

        Args:
          waits: whether the arrival of an identity is in no sealed window yet.
        """
        done = [identity for identity in self._acks if not waits(identity)]
        self._source.acknowledge([ack for identity in done for ack in self._acks.pop(identity)])

    def _handed_on(self, arrival: Arrival, acks: list[str]) -> Arrival:
        held = self._acks.setdefault(arrival.identity, [])
        self.counts["doubles"] += bool(held)
        held.extend(acks)
        return arrival

    def _uploaded(self, uploads: Iterable[tuple[Stat, str]]) -> Iterator[Arrival]:
        untold = list[tuple[Stat, str]]()
        for file, ack in uploads:
            if self._wanted.pairs and (is_image(file.uri) or is_sidecar(file.uri)):
                self._stems.setdefault(stem_of(file.uri), []).append(ack)
            elif file.size < 0:
                untold.append((file, ack))
            else:
                yield self._handed_on(_arrival(file), [ack])
        for (_, ack), file in zip(untold, overlapped(_asked, [file for file, _ in untold], _AT_ONCE)):
            yield self._handed_on(_arrival(file), [ack])

    def _whole(self, now: int, draining: bool, done: list[str]) -> Iterator[Arrival]:
        """Images that are whole with what lies beside them in storage; `done` is given the acks of files beside no image."""
        stems = list(self._stems)
        for stem, files in zip(stems, overlapped(_beside, stems, _AT_ONCE)):
            taken = list(filter(self._wanted.takes, files))
            images = sum(not is_sidecar(file.uri) for file in taken)
            until = now + self._wait if draining else now
            whole = list(paired(taken, self._wait, until, all_of_them=False))
            last = max((arrival.time for arrival in whole), default=0)
            if not images:
                done += self._stems.pop(stem)  # whatever comes beside it is announced too
            for arrival in whole:  # several share a stem, as a.jpg and a.png
                all_of_them = len(whole) == images and arrival.time == last
                yield self._handed_on(arrival, self._stems.pop(stem, []) if all_of_them else [])


def _arrival(file: Stat) -> Arrival:
    return Arrival(file.uri, file.generation, max(file.size, 0), file.dated, file.encoding)


def _asked(file: Stat) -> Stat:
    """An announced object with its size. One that is gone, or another by now, is told so when it is read."""
    try:
        found = store_for(file.uri).stat(file.uri)
    except NotFound:
        return file
    return replace(found, dated=file.dated) if found.generation == file.generation else file


def _beside(stem: str) -> list[Stat]:
    """The objects whose names share a stem."""
    folder = static_folder(stem)
    listed = store_for(stem).list(folder, deep=False, start=f"{stem}.", end=f"{stem}/")
    return [file for file in listed if stem_of(file.uri) == stem]
