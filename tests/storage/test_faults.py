"""Cloud Storage that fails: through a proxy that does it, the dataset is equal, or the job fails unsealed and says why."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from fault_proxy import Fault, Proxy, Request
from folders import assert_equal_folders, bmp, jpeg, row, write_rows
from launcher import Launcher

from beam_jobs.commands.prepare import prepare
from transforms.dataset.claim import take_claim
from transforms.storage.curl import handle
from transforms.storage.gcs import client
from transforms.storage.gcs.bucket_check import look_at_bucket
from transforms.storage.gcs.store import GcsStore

MOMENTS = 20 if os.environ.get("TUNESET_LONG") == "1" else 8
FLAGS = ("--block_bytes", "3000", "--max_image_bytes", "20000", "--threads", "8")


@pytest.fixture
def world(cloud: Cloud, tmp_path: Path) -> Cloud:
    """gs://BUCKET/raw/: 40 rows of 12 conforming images, one too large, one BMP, and one that is not there."""
    images = [f"images/{i}.jpg" for i in range(13)] + ["images/13.bmp"]
    for i, name in enumerate(images):
        size = {"width": 300, "height": 200, "quality": 100} if i == 12 else {}
        cloud.put(f"raw/{name}", bmp(seed=i) if name.endswith("bmp") else jpeg(seed=i, **size))
    rows = Path(write_rows(tmp_path / "made/a.jsonl", 40, images=images)).read_bytes()
    cloud.put("raw/a.jsonl", rows + json.dumps(row("gone?", ["images/none.jpg"])).encode() + b"\n")
    return cloud


def run(cloud: Cloud, output: str, *more: str) -> int:
    return prepare(["--input", f"{cloud.uri}/raw/a.jsonl", "--output", f"{cloud.uri}/{output}", *FLAGS, *more])


@pytest.fixture
def expected(world: Cloud, tmp_path: Path) -> dict[str, Any]:
    """What an undisturbed run at gs://BUCKET/out makes; it is gone again."""
    assert run(world, "out") == 0
    found = world.folder("out/", tmp_path / "expected")
    for blob in world.blobs("out/").values():
        blob.delete()
    return found


def once_each(kind: Callable[[Request], Fault | None], times: int = 1) -> Callable[[Request], Fault | None]:
    """A fault for the first requests of each sort that `kind` names, so that asking again helps."""
    met: Counter[tuple[str, str, str]] = Counter()

    def fault(request: Request) -> Fault | None:
        found = kind(request)
        key = (request.method, request.path + request.query.get("name", ""), request.range)
        met[key] += found is not None
        return found if met[key] <= times else None

    return fault


def writes(request: Request) -> bool:
    return request.method in ("POST", "PUT", "DELETE")


CHANCE = random.Random(6)
HARM: dict[str, Callable[[Request], Fault | None]] = {
    "429 bursts": once_each(lambda request: Fault("answer", 429), times=3),
    "503 bursts": once_each(lambda request: Fault("answer", 503), times=3),
    "resets in mid-body": once_each(lambda request: Fault("reset") if not writes(request) else None),
    "truncated bodies": once_each(lambda request: Fault("short")),
    "writes whose answer is lost": once_each(lambda request: Fault("lost") if writes(request) else None),
    "every answer lost once": once_each(lambda request: Fault("lost")),
    "anything": once_each(
        lambda request: CHANCE.choice(
            [None, Fault("answer", 429), Fault("answer", 500), Fault("reset"), Fault("short"), Fault("lost")]
        ),
        times=3,
    ),
}


@pytest.mark.parametrize("harm", HARM)
def test_the_dataset_is_equal_whatever_answers_get_lost(
    world: Cloud, expected: dict[str, Any], proxy: Proxy, impatient: None, harm: str, tmp_path: Path
) -> None:
    proxy.fault = HARM[harm]
    assert run(world, "out") == 0
    assert_equal_folders(world.folder("out/", tmp_path / "found"), expected)
    assert not world.blobs("out/_tuneset/")


