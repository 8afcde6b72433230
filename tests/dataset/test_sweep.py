"""The sweep removes what no manifest names, and nothing of a folder that was taken over."""

from __future__ import annotations

import errno
import itertools
import json
import os
from pathlib import Path

import pytest
from claim_files import forge
from folders import put
from protocol_run import snapshot

from transforms.core.output_names import CLAIM, WORK
from transforms.dataset.sweep import named_in, sweep_folder
from transforms.storage.api import Unavailable

pytestmark = pytest.mark.usefixtures("file_system")

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
