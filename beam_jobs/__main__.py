"""The command line: `tuneset COMMAND ...`, the same as `python -m beam_jobs COMMAND ...`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from beam_jobs import console
from beam_jobs.signals import stops_as_interrupts
from transforms.core import VERSION

_USAGE = """usage: tuneset COMMAND [options]

  prepare   make a Gemini image-tuning dataset of rows and images
  demo      write the embedded sample to a folder and prepare it
  sweep     list or remove images of a shared folder that no dataset names
  template  print, build or launch a Dataflow template

`tuneset COMMAND --help` tells about each, `tuneset --version` the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command -> exit status: 0 done, 1 failed, 2 wrong options."""
    command, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    try:
        with stops_as_interrupts():
            return _run(command, rest)
    except KeyboardInterrupt:  # before a job began, or where there is nothing to go on with
        console.complain("interrupted.")
        return 1


def _run(command: str, rest: list[str]) -> int:
    if command == "prepare":
        if "--help" in rest or "-h" in rest:
            from beam_jobs.options import parser

            console.say(parser().format_help(), end="")
            return console.printed(0)
        from beam_jobs.commands.prepare import prepare

        return prepare(rest)
    if command == "template":
        from beam_jobs.commands.template import template

        return template(rest)
    if command == "sweep":
        from beam_jobs.commands.sweep import sweep

        return sweep(rest)
    if command == "demo":
        from beam_jobs.commands.demo import demo

        return demo(rest)
    if command == "--version":
        console.say(f"tuneset {VERSION}")
        return console.printed(0)
    if command in ("--help", "-h", "help"):
        console.say(_USAGE, end="")
        return console.printed(0)
    console.complain(f"there is no command {command!r}, only prepare, demo, sweep and template.")
    return 2


def command_line() -> None:
    """The process: `main`, then silence, since some engines' threads complain while the interpreter goes down."""
    console.open_standard_streams()
    try:
        status = main()
    except (MemoryError, ImportError, OSError, RuntimeError) as error:  # a limit that is reached before a job began
        from beam_jobs.report.shortages import shortage

        lacking = shortage(f"{type(error).__name__}: {error}")
        if not lacking:
            raise
        console.complain(lacking)
        status = 1
    console.flush()
    if "--verbose" not in sys.argv:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.exit(status)


if __name__ == "__main__":
    command_line()
