"""`tuneset formats`: what rows are read, a line for each format."""

from __future__ import annotations

from collections.abc import Sequence

from beam_jobs import console
from beam_jobs.command_parser import Parser
from beam_jobs.exit_status import DONE
from transforms.inputs.registry import MEANINGS


def parser() -> Parser:
    return Parser(
        prog="tuneset formats",
        description="List the formats that --input_format takes, with the files that they are read from.",
    )


def formats(argv: Sequence[str]) -> int:
    """-> exit status."""
    parser().parse_args(list(argv))
    widths = [max(len(text) for text in column) for column in zip(*((m.name, m.files) for m in MEANINGS.values()))]
    for meaning in MEANINGS.values():
        console.say(f"{meaning.name:{widths[0]}}  {meaning.files:{widths[1]}}  {meaning.help}")
    return console.printed(DONE)
