"""Runs command lines of a checkout one after another, as child processes of one that has imported Beam before.

Importing takes most of a small job's time. Each child runs `python -m beam_jobs ...`, or a script of examples/, as a process
of its own would. This file is the program of the process in between, too: it reads commands as JSON lines.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Imported once; nothing of Tuneset's own, whose modules may move
FIRST = (
    "apache_beam.io",
    "apache_beam.runners.portability.fn_api_runner",
    "google.cloud.storage",
    "pillow_heif",
    "pyarrow.parquet",
)


def serve() -> None:
    """Commands from standard input -> their exit statuses to standard output."""
    for module in FIRST:
        __import__(module)
    for line in sys.stdin:
        asked = json.loads(line)
        child = os.fork()
        if not child:
            be_command(**asked)
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def be_command(words: list[str], out: str, err: str) -> None:
    """Be the command: the process ends as it does, and what it prints goes to two files."""
    for descriptor, path in ((0, os.devnull), (1, out), (2, err)):
        os.dup2(os.open(path, os.O_RDONLY if descriptor == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    if words[0].endswith(".py"):
        script = os.path.abspath(f"examples/{words[0]}")
        sys.argv, sys.path[0] = [script, *words[1:]], os.path.dirname(script)
        runpy.run_path(script, run_name="__main__")
    else:
        sys.argv, sys.path[0] = ["beam_jobs", *words], os.getcwd()
        runpy.run_module("beam_jobs", run_name="__main__", alter_sys=True)


class Commands:
    """The process in between, and what its commands came to."""

    def __init__(self, code: Path, folder: Path) -> None:
        """code: the checkout. folder: for what commands print."""
        self._code, self._out, self._err = code, folder / "out.txt", folder / "err.txt"
        environment = os.environ | {"PYTHONPATH": str(code)}
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            cwd=code,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, words: Sequence[str]) -> dict[str, Any]:
        """Run one command -> its exit status, and what it printed, in which the checkout is CODE."""
        assert self._process.stdin and self._process.stdout
        asked = {"words": [*words], "out": str(self._out), "err": str(self._err)}
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        printed = {"out": self._out.read_text(), "err": self._err.read_text()}
        return {"status": status} | {name: text.replace(str(self._code), "CODE") for name, text in printed.items()}

    def close(self) -> None:
        self._process.communicate()


if __name__ == "__main__":
    serve()
