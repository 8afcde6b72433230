"""Claims of jobs on other hosts: signs of life, how old they are by storage's own clock, and jobs that are stopped or killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import fake_cloud
import pytest
from cloud import Cloud
from fault_proxy import Fault, Proxy
from folders import assert_equal_folders, png, put, read_folder, row, write_lines
from launcher import At, Launcher
from waiting import until

from transforms import storage
from transforms.core.output_names import CLAIM
from transforms.dataset.claim import STALE_S, Answer, Claimed, hand_over_claim, release_claim, renew_claim, take_claim
from transforms.dataset.heartbeat import Heartbeat
from transforms.storage import store_for
from transforms.storage.api import NotFound


def claimed_elsewhere(folder: Path | str, silent_s: float = 0.0, **changed: Any) -> None:
    """Make a claim that of a job on another host, whose last sign of life is so old."""
    path = Path(folder) / CLAIM
    claim = json.loads(path.read_bytes()) | {"host": "elsewhere"} | changed
    put(path, json.dumps(claim).encode())
    written = time.time() - silent_s
    os.utime(path, (written, written))


# How old a sign is


@pytest.mark.parametrize(("silent_s", "lives"), [(STALE_S - 5, True), (STALE_S + 5, False)])
def test_a_claim_lives_by_its_last_sign_of_life(silent_s: float, lives: bool, tmp_path: Path) -> None:
    first = take_claim(str(tmp_path), "first", take_over=False)
    claimed_elsewhere(tmp_path, silent_s)
    if lives:
        with pytest.raises(Claimed, match=r"run first on elsewhere .* Its last sign of life is 17\d s old"):
            take_claim(str(tmp_path), "second", take_over=False)
        return
    second = take_claim(str(tmp_path), "second", take_over=False)
    assert (second.resumed, second.epoch > first.epoch) == (True, True)


def test_the_clock_of_this_host_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take_claim(str(tmp_path), "first", take_over=False)
    claimed_elsewhere(tmp_path)
    late = time.time() + 3600
    monkeypatch.setattr(time, "time", lambda: late)
    with pytest.raises(Claimed, match=r"last sign of life is \d s old"):
        take_claim(str(tmp_path), "second", take_over=False)


@pytest.mark.parametrize(("silent_s", "lives"), [(STALE_S - 5, True), (STALE_S + 5, False)])
def test_a_damaged_claim_is_nobodys(silent_s: float, lives: bool, tmp_path: Path) -> None:
    for left in (b"", b"[1]", b'{"run": 7}'):
        path = put(tmp_path / CLAIM, left)
        os.utime(path, (time.time() - silent_s,) * 2)
        if lives:
            with pytest.raises(Claimed, match="is damaged"):
                take_claim(str(tmp_path), "mine", take_over=False)
        else:
            assert take_claim(str(tmp_path), "mine", take_over=False).resumed


@pytest.mark.parametrize("silent_s", [0.0, 2 * STALE_S])
def test_a_claim_of_a_version_without_heartbeats_holds(silent_s: float, tmp_path: Path) -> None:
    take_claim(str(tmp_path), "first", take_over=False)
    claimed_elsewhere(tmp_path, silent_s, tuneset="claim/1")
    with pytest.raises(Claimed, match="add --take_over"):
        take_claim(str(tmp_path), "second", take_over=False)


def test_objects_have_an_age(cloud: Cloud) -> None:
    uri, store = cloud.put("a", b"1"), store_for("gs://")
    generation, age = store.age(uri)
    assert (generation, -2 < age < 60) == (store.stat(uri).generation, True)
    with pytest.raises(NotFound):
        store.age(f"{uri}b")


@pytest.mark.parametrize("age", [STALE_S - 5, STALE_S + 5])
def test_an_object_is_as_old_as_the_service_says(age: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's answer is dated by the service; that both clocks are ours here is the stand-in's doing."""

    def answer(method: str, path: str, body: bytes, headers: dict[str, str]) -> fake_cloud.Answer:
        moment = time.time() - age
        created = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03d}Z"
        told = {"generation": "7", "timeCreated": created}
        return 200, json.dumps(told).encode(), {"Content-Type": "application/json"}

    with fake_cloud.served(answer) as port:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        storage._stores.pop("gs", None)
        try:
            generation, told = store_for("gs://").age("gs://bucket/a")
        finally:
            storage._stores.pop("gs", None)
    assert (generation, abs(told - age) < 4) == ("7", True)


