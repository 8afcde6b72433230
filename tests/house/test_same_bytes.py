"""What `benchmarks/same_bytes.py` calls a difference."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import put

ROOT = Path(__file__).resolve().parents[2]
KEY = "0123456789abcdef" * 2
SCREEN = {"status": 0, "out": "Sealed\n", "err": ""}
DATASET = {"tool": "1", "options": {"seed": "0"}}
Change = Callable[[Path], object]


def write_result(folder: Path, run: str) -> Path:
    """What a case leaves, with what differs from run to run."""
    put(folder / "case/dataset/train.jsonl", b"one\ntwo\n")
    put(folder / "case/dataset/images/a.jpg", b"pixels")
    put(folder / f"case/dataset/_tuneset/01/{KEY}.receipt", run.encode())
    put(folder / f"case/dataset/_tuneset/01/{KEY}.{run * 20}.images", b"")
    put(folder / f"case/dataset/_tuneset/01/{KEY}.{run * 13}.facts", b"")
    write_manifest(folder, DATASET, run)
    write_screen(folder, SCREEN)
    write_table(folder, 1, compression="snappy" if run == "1" else "none")
    return folder


def write_manifest(folder: Path, dataset: dict[str, Any], run: str = "1") -> None:
    put(folder / "case/dataset/manifest.json", json.dumps({"dataset": dataset, "run": {"id": run}}).encode())


def write_screen(folder: Path, screen: dict[str, Any]) -> None:
    put(folder / "screens.json", json.dumps([screen]).encode())


def write_table(folder: Path, number: int, **options: Any) -> None:
    pq.write_table(pa.table({"line": [number]}), folder / "case/dataset/examples.parquet", **options)


@pytest.fixture
def differences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Compare a result with itself, changed -> the places that differ."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from same_bytes import Comparison

    def compare(
        change: Change, ignored: frozenset[str] = frozenset(), screens: bool = True, blocks: bool = True
    ) -> list[str]:
        before, after = write_result(tmp_path / "before", "1"), write_result(tmp_path / "after", "2")
        change(after)
        comparison = Comparison(False, ignored, screens, blocks)
        comparison.compare(before, after)
        return [difference.partition(":")[0].removeprefix("case/dataset/") for difference in comparison.differences]

    return compare


def rename_receipt(folder: Path) -> None:
    """As if the block had another key."""
    receipt = folder / f"case/dataset/_tuneset/01/{KEY}.receipt"
    receipt.rename(receipt.with_name(f"{KEY[::-1]}.receipt"))


@pytest.mark.parametrize(
    "change, places",
    [
        (lambda folder: None, []),
        (lambda folder: put(folder / "case/dataset/train.jsonl", b"one\ntwo \n"), ["train.jsonl"]),
        (lambda folder: put(folder / "case/dataset/images/a.jpg", b"pixelz"), ["images/a.jpg"]),
        (lambda folder: (folder / "case/dataset/images/a.jpg").unlink(), ["images/a.jpg"]),
        (lambda folder: put(folder / "case/dataset/more", b""), ["more"]),
        (lambda folder: write_table(folder, 2), ["examples.parquet"]),
        (lambda folder: write_manifest(folder, DATASET | {"tool": "2"}), ["manifest.json, tool"]),
        (lambda folder: write_manifest(folder, DATASET | {"options": {}}), ["manifest.json, options", "manifest.json, options.seed"]),
        (lambda folder: write_screen(folder, SCREEN | {"status": 1}), ["command 1, status"]),
        (lambda folder: write_screen(folder, SCREEN | {"out": "sealed\n"}), ["command 1, out"]),
        (rename_receipt, [f"_tuneset/01/{KEY}.receipt", f"_tuneset/01/{KEY[::-1]}.receipt"]),
    ],
)  # fmt: skip
def test_every_change_is_a_difference(differences: Callable[..., list[str]], change: Change, places: list[str]) -> None:
    assert differences(change) == places


def test_what_changed_on_purpose_is_left_out(differences: Callable[..., list[str]]) -> None:
    changed = {"tool": "2", "tools": "new", "options": {"seed": "1"}}
    everything = differences(lambda folder: write_manifest(folder, changed))
    assert everything == [f"manifest.json, {key}" for key in ("options.seed", "tool", "tools")]
    ignored = frozenset({"tool", "options"})
    assert differences(lambda folder: write_manifest(folder, changed), ignored) == ["manifest.json, tools"]
    assert differences(lambda folder: write_screen(folder, SCREEN | {"err": "!"}), screens=False) == []
    assert differences(rename_receipt, blocks=False) == []


def test_two_failures_are_no_agreement(differences: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SCREEN, "status", 1)
    assert differences(lambda folder: None) == ["before failed"]
