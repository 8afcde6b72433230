"""The commit protocol, room by room and without Beam: what storage says was committed first is the truth of a block."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from folders import bmp, png, put, row, write_lines
from protocol_run import Run, assert_nothing_moved, assert_whole, at_once, snapshot, world

from transforms.core.records import FitOrder, OpenBlock, Receipt
from transforms.storage.local import LocalStore

pytestmark = pytest.mark.usefixtures("file_system")

CHANGES: dict[str, Callable[[Path], object]] = {
    "overwritten": lambda image: image.write_bytes(png(320, 200, seed=99)),
    "overwritten with what must be fitted": lambda image: image.write_bytes(bmp(50, 50, seed=98)),
    "overwritten with rubbish": lambda image: image.write_bytes(b"no image at all"),
    "emptied": lambda image: image.write_bytes(b""),
    "deleted": lambda image: image.unlink(),
    "listing grown": lambda image: write_lines(image.parent / "b.jsonl", [row("new", [str(image)])]),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("images", [("i.png", "j.png"), ("i.png", "j.bmp"), ("i.bmp", "j.png")], ids=" ".join)
def test_a_changed_world_moves_nothing_that_is_committed(images: tuple[str, ...], change: str, tmp_path: Path) -> None:
    world(tmp_path, *images)
    run = Run(tmp_path)
    (block,) = run.blocks()
    seen = run.look(block).facts
    receipt = run.execute(block)
    assert_whole(receipt)
    assert dict(receipt.counters)["examples_written"] == 3
    before = snapshot(tmp_path / "out")

    CHANGES[change](tmp_path / "in" / images[0])

    if change == "listing grown":
        assert len(run.blocks()[0].extents) == 2  # another block, which is none of this one's business
        assert run.find(run.blocks()[0]) is None
    else:
        assert run.look(block).facts != seen  # the second execution does see another world
    assert run.execute(block) == receipt
    assert_nothing_moved(before, tmp_path / "out")
    assert run.find(block) == receipt
    assert Run(tmp_path, epoch=2).find(block) == receipt


WAITING_CHANGES = {name: change for name, change in CHANGES.items() if name != "listing grown"}


@pytest.mark.parametrize("change", WAITING_CHANGES)
def test_a_second_execution_adopts_the_facts_that_are_stored(change: str, tmp_path: Path) -> None:
    world(tmp_path, "i.bmp", "j.png")
    run = Run(tmp_path)
    (block,) = run.blocks()
    first = run.look(block)
    _, orders = run.hold(first)
    before = snapshot(tmp_path / "out")

    CHANGES[change](tmp_path / "in" / "i.bmp")
    second = run.look(block)
    assert second.facts != first.facts
    ready, again = run.hold(second)

    must_fit = change == "overwritten with what must be fitted"
    if must_fit:
        assert (ready, again, second.facts) == (None, orders, first.facts)
    else:  # it saw nothing to fit, so it goes on by itself; the other, which waits, must then take its receipt
        assert (ready is not None, again) == (True, [])
    assert_nothing_moved(before, tmp_path / "out")
    receipt = run.finish(ready) if ready else None
    run.fit(orders)
    recalled = run.recall(block)
    assert receipt in (None, recalled)
    assert recalled == run.recall(block) == run.find(block)
    assert_whole(recalled)


def test_outcomes_are_adopted_whatever_became_of_the_image(tmp_path: Path) -> None:
    world(tmp_path, "i.bmp", "j.png")
    run = Run(tmp_path)
    (block,) = run.blocks()
    _, orders = run.hold(run.look(block))
    good = (tmp_path / "in" / "i.bmp").read_bytes()
    stamp = os.stat(tmp_path / "in" / "i.bmp").st_mtime_ns

    (tmp_path / "in" / "i.bmp").unlink()  # between inspection and fitting
    run.fit(orders)
    before = snapshot(tmp_path / "out")
    put(tmp_path / "in" / "i.bmp", good)
    os.utime(tmp_path / "in" / "i.bmp", ns=(stamp, stamp))
    run.fit(orders)  # it could be fitted now, but the outcome stands
    assert_nothing_moved(before, tmp_path / "out")
    assert not (tmp_path / "out" / "images").exists()

    receipt = run.recall(block)
    assert dict(receipt.reasons) == {"image_not_found": 2}
    assert (receipt.heals, run.recall(block), run.execute(block)) == (True, receipt, receipt)
    assert_whole(receipt)

    healed = Run(tmp_path, epoch=2)  # a later run asks again
    assert healed.find(block) is None
    final = healed.execute(block)
    assert (final.heals, dict(final.reasons), dict(final.counters)["images_converted"]) == (False, {}, 2)
    assert_whole(final)


# Executions at once


@contextmanager
def together(*methods: str, parties: int) -> Iterator[None]:
    """Lets `parties` threads reach every receipt at the same time, so that all of them see none and try to create it."""
    barrier = threading.Barrier(parties)
    original = LocalStore.create

    def create(self: LocalStore, uri: str, data: bytes, content_type: str = "") -> bool:
        if uri.endswith(methods):
            barrier.wait(20)
        return original(self, uri, data, content_type)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStore, "create", create)
        yield


@pytest.mark.parametrize("attempt", range(10))
def test_two_executions_with_different_views_come_to_one_receipt(attempt: int, tmp_path: Path) -> None:
    world(tmp_path, "i.png", "j.png")
    run = Run(tmp_path)
    (block,) = run.blocks()
    sees, _ = run.hold(run.look(block))
    (tmp_path / "in" / "i.png").unlink()
    misses, _ = run.hold(run.look(block))
    assert sees and misses and len(sees.examples) != len(misses.examples)
    calls = [lambda: run.finish(sees), lambda: run.finish(misses)]
    with together(".receipt", parties=2):
        one, other = at_once(*(calls if attempt % 2 else calls[::-1]))
    assert isinstance(one, Receipt)
    assert one == other == run.find(block) == run.execute(block)
    assert dict(one.reasons) == ({"image_not_found": 2} if one.heals else {})
    assert_whole(one)
    assert len(list((tmp_path / "out").rglob("*.receipt"))) == 1
    assert list((tmp_path / "out").rglob(".tmp-*")) == []


@pytest.mark.parametrize("attempt", range(4))
def test_two_executions_at_once_wait_for_the_same_fit(attempt: int, tmp_path: Path) -> None:
    """One sees a BMP, the other a larger one in its place: facts, outcome and receipt are each decided once."""
    world(tmp_path, "i.bmp", "j.png")
    run = Run(tmp_path)
    (block,) = run.blocks()
    small = run.look(block)
    (tmp_path / "in" / "i.bmp").write_bytes(bmp(120, 100, seed=7))
    large = run.look(block)
    assert small.facts != large.facts

    def execute(opened: OpenBlock) -> tuple[list[FitOrder], Receipt]:
        ready, orders = run.hold(opened)
        assert ready is None
        run.fit(orders)
        return orders, run.recall(block)

    pair = [lambda: execute(small), lambda: execute(large)]
    with together(".facts", ".receipt", "1.json", parties=2):
        one, other = at_once(*(pair if attempt % 2 else pair[::-1]))
    assert not isinstance(one, Exception), one
    assert one == other
    receipt = one[1]
    # The smaller picture is gone, so if its facts won the fit finds another file in its place.
    assert dict(receipt.reasons) in ({}, {"image_changed": 2})
    assert_whole(receipt)
    assert run.execute(block) == receipt
