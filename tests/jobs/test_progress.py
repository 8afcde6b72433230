"""How far a job is: running numbers, what is told of them, the live line in a terminal, and what an interrupt says."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import shlex
import signal
import struct
import termios
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from folders import assert_equal_folders, bmp, png, put, read_folder, row, write_lines
from launcher import Launcher

from beam_jobs.__main__ import main
from beam_jobs.report.live_line import live_line
from beam_jobs.report.pace import Pace, Standing, rows_of
from beam_jobs.report.progress import Progress, can_redraw, told_every, watched_counts
from transforms.steps.running_counts import NAMES, NOT_WATCHED, RunningCounts
from transforms.storage import traffic

NOTHING = dict.fromkeys(NAMES, 0)
LOOKING = NOTHING | {
    "blocks_listed": 2000, "blocks_begun": 501, "blocks_skipped": 100, "blocks_looked_at": 400, "blocks_committed": 390,
    "examples": 40_000, "rejected": 7, "images_looked_at": 123_456, "images_to_fit": 30,
}  # fmt: skip
FITTING = LOOKING | {"blocks_looked_at": 1900, "blocks_committed": 1890, "images_rewritten": 12, "images_staged": 3}


# Running numbers


def test_the_numbers_of_threads_and_processes_add_up(tmp_path: Path) -> None:
    traffic.taken()  # by tests before this one
    counts = RunningCounts(str(tmp_path))
    threads = [threading.Thread(target=lambda: [counts.add(examples=2, rejected=1) for _ in range(50)]) for _ in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if not child:
        counts.add(examples=1000)
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 2
    # The child has its parent's memory, and a sheet of its own that begins with nothing.
    assert counts.total() == NOTHING | {"examples": 400 + 1000, "rejected": 200}


def test_a_request_is_told_once_by_the_process_that_sent_it(tmp_path: Path) -> None:
    traffic.taken()  # by tests before this one
    counts = RunningCounts(str(tmp_path))
    traffic.note()
    child = os.fork()
    if not child:
        traffic.note()
        counts.add()
        os._exit(0)
    os.waitpid(child, 0)
    counts.add()
    counts.add()
    assert counts.total()["requests"] == 2 and traffic.taken() == 0


def test_numbers_that_nobody_watches_or_that_cannot_be_written_are_dropped(tmp_path: Path) -> None:
    NOT_WATCHED.add(examples=1)
    assert NOT_WATCHED.total() == Counter()
    gone = RunningCounts(str(tmp_path / "gone"))
    gone.add(examples=1)
    assert gone.total() == Counter()
    (tmp_path / "7").write_bytes(b"half a record")
    assert RunningCounts(str(tmp_path)).total() == Counter()


def test_where_no_temporary_file_can_be_made_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", "/proc/nowhere")
    with watched_counts() as counts:
        assert counts == NOT_WATCHED
    monkeypatch.undo()
    with watched_counts() as counts:
        counts.add(examples=1)
        assert counts.total()["examples"] == 1
    assert not Path(counts.folder).exists()


# What is told of them


@pytest.mark.parametrize(
    ("numbers", "stage"),
    [
        (NOTHING, "list"),
        (NOTHING | {"blocks_listed": 9}, "list"),
        (NOTHING | {"blocks_listed": 2, "blocks_begun": 1}, "look"),
        (NOTHING | {"blocks_listed": 2, "blocks_skipped": 1}, "look"),
        (NOTHING | {"blocks_listed": 2, "blocks_skipped": 1, "blocks_looked_at": 1}, "fit"),
        (NOTHING | {"blocks_listed": 2, "blocks_skipped": 1, "blocks_looked_at": 1, "blocks_committed": 1}, "seal"),
        (NOTHING | {"blocks_listed": 2, "blocks_skipped": 2}, "seal"),
    ],
)
def test_stages(numbers: dict[str, int], stage: str) -> None:
    assert Pace().standing(1, numbers).stage == stage


def test_rates_are_those_of_the_last_half_minute() -> None:
    pace, numbers = Pace(), dict(LOOKING)
    assert pace.standing(5, numbers).facts == (
        "500 of 2,000 blocks", "0 examples/s", "123,456 images looked at", "0 rewritten", "7 rejected",
    )  # fmt: skip
    for seconds in range(15, 95, 10):  # a tenth of a block and 20 examples a second
        numbers |= {"blocks_looked_at": numbers["blocks_looked_at"] + 1, "examples": numbers["examples"] + 200}
        told = pace.standing(seconds, numbers)
    assert told.facts[:3] == ("508 of 2,000 blocks", "4:08:40 left", "20 examples/s")
    for seconds in range(95, 135, 10):
        told = pace.standing(seconds, numbers)
    assert told.facts[:2] == ("508 of 2,000 blocks", "0 examples/s")  # it stands still, and no end is in sight


def test_a_line_has_all_that_is_known() -> None:
    pace = Pace()
    pace.standing(0, FITTING | {"images_rewritten": 0, "images_staged": 0})
    assert pace.standing(30, FITTING).line == (
        "00:30  fit   50 %, 1,990 of 2,000 blocks, 00:30 left, 123,456 images looked at, 15 of at most 30 images fitted, "
        "12 rewritten, 3 copied, 7 rejected"
    )
    assert pace.standing(3700, NOTHING).line == "1:01:40  list  0 blocks listed"
    assert Pace("add").standing(0, LOOKING | {"blocks_looked_at": 1900, "blocks_committed": 1900}).line == (
        "00:00  add   100 %, 2,000 of 2,000 blocks, 123,456 images looked at, 0 rewritten, 7 rejected"
    )


@pytest.mark.parametrize(
    ("width", "rows"), [(7, ["one", "two", "three"]), (8, ["one, two", "three"]), (2, ["", "one", "two", "three"])]
)
def test_no_fact_is_cut(width: int, rows: list[str]) -> None:
    assert rows_of(("one", "two", "three"), width, 5) == rows


# In a terminal


def terminal(columns: int, standing: Standing) -> list[list[str]]:
    """What a terminal is drawn: the rows of each frame, without colours."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    drawn = threading.Event()
    seen = bytearray()

    def read() -> None:
        try:
            while data := os.read(master, 65_536):
                seen.extend(data)
                drawn.set()
        except OSError:
            pass  # the other end is closed

    reader = threading.Thread(target=read)
    reader.start()
    with open(slave, "w", encoding="utf-8") as out, live_line(lambda: standing, out):
        assert drawn.wait(30)
    reader.join()
    os.close(master)
    text = re.sub(r"\x1b\[(\?25[lh]|[\d;]*m|1A)", "", seen.decode())
    frames = [frame.strip("\r\n").split("\r\n") for frame in re.split(r"\r(?:\x1b\[2K)+", text)]
    return [frame for frame in frames if frame != [""]]


