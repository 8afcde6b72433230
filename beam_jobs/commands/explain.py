"""`tuneset explain`: where lines of a sealed dataset came from, named by number or by a tuning job that dropped them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from typing import Any

from beam_jobs import console
from beam_jobs.command_parser import Parser, add_user_project
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.manifests import read_manifest
from beam_jobs.option_values import reader_of, shown
from beam_jobs.options import OptionError
from transforms.core.output_names import MANIFEST
from transforms.core.reasons import WrongRequest
from transforms.dataset.seal_plan import GROUPS
from transforms.dataset.tuning.explained_lines import check_lines, explain_lines, file_of, manifest_of
from transforms.dataset.tuning.job_stats import DamagedJob, JobStats, read_job
from transforms.inputs.patterns import absolute
from transforms.storage import store_for
from transforms.storage.api import Access, NoAccess, NotFound, StorageError, set_access


def parser() -> Parser:
    made = Parser(
        prog="tuneset explain",
        description="Tell where lines of a sealed dataset came from: the row, its images with fate, size, type and generation, the "
        "piece, the tokens, and which rules of the service a line is close to. Lines are counted from 1, as the service counts them.",
        epilog="Exit status: 0 done, 1 storage failed (the same command goes on), 2 wrong options, or lines that are not there.",
    )
    made.add_argument(
        "dataset", type=reader_of("DATASET"), metavar="DATASET", help="folder of the dataset; local or gs://"
    )
    made.add_argument(
        "--lines",
        action="add_up",
        type=reader_of("LINES"),
        metavar="LINES",
        help="line numbers, separated by commas, as 17,4711",
    )
    made.add_argument(
        "--job",
        default="",
        type=reader_of("DATASET"),
        metavar="FILE",
        help="a tuning job saved as JSON: the lines that its tuningDataStats name as dropped or truncated",
    )
    made.add_argument("--split", default="", choices=GROUPS, help="whose file the lines are counted in (default train)")
    made.add_argument(
        "--file", default="", metavar="NAME", help="the file that they are counted in, where a split has several"
    )
    made.add_argument("--format", default="text", choices=("text", "json"), help="(default text)")
    add_user_project(made)
    return made


def explain(argv: Sequence[str]) -> int:
    """-> exit status. What is known of the lines goes to standard output."""
    try:
        options = parser().parse_args(list(argv))
        if bool(options.lines) == bool(options.job):
            raise OptionError("give --lines, or --job FILE: one of them says which lines are meant")
        if options.split and options.file:
            raise OptionError("--split and --file name the same thing: give one of them")
        set_access(Access(options.user_project))
        for text in _explained(options):
            console.say(text)
    except (WrongRequest, NotFound) as error:
        console.complain(shown(str(error)))
        return WRONG
    except (StorageError, NoAccess) as error:
        console.complain(shown(str(error)))
        return FAILED
    return console.printed(DONE)


def _explained(options: argparse.Namespace) -> Iterator[str]:
    """What to print."""
    folder = absolute(options.dataset).rstrip("/") or "/"
    try:
        manifest = manifest_of(folder, read_manifest(folder))
    except NotFound:
        raise OptionError(f"{folder} holds no {MANIFEST}: expected the folder of a sealed dataset") from None
    job = _job(options.job) if options.job else JobStats()

    name = options.file
    if not (name or options.split) and job.training_uri.endswith(".jsonl"):
        name = job.training_uri.rpartition("/")[2]
    try:
        file = file_of(manifest, options.split or "train", name)
        lines = list(job.reasons) if options.job else list(dict.fromkeys(options.lines))
        check_lines(manifest, file, lines)
    except WrongRequest as error:
        if not options.job:
            raise
        trained = f", which was trained on {job.training_uri}" if job.training_uri else ""
        raise OptionError(f"--job {options.job}{trained}: {error}. Is it this dataset's?") from None
    told = explain_lines(folder, manifest, file, lines)
    for one in told:
        one["reason"] = job.reasons.get(one["line"], "")

    warnings = _job_warnings(job, manifest, file) if options.job else []
    if options.format == "json":
        yield json.dumps({"dataset": folder, "file": file, "warnings": warnings, "lines": told}, indent=1)
        return
    yield from (f"! {shown(warning)}" for warning in warnings)
    yield from ("\n".join(_as_text(one)) + "\n" for one in told)


def _job(path: str) -> JobStats:
    """The job of a file.

    Raises:
      OptionError: there is no such file, or it holds no job.
    """
    try:
        return read_job(store_for(absolute(path)).read(absolute(path))[0])
    except NotFound:
        raise OptionError(f"--job {path}: there is no such file") from None
    except DamagedJob as error:
        raise OptionError(f"--job {path}: {error}") from None


def _job_warnings(job: JobStats, manifest: Any, file: str) -> list[str]:
    """What a job says that the lines do not: how many it dropped, and that it may be another dataset's."""
    named, warnings = len(job.reasons), []
    if job.dropped > named:
        warnings.append(f"the job dropped {job.dropped:,} examples, of which it names {named:,}")
    elif not named:
        warnings.append("the job names no line as dropped or truncated")
    count = next(one["lines"] for one in manifest["dataset"]["files"] if one["name"] == file)
    if job.examples not in (0, count):
        warnings.append(
            f"the job counted {job.examples:,} examples, and {file} has {count:,} lines: is it this dataset's?"
        )
    return warnings


def _as_text(told: dict[str, Any]) -> Iterator[str]:
    """A line and what is known of it, for a person."""
    yield shown(f"{told['file']} line {told['line']:,}" + (f": {told['reason']}" if told["reason"] else ""))
    yield shown(f"  row      {told['source']}, line {told['source_line']:,} (byte {told['source_offset']:,})")
    piece = f", piece {told['piece']} of {told['pieces']}" if told["pieces"] > 1 else ""
    yield (
        f"  example  {told['id']}{piece}, {told['image_count']:,} image{'' if told['image_count'] == 1 else 's'}, "
        f"an estimated {told['tokens']:,} tokens, {told['bytes']:,} bytes"
    )
    for number, image in enumerate(told["images"], 1):
        yield shown(f"  image {number:<2} {_image_text(image)}")
    for rule in told["close_to"]:  # that the line is close to
        yield shown(f"  rule     {rule}")


def _image_text(image: dict[str, Any]) -> str:
    if not image["fate"]:
        return f"{image['uri']}: {image['served_type']}, not looked at"
    equal = f", as {len(image['equal_sources']):,} more" if image["equal_sources"] else ""
    source = (
        f"{image['source']}{equal}: {image['type']}, {image['width']:,} x {image['height']:,}, {image['bytes']:,} bytes, "
        f"generation {image['generation'] or 'unknown'}: {image['fate']}"
    )
    if image["uri"] == image["source"]:
        return source
    return f"{source}, as {image['uri']}: {image['served_type']}, {image['served_bytes']:,} bytes"
