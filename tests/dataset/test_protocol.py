"""The commit protocol, room by room and without Beam: what storage says was committed first is the truth of a block."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from folders import bmp, jpeg, png, put, row, write_lines
from hypothesis import given, settings
from hypothesis import strategies as st
from linkless import without_links
from usual_options import with_usual

from beam_jobs.job import Job
from beam_jobs.options import OPTIONS
from beam_jobs.settings import parse
from transforms import storage
from transforms.core.counters import broken_laws
from transforms.core.limits import PROFILES
from transforms.core.output_names import CLAIM, WORK
from transforms.core.records import Block, Extent, FitOrder, Fitted, ImageFacts, OpenBlock, Receipt
from transforms.dataset.block_files import Caps
from transforms.dataset.claim import Claim, Claimed, release_claim, still_ours, take_claim
from transforms.dataset.join import join_chunks
from transforms.dataset.receipts import ReceiptStore
from transforms.dataset.seal_plan import Cuts, SealPlan, fault_of, make_plan
from transforms.dataset.segments import Chunk, SegmentWriter, Unsealed
from transforms.dataset.sweep import named_in, sweep_folder
from transforms.examples.tally import assign_splits, split_examples
from transforms.images import orders as images_orders
from transforms.images.orders import ImageRewriter, fit_image
from transforms.images.publishing import publish_images
from transforms.images.sources import inspect_images
from transforms.inputs.cutting import cut_blocks
from transforms.inputs.lines import read_rows
from transforms.inputs.packing import pack_files
from transforms.inputs.patterns import list_pattern
from transforms.inputs.rows import build_examples
from transforms.steps import fit as fit_step
from transforms.steps.fit import take_fitted
from transforms.steps.seal import SealDataset
from transforms.steps.writer import StorageWriter, commit_block
from transforms.storage.api import NotFound, Piece, StorageError, Unavailable, crc32c
from transforms.storage.local import LocalStore


@pytest.fixture(autouse=True, params=["hard links", "none, and no rename that does not replace"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol holds on file systems without hard links too, where a lock decides who was first."""
    if request.param != "hard links":
        without_links(monkeypatch, errno.EPERM, errno.EINVAL)


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


def test_an_image_that_changes_before_it_is_fitted_is_not_fitted_as_another(tmp_path: Path) -> None:
    """What is made is named by the bytes that were inspected: other bytes must not come to that name, nor a file elsewhere."""
    world(tmp_path, "sub/i.bmp", "sub/j.bmp")
    run = Run(tmp_path)
    (block,) = run.blocks()
    _, orders = run.hold(run.look(block))
    (tmp_path / "in/sub/i.bmp").write_bytes(bmp(50, 50, seed=9))
    run.fit(orders[:1])
    stamp = os.stat(tmp_path / "in/sub/j.bmp").st_mtime_ns
    (tmp_path / "in/sub").rename(tmp_path / "aside")
    put(tmp_path / "elsewhere/j.bmp", (tmp_path / "aside/j.bmp").read_bytes())
    os.utime(tmp_path / "elsewhere/j.bmp", ns=(stamp, stamp))
    (tmp_path / "in/sub").symlink_to(tmp_path / "elsewhere")
    run.fit(orders[1:])
    told = [json.loads(Path(run.plan.rewriter.outcome_path(order.key)).read_bytes())["reason"] for order in orders]
    assert told == ["image_changed", "not_a_file"] and not (tmp_path / "out" / "images").exists()


def test_an_order_is_named_by_what_decides_its_outcome(tmp_path: Path) -> None:
    """Else what was made of other bytes, or by another policy, would be taken for it."""
    facts = ImageFacts("/in/a.bmp", "1", 9, "bmp", 10, 10)
    fitters = [Run(tmp_path, flags=flags).plan.rewriter for flags in ((), ("--min_quality", "80"))]
    orders = [rewriter.order(one) for rewriter in fitters for one in (
        facts, dataclasses.replace(facts, generation="2"), dataclasses.replace(facts, uri="/in/b.bmp"))]  # fmt: skip
    assert len({order.key for order in orders if order}) == 6


