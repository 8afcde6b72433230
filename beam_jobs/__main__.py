"""The command line: `tuneset COMMAND ...`, the same as `python -m beam_jobs COMMAND ...`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from typing import Any

from beam_jobs import console
from beam_jobs.command_parser import Parser, TextAsked
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.options import OptionError
from beam_jobs.report.shortages import shortage  # here, since there may be no memory to import it when it is needed
from beam_jobs.signals import stops_as_interrupts
from transforms.core import VERSION

# Each is a function of the same name in a module of that name in `commands/`.
COMMANDS = {
    "prepare": "make a Gemini image-tuning dataset of rows and images",
    "check": "tell what the tuning service would object to in a dataset",
    "stream": "make a sealed dataset of what arrives in each window of time",
    "merge": "join sealed windows of a stream into one dataset",
    "demo": "write the embedded sample to a folder and prepare it",
    "explain": "tell where lines of a dataset came from, as those that a tuning job dropped",
    "export": "write a dataset in another format, as OpenAI's",
    "formats": "list the formats of rows that are read",
    "sweep": "list or remove images of a shared folder that no dataset names",
    "template": "print, build or launch a Dataflow template",
}


class _Command(Parser):
    """A subparser that leaves a command's words to the command: only what is run is imported, and Beam takes seconds."""

    def parse_known_args(self, args: Iterable[str], namespace: Any = None) -> tuple[Any, list[str]]:  # type: ignore[override]
        return argparse.Namespace(words=list(args)), []


class _Version(argparse.Action):
    """Ends the reading of a command line with the version."""

    def __call__(self, *given: object) -> None:
        raise TextAsked(f"tuneset {VERSION}\n")


def parser() -> Parser:
    """The parser of `tuneset COMMAND ...`."""
    top = Parser(
        prog="tuneset",
        description="Make datasets of images and rows that Gemini supervised fine-tuning accepts.",
        epilog="`tuneset COMMAND --help` tells about each.",
    )
    top.add_argument("--version", action=_Version, nargs=0, help="show the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_Command)
    for name, what in COMMANDS.items():
        commands.add_parser(name, help=what)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command -> exit status: 0 done, 1 failed, 2 wrong options."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with stops_as_interrupts():
            return _run(["--help"] if words in ([], ["help"]) else words)
    except TextAsked as asked:
        console.say(str(asked), end="")
        return console.printed(DONE)
    except OptionError as error:
        console.complain(str(error))
        return WRONG
    except KeyboardInterrupt:  # before a job began, or where there is nothing to go on with
        console.complain("interrupted.")
        return FAILED


def _run(words: list[str]) -> int:
    """Read the command's name, and hand it its words -> exit status."""
    given = parser().parse_args(words)
    command: Callable[[Sequence[str]], int] = getattr(
        import_module(f"beam_jobs.commands.{given.command}"), given.command
    )
    return command(given.words)


def command_line() -> None:
    """The process: `main`, then silence, since some engines' threads complain while the interpreter goes down."""
    console.open_standard_streams()
    try:
        status = main()
    except (MemoryError, ImportError, OSError, RuntimeError) as error:  # a limit that is reached before a job began
        lacking = shortage(f"{type(error).__name__}: {error}")
        if not lacking:
            raise
        console.complain(lacking)
        status = FAILED
    console.flush()
    if "--verbose" not in sys.argv:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    sys.exit(status)


if __name__ == "__main__":
    command_line()
