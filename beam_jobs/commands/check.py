"""`tuneset check`: what the tuning service, or whoever trains, would object to in a dataset. Nothing is written but a report."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_jobs import console
from beam_jobs.checking.page import write_page
from beam_jobs.checking.row_files import Chosen, choose_files
from beam_jobs.checking.run import check_of, run_check, scratch_folder
from beam_jobs.checking.screen import as_json, as_text
from beam_jobs.command_parser import Parser, add_options
from beam_jobs.commands.prepare import set_up_log
from beam_jobs.engines import check_engine
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.option_checks import check_report
from beam_jobs.option_values import reader_of, shown
from beam_jobs.options import OptionError
from beam_jobs.preflight import beam_options, check_beam_options, is_remote, runner_of
from beam_jobs.report import screen
from beam_jobs.report.page.writing import NONE
from beam_jobs.report.shortages import allow_files
from beam_jobs.settings import Settings, parse
from transforms.core.finding_codes import ERROR, WARNING, finding_code, is_at_least
from transforms.core.limits import DEFAULT_PROFILE
from transforms.core.reasons import TunesetError
from transforms.examples.splits import NAMES
from transforms.inputs.patterns import absolute
from transforms.storage import abilities
from transforms.storage.api import StorageError, set_access

_NEVER = "never"
# Of `prepare`, which mean the same here.
_OPTIONS = (
    "model",
    "verify",
    "allow_prefix",
    "max_line_bytes",
    "max_pixels",
    "report_pictures",
    "block_bytes",
    "threads",
    "user_project",
    "quiet",
    "verbose",
)


def parser() -> Parser:
    made = Parser(
        prog="tuneset check",
        usage="tuneset check --input DATASET [options]",
        description="Tell what the tuning service, or whoever trains, would object to in a dataset: its rows, images, splits and "
        "answers. Nothing of it is written.",
        epilog="Exit status: 0 nothing at or above --fail_on was found, 1 something was, 2 it could not be checked. Every Apache Beam "
        "option may follow.",
    )
    dataset = reader_of("DATASET")
    made.add_argument(
        "--input",
        default="",
        type=dataset,
        metavar="DATASET",
        help="folder, file or glob of Gemini's tuning rows, whose names tell the splits; local or gs://",
    )
    for split in NAMES:
        made.add_argument(
            f"--{split}", default="", type=dataset, metavar="PATTERN", help=f"rows of {split}, in place of --input"
        )
    made.add_argument(
        "--fail_on",
        default=ERROR,
        choices=(ERROR, WARNING, _NEVER),
        help="least severity of a finding with which the exit status is 1 (default error)",
    )
    made.add_argument("--format", default="text", choices=("text", "json"), help="(default text)")
    made.add_argument(
        "--findings",
        default="all",
        choices=("rows", "all"),
        help="all: examples and images are compared with those of other lines; rows: they are not (default all)",
    )
    made.add_argument(
        "--report",
        default=NONE,
        type=_report_file,
        metavar="FILE.html|none",
        help="page of what was found; its numbers stand beside it as .json (default none)",
    )
    add_options(made, _OPTIONS)
    return made


def _report_file(value: str) -> str:
    try:
        check_report(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{shown(value)}: {error}") from None
    return NONE if value == NONE else absolute(value)


def check(argv: Sequence[str]) -> int:
    """-> exit status: 0, 1 if something was found, 2 if it could not be checked."""
    allow_files()
    options, beam = parser().parse_known_args(list(argv))
    try:
        result = _checked(options, beam)
    except KeyboardInterrupt:
        console.complain("interrupted, so nothing is known of the dataset.")
        return WRONG
    except TunesetError as error:
        console.complain(shown(str(error)))
        return WRONG
    except Exception as error:  # an engine's, which wraps what its workers raise
        if "--verbose" in argv:
            console.show_traceback(error)
        console.complain(f"it could not be checked. {screen.cause(error)}")
        return WRONG

    status = _status(result["summary"]["counts"], options.fail_on)
    summary = {**result["summary"], "exit": status}
    as_lines = as_json(result["findings"], summary)
    if options.format == "text":
        as_lines = as_text(result["findings"], summary, "" if options.report == NONE else options.report)
    for line in as_lines:
        if not console.say(line):
            break
    return status if console.printed(DONE) == DONE else WRONG


def _status(codes: Iterable[str], fail_on: str) -> int:
    bad = fail_on != _NEVER and any(is_at_least(finding_code(code).severity, fail_on) for code in codes)
    return FAILED if bad else DONE


def _checked(options: argparse.Namespace, beam: Sequence[str]) -> Mapping[str, Any]:
    """Look at a dataset -> findings and summary.

    Raises:
      TunesetError: it cannot be looked at as options say.
    """
    settings = _settings(options, beam)
    set_up_log(settings.verbose)
    check_beam_options(settings)
    set_access(settings.access)
    FileSystems.set_options(beam_options(settings))
    patterns = {name: absolute(value) for name in ("input", *NAMES) if (value := getattr(options, name))}
    _check_patterns(patterns, is_remote(settings))

    chosen = choose_files(patterns)
    if chosen.model and options.model == DEFAULT_PROFILE:
        settings = _settings(argparse.Namespace(**{**vars(options), "model": chosen.model}), beam)
    check_engine(runner_of(settings), beam_options(settings))
    console.note("\n".join(_said_before(chosen, settings)))
    with scratch_folder(settings) as folder:
        settings = replace(settings, input=tuple(file.uri for file in chosen.files), output=folder)
        began, job = time.monotonic(), check_of(settings, chosen, across=options.findings == "all")
        found = run_check(job)
    if options.report != NONE:
        try:
            write_page(options.report, job, found, time.monotonic() - began)
        except StorageError as error:  # what was found is known all the same
            console.complain(f"the report could not be written: {shown(str(error))}")
            options.report = NONE
    return found


def _settings(options: argparse.Namespace, beam: Sequence[str]) -> Settings:
    """The settings of a `prepare` that would look at the same images as closely."""
    words = ["--input=-", "--output=-"]
    for name in _OPTIONS:
        value = getattr(options, name)
        if value is True:
            words.append(f"--{name}")
        elif value not in ("", (), False):
            words.append(f"--{name}={','.join(value) if isinstance(value, tuple) else value}")
    if options.verify != "none":
        words.append("--oversize=reject")  # what is too large is told, and not rewritten
    return parse([*words, *beam])


def _check_patterns(patterns: Mapping[str, str], remote: bool) -> None:
    """Raises OptionError where options do not say what is to be checked, or name what cannot be read."""
    if "input" in patterns and len(patterns) > 1:
        raise OptionError("--input and --train, --validation, --test name the same thing: give one of them")
    if not patterns:
        raise OptionError("--input is missing. For example: tuneset check --input gs://bucket/dataset")
    for pattern in patterns.values():
        if remote and abilities(pattern).has_paths:
            raise OptionError(f"{pattern} is local, but the workers are not on this machine: use gs://")


def _said_before(chosen: Chosen, settings: Settings) -> list[str]:
    """Which files are looked at, and by which limits."""
    said = [f"{NAMES[file.split]:<10}  {shown(file.uri)}" for file in chosen.files]
    if chosen.left_out:
        names = ", ".join(chosen.left_out[:3]) + (", ..." if len(chosen.left_out) > 3 else "")
        said.append(
            f"! left out: {len(chosen.left_out):,} files beside these whose names speak of no split ({shown(names)})"
        )
    for there, here in chosen.uploads:
        said.append(f"images      of {shown(there)} are looked at in {shown(here)}, before they are uploaded")
    if chosen.unproven and not settings.allow_prefix:
        folders = shown(",".join(chosen.unproven))
        said.append(
            f"! the manifest names {folders} as folders of images, but no command of yours on this machine led to it there, so "
            f"they are not read: if you trust it, add --allow_prefix {folders} and the folder of the rows"
        )
    return [*said, f"limits      of --model {settings.model}"]