def test_slow_drips_are_asked_for_again(
    world: Cloud,
    expected: dict[str, Any],
    proxy: Proxy,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(handle, "PATIENCE", 0.1)
    proxy.fault = once_each(lambda request: Fault("drip") if request.name.endswith(".jpg") else None)
    assert run(world, "out") == 0
    assert_equal_folders(world.folder("out/", tmp_path / "found"), expected)


def test_stale_reads_of_receipts_and_claims_do_no_harm(
    world: Cloud, expected: dict[str, Any], proxy: Proxy, impatient: None, tmp_path: Path
) -> None:
    """Each first look at an object of the job's own is answered again to the second: mostly that it is not there."""
    proxy.fault = once_each(lambda request: Fault("stale") if "_tuneset" in request.name and request.reads else None, 2)
    assert run(world, "out") == 0
    assert_equal_folders(world.folder("out/", tmp_path / "found"), expected)


def test_damaged_bytes_are_not_taken_for_what_is_stored(world: Cloud, proxy: Proxy, impatient: None) -> None:
    uri = world.put("x", b"as it is stored")
    proxy.first[f"GET /download/storage/v1/b/{world.uri[5:]}/o/x?alt=media "] = (
        200,
        [("x-goog-generation", "1"), ("x-goog-hash", "crc32c=AAAAAA==")],
        b"as it is not...",
    )
    proxy.fault = once_each(lambda request: Fault("stale"))
    assert GcsStore().read(uri)[0] == b"as it is stored"
    assert len(proxy.seen) == 2


@pytest.mark.parametrize("what", ["images/5.jpg", "a.jsonl", "receipt", "train.jsonl"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_outage_seals_nothing_and_the_same_command_goes_on(
    world: Cloud,
    expected: dict[str, Any],
    proxy: Proxy,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    status: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(0.2))

    def away(request: Request) -> Fault | None:
        asked = request.path.removesuffix("/compose") + " " + request.query.get("name", "")
        named = what in asked.replace("%2F", "/")
        return Fault("answer", status) if named and (what != "a.jsonl" or request.reads) else None

    proxy.fault = away
    assert run(world, "out") == 1
    said = capsys.readouterr().err
    assert what in said and "no answer after retries" in said
    assert ("not sealed" in said and "the same command goes on" in said) or what == "a.jsonl"  # read at launch
    assert "manifest.json" not in world.blobs("out/")
    proxy.fault = lambda request: None
    assert run(world, "out") == 0
    assert_equal_folders(world.folder("out/", tmp_path / "found"), expected)


# --- the protocol under lost and stale answers


def test_a_claim_whose_answer_was_lost_is_ours(world: Cloud, proxy: Proxy, impatient: None) -> None:
    proxy.fault = once_each(lambda request: Fault("lost") if writes(request) else None)
    claim = take_claim(f"{world.uri}/out", "me", take_over=False)
    assert (claim.run, claim.resumed) == ("me", False)
    assert world.json("out/_tuneset/claim.json")["run"] == "me"
    proxy.fault = once_each(lambda request: Fault("lost") if writes(request) else None)
    taken = take_claim(f"{world.uri}/out", "you", take_over=True)
    assert (taken.run, taken.resumed) == ("you", True) and taken.epoch > claim.epoch


# --- what a person is told


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The one paragraph on standard error."""
    said = capsys.readouterr().err.strip()
    assert said.count("\n") == 0 and 40 < len(said) < 800, said
    return said


def refusing(status: int, message: str, when: Callable[[Request], bool]) -> Callable[[Request], Fault | None]:
    body = json.dumps({"error": {"code": status, "message": message}}).encode()
    return lambda request: Fault("answer", status, body) if when(request) else None


def test_a_wrong_bucket_is_told(world: Cloud, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(["--input", f"{world.uri}/raw/a.jsonl", "--output", "gs://tuneset-nowhere/out"]) == 2
    assert "there is no bucket 'tuneset-nowhere'" in told(capsys)
    assert prepare(["--input", "gs://tuneset-nowhere/a.jsonl", "--output", f"{world.uri}/out"]) == 2
    assert "gs://tuneset-nowhere/a.jsonl finds no file to read" in told(capsys)


def test_a_missing_permission_is_told(world: Cloud, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    message = "job@p.iam.gserviceaccount.com does not have storage.objects.create access"
    proxy.fault = refusing(403, message, writes)
    assert run(world, "out") == 1
    said = told(capsys)
    assert message in said and "grant it on the bucket to the account the job runs as" in said
    proxy.fault = refusing(403, message.replace("create", "get"), lambda request: request.reads)
    assert run(world, "out") == 2
    assert "storage.objects.get" in told(capsys)


def test_a_bucket_without_billing_is_told(world: Cloud, proxy: Proxy, capsys: pytest.CaptureFixture[str]) -> None:
    message = "The billing account for the owning project is disabled in state absent"
    proxy.fault = refusing(403, message, writes)
    assert run(world, "out") == 1
    said = told(capsys)
    assert message in said and "link one to it" in said


def test_a_bucket_without_compose_is_told(
    world: Cloud, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("transforms.storage.gcs.compose.SMALL", 0)
    message = "Compose is not supported for this bucket"
    proxy.fault = refusing(400, message, lambda request: request.path.endswith("/compose"))
    assert run(world, "out") == 1
    said = told(capsys)
    assert message in said and "choose an --output in another one" in said


@pytest.mark.parametrize(
    "settings, fault, warning",
    [
        ({}, "", ""),
        ({"retentionPolicy": {"retentionPeriod": "864000"}}, "keeps every object for 10 days", ""),
        ({"defaultEventBasedHold": True}, "holds every new object", ""),
        ({"softDeletePolicy": {"retentionDurationSeconds": "604800"}}, "", "keeps deleted objects for 7 days"),
        ({"softDeletePolicy": {"retentionDurationSeconds": "0"}}, "", ""),
        ({"versioning": {"enabled": True}}, "", "keeps old versions"),
        ({"storageClass": "NEARLINE"}, "", "is of class NEARLINE"),
        (None, "", ""),
    ],
)
def test_what_a_bucket_does_to_our_objects_is_found_at_launch(
    world: Cloud, proxy: Proxy, settings: Any, fault: str, warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Settings as the service tells them; None: it does not tell this account."""
    name = world.uri[5:]
    body = json.dumps({"name": name, "storageClass": "STANDARD"} | (settings or {})).encode()
    status = 200 if settings is not None else 403
    about = f"/storage/v1/b/{name}"
    proxy.fault = lambda request: Fault("answer", status, body) if request.path == about else None
    found, warnings = look_at_bucket(f"{world.uri}/out")
    assert (fault in found) if fault else found == ""
    assert len(warnings) == (warning != "") and all(warning in one for one in warnings)
    assert run(world, "out") == (2 if fault else 0)
    told = capsys.readouterr()
    assert fault in told.err and warning in told.out


# --- processes that die, and two at once


def command(cloud: Cloud, output: str, *more: str) -> list[str]:
    source = ["--input", f"{cloud.uri}/raw/a.jsonl", "--output", f"{cloud.uri}/{output}"]
    return [sys.executable, "-m", "beam_jobs", "prepare", *source, *FLAGS, *more]


def start(*argv: str) -> subprocess.Popen[str]:
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.timeout(60 + 15 * MOMENTS)
def test_killed_at_any_request_and_then_again_it_is_equal(
    world: Cloud, expected: dict[str, Any], proxy: Proxy, tmp_path: Path
) -> None:
    """kill -9 of the whole process group at seeded requests, each of a run from the beginning; then the same command again."""
    launcher, argv = Launcher(tmp_path), command(world, "out")[4:]

    def killed(at: int) -> bool:
        left, job = [at], launcher.start(argv)

        def kill(request: Request) -> Fault | None:
            left[0] -= 1
            if left[0] == 0:
                os.killpg(job.pid, signal.SIGKILL)
            return Fault("lost") if left[0] <= 0 else None

        proxy.fault = kill
        status = job.wait()
        proxy.fault = lambda request: None
        assert status in (0, -signal.SIGKILL), job.screen
        return status != 0

    try:
        proxy.forget()
        assert launcher.run(argv) == 0
        requests, kills = len(proxy.seen), 0
        for at in random.Random(20).sample(range(1, requests), MOMENTS):
            for blob in world.blobs("out/").values():
                blob.delete()
            kills += killed(at)
            assert launcher.run(argv) == 0, at
            assert_equal_folders(world.folder("out/", tmp_path / f"found{at}"), expected)
            assert not world.blobs("out/_tuneset/")
    finally:
        launcher.close()
    assert kills >= MOMENTS - 2  # a few begin before they are watched, and ask for less than they are to die at


def test_of_two_jobs_that_race_one_seals_and_the_other_is_told(
    world: Cloud, expected: dict[str, Any], gcs: Any, tmp_path: Path
) -> None:
    both = [start(*command(world, "out")) for _ in range(2)]
    ended = sorted((process.wait(), *process.communicate()) for process in both)
    assert ended[0][0] == 0, ended
    late = [told for status, told, _ in ended if status == 0 and "was sealed by the same command before" in told]
    told = [error for status, _, error in ended if status and ("another job" in error.lower() or "holds" in error)]
    assert len(late + told) == 1, ended  # on a busy machine the one may be done before the other begins, or looks
    assert start(*command(world, "out")).wait() == 0  # a claim that came when all was sealed is swept
    assert_equal_folders(world.folder("out/", tmp_path / "found"), expected)
