"""What code that reads one object asks for, as a generator: the same text serves memory, local files, threads and a loop of transfers.

def look(uri: str) -> Reads[Facts]:
    head, stat = yield Range(0, 1000)
    ...
    return facts
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from transforms.storage.api import Stat, StorageError

HELD = 8 << 20  # bytes of an object that may come whole where a part was asked for; more only of some at a time

Result = TypeVar("Result")
Read = Callable[[int, int, str], tuple[bytes, Stat]]


@dataclass(slots=True)  # not frozen: it is made for every look
class Range:
    """Comes to bytes [start, end), fewer at the object's end, and its stat; an empty one to the stat alone.

    generation: that has to be read, and no other.
    rest_if: whether all of it will be wanted, as these bytes and its size (-1: not told) say, if it begins at the first: then a
      store to which a question more costs more than bytes may send it whole.
    """

    start: int
    end: int
    generation: str = ""
    rest_if: Callable[[bytes, int], bool] | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    seconds: float


@dataclass(frozen=True, slots=True)
class Aside:
    """From here on it computes, or waits for others: not in a thread that many depend on."""


ASIDE = Aside()
Reads = Generator[Range | Pause | Aside, Any, Result]


def follow(reads: Reads[Result], read: Read) -> Result:
    """Give it what it asks for, one thing after another in this thread."""
    try:
        step = next(reads)
        while True:
            if type(step) is Range:
                try:
                    got = read(step.start, step.end, step.generation)
                except StorageError as error:
                    step = reads.throw(error)
                else:
                    step = reads.send(got)
            else:
                if type(step) is Pause:
                    time.sleep(step.seconds)
                step = next(reads)
    except StopIteration as end:
        result: Result = end.value
        return result
