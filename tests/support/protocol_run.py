"""One execution of the commit protocol, room by room and without Beam, and what it leaves in a folder."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from folders import bmp, jpeg, png, put, row, write_lines
from usual_options import with_usual

from beam_jobs.job import Job
from beam_jobs.settings import parse
from transforms.core.counters import broken_laws
from transforms.core.limits import PROFILES
from transforms.core.records import Block, FitOrder, OpenBlock, Receipt
from transforms.dataset.claim import Claim
from transforms.examples.tally import assign_splits, split_examples
from transforms.images.orders import fit_image
from transforms.images.publishing import publish_images
from transforms.images.sources import inspect_images
from transforms.inputs.lines import read_rows
from transforms.inputs.packing import pack_files
from transforms.inputs.patterns import list_pattern
from transforms.inputs.rows import build_examples
from transforms.steps import fit as fit_step
from transforms.steps.fit import take_fitted
from transforms.steps.writer import StorageWriter, commit_block
from transforms.storage.api import crc32c


class Run:
    """One execution of the rooms, in the floor plan's order, on the world as it is at each call."""

    def __init__(self, folder: Path, *, epoch: int = 1, flags: tuple[str, ...] = ()) -> None:
        argv = with_usual(flags, {"input": str(folder / "in" / "*.jsonl"), "output": str(folder / "out")})
        self.plan = Job(parse(argv), Claim(f"run{epoch}", epoch, epoch > 1), remote=False)
        self.receipt_store = self.plan.receipt_store

    def blocks(self) -> list[Block]:
        s = self.plan.settings
        return list(pack_files(0, list_pattern(s.input[0]), s.block_bytes))

    def look(self, block: Block) -> OpenBlock:
        p = self.plan
        opened = read_rows(block, p.keys, p.settings.max_line_bytes)
        return inspect_images(build_examples(opened, p.seed, p.check_types, p.sample_below), p.inspector)

    def hold(self, opened: OpenBlock) -> tuple[OpenBlock | None, list[FitOrder]]:
        """-> (the block if it is ready, the orders if it waits)."""
        found = list(fit_step._Hold(StorageWriter(self.plan.rewriter, self.plan.caps)).process(opened))
        ready = [one for one in found if isinstance(one, OpenBlock)]
        return (ready[0] if ready else None), [one.value for one in found if getattr(one, "tag", "") == "orders"]

    def fit(self, orders: list[FitOrder]) -> None:
        for order in orders:
            fit_image(order, self.plan.rewriter)

    def finish(self, opened: OpenBlock) -> Receipt:
        p, s = self.plan, self.plan.settings
        opened = split_examples(opened, s.max_images, True, False, PROFILES[s.model])
        opened = assign_splits(opened, s.fractions, p.seed, s.split_by, s.split_column)
        return commit_block(publish_images(opened, p.rewriter, s.profile.warn_types), self.receipt_store, p.caps)

    def recall(self, block: Block) -> Receipt:
        p = self.plan
        opened = read_rows(block, p.keys, p.settings.max_line_bytes)
        opened = build_examples(opened, p.seed, p.check_types, p.sample_below)
        return self.finish(take_fitted(opened, p.rewriter))

    def execute(self, block: Block) -> Receipt:
        """A block from its descriptor to its receipt."""
        ready, orders = self.hold(self.look(block))
        if ready:
            return self.finish(ready)
        self.fit(orders)
        return self.recall(block)

    def find(self, block: Block) -> Receipt | None:
        return self.receipt_store.find(block, self.plan.keys(block))


def world(folder: Path, *images: str) -> None:
    """Rows that name every image once alone and once together."""
    paths = [put(folder / "in" / name, MAKE[name.rpartition(".")[2]](seed=at)) for at, name in enumerate(images)]
    write_lines(folder / "in" / "a.jsonl", [row(f"row {i}", [p]) for i, p in enumerate(paths)] + [row("all", paths)])


MAKE: dict[str, Callable[..., bytes]] = {"png": png, "bmp": bmp, "jpg": jpeg}


def snapshot(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Bytes, inode and mtime of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_ino, p.stat().st_mtime_ns) for p in files}


def assert_nothing_moved(before: dict[str, Any], folder: Path) -> None:
    after = snapshot(folder)
    assert {name: after.get(name) for name in before} == before
    assert [name for name in after if name.endswith(".receipt") and name not in before] == []


def assert_whole(receipt: Receipt) -> None:
    """The ledger balances and every part is in storage as the receipt says."""
    assert broken_laws(dict(receipt.counters)) == []
    for part in receipt.parts:
        data = Path(part.name).read_bytes()
        assert (part.size, part.crc32c) == (len(data), crc32c(data))
    lines = {part.kind: part.lines for part in receipt.parts}
    counters = dict(receipt.counters)
    assert lines.get("train", 0) + lines.get("validation", 0) == counters.get("examples_written", 0)
    assert lines.get("rejected", 0) == counters.get("examples_rejected", 0) == sum(dict(receipt.reasons).values())


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    results: list[Any] = [None] * len(calls)

    def work(at: int) -> None:
        try:
            results[at] = calls[at]()
        except Exception as error:
            results[at] = error

    threads = [threading.Thread(target=work, args=(at,)) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
