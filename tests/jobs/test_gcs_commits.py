"""The commit protocol on objects: jobs that fail and go on, run twice, compose many parts, or meet another."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from folders import assert_equal_folders, write_rows
from gcs_jobs import OPTIONS, sealed

from beam_jobs.commands.prepare import prepare
from transforms.dataset.receipts import ReceiptStore
from transforms.dataset.segments import SegmentWriter
from transforms.steps import fit, seal
from transforms.storage.gcs import compose as gcs_compose
from transforms.storage.gcs.store import GcsStore

pytestmark = pytest.mark.usefixtures("closed_bucket")


def fail_once(patch: pytest.MonkeyPatch, owner: Any, name: str, n: int) -> None:
    """The n-th call of a function raises."""
    real, calls = getattr(owner, name), itertools.count(1)

    def call(args: Any, named: Any) -> Any:
        if next(calls) == n:
            raise RuntimeError("the worker is gone")
        return real(*args, **named)

    patch.setattr(owner, name, lambda *args, **named: call(args, named))  # Beam would take a def's hints for its types


def test_a_job_that_fails_again_and_again_goes_on_and_ends_the_same(
    raw: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--input", f"{raw.uri}/raw/*.jsonl", "--output", f"{raw.uri}/out", *OPTIONS]
    sealed(*command)
    undisturbed = raw.folder("out/", tmp_path / "undisturbed")
    raw.bucket.delete_blobs(list(raw.blobs("out/").values()))
    heals: dict[str, list[bool]] = {}  # by block: what each commit that came through said
    commit = ReceiptStore.commit

    def noted(*args: Any) -> Any:
        receipt = commit(*args)
        heals.setdefault(receipt.key, []).append(receipt.heals)
        return receipt

    monkeypatch.setattr(ReceiptStore, "commit", noted)
    places = (
        (ReceiptStore, "commit", 4),
        (fit, "load_facts", 2),
        (SegmentWriter, "write", 1),
        (GcsStore, "_compose", 1),
        (seal, "manifest", 1),
    )
    for owner, name, n in places:
        with monkeypatch.context() as broken:
            fail_once(broken, owner, name, n)
            assert prepare(command) == 1
        told = capsys.readouterr().err
        assert "the worker is gone. What was committed is kept: the same command goes on" in told
        assert "out/manifest.json" not in raw.blobs() and "Traceback" not in told
    sealed(*command)
    assert_equal_folders(raw.folder("out/", tmp_path / "resumed"), undisturbed)
    assert sum(len(told) == 1 for told in heals.values()) == len(heals) - 1 > 8  # no block was worked twice,
    (again,) = (told for told in heals.values() if len(told) > 1)
    assert all(again)  # but the one whose missing images each run looks for again


def test_a_second_time_nothing_is_done_and_other_options_are_told(
    texts: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    raw = texts
    command = ["--input", f"{raw.uri}/raw/rows.jsonl", "--output", f"{raw.uri}/out", "--verify", "none"]
    raw.put("out/notes.txt", b"mine")
    sealed(*command)
    written = raw.generations("out/")
    capsys.readouterr()
    sealed(*command)
    assert "was sealed by the same command before" in capsys.readouterr().out
    assert raw.generations("out/") == written
    assert prepare([*command, "--seed", "7"]) == 2
    assert "holds a sealed dataset that another command made (--seed was 0 and is 7)" in capsys.readouterr().err
    assert raw.generations("out/") == written
    sealed(*command, "--seed", "7", "--overwrite")
    again = raw.generations("out/")
    assert again.keys() == written.keys() and again["notes.txt"] == written["notes.txt"]
    assert all(again[name] != written[name] for name in written if name != "notes.txt")


def test_more_parts_than_one_compose_takes(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_rows(tmp_path / "rows.jsonl", 600)
    size = os.path.getsize(source)
    cloud.put("in/rows.jsonl", Path(source).read_bytes())
    monkeypatch.setattr(gcs_compose, "SMALL", 0)  # else parts this small are read and uploaded as one
    composed: list[int] = []
    compose = GcsStore._compose

    def counted(store: GcsStore, uri: str, sources: Any, content_type: str) -> Any:
        composed.append(len(sources))
        return compose(store, uri, sources, content_type)

    monkeypatch.setattr(GcsStore, "_compose", counted)
    few = ["--verify", "none", "--splits", "train=1", "--block_bytes"]
    sealed("--input", f"{cloud.uri}/in/rows.jsonl", "--output", f"{cloud.uri}/out", *few, "1024")
    assert size / 1024 > 32 and 32 in composed and max(composed) == 32
    assert sum(composed) >= size // 1024
    sealed("--input", source, "--output", str(tmp_path / "whole"), *few, str(size))
    found = cloud.folder("out/", tmp_path / "found")
    assert found["train.jsonl"] == (tmp_path / "whole/train.jsonl").read_bytes()
    assert not any("_tuneset" in name for name in found)
    assert cloud.blobs("out/")["train.jsonl"].content_type == "application/json-lines"


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Commits wait: (one has begun, go on)."""
    begun, go, commit = threading.Event(), threading.Event(), ReceiptStore.commit

    def waiting(*args: Any) -> Any:
        begun.set()
        assert go.wait(60)
        return commit(*args)

    monkeypatch.setattr(ReceiptStore, "commit", waiting)
    yield begun, go
    go.set()


def test_the_second_of_two_live_jobs_is_told(texts: Cloud, held: tuple[threading.Event, threading.Event]) -> None:
    raw, (begun, go) = texts, held
    command = ["--input", f"{raw.uri}/raw/rows.jsonl", "--output", f"{raw.uri}/out", "--verify", "none"]
    ended: list[int] = []
    first = threading.Thread(target=lambda: ended.append(prepare(command)))
    first.start()
    assert begun.wait(60)
    claim = raw.json("out/_tuneset/claim.json")
    second = subprocess.run(
        [sys.executable, "-m", "beam_jobs", "prepare", *command], capture_output=True, text=True, timeout=120
    )
    assert second.returncode == 1
    assert f"{raw.uri}/out is being written by another job: run {claim['run']}" in second.stderr
    assert "--take_over" in second.stderr
    assert raw.json("out/_tuneset/claim.json") == claim
    go.set()
    first.join(60)
    assert ended == [0] and raw.json("out/manifest.json")["run"]["id"] == claim["run"]
