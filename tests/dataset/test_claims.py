"""Claims: who has a folder, who may take it over, and who is told."""

from __future__ import annotations

import errno
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from claim_files import claim_of, forge, take
from folders import put
from protocol_run import at_once, snapshot

from transforms.core.output_names import CLAIM
from transforms.dataset.claim import Claim, Claimed, release_claim, still_ours
from transforms.storage.local import LocalStore

pytestmark = pytest.mark.usefixtures("file_system")


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