@pytest.mark.parametrize(
    ("columns", "rows"),
    [
        (
            80,
            [
                "00:10  look ━━━━━━━━━━ 25 %  500 of 2,000 blocks, 00:37 left, 4,000 examples/s",
                "            123,456 images looked at, 0 rewritten, 7 rejected",
            ],
        ),
        (
            140,
            [
                "00:10  look ━━━━━━━━━━━━━━━━━━━━ 25 %  500 of 2,000 blocks, 00:37 left, 4,000 examples/s, "
                "123,456 images looked at, 0 rewritten, 7 rejected"
            ],
        ),
    ],
)
def test_the_line_fits_its_terminal(columns: int, rows: list[str]) -> None:
    pace = Pace()
    pace.standing(0, LOOKING | {"examples": 0, "blocks_looked_at": 0})
    frames = terminal(columns, pace.standing(10, LOOKING))
    assert [row.rstrip().replace("╸", "━").replace("╺", "━") for row in frames[0]] == rows
    assert all(len(row) <= columns for frame in frames for row in frame)


def test_a_terminal_that_goes_away_fails_nothing() -> None:
    master, slave = pty.openpty()
    os.close(master)
    with open(slave, "w", encoding="utf-8") as out, live_line(lambda: Pace().standing(0, NOTHING), out):
        pass


