"""A launcher of jobs that are killed: it imports Beam once and forks a child for every command, in a session of its own.

So a job costs what it does and not its imports. A child can be told to die (or stop) by itself, with all its helpers, just before
the n-th change of the file system under the output folder that a pattern matches. This file is the launcher's program, too.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beam_jobs.__main__ import main
from beam_jobs.report.page import writing

CHANGES = ("link", "replace", "unlink", "rmdir")  # of os: what LocalStore changes the world by
At = tuple[str, int]  # (pattern of "CHANGE PATH", which match of it)


def launch() -> None:
    """Commands as JSON lines -> numbers: of a start the process, of a wait the exit status (-N: ended or stopped by signal N)."""
    make_beam_remember()
    leave_reports_out()
    for line in sys.stdin:
        told = json.loads(line)
        if "wait" in told:
            _, status = os.waitpid(told["wait"], os.WUNTRACED)
            stopped = os.WIFSTOPPED(status)
            print(-os.WSTOPSIG(status) if stopped else os.waitstatus_to_exitcode(status), flush=True)
            continue
        ready, say_ready = os.pipe()
        pid = os.fork()
        if not pid:
            status = 99
            try:
                os.setsid()
                os.write(say_ready, b"!")
                status = obey(**told)
            finally:
                os._exit(status)
        os.read(ready, 1)
        os.close(ready)
        os.close(say_ready)
        print(pid, flush=True)


def obey(command: str, argv: list[str], at: At | None, end: int, screen: str) -> int:
    """Be the job: run a command with its words and, if told so, send `end` to the whole group before the n-th change that matches."""
    descriptor = os.open(screen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    if at:
        output, seen = argv[argv.index("--output") + 1], [0]
        for name in CHANGES:
            setattr(os, name, watched(name, getattr(os, name), output, at, end, seen))
    try:
        return main([command, *argv])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def watched(
    name: str, change: Callable[..., Any], output: str, at: At, end: int, seen: list[int]
) -> Callable[..., Any]:
    def change_or_end(*paths: Any, **more: Any) -> Any:
        path = str(paths[-1])
        if path.startswith(output) and re.search(at[0], f"{name} {path[len(output) + 1 :]}"):
            seen[0] += 1
            if seen[0] == at[1]:
                os.killpg(0, end)
        return change(*paths, **more)

    return change_or_end


def leave_reports_out() -> None:
    """A report takes as long as a small job: whoever tests one names its file."""
    writing.default_page = lambda output: ""


def make_beam_remember() -> None:
    """Two thirds of a small job's time are Beam's, who asks 500 times what state a class of DoFns has and 700 times for options."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.transforms import userstate

    specs: dict[type, Any] = {}
    views: dict[tuple[int, type], tuple[Any, Any]] = {}
    look, view = userstate.get_dofn_specs, PipelineOptions.view_as

    def get_dofn_specs(dofn: Any) -> Any:
        if type(dofn) not in specs:
            specs[type(dofn)] = look(dofn)
        return specs[type(dofn)]

    def view_as(self: Any, cls: type) -> Any:
        known = (id(self), cls)
        if known not in views:
            views[known] = self, view(self, cls)  # kept with what it is a view of, whose id then stays its own
        return views[known][1]

    userstate.get_dofn_specs = get_dofn_specs
    PipelineOptions.view_as = view_as


class Launcher:
    def __init__(self, folder: Path) -> None:
        self._screens, self._alive = folder, set[int]()
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        )

    def ask(self, **told: Any) -> int:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(told) + "\n")
        return int(self._process.stdout.readline())

    def start(self, argv: list[str], at: At | None = None, end: int = signal.SIGKILL, command: str = "prepare") -> Job:
        screen = self._screens / f"screen{time.monotonic_ns()}"
        screen.touch()  # it may be looked at before the process that writes it has begun
        pid = self.ask(command=command, argv=argv, at=at, end=end, screen=str(screen))
        self._alive.add(pid)
        return Job(self, pid, screen)

    def wait(self, pid: int) -> int:
        status = self.ask(wait=pid)
        if status != -signal.SIGSTOP:
            self._alive.discard(pid)
        return status

    def run(self, argv: list[str], at: At | None = None) -> int:
        """Run a command to its end -> exit status."""
        return self.start(argv, at).wait()

    def close(self) -> None:
        assert self._process.stdin and self._process.stdout
        for pid in self._alive:  # of a test that failed half way
            os.killpg(pid, signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Job:
    """A command under way, stopped or ended."""

    def __init__(self, launcher: Launcher, pid: int, screen: Path) -> None:
        self._launcher, self.pid, self._screen = launcher, pid, screen

    def wait(self) -> int:
        """-> exit status; -N: ended or stopped by signal N."""
        return self._launcher.wait(self.pid)

    @property
    def screen(self) -> str:
        return self._screen.read_text(errors="replace")


if __name__ == "__main__":
    launch()
