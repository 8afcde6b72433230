"""How far a job is, for whoever watches it: each worker process keeps running numbers in a file of its own on this machine.

They are for watching alone: work that is tried again counts twice, and numbers that cannot be written are dropped. What a dataset
came to stands in its manifest, which is computed from receipts.
"""

from __future__ import annotations

import os
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from transforms.core.records import Block, FitOrder, OpenBlock, Receipt
from transforms.images.staging import Copier
from transforms.inputs.cells.csv_table import TableReader
from transforms.steps.writer import Orders, Writer
from transforms.storage import traffic
from transforms.storage.api import Access

NAMES = (
    "blocks_listed",
    "blocks_begun",
    "blocks_skipped",  # committed by an earlier run
    "blocks_looked_at",  # up to the fitting of their images
    "blocks_committed",
    "examples",
    "rejected",  # before images are fitted
    "images_looked_at",
    "images_to_fit",  # each as often as there are blocks that need it
    "images_rewritten",
    "images_staged",
    "requests",  # up to the block that a process last told of
)
_RECORD = struct.Struct(f"<{len(NAMES)}q")


@dataclass(frozen=True)
class RunningCounts:
    """The numbers of one run.

    folder: on this machine, where each process has a file; "": nobody watches, and nothing is counted.
    """

    folder: str = ""

    def add(self, **numbers: int) -> None:
        """Add to the numbers of this process, by their names in NAMES."""
        if self.folder:
            _sheet_of(self.folder, os.getpid()).add(numbers)

    def total(self) -> Counter[str]:
        """The numbers of all processes so far."""
        total = Counter[str]()
        if not self.folder:
            return total
        with suppress(OSError), os.scandir(self.folder) as files:
            for file in files:
                with suppress(OSError), open(file.path, "rb") as sheet:
                    record = sheet.read(_RECORD.size)
                    if len(record) == _RECORD.size:
                        total.update(dict(zip(NAMES, _RECORD.unpack(record))))
        return total


NOT_WATCHED = RunningCounts()


class _Sheet:
    """The numbers of one process, which its threads share."""

    def __init__(self, path: str) -> None:
        self._path, self._lock = path, threading.Lock()
        self._numbers = dict.fromkeys(NAMES, 0)

    def add(self, numbers: dict[str, int]) -> None:
        with self._lock:
            for name, number in numbers.items():
                self._numbers[name] += number
            self._numbers["requests"] += traffic.taken()
            # Written over, never cut: a reader finds a whole record. A full disk fails no work for the sake of numbers.
            with suppress(OSError):
                file = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
                try:
                    os.pwrite(file, _RECORD.pack(*self._numbers.values()), 0)
                finally:
                    os.close(file)


_sheets: dict[str, _Sheet] = {}
_sheets_lock = threading.Lock()


def _sheet_of(folder: str, process: int) -> _Sheet:
    """This process's sheet; a forked child has its parent's memory, but not its file."""
    path = f"{folder}/{process}"
    with _sheets_lock:
        if path not in _sheets:
            _sheets[path] = _Sheet(path)
        return _sheets[path]


def counting(cut: Callable[[Block], Iterable[Block]], counts: RunningCounts) -> Callable[[Block], Iterator[Block]]:
    """The same cut, whose blocks are counted as listed."""

    def cut_and_count(block: Block) -> Iterator[Block]:
        for one in cut(block):
            counts.add(blocks_listed=1)
            yield one

    return cut_and_count


def count_looks(opened: OpenBlock, counts: RunningCounts) -> None:
    """Count a block that was looked at, with its rows and images."""
    counts.add(
        blocks_looked_at=1,
        examples=len(opened.examples) + len(opened.rejections),
        rejected=len(opened.rejections),
        images_looked_at=len(opened.facts),
    )


def count_inspected(opened: OpenBlock, counts: RunningCounts) -> OpenBlock:
    """The same block, counted as done: for a job that only looks."""
    count_looks(opened, counts)
    counts.add(blocks_committed=1)
    return opened


@dataclass(frozen=True)
class CountingWriter:
    """Another writer, whose work is counted."""

    writer: Writer
    counts: RunningCounts

    @property
    def access(self) -> Access:
        return self.writer.access

    @property
    def copier(self) -> Copier | None:
        return self.writer.copier

    def read(self, block: Block, key: Callable[[Block], str], tables: TableReader) -> OpenBlock:
        self.counts.add(blocks_begun=1)
        return self.writer.read(block, key, tables)

    def hold(self, opened: OpenBlock) -> tuple[OpenBlock, Orders]:
        opened, orders = self.writer.hold(opened)
        if opened.block.groups is None:  # else it was counted when it was looked at ahead
            count_looks(opened, self.counts)
        self.counts.add(images_to_fit=len(orders))
        return opened, orders

    def fit(self, order: FitOrder) -> None:
        self.writer.fit(order)
        self.counts.add(**{"images_staged" if order.stage else "images_rewritten": 1})

    def commit(self, opened: OpenBlock) -> Receipt:
        receipt = self.writer.commit(opened)
        self.counts.add(blocks_committed=1)
        return receipt
