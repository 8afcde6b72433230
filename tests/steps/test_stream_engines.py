"""Streams on engines that stream by themselves: the same windows as in rounds, also when the whole stream is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import flink
import pytest
from folders import bmp, jpeg, put
from stream_engines import engine_flags, loopback

from beam_jobs.__main__ import main

pytestmark = pytest.mark.engines
FILES, SECONDS = 60, 9


@pytest.fixture(params=["prism", "flink"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """Beam's flags for an engine."""
    with engine_flags(request.param, tmp_path) as flags:
        yield flags


def begin(folder: Path, screen: Path, *flags: str) -> subprocess.Popen[bytes]:
    words = ["--watch", str(folder / "raw"), "--output", str(folder / "out"), "--window", "2s", "--poll_interval", "1s"]
    with open(screen, "ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "beam_jobs", "stream", *words, "--prompt", "What is it?", *flags],
            stdout=said,
            stderr=said,
            start_new_session=True,
        )


def feed(raw: Path) -> None:
    for number in range(FILES):
        name = f"{number}.{'bmp' if number % 10 == 0 else 'jpg'}"
        put(raw / f"c/.{name}", (bmp if number % 10 == 0 else jpeg)(seed=number))
        os.rename(raw / f"c/.{name}", raw / f"c/{name}")
        time.sleep(SECONDS / FILES)


def sealed(folder: Path) -> list[Path]:
    return [path.parent for path in folder.glob("out/windows/*/manifest.json")]


@pytest.mark.timeout(300)
def test_a_stream_is_killed_and_goes_on(engine: list[str], tmp_path: Path) -> None:
    raw, screen = tmp_path / "raw", tmp_path / "screen"
    raw.mkdir()
    job = begin(tmp_path, screen, *engine)
    feeder = threading.Thread(target=feed, args=(raw,), daemon=True)
    try:
        assert flink.until(lambda: b"Watching" in screen.read_bytes(), 60), screen.read_text()
        feeder.start()
        assert flink.until(lambda: sealed(tmp_path), 90), screen.read_text()
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
        job = begin(tmp_path, screen, *engine)
        feeder.join()
        assert flink.until(lambda: screen.read_bytes().count(b"Watching") == 2, 60), screen.read_text()
        assert flink.until(lambda: arrived(tmp_path).total() >= FILES - FILES // 3, 90), screen.read_text()
        os.killpg(job.pid, signal.SIGINT)  # as Ctrl-C does
        assert job.wait(90) == 0, screen.read_text()
    finally:
        flink.kill_group(job.pid)

    assert arrived(tmp_path) == Counter(map(str, (raw / "c").iterdir()))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["images", "stream.json", "windows"]
    assert not list((tmp_path / "out/windows").rglob("_tuneset"))
    assert b"Drained" in screen.read_bytes()

    assert main(["merge", str(tmp_path / "out"), "--output", str(tmp_path / "merged")]) == 0
    assert main(["prepare", "--input", str(raw), "--output", str(tmp_path / "batch"), "--prompt", "What is it?"]) == 0
    assert lines(tmp_path / "merged") == lines(tmp_path / "batch")


# Without the second one a bundle outlives its checkpoint, and what it has put out waits for ever.
CHECKPOINTS = ["--checkpointing_interval=1000", "--finish_bundle_before_checkpointing"]


@pytest.mark.timeout(300)
def test_a_task_manager_is_killed_and_flink_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    raw, screen, manager = tmp_path / "raw", tmp_path / "screen", tmp_path / "job-manager"
    put(raw / "c/first.jpg", jpeg(seed=1000))
    with flink.cluster(tmp_path) as (rest, workers), flink.job_server(tmp_path, rest) as endpoint:
        job = begin(tmp_path, screen, *loopback(endpoint), *CHECKPOINTS)
        feeder = threading.Thread(target=feed, args=(raw,), daemon=True)
        try:
            assert flink.until(lambda: sealed(tmp_path), 120), screen.read_text()
            done = manager.read_text().count("Completed checkpoint")
            assert flink.until(lambda: manager.read_text().count("Completed checkpoint") > done, 60)
            feeder.start()
            assert flink.until(lambda: len(sealed(tmp_path)) > 1, 60), screen.read_text()
            flink.kill_group(workers[0])
            feeder.join()
            assert flink.until(lambda: arrived(tmp_path).total() > FILES, 120), screen.read_text()
            os.killpg(job.pid, signal.SIGINT)
            assert job.wait(90) == 0, screen.read_text()
        finally:
            flink.kill_group(job.pid)
    assert "Restoring job" in manager.read_text()
    assert arrived(tmp_path) == Counter(map(str, (raw / "c").iterdir()))
    assert not list((tmp_path / "out/windows").rglob("_tuneset"))


def arrived(folder: Path) -> Counter[str]:
    texts = [(window / "arrivals.jsonl").read_bytes() for window in sealed(folder)]
    return Counter(json.loads(line)["uri"] for text in texts for line in text.splitlines())


def lines(dataset: Path) -> Counter[tuple[str, str]]:
    """(split, line), without where rewritten images lie."""
    found = Counter[tuple[str, str]]()
    for split in ("train", "validation"):
        for line in map(json.loads, (dataset / f"{split}.jsonl").read_bytes().splitlines()):
            image = line["contents"][0]["parts"][0]["fileData"]
            image["fileUri"] = image["fileUri"].rpartition("/images/")[2]
            found[split, json.dumps(line)] += 1
    return found