def test_an_outcome_is_decided_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that share an image may not be told two things: whoever stores its outcome first is believed."""
    world(tmp_path, "i.bmp")
    run = Run(tmp_path)
    (block,) = run.blocks()
    _, orders = run.hold(run.look(block))
    fit = images_orders._outcome
    faster = Fitted(reason="image_timeout", detail="another execution was faster")

    def overtaken(order: FitOrder, rewriter: ImageRewriter) -> Fitted:
        made = fit(order, rewriter)
        monkeypatch.setattr(images_orders, "_outcome", lambda *_: faster)
        run.fit([order])
        return made

    monkeypatch.setattr(images_orders, "_outcome", overtaken)
    run.fit(orders)
    (stored,) = (tmp_path / "out" / WORK / "fits").rglob("*.json")
    assert Fitted(**json.loads(stored.read_bytes())) == faster
    assert dict(run.recall(block).reasons) == {"image_timeout": 2}


@pytest.mark.parametrize("left", ["nothing", "zeros", "another image"])
def test_what_stands_under_an_image_s_name_is_not_taken_for_it_unseen(left: str, tmp_path: Path) -> None:
    world(tmp_path, "i.bmp", "j.bmp")
    run = Run(tmp_path)
    (block,) = run.blocks()
    _, (order, other) = run.hold(run.look(block))
    run.fit([order, other])
    made, foreign = (Path(run.plan.rewriter.image_uri(one.key, "png")) for one in (order, other))
    whole = made.read_bytes()
    made.write_bytes({"nothing": b"", "zeros": b"\0" * 100, "another image": foreign.read_bytes() + b"!"}[left])

    later = Run(tmp_path, epoch=2)
    later.fit([order])
    (path,) = (tmp_path / "out" / WORK / "fits").rglob(f"{order.key}.2.json")
    assert (json.loads(path.read_bytes())["size"], made.read_bytes()) == (len(whole), whole)


def test_of_two_makers_the_one_who_stored_the_image_describes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may have other codecs, and so come to other bytes under one name."""
    world(tmp_path, "i.bmp")
    run = Run(tmp_path)
    (block,) = run.blocks()
    _, (order,) = run.hold(run.look(block))
    run.fit([order])
    (first,) = (tmp_path / "out" / WORK / "fits").rglob("*.json")
    image = snapshot(tmp_path / "out" / "images")
    made, asked = images_orders._made_before, iter([None])
    monkeypatch.setattr(images_orders, "_made_before", lambda *given: next(asked, made(*given)))
    pool = type(run.plan.rewriter.inspector.pool)
    fit = pool.fit
    monkeypatch.setattr(pool, "fit", lambda *a, **n: dataclasses.replace(fit(*a, **n), data=b"other bytes", quality=1))
    Run(tmp_path, epoch=2).fit([order])
    (second,) = (tmp_path / "out" / WORK / "fits").rglob("*.2.json")
    assert second.read_bytes() == first.read_bytes() and snapshot(tmp_path / "out" / "images") == image


