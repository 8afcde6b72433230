"""Run a command -> its time and the memory of all its processes together, looked at 50 times a second."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tree:
    """One command with all its processes."""

    wall: float
    peak: int  # bytes
    said: str


def processes(root: int) -> list[int]:
    """A process and all that came of it."""
    parents: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                told = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parents.setdefault(int(told.rpartition(")")[2].split()[1]), []).append(int(name))
    found, at = [root], 0
    while at < len(found):
        found += parents.get(found[at], [])
        at += 1
    return found


def memory(pids: Sequence[int]) -> int:
    """What the processes hold for themselves, and the most that one of them shares. (PSS would say more exactly, and take a core.)"""
    own, shared = 0, 0
    for pid in pids:
        try:
            _, resident, common, *_ = map(int, Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split())
        except OSError:
            continue
        own, shared = own + resident - common, max(shared, common)
    return (own + shared) * os.sysconf("SC_PAGE_SIZE")


def tree(*command: str | Path, environment: dict[str, str] | None = None) -> Tree:
    """Run a command to its end. Raises SystemExit: it failed."""
    began, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen([str(w) for w in command], stdout=out, stderr=err, env=environment)
        ended = threading.Event()

        def look() -> None:
            nonlocal peak
            pids: list[int] = []
            turn = 0
            while not ended.wait(0.02):
                if turn % 10 == 0:
                    pids = processes(child.pid)
                peak, turn = max(peak, memory(pids)), turn + 1

        watcher = threading.Thread(target=look)
        watcher.start()
        status = child.wait()
        wall = time.perf_counter() - began
        ended.set()
        watcher.join()
        out.seek(0)
        err.seek(0)
        if status:
            raise SystemExit(f"{command[:4]}\n{out.read().decode()[-2000:]}{err.read().decode()[-2000:]}")
        return Tree(wall, peak, out.read().decode())