# Signs


def test_a_sign_changes_the_version_and_nothing_else(tmp_path: Path, cloud: Cloud) -> None:
    for folder in (str(tmp_path), cloud.uri):
        take_claim(folder, "mine", take_over=False)
        data, before = store_for(folder).read(f"{folder}/{CLAIM}")
        time.sleep(0.02)  # more than a tick of the file system's clock
        assert renew_claim(folder, "mine")
        again, after = store_for(folder).read(f"{folder}/{CLAIM}")
        assert (again, after.generation != before.generation) == (data, True)
        assert not store_for(folder).replace(f"{folder}/{CLAIM}", b"taken over", before.generation)
        assert not store_for(folder).renew(f"{folder}/{CLAIM}", data, before.generation)


def test_no_sign_is_given_for_what_is_anothers_or_gone(tmp_path: Path, cloud: Cloud) -> None:
    for folder in (str(tmp_path), cloud.uri):
        take_claim(folder, "theirs", take_over=False)
        before = store_for(folder).read(f"{folder}/{CLAIM}")
        assert not renew_claim(folder, "mine")
        assert store_for(folder).read(f"{folder}/{CLAIM}") == before
        store_for(folder).delete([f"{folder}/{CLAIM}"])
        assert not renew_claim(folder, "theirs")
        assert not store_for(folder).renew(f"{folder}/{CLAIM}", *before[:1], before[1].generation)
        assert list(store_for(folder).list(folder)) == []  # it does not come back


def test_a_heartbeat_ends_with_its_claim(tmp_path: Path) -> None:
    take_claim(str(tmp_path), "mine", take_over=False)
    claimed_elsewhere(tmp_path, 2 * STALE_S)
    path = tmp_path / CLAIM
    with Heartbeat(str(tmp_path), "mine", period_s=0.005) as heartbeat:
        assert until(lambda: time.time() - path.stat().st_mtime < STALE_S)
        take_claim(str(tmp_path), "theirs", take_over=True)
        assert until(lambda: not heartbeat._thread.is_alive())
        assert json.loads(path.read_bytes())["run"] == "theirs"


def test_a_heartbeat_outlives_a_storage_that_refuses(cloud: Cloud, proxy: Proxy, impatient: None) -> None:
    take_claim(cloud.uri, "mine", take_over=False)
    refused = []

    def refuse(_: Any) -> Fault:
        refused.append(1)
        return Fault("answer", 403)

    proxy.fault = refuse
    with Heartbeat(cloud.uri, "mine", period_s=0.005):
        assert until(lambda: len(refused) > 2)
        before = cloud.generations(CLAIM)
        proxy.fault = lambda request: None
        assert until(lambda: cloud.generations(CLAIM) != before)
        release_claim(cloud.uri, "mine")
    assert cloud.json(CLAIM)["ended"]


def test_a_process_does_not_wait_for_its_heartbeat(tmp_path: Path) -> None:
    with Heartbeat(str(tmp_path), "mine") as heartbeat:
        assert heartbeat._thread.daemon


# Jobs elsewhere


def test_a_submitted_job_lives_whatever_becomes_of_its_launcher(tmp_path: Path) -> None:
    job = {"service": "dataflow", "id": "job-1"}
    take_claim(str(tmp_path), "first", take_over=False)
    hand_over_claim(str(tmp_path), "first", job)
    claimed_elsewhere(tmp_path, 2 * STALE_S)
    with pytest.raises(Claimed, match="add --take_over"):
        take_claim(str(tmp_path), "second", take_over=False)
    with pytest.raises(Claimed, match=r"since .* It runs\."):
        take_claim(str(tmp_path), "second", take_over=False, ask=lambda told: Answer(told != job, "It runs."))
    assert take_claim(str(tmp_path), "second", take_over=False, ask=lambda told: Answer(told == job, "")).resumed