@pytest.mark.parametrize(("term", "redraws"), [("xterm", True), ("dumb", False), (None, False)])
def test_which_terminals_are_drawn_over(term: str | None, redraws: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TERM", raising=False)
    if term:
        monkeypatch.setenv("TERM", term)
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as out:
        assert can_redraw(out) == redraws
    os.close(master)
    assert not can_redraw(io.StringIO())


# Where no terminal is


def test_lines_are_told_again_and_again_until_the_end() -> None:
    told, twice = list[int](), threading.Event()

    def tell() -> None:
        told.append(1)
        if len(told) == 2:
            twice.set()

    with told_every(0.01, tell):
        assert twice.wait(30)
    number = len(told)
    assert number >= 2 and not any(thread.name.startswith("repeat") for thread in threading.enumerate())


@pytest.mark.parametrize("quiet", [False, True])
def test_a_job_tells_lines_to_a_file_unless_it_is_quiet(
    quiet: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("beam_jobs.report.progress.PAUSE_S", 0.01)
    source = write_lines(tmp_path / "in.jsonl", [row(f"{i}?", [put(tmp_path / "a.png", png())]) for i in range(200)])
    command = ["prepare", "--input", source, "--output", str(tmp_path / "out"), "--block_bytes", "2048"]
    assert main([*command, *(["--quiet"] if quiet else [])]) == 0
    lines = capfd.readouterr().err.splitlines()
    assert (lines == []) == quiet
    assert all(re.fullmatch(r"  \d\d:\d\d  (list|look|fit |seal)  .+", line) for line in lines)


def test_a_dry_run_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    last = list[str]()
    monkeypatch.setattr(Progress, "__exit__", lambda self, *_: last.append(self._standing().line))
    images = [put(tmp_path / "a.bmp", bmp()), put(tmp_path / "b.png", png())]
    source = write_lines(tmp_path / "in.jsonl", [row("What?", images), row("What?", ["gone.png"])])
    assert main(["prepare", "--input", source, "--dry_run", "--quiet"]) == 0
    capfd.readouterr()
    assert last[0].endswith("add   100 %, 1 of 1 blocks, 3 images looked at, 1 rewritten, 1 rejected")


def test_a_check_tells_how_far_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    last = list[str]()
    monkeypatch.setattr(Progress, "__exit__", lambda self, *_: last.append(self._standing().line))
    rows = [row("What?", [put(tmp_path / "a.png", png())]), row("What?", ["gone.png"])]
    source = write_lines(tmp_path / "train.jsonl", rows)
    assert main(["check", "--input", source, "--quiet"]) == 1
    capfd.readouterr()
    assert last[0].endswith("compare  100 %, 1 of 1 blocks, 2 images looked at, 0 rewritten, 0 rejected")


# Interrupted


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    started = Launcher(tmp_path_factory.mktemp("launcher"))
    yield started
    started.close()


def test_an_interrupt_says_what_is_kept_and_the_command_that_goes_on(tmp_path: Path, launcher: Launcher) -> None:
    """Though the folder was to be overwritten, that command overwrites nothing."""
    picture = put(tmp_path / "in/a b.png", png())
    source = write_lines(tmp_path / "in/rows of mine.jsonl", [row(f"What is {i}?", [picture]) for i in range(60)])
    output = tmp_path / "out"
    command = ["--input", source, "--output", str(output), "--block_bytes", "4096", "--overwrite"]
    assert launcher.run(command) == 0
    expected = read_folder(output)

    stopped = launcher.start(command, (r"link .*\.receipt", 3), signal.SIGINT)
    assert stopped.wait() == 1, stopped.screen
    said, again = stopped.screen.splitlines()[-2:]
    assert re.search(
        r"tuneset: not sealed\. It was interrupted\. What was committed is kept, [1-3] of 4 blocks\. To go on from there:$",
        said,
    )
    words = shlex.split(again)
    assert words == ["tuneset", "prepare", *command[:-1]]
    assert any(output.rglob("*.receipt"))
    assert launcher.run(words[2:]) == 0
    assert_equal_folders(output, expected)
