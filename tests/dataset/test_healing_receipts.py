"""What a receipt that may heal is worth: within its epoch, in a later run, and when it is damaged."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocol_run import Run, assert_nothing_moved, assert_whole, at_once, snapshot, world

from transforms.core.records import Block, Extent, ImageFacts, OpenBlock, Receipt
from transforms.dataset.receipts import ReceiptStore

pytestmark = pytest.mark.usefixtures("file_system")

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
