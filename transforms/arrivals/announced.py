"""Arrivals that a subscription announces: messages -> arrivals, each with what it is acknowledged by once its window is sealed."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
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
        # What came and is not handed on yet: should storage be away meanwhile, nothing of it is lost.
        self._untold: list[tuple[Stat, str]] = []  # objects without their sizes
        self._ready: deque[tuple[Arrival, list[str]]] = deque()
        self.counts: Counter[str] = Counter()

    def arrivals(self, now: int, draining: bool = False) -> Iterator[Arrival]:
        """What was announced, and is whole by now. What a caller does not come back from is handed on again.

        Args:
          now: of storage, in microseconds since 1970.
          draining: images no longer wait for words.
        """
        self._take_in()
        self._ask_after_sizes()
        self._match(now, draining)
        while self._ready:
            arrival, acks = self._ready[0]
            yield arrival
            self._ready.popleft()
            held = self._acks.setdefault(arrival.identity, [])
            self.counts["doubles"] += bool(held)
            held.extend(acks)

    def _take_in(self) -> None:
        """Sort what was delivered; what brings nothing is acknowledged, or goes to the dead letters."""
        done, unknown = list[str](), list[str]()
        for message in self._source.messages():
            said = said_by(message)
            if isinstance(said, RowMessage):
                self._ready.append((_row_arrival(said, message, self._name), [message.ack]))
            elif isinstance(said, Stat) and self._wanted.takes(said):
                self._take_upload(said, message.ack)
            else:
                kind = said if isinstance(said, str) else OTHER
                self.counts[kind] += 1
                (unknown if kind == GARBAGE else done).append(message.ack)
        self._source.acknowledge(done)
        if self._source.has_dead_letters:
            self._source.give_back(unknown)
        else:
            self._source.acknowledge(unknown)

    def _take_upload(self, file: Stat, ack: str) -> None:
        if self._wanted.pairs and (is_image(file.uri) or is_sidecar(file.uri)):
            self._stems.setdefault(stem_of(file.uri), []).append(ack)
        elif file.size < 0:
            self._untold.append((file, ack))
        else:
            self._ready.append((_arrival(file), [ack]))

    def _ask_after_sizes(self) -> None:
        files = list(overlapped(_asked, [file for file, _ in self._untold], _AT_ONCE))
        self._ready.extend((_arrival(file), [ack]) for file, (_, ack) in zip(files, self._untold))
        self._untold = []

    def _match(self, now: int, draining: bool) -> None:
        """Find images that are whole with what lies beside them in storage; files beside no image are acknowledged."""
        stems, lonely = list(self._stems), list[str]()
        for stem, files in zip(stems, overlapped(_beside, stems, _AT_ONCE)):
            taken = list(filter(self._wanted.takes, files))
            images = sum(not is_sidecar(file.uri) for file in taken)
            until = now + self._wait if draining else now
            whole = list(paired(taken, self._wait, until, all_of_them=False))
            whole.sort(key=lambda arrival: arrival.time)
            acks = self._stems.pop(stem) if len(whole) == images else []  # several share a stem, as a.jpg and a.png
            if not images:
                lonely += acks  # whatever comes beside it is announced too
            for arrival in whole:
                self._ready.append((arrival, acks if arrival is whole[-1] else []))
        self._source.acknowledge(lonely)

    def settle(self, waits: Callable[[int], bool]) -> None:
        """Acknowledge what was handed on and no longer waits: it is sealed, or was before.

        Args:
          waits: whether the arrival of an identity is in no sealed window yet.
        """
        done = [identity for identity in self._acks if not waits(identity)]
        self._source.acknowledge([ack for identity in done for ack in self._acks.pop(identity)])


def arrival_said(message: Message, name: str, wanted: Wanted) -> Arrival | str:
    """What one message brings, where images have no words beside them: an arrival, or OTHER or GARBAGE.

    Args:
      name: of the subscription.
    """
    said = said_by(message)
    if isinstance(said, RowMessage):
        return _row_arrival(said, message, name)
    if isinstance(said, Stat):
        return _arrival(_asked(said) if said.size < 0 else said) if wanted.takes(said) else OTHER
    return said


def _row_arrival(said: RowMessage, message: Message, name: str) -> Arrival:
    return Arrival(f"{name}/{message.name}", str(message.published), len(said.row), message.published, row=said.row)


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
