"""How far a command without blocks is: a line that a terminal draws over, lines elsewhere, nothing if it is not wanted."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Callable

import pytest

from beam_jobs.report import progress, ticker
from beam_jobs.report.ticker import ticking


def wait_for(told: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not told():
        assert time.monotonic() < until
        time.sleep(0.005)


def test_lines_are_told_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE_S", 0.01)
    out, done = io.StringIO(), iter(range(1000))
    with ticking(lambda: f"{next(done)} of 9 read", hidden=False, out=out):
        wait_for(lambda: out.getvalue().count("\n") >= 2)
    assert re.fullmatch(r"  00:\d\d  0 of 9 read\n  00:\d\d  1 of 9 read", "\n".join(out.getvalue().splitlines()[:2]))


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_gets_one_line_that_is_gone_in_the_end(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(ticker, "_LOOK_S", 0.01)
    monkeypatch.setattr(ticker, "_columns", lambda stream: columns)
    above, below = os.openpty()
    with open(below, "w") as out:
        told = b""
        with ticking(lambda: "x" * 200, hidden=False, out=out):
            while told.count(b"\r\x1b[K") < 2:
                told += os.read(above, 4096)
        while not told.endswith(b"\r\x1b[K"):
            told += os.read(above, 4096)
    os.close(above)
    first = told.split(b"\r\x1b[K")[1]
    assert b"\n" not in told and first.startswith(b"00:00  xxx") and len(first) == columns - 1


def test_nothing_is_told_if_it_is_not_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "PAUSE_S", 0.001)
    out = io.StringIO()
    with ticking(lambda: "x", hidden=True, out=out):
        time.sleep(0.01)
    assert out.getvalue() == ""
