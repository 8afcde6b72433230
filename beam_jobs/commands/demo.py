"""`tuneset demo [FOLDER]`: write the embedded sample, run the batch job on it, show what came out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from beam_jobs import console
from beam_jobs.command_parser import Parser
from beam_jobs.commands.demo_stream import demo_stream
from beam_jobs.commands.prepare import prepare
from beam_jobs.exit_status import FAILED, WRONG
from beam_jobs.option_values import local_folder
from beam_jobs.options import OptionError
from beam_jobs.sample.rows import write_sample


def parser() -> Parser:
    made = Parser(
        prog="tuneset demo",
        description="Write the embedded sample to FOLDER/raw and prepare it as FOLDER/dataset. What an earlier demo made there "
        "is replaced.",
    )
    made.add_argument(
        "folder",
        nargs="?",
        default="demo",
        type=local_folder,
        metavar="FOLDER",
        help="is made if it is not there (default demo)",
    )
    made.add_argument(
        "--stream",
        action="store_true",
        help="drop the sample's images into a folder over 20 s instead, seal windows of them with `tuneset stream`, and merge these",
    )
    return made


def demo(argv: Sequence[str]) -> int:
    """-> exit status of what is run. The output of an earlier demo is replaced."""
    try:
        given = parser().parse_args(argv)
        folder = Path(given.folder)
        rows = write_sample(folder / "raw")
        if given.stream:
            return demo_stream(folder, rows.parent / "images")
    except OptionError as error:
        console.complain(str(error))
        return WRONG
    except OSError as error:
        console.complain(f"the sample cannot be written: {error}")
        return FAILED
    command = ["--input", str(rows), "--output", str(folder / "dataset"), "--split_by", "group", "--overwrite"]
    console.say(f"Wrote {rows} and the images it names. Now running:\n\n  tuneset prepare {shlex.join(command)}\n")
    return prepare(command)