def test_what_is_handed_over_is_the_own_claim(tmp_path: Path) -> None:
    hand_over_claim(str(tmp_path), "mine", {})  # the job has sealed and swept already
    assert not (tmp_path / CLAIM).exists()
    take_claim(str(tmp_path), "theirs", take_over=False)
    before = (tmp_path / CLAIM).read_bytes()
    hand_over_claim(str(tmp_path), "mine", {})
    assert (tmp_path / CLAIM).read_bytes() == before


# Whole jobs, stopped, killed and paused


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, launcher: Launcher) -> tuple[list[str], Path, dict[str, Any]]:
    """A command, its output folder, and what an undisturbed run makes."""
    folder = tmp_path_factory.mktemp("job")
    picture = put(folder / "in/a.png", png())
    source = write_lines(folder / "in/rows.jsonl", [row(f"What is {i}?", [picture]) for i in range(60)])
    output = folder / "out"
    command = ["--input", str(source), "--output", str(output), "--block_bytes", "4096", "--no_pipeline_type_check"]
    assert launcher.run(command) == 0
    return command, output, read_folder(output)


STAGES = [
    (("link _tuneset/claim", 1), "interrupted."),
    ((r"link .*\.receipt", 2), "not sealed. It was interrupted (SIGTERM). What was committed is kept"),
    (("link _tuneset/seal/", 1), "not sealed. It was interrupted (SIGTERM). What was committed is kept"),
    (("unlink .tmp-.*manifest", 1), "sealed, but not swept. It was interrupted (SIGTERM). The dataset is whole"),
]


def remove(folder: Path) -> None:
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.parametrize(("at", "said"), STAGES, ids=lambda value: str(value[0]))
def test_a_job_that_is_told_to_stop_frees_its_folder(
    at: At, said: str, job: tuple[list[str], Path, dict[str, Any]], launcher: Launcher
) -> None:
    """SIGTERM at each stage; then the same command on another host goes on at once."""
    command, output, expected = job
    remove(output)
    stopped = launcher.start(command, at, signal.SIGTERM)
    assert (stopped.wait(), f"tuneset: {said}" in stopped.screen) == (1, True), stopped.screen
    if (output / CLAIM).exists():
        assert json.loads((output / CLAIM).read_bytes())["ended"]
        claimed_elsewhere(output)
    assert launcher.run(command) == 0
    assert_equal_folders(output, expected)


def test_a_job_whose_terminal_is_gone_frees_its_folder(
    job: tuple[list[str], Path, dict[str, Any]], launcher: Launcher
) -> None:
    command, output, _ = job
    remove(output)
    stopped = launcher.start(command, STAGES[1][0], signal.SIGHUP)
    assert (stopped.wait(), "It was interrupted (SIGHUP)" in stopped.screen) == (1, True), stopped.screen
    assert json.loads((output / CLAIM).read_bytes())["ended"]


def test_a_killed_job_of_another_host_locks_its_folder_for_three_minutes(
    job: tuple[list[str], Path, dict[str, Any]], launcher: Launcher
) -> None:
    command, output, expected = job
    remove(output)
    assert launcher.run(command, STAGES[1][0]) == -signal.SIGKILL
    claimed_elsewhere(output, STALE_S - 60)
    refused = launcher.start(command)
    assert (refused.wait(), "Its last sign of life is 12" in refused.screen) == (1, True), refused.screen
    claimed_elsewhere(output, STALE_S + 1)
    assert launcher.run(command) == 0
    assert_equal_folders(output, expected)


def test_a_job_that_slept_while_another_took_over_does_not_seal(
    job: tuple[list[str], Path, dict[str, Any]], launcher: Launcher
) -> None:
    """As on a laptop that was closed: no --take_over was given to the other job, and none was needed."""
    command, output, expected = job
    remove(output)
    first = launcher.start([*command, "--seed", "1"], STAGES[1][0], signal.SIGSTOP)
    assert first.wait() == -signal.SIGSTOP
    claimed_elsewhere(output, STALE_S + 1)
    assert launcher.run(command) == 0
    os.killpg(first.pid, signal.SIGCONT)
    assert (first.wait(), "Another job took" in first.screen) == (1, True), first.screen
    assert_equal_folders({name: read_folder(output).get(name) for name in expected}, expected)
