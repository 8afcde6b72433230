"""Orders to fit an image: what names them, and that each outcome is decided once."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from folders import bmp, put
from protocol_run import Run, snapshot, world

from transforms import storage
from transforms.core.output_names import WORK
from transforms.core.records import FitOrder, Fitted, ImageFacts
from transforms.images import orders as images_orders
from transforms.images.orders import ImageRewriter
from transforms.storage.api import NotFound, StorageError, Unavailable

pytestmark = pytest.mark.usefixtures("file_system")


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
