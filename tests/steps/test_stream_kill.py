"""Kill streams, then give the same command again: every arrival is in exactly one window, and nothing is left over."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections import Counter
from pathlib import Path

import pytest
from folders import assert_equal_folders, bmp, jpeg, put, read_folder
from launcher import At, Job, Launcher

MOMENTS = 20 if os.environ.get("TUNESET_LONG") == "1" else 3
FILES = 12


class Stream:
    """A folder in which files have arrived, and a command that takes them in."""

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.raw, self.output, self._launcher = folder / "raw", folder / "out", launcher
        for number in range(FILES):
            put(
                self.raw / f"{number}.{'bmp' if number % 4 == 0 else 'jpg'}",
                (bmp if number % 4 == 0 else jpeg)(seed=number),
            )

    def start(self, at: At | None = None) -> Job:
        words = ["--watch", str(self.raw), "--output", str(self.output), "--window", "1s", "--stop_after", "1s"]
        words += ["--prompt", "What is it?", "--no_pipeline_type_check"]
        return self._launcher.start(words, at, command="stream")

    def assert_whole(self) -> None:
        """Every file is in one window, with its image; and nothing else is left."""
        windows = list((self.output / "windows").iterdir())
        files = {path.name for window in windows for path in window.iterdir()}
        names = {
            "arrivals.jsonl",
            "train.jsonl",
            "validation.jsonl",
            "rejected.jsonl",
            "examples.parquet",
            "findings.parquet",
            "images.parquet",
        }
        assert files == names | {"manifest.json"}
        arrived = Counter(
            json.loads(line)["uri"]
            for window in windows
            for line in (window / "arrivals.jsonl").read_bytes().splitlines()
        )
        assert arrived == Counter(map(str, self.raw.iterdir()))
        lines = [
            json.loads(line)
            for window in windows
            for split in ("train", "validation")
            for line in (window / f"{split}.jsonl").read_bytes().splitlines()
        ]
        named = Counter(line["contents"][0]["parts"][0]["fileData"]["fileUri"] for line in lines)
        rewritten = {str(path) for path in (self.output / "images").rglob("*") if path.is_file()}
        assert len(rewritten) == FILES // 4
        assert named == Counter([*rewritten, *map(str, self.raw.glob("*.jpg"))])
        assert sorted(path.name for path in self.output.iterdir()) == ["images", "stream.json", "windows"]


POINTS = [
    ("link stream.json", 1),
    (r"link windows/.*\.receipt", 1),
    ("link images/", 2),
    (r"replace windows/.*/train.jsonl", 1),
    (r"link windows/.*/manifest", 1),
    (r"unlink windows/.*/_tuneset/..?/", 3),
    ("rmdir windows/.*/_tuneset$", 1),
    ("unlink _tuneset/claim", 1),
]


@pytest.mark.parametrize("at", POINTS, ids=lambda at: f"{at[0]} {at[1]}")
def test_killed_at_a_point(at: At, tmp_path: Path, launcher: Launcher) -> None:
    stream = Stream(tmp_path, launcher)
    assert stream.start(at).wait() == -signal.SIGKILL
    again = stream.start()
    assert again.wait() == 0, again.screen
    stream.assert_whole()


@pytest.mark.timeout(60 + 15 * MOMENTS)
def test_killed_at_any_moment(tmp_path: Path, launcher: Launcher) -> None:
    draw, stream = random.Random(20), Stream(tmp_path, launcher)
    for _ in range(MOMENTS):
        job = stream.start()
        time.sleep(draw.uniform(0.5, 3))  # the moment is chance, and each is as good as another
        os.killpg(job.pid, signal.SIGKILL)
        assert job.wait() in (0, -signal.SIGKILL)
    again = stream.start()
    assert again.wait() == 0, again.screen
    stream.assert_whole()


def test_interrupted_it_drains_and_of_two_streams_one_is_told(tmp_path: Path, launcher: Launcher) -> None:
    stream = Stream(tmp_path, launcher)
    words = ["--watch", str(stream.raw), "--output", str(stream.output), "--window", "1h", "--prompt", "What is it?"]
    job = launcher.start(words, command="stream")
    while "Watching" not in job.screen:
        time.sleep(0.05)
    second = launcher.start(words, command="stream")
    assert second.wait() == 1
    assert "is being written by another job" in second.screen
    os.kill(job.pid, signal.SIGINT)
    assert job.wait() == 0, job.screen
    assert f"Drained {stream.output}: {FILES} arrivals, 1 window sealed; 1 part-filled." in job.screen
    stream.assert_whole()


def test_interrupted_twice_it_ends_at_once_and_the_same_command_goes_on(tmp_path: Path, launcher: Launcher) -> None:
    stream = Stream(tmp_path, launcher)
    words = ["--watch", str(stream.raw), "--output", str(stream.output), "--window", "1s", "--prompt", "What is it?"]
    job = launcher.start(words, ("link windows/", 1), signal.SIGSTOP, command="stream")
    assert job.wait() == -signal.SIGSTOP  # in the middle of a round
    os.kill(job.pid, signal.SIGINT)
    os.kill(job.pid, signal.SIGCONT)
    while "Draining" not in job.screen:
        time.sleep(0.01)
    os.kill(job.pid, signal.SIGINT)
    assert job.wait() == 1
    assert "ended at once" in job.screen
    again = stream.start()
    assert again.wait() == 0, again.screen
    stream.assert_whole()


@pytest.mark.parametrize("at", [("link _tuneset/windows/", 2), ("link manifest", 1), ("unlink _tuneset/", 3)], ids=str)
def test_a_merge_that_was_killed_goes_on(at: At, tmp_path: Path, launcher: Launcher) -> None:
    stream = Stream(tmp_path, launcher)
    assert stream.start().wait() == 0
    words = [str(stream.output), "--output", str(tmp_path / "merged")]
    assert launcher.start(words, at, command="merge").wait() == -signal.SIGKILL
    again = launcher.start(words, command="merge")
    assert again.wait() == 0, again.screen
    assert launcher.start([*words[:2], str(tmp_path / "undisturbed")], command="merge").wait() == 0
    found, expected = (read_folder(tmp_path / name) for name in ("merged", "undisturbed"))
    for told in (found, expected):
        del told["manifest.json"]["output"]
    assert_equal_folders(found, expected)