@pytest.mark.parametrize("answer, told", [(Unavailable("429"), ""), (NotFound("gone"), "image_not_found")])
def test_an_outage_while_an_image_is_fitted_is_not_its_outcome(
    answer: StorageError, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Elsewhere:
        def read(self, *_: Any, **__: Any) -> Any:
            raise answer

    monkeypatch.setitem(storage._stores, "gs", Elsewhere())  # type: ignore[arg-type]
    run = Run(tmp_path)
    order = run.plan.rewriter.order(ImageFacts("gs://bucket/i.bmp", "1", 100, "bmp", 8, 8))
    assert order
    if told:
        run.fit([order])
    else:
        with pytest.raises(Unavailable):
            run.fit([order])
    assert [json.loads(path.read_bytes())["reason"] for path in tmp_path.rglob("*.json")] == [told] * (told != "")


def test_a_made_image_is_described_without_its_maker(tmp_path: Path) -> None:
    """A run that died after fitting leaves images: the next one must say of them what their maker would have said."""
    world(tmp_path / "a", "i.bmp")
    run = Run(tmp_path / "a")
    (block,) = run.blocks()
    _, orders = run.hold(run.look(block))
    run.fit(orders)
    made = snapshot(tmp_path / "a" / "out" / "images")
    told = [json.loads(path.read_bytes()) for path in (tmp_path / "a" / "out" / WORK / "fits").rglob("*.json")]

    later = Run(tmp_path / "a", epoch=2)
    later.fit(orders)
    paths = (tmp_path / "a" / "out" / WORK / "fits").rglob("*.2.json")
    assert [json.loads(path.read_bytes()) for path in paths] == told
    assert snapshot(tmp_path / "a" / "out" / "images") == made
    assert len(made) == 1


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


# What a receipt that may heal is worth

BARE = Block((0, b"a", 0), (Extent("/a", "1-1", 1, 0, 1),), "gemini")


def commit(folder: Path, epoch: int, view: int, *, heals: bool) -> Receipt:
    """Commit a block of one line, which tells the view, as a run of an epoch would."""
    opened = OpenBlock(BARE, "ab" * 16)
    opened.counters["examples_read"] = view
    opened.facts["/i"] = ImageFacts("/i", reason="image_not_found" if heals else "undecodable")
    return ReceiptStore(str(folder), epoch, f"run{epoch}").commit(opened, [("train", b"view %d\n" % view, 1)], {})


def view_of(receipt: Receipt | None) -> tuple[int, int, bool] | None:
    return receipt and (receipt.epoch, dict(receipt.counters)["examples_read"], receipt.heals)


def find(folder: Path, epoch: int) -> tuple[int, int, bool] | None:
    return view_of(ReceiptStore(str(folder), epoch, "").find(BARE, "ab" * 16))


def test_a_receipt_that_heals_counts_within_its_epoch_only(tmp_path: Path) -> None:
    assert find(tmp_path, 1) is None
    assert view_of(commit(tmp_path, 5, 1, heals=True)) == (5, 1, True)
    assert view_of(commit(tmp_path, 5, 2, heals=False)) == (5, 1, True)  # the same run: what is committed stands
    assert (find(tmp_path, 4), find(tmp_path, 5), find(tmp_path, 6)) == ((5, 1, True), (5, 1, True), None)
    assert view_of(commit(tmp_path, 4, 3, heals=False)) == (5, 1, True)  # a dead run's late work changes nothing
    assert view_of(commit(tmp_path, 6, 4, heals=True)) == (6, 4, True)
    assert view_of(commit(tmp_path, 5, 5, heals=False)) == (6, 4, True)
    assert view_of(commit(tmp_path, 7, 6, heals=False)) == (7, 6, False)
    for epoch in (1, 7, 8):  # final: for good
        assert view_of(commit(tmp_path, epoch, 7, heals=True)) == (7, 6, False)
        assert find(tmp_path, epoch) == (7, 6, False)
    (stored,) = tmp_path.rglob("*.receipt")
    assert json.loads(stored.read_bytes())["counters"] == {"examples_read": 6}


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(1, 3), st.booleans()), min_size=1, max_size=8))
def test_any_sequence_of_commits_obeys_the_rule(commits: list[tuple[int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as made:
        folder, stored = Path(made), None
        for view, (epoch, heals) in enumerate(commits, 1):
            if stored is None or (stored[2] and stored[0] < epoch):
                stored = (epoch, view, heals)
            assert view_of(commit(folder, epoch, view, heals=heals)) == stored
            assert find(folder, epoch) == stored


@pytest.mark.parametrize("attempt", range(8))
def test_runs_of_many_epochs_at_once_leave_one_truth(attempt: int, tmp_path: Path) -> None:
    """Four runs, two executions each: the newest run's executions agree with each other and with storage."""
    wanted = [(epoch, 10 * epoch + n) for epoch in (1, 2, 3, 4) for n in (0, 1)]
    wanted = wanted[attempt:] + wanted[:attempt]
    final = {13, 21} if attempt % 2 else set()
    calls = [lambda e=e, v=v: commit(tmp_path, e, v, heals=v not in final) for e, v in wanted]
    results = [view_of(receipt) for receipt in at_once(*calls)]
    newest = {result for result, (epoch, _) in zip(results, wanted) if epoch == 4}
    assert newest == {find(tmp_path, 4)}
    ((epoch, view, heals),) = newest  # type: ignore[misc]
    assert heals == (view not in final)
    assert epoch == 4 if heals else epoch < 4
    assert list(tmp_path.rglob(".tmp-*")) == []


def test_a_missing_image_heals_in_a_later_run_and_no_zombie_undoes_it(tmp_path: Path) -> None:
    world(tmp_path, "i.png", "j.png")
    away = (tmp_path / "in" / "i.png").rename(tmp_path / "i.png")
    first = Run(tmp_path)
    (block,) = first.blocks()
    zombie, _ = first.hold(first.look(block))
    late, _ = first.hold(first.look(block))
    assert zombie and late
    receipt = first.finish(zombie)
    assert (receipt.heals, dict(receipt.reasons), first.find(block)) == (True, {"image_not_found": 2}, receipt)

    away.rename(tmp_path / "in" / "i.png")
    assert first.execute(block) == receipt  # within the run the world has stopped
    second = Run(tmp_path, epoch=2)
    assert second.find(block) is None
    healed = second.execute(block)
    assert (healed.heals, healed.epoch, dict(healed.reasons)) == (False, 2, {})
    before = snapshot(tmp_path / "out")
    assert first.finish(late) == healed
    assert_nothing_moved(before, tmp_path / "out")
    assert_whole(healed)


@pytest.mark.parametrize("left", [b"", b'{"tuneset": "rec'])
def test_a_damaged_receipt_is_replaced(left: bytes, tmp_path: Path) -> None:
    """A machine that loses its power may leave a file that is there, and empty."""
    first = commit(tmp_path, 1, 1, heals=False)
    (path,) = tmp_path.rglob("*.receipt")
    path.write_bytes(left)
    assert find(tmp_path, 1) is None
    again = commit(tmp_path, 1, 1, heals=False)
    assert again == first and find(tmp_path, 2) == view_of(first)


# Names of blocks

OTHER_VALUES = {
    "prompt": "What is {a}?",
    "answer": "{b}",
    "system": "Be brief.",
    "image_column": "photo",
    "delimiter": "tab",
    "header": "no",
    "keep_blanks": None,
    "encoding": "latin-1",
    "max_line_bytes": "2000", "allow_prefix": "/", "image_folder": "/elsewhere", "uri_prefix": "gs://bucket/x",
    "model": "gemini-2.5", "max_images": "3", "max_image_bytes": "5000", "types": "png", "verify": "decode",
    "on_bad_image": "drop_image", "oversize": "resize", "min_quality": "80", "max_side": "99", "max_pixels": "99",
    "alpha": "flatten", "animation": "reject", "effort": "best", "upright": None, "on_too_many_images": "reject",
    "on_too_many_tokens": "reject",
    "splits": "train=1", "split_by": "label", "split_column": "label", "seed": "other", "max_validation": "7",
    "sample": "10", "findings": "rows", "image_root": "/", "empty_boxes": "reject",
}  # fmt: skip


def test_every_option_that_can_change_a_byte_changes_the_key(tmp_path: Path) -> None:
    assert {*OTHER_VALUES, "stage"} == {option.name for option in OPTIONS if option.shapes}
    world(tmp_path, "i.png")
    (block,) = Run(tmp_path).blocks()
    key = Run(tmp_path).plan.keys(block)
    assert Run(tmp_path, epoch=9).plan.keys(block) == key
    keys = {key}
    for name, value in OTHER_VALUES.items():
        flags = (f"--{name}",) if value is None else (f"--{name}", value)
        if name == "max_side":
            flags += ("--oversize", "resize")
        keys.add(Run(tmp_path, flags=flags).plan.keys(block))
    assert len(keys) == 1 + len(OTHER_VALUES)
    gs = ("--output", "gs://bucket/out")
    assert Run(tmp_path, flags=gs).plan.keys(block) != Run(tmp_path, flags=(*gs, "--stage", "copy")).plan.keys(block)
    running = (
        "--block_bytes",
        "5000",
        "--user_project",
        "payer",
        "--threads",
        "3",
        "--keep_blocks",
        "--max_rejected_fraction",
        "0.5",
    )
    assert Run(tmp_path, flags=running).plan.keys(block) == key


def test_every_version_and_range_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = Run(tmp_path).plan.keys
    extent = Extent("/a", "10-1", 10, 0, 10)
    others = [{"uri": "/b"}, {"generation": "10-2"}, {"start": 1}, {"end": 9}]
    extents = [(extent,), *((dataclasses.replace(extent, **other),) for other in others), (extent, extent)]
    named = {keys(Block((0, b"", 0), found, "gemini")) for found in extents}
    named.add(keys(Block((0, b"", 0), (extent,), "gemini", b"raw")))
    named.add(keys(Block((0, b"", 0), (extent,), "other")))
    assert len(named) == 8
    assert keys(Block((7, b"/a", 3), (extent,), "gemini")) == keys(Block((0, b"", 0), (extent,), "gemini"))


# Claims


def take(folder: Path, run: str = "mine", *, take_over: bool = False) -> Claim:
    return take_claim(str(folder), run, take_over=take_over)


def claim_of(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / CLAIM).read_bytes())
    return body


def forge(folder: Path, **changed: Any) -> dict[str, Any]:
    """A claim as an earlier job left it."""
    take(folder, "theirs")
    body = claim_of(folder) | changed
    put(folder / CLAIM, json.dumps(body).encode())
    return body


def test_a_live_job_is_named_and_keeps_its_folder(tmp_path: Path) -> None:
    first = take(tmp_path, "first")
    assert first == Claim("first", claim_of(tmp_path)["epoch"], False)
    before = snapshot(tmp_path)
    with pytest.raises(Claimed) as told:
        take(tmp_path, "second")
    words = str(told.value)
    assert re.findall(r"run (\w+) on (\S+) \(process (\d+)\)", words) == [
        ("first", socket.gethostname(), str(os.getpid()))
    ]
    assert "--take_over" in words
    assert str(tmp_path) in words
    assert snapshot(tmp_path) == before

    second = take(tmp_path, "second", take_over=True)
    assert (second.run, second.resumed, second.epoch > first.epoch) == ("second", True, True)
    assert claim_of(tmp_path)["run"] == "second"


def test_a_dead_claim_of_this_host_is_taken_over_silently(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    started = Path(f"/proc/{dead.pid}/stat").read_text().rpartition(")")[2].split()[19]
    forge(tmp_path, pid=dead.pid, started=started)
    if dead.poll() is None:
        with pytest.raises(Claimed):
            take(tmp_path)
    dead.wait()
    claim = take(tmp_path)
    assert (claim.run, claim.resumed, claim_of(tmp_path)["pid"]) == ("mine", True, os.getpid())


@pytest.mark.parametrize(
    ("left", "lives"),
    [
        ({}, True),
        ({"started": "1"}, False),  # the number was given to another process since
        ({"host": "elsewhere", "pid": 1 << 30}, True),  # it gave a sign of life just now
        ({"remote": True, "pid": 1 << 30}, True),  # the job outlives the process that launched it
        ({"pid": 1 << 30}, False),
    ],
)
def test_which_claims_hold(left: dict[str, Any], lives: bool, tmp_path: Path) -> None:
    theirs = forge(tmp_path, **left)
    if lives:
        with pytest.raises(Claimed, match="run theirs on " + theirs["host"]):
            take(tmp_path)
        assert claim_of(tmp_path) == theirs
    claim = take(tmp_path, take_over=lives)
    assert (claim.resumed, claim.epoch > theirs["epoch"]) == (True, True)


def test_epochs_rise_though_clocks_differ(tmp_path: Path) -> None:
    theirs = forge(tmp_path, epoch=1 << 60)
    assert take(tmp_path, take_over=True).epoch == theirs["epoch"] + 1


@pytest.mark.parametrize("left", ["nothing", "dead claim"])
def test_of_many_takers_at_once_one_has_the_folder(left: str, tmp_path: Path) -> None:
    if left == "dead claim":
        forge(tmp_path, pid=1 << 30)
    results = at_once(*(lambda n=n: take(tmp_path, f"run{n}") for n in range(6)))
    won = [result for result in results if isinstance(result, Claim)]
    assert [type(result) for result in results].count(Claimed) == 5
    assert [claim.run for claim in won] == [claim_of(tmp_path)["run"]]
    assert list(tmp_path.rglob(".tmp-*")) == []


def test_who_takes_over_a_moment_too_late_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    forge(tmp_path, host="elsewhere")
    replace = LocalStore.replace

    def overtaken(*given: Any) -> bool:
        monkeypatch.setattr(LocalStore, "replace", replace)
        take(tmp_path, "faster", take_over=True)
        return replace(*given)

    monkeypatch.setattr(LocalStore, "replace", overtaken)
    with pytest.raises(Claimed, match="run faster on"):
        take(tmp_path, take_over=True)
    assert claim_of(tmp_path)["run"] == "faster"


def test_takers_over_at_once_have_epochs_of_their_own(tmp_path: Path) -> None:
    """Each asked for it; whoever came last has the folder, and the latest epoch."""
    theirs = forge(tmp_path, host="elsewhere")
    results = at_once(*(lambda n=n: take(tmp_path, f"run{n}", take_over=True) for n in range(6)))
    won = [result for result in results if isinstance(result, Claim)]
    assert len(won) + [type(result) for result in results].count(Claimed) == 6
    epochs = sorted(claim.epoch for claim in won)
    assert len(set(epochs)) == len(won) > 0
    assert epochs[0] > theirs["epoch"]
    assert [claim.run for claim in won if claim.epoch == epochs[-1]] == [claim_of(tmp_path)["run"]]


@pytest.mark.parametrize("left", [b"", b'{"tuneset": "cl'])
def test_a_damaged_claim_is_told_and_replaced_on_demand(left: bytes, tmp_path: Path) -> None:
    put(tmp_path / CLAIM, left)
    with pytest.raises(Claimed, match=r"claim.json is damaged: .* add --take_over"):
        take(tmp_path)
    assert not still_ours(str(tmp_path), "mine")
    release_claim(str(tmp_path), "mine")
    assert (tmp_path / CLAIM).read_bytes() == left
    assert take(tmp_path, take_over=True).resumed and claim_of(tmp_path)["run"] == "mine"


def test_a_claim_that_cannot_be_released_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(tmp_path)
    before = snapshot(tmp_path)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "_write", full)
        release_claim(str(tmp_path), "mine")  # what a person is to be told is why the job failed, and not this
    assert snapshot(tmp_path) == before
    release_claim(str(tmp_path), "theirs")
    assert snapshot(tmp_path) == before
    release_claim(str(tmp_path), "mine")
    assert take(tmp_path, "next").resumed


# Sweep


KEY = "ab" * 16
BLOCKS = (f"ab/{KEY}.{'c' * 20}.train", f"ab/{KEY}.receipt")


def sealed_folder(folder: Path, run: str) -> None:
    """What a seal leaves, besides what an earlier run with other options left."""
    put(folder / "train.jsonl", b"{}\n")
    put(folder / "manifest.json", json.dumps({"dataset": {"files": [{"name": "train.jsonl"}]}}).encode())
    left = (f"ab/{KEY}.1.facts", f"ab/.tmp-7-8-{KEY}.receipt", "fits/cd/cd.1.json", "seal/x.train.jsonl", *BLOCKS)
    for name in left:
        put(folder / WORK / name, b"x")
    for name in ("test.jsonl", "train-00000-of-00002.jsonl", "images-00001-of-00002.parquet", ".tmp-7-8-train.jsonl"):
        put(folder / name, b"stale")
    for name in (f"images/ab/{KEY}.jpg", f"images/ab/.tmp-7-8-{KEY}.jpg"):
        put(folder / name, b"stale")
    for name in NOT_OURS:
        put(folder / name, b"not ours")
    forge(folder, run=run, resumed=True, begun=0)


NOT_OURS = ("notes.txt", "train.jsonl.bak", "train-0.jsonl", "data/train.jsonl", "images/a.jpg", f"images/{KEY}.jpg")


@pytest.mark.parametrize("keep_blocks", [False, True])
def test_sweep_removes_what_no_manifest_names(keep_blocks: bool, tmp_path: Path) -> None:
    sealed_folder(tmp_path, "mine")
    sweep_folder(str(tmp_path), "mine", keep_blocks)
    blocks = {f"{WORK}/{name}" for name in BLOCKS} if keep_blocks else set()
    assert set(snapshot(tmp_path)) == {"train.jsonl", "manifest.json", *NOT_OURS, *blocks}
    assert (tmp_path / WORK).exists() == keep_blocks


def test_sweep_touches_nothing_of_a_folder_that_was_taken_over(tmp_path: Path) -> None:
    sealed_folder(tmp_path, "theirs")
    before = snapshot(tmp_path)
    sweep_folder(str(tmp_path), "mine", False)
    assert snapshot(tmp_path) == before
    (tmp_path / CLAIM).unlink()  # theirs has finished
    del before[CLAIM]
    sweep_folder(str(tmp_path), "mine", False)
    assert snapshot(tmp_path) == before


def test_a_sweep_that_is_cut_off_can_be_told_from_a_finished_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink, whole = os.unlink, {"train.jsonl", "manifest.json", *NOT_OURS}
    for at in itertools.count():
        folder, left = tmp_path / str(at), [at]

        def cut_off(path: str, left: list[int] = left) -> None:
            if left[0] == 0:
                raise OSError(errno.EIO, "the machine is gone")
            left[0] -= 1
            unlink(path)

        sealed_folder(folder, "mine")
        with monkeypatch.context() as patch:
            patch.setattr(os, "unlink", cut_off)
            try:
                sweep_folder(str(folder), "mine", False)
                break
            except Unavailable:
                assert (folder / CLAIM).exists()
        sweep_folder(str(folder), "mine", False)
        assert set(snapshot(folder)) == whole
    assert at > 10 and set(snapshot(folder)) == whole


def test_names_are_found_wherever_a_file_of_lines_is_cut(tmp_path: Path) -> None:
    names = [f"{i:02x}/{i:032x}.jpg" for i in range(50)]
    path = put(tmp_path / "rejected.jsonl", "".join(f'{{"image":"/data/{name}"}}\n' for name in names).encode())
    for chunk in (64, 100, 1 << 20):
        assert set(named_in(path, chunk)) >= set(names)


# Seal


def test_seal_touches_nothing_of_a_folder_that_was_taken_over(tmp_path: Path) -> None:
    """A job that was taken for dead may be alive, and about to join files, or to write its manifest."""
    part, data = put(tmp_path / WORK / "ab" / "part.train", b"mine\n"), b"mine\n"
    chunk = Chunk((0,), (Piece(part, 0, 5, 5, crc32c(data)),), 1)
    writer = SegmentWriter(str(tmp_path), False, "mine")
    seal = SealDataset(
        writer=writer, caps=Caps(), names=("train",), max_lines=9, max_bytes=99, max_rejected_fraction=0.1
    )
    forge(tmp_path, run="theirs")
    before = snapshot(tmp_path)
    steps = [lambda: join_chunks(("train.jsonl", [chunk]), writer), lambda: seal._manifest(None, [], SealPlan())]
    for step in steps:
        with pytest.raises(Unsealed, match="Another job took"):
            step()
    assert snapshot(tmp_path) == before
    forge(tmp_path / "ours", run="mine")
    ours = dataclasses.replace(writer, folder=str(tmp_path / "ours"))
    assert join_chunks(("train.jsonl", [chunk]), ours).size == 5


def test_a_manifest_is_written_once_and_another_is_refused(tmp_path: Path) -> None:
    forge(tmp_path, run="mine")
    seal = SealDataset(
        writer=SegmentWriter(str(tmp_path), False, "mine"),
        caps=Caps(),
        names=("train",),
        max_lines=9,
        max_bytes=99,
        max_rejected_fraction=0.1,
        dataset={
            "output": str(tmp_path),
            "options": {"shuffle_seed": "1", "uri_prefix": ""},
            "formats": [],
            "verified": True,
        },
    )
    assert seal._manifest(None, [], SealPlan()) == f"{tmp_path}/manifest.json"
    before = snapshot(tmp_path)
    seal.run = {"id": "of another execution"}
    assert seal._manifest(None, [], SealPlan()) == f"{tmp_path}/manifest.json"
    seal.dataset = seal.dataset | {"options": {"shuffle_seed": "2", "uri_prefix": ""}}
    with pytest.raises(Unsealed, match="already names another dataset"):
        seal._manifest(None, [], SealPlan())
    assert snapshot(tmp_path) == before


def test_the_seal_does_not_depend_on_the_order_in_which_anything_arrives(tmp_path: Path) -> None:
    """One file of rows, some of them bad, in many blocks and three segments; cuts of files fall where they like."""
    image = put(tmp_path / "in" / "i.png", png())
    rows = [row(f"row {n}", [image] * (n % 2)) if n % 5 else {"contents": []} for n in range(40)]
    write_lines(tmp_path / "in" / "a.jsonl", rows)
    run = Run(tmp_path, flags=("--splits", "train=1"))
    blocks = [block for whole in run.blocks() for block in cut_blocks(whole, 400, 10_000)]
    receipts = [run.execute(block) for block in blocks]
    third, writer, cuts = len(receipts) // 3, run.plan.writer, Cuts()
    segments = [receipts[:third], receipts[third : 2 * third], receipts[2 * third :]]
    assert third > 3 and forge(tmp_path / "out", run="run1")

    def sealed(turned: int) -> tuple[SealPlan, dict[str, bytes], list[dict[str, Any]]]:
        given = [(n, some[::turned]) for n, some in enumerate(segments)][::turned]
        summaries = [writer.sum_up(one, cuts) for one in given]
        limits = {"max_lines": 7, "max_bytes": 1 << 30, "sampled": False}
        plan = make_plan(summaries, **limits, line_sizes=lambda name, group: writer.line_sizes(name, group, cuts))
        chunks: dict[str, list[Chunk]] = {}
        for name, chunk in (told for one in given for told in writer.write(one, plan, cuts)):
            chunks.setdefault(name, []).append(chunk)
        for name, some in chunks.items():
            join_chunks((name, some[::turned]), writer)
        files = {name: (tmp_path / "out" / name).read_bytes() for name in chunks}
        return plan, files, pq.read_table(tmp_path / "out" / "examples.parquet").to_pylist()

    plan, files, table = sealed(1)
    assert sealed(-1) == (plan, files, table)
    lines = b"".join(files[f"train-{n:05d}-of-00005.jsonl"] for n in range(5)).splitlines()
    assert [json.loads(line)["contents"][0]["parts"][-1]["text"] for line in lines] == [
        f"row {n}" for n in range(40) if n % 5
    ]
    assert [one["source_line"] for one in table] == [n + 1 for n in range(40) if n % 5]
    assert [json.loads(line)["line"] for line in files["rejected.jsonl"].splitlines()] == list(range(1, 41, 5))


def test_a_line_that_is_missing_without_a_sample_is_a_fault(tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "a.jsonl", [row(f"row {n}") for n in range(9)])
    run = Run(tmp_path, flags=("--splits", "train=1"))
    receipts = [run.execute(block) for block in run.blocks()]
    faults = []
    for missing, sampled in ((0, False), (1, True), (1, False)):
        summary = run.plan.writer.sum_up((0, receipts), Cuts())
        summary.lines[0][0] -= missing
        plan = make_plan([summary], max_lines=99, max_bytes=1 << 30, sampled=sampled, line_sizes=lambda *_: [])
        faults.append(fault_of(plan, 1.0, ""))
    assert faults[:2] == ["", ""] and "8 is not 9" in faults[2]
