"""Options against the world: is the runner there, are the workers on this machine, do input and output go together."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import io
import itertools
import os
import re

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.runner import create_runner

from beam_jobs.options import OPTIONS, OptionError
from beam_jobs.settings import Settings
from transforms.core.places import inside, is_text
from transforms.core.warning_codes import Notice, as_lines
from transforms.inputs.detect import detect
from transforms.inputs.options import InputError
from transforms.inputs.patterns import absolute, matches, static_folder
from transforms.inputs.survey.checks import survey
from transforms.inputs.survey.left_out import REWRITTEN, find_left_out, notices_of_left_out
from transforms.storage import abilities
from transforms.storage.gcs.bucket_check import look_at_bucket
from transforms.storage.uris import CLOUD, is_object

# Beam asks a job server how a job stands in one request for the whole job, which ends after 300 s unless it is told otherwise: an
# error then, on Prism, for a job that runs well. Whether there is a server at all, engines.py asks by itself.
_LONGEST_JOB_S = 10 * 365 * 24 * 3600

IN_PROCESS = ("FnApiRunner", "DirectRunner", "SwitchingDirectRunner", "BundleBasedDirectRunner")  # and its children


def runner_of(settings: Settings) -> str:
    """The class of the runner, by whichever of its names it was given."""
    named = PipelineOptions(list(settings.beam)).view_as(StandardOptions).runner or "FnApiRunner"
    try:
        return type(create_runner(named)).__name__
    except (ValueError, ImportError, AttributeError) as error:
        raise OptionError(f"--runner {named}: {str(error).partition('. ')[0]}") from None


def check_beam_options(settings: Settings) -> None:
    """Raises OptionError for an option that neither Tuneset nor Beam knows: Beam would only drop it, with a warning."""
    for before, word in itertools.pairwise(("", *settings.beam)):
        if not word.startswith("-") and (not before.startswith("-") or "=" in before):
            raise OptionError(
                f"{word} belongs to no option. Several patterns are one --input, separated by commas; quote them, or the "
                "shell expands each *"
            )
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            given = PipelineOptions(list(settings.beam)).get_all_options(retain_unknown_options=True)
    except SystemExit:  # argparse's way
        raise OptionError(complaint.getvalue().strip().rpartition("error: ")[2]) from None
    if runner_of(settings) == "PortableRunner":
        return  # its job server may know more of them
    known = set(PipelineOptions([]).get_all_options())
    for name in sorted(given.keys() - known):
        near = difflib.get_close_matches(name, [*known, *(option.name for option in OPTIONS)], 1)
        hint = f"; did you mean --{near[0]}?" if near else ""
        raise OptionError(f"--{name} is an option of neither Tuneset nor Apache Beam{hint}")


def is_remote(settings: Settings) -> bool:
    """Whether the workers are elsewhere: they see no local file of ours, and outlive this process.

    LOOPBACK workers are threads of this process, whichever engine hands them their work.
    """
    runner, beam_says = runner_of(settings), PipelineOptions(list(settings.beam)).get_all_options()
    if runner in IN_PROCESS:
        return False
    embedded = runner == "FlinkRunner" and beam_says["flink_master"] in ("[local]", "[auto]")
    default = "LOOPBACK" if embedded or runner == "PrismRunner" else "DOCKER"  # as these runners choose
    return (beam_says["environment_type"] or default) != "LOOPBACK"


def template_location(settings: Settings) -> str:
    """Where Dataflow's runner is to write the job instead of submitting it, or ""."""
    return PipelineOptions(list(settings.beam)).view_as(GoogleCloudOptions).template_location or ""


def beam_options(settings: Settings) -> PipelineOptions:
    """Beam's options for a job."""
    flags = list(settings.beam)
    if not any(flag.startswith("--runner") for flag in flags):
        flags.append("--runner=FnApiRunner")
    options = PipelineOptions(flags, save_main_session=False)
    if not any(re.match("--job[_-]server[_-]timeout", flag) for flag in flags):
        options.view_as(PortableOptions).job_server_timeout = _LONGEST_JOB_S
    return options


def on_this_machine(settings: Settings) -> Settings:
    """The same settings with absolute paths, which mean the same to every worker."""

    def folder(path: str) -> str:
        return absolute(path).rstrip("/") if path else ""

    return dataclasses.replace(
        settings,
        input=tuple(map(absolute, settings.input)),
        output=folder(settings.output),
        report=settings.report if settings.report in ("", "none") else absolute(settings.report),
        image_folder=folder(settings.image_folder),
        image_root=folder(settings.image_root),
        previous=folder(settings.previous),
        uri_prefix=settings.uri_prefix.rstrip("/"),
    )


def look_at_inputs(settings: Settings) -> tuple[Settings, list[str]]:
    """The same settings with what each input is and the columns of images; what to say of it (detect.detect).

    Raises:
      OptionError: an input has no file, or is not what options say.
    """
    try:
        options, said = detect(find_left_out(settings.of_inputs))
        notices = (*notices_of_left_out(options), *options.notices, *survey(options))
        options = dataclasses.replace(options, notices=notices)
    except InputError as error:
        raise OptionError(str(error)) from None
    told_by_files = (
        "answer",
        "image_column",
        "split_column",
        "upright",
        "left_out",
        "inputs",
        "names_of_splits",
        "notices",
    )
    settings = dataclasses.replace(settings, **{name: getattr(options, name) for name in told_by_files})
    return settings, said + as_lines(notices)


def check_folders(settings: Settings, remote: bool) -> None:
    """Raises OptionError where input and output cannot go together."""
    output = settings.output
    if settings.no_wait and not remote:
        raise OptionError(
            f"--no_wait is for workers elsewhere: with {runner_of(settings)} the job ends with this process"
        )
    for path in (*settings.input, output, settings.image_folder, settings.image_root, settings.previous):
        if not is_text(path):
            raise OptionError(f"{path!r}: its name is not UTF-8, so no dataset can tell it: rename it")
    for path in (output, settings.image_folder):
        if not abilities(path).creates_if_absent:
            raise OptionError(
                f"{path}: expected a local path or gs://BUCKET/...; other file systems can only be read, since they cannot "
                "create a file only if it is absent"
            )
        if path and abilities(path).has_paths and (file := _file_of(path)):
            raise OptionError(f"{path} cannot be a folder: {file} is a file")
    check_image_root(settings)
    for path in (output, *settings.input, settings.image_folder, settings.image_root):
        if remote and path and abilities(path).has_paths and runner_of(settings) == "DataflowRunner":
            raise OptionError(f"{path} is local, but the workers are not on this machine: use gs://")
    if settings.image_folder and abilities(settings.image_folder).has_paths and not abilities(output).has_paths:
        raise OptionError(
            f"--image_folder {settings.image_folder} is local, but --output is not: nobody could read images there"
        )
    for pattern in settings.input:
        if inside(static_folder(pattern), output) or inside(pattern, output):
            raise OptionError(f"--input {pattern} lies inside --output {output}: choose another output folder")


def check_image_root(settings: Settings) -> None:
    """Raises OptionError for a folder of --image_root that is not there, or may not be read."""
    root, readable = settings.image_root, settings.of_inputs.readable
    if root and abilities(root).has_paths and not os.path.isdir(root):
        raise OptionError(f"--image_root {root} is no folder: expected the one that the images lie below")
    if root and not any(inside(root, folder) or (folder == CLOUD and is_object(f"{root}/")) for folder in readable):
        raise OptionError(f"--image_root {root} lies outside --allow_prefix {','.join(readable)}: add it there")


def check_apart(settings: Settings) -> None:
    """Raises OptionError where what a run writes would be read as input by a later one, so that lines are doubled."""
    for one_input in settings.inputs:
        for name, folder, file in (
            ("image_folder", settings.image_folder, REWRITTEN),
            ("previous", settings.previous, "train.jsonl"),
        ):
            if inside(folder, settings.output) or folder in one_input.left_out:
                continue
            if folder and matches(one_input.pattern, f"{folder}/{file}", one_input.format):
                raise OptionError(
                    f"--{name} {folder} lies inside --input {one_input.pattern}, which would read what runs write there: name "
                    "another folder, or a narrower --input"
                )


def _file_of(path: str) -> str:
    """The deepest of a local path's names that exists, if it is a file, else ""."""
    while not os.path.lexists(path):
        path = os.path.dirname(path)
    return "" if os.path.isdir(path) else path


def check_buckets(settings: Settings) -> list[Notice]:
    """What the buckets that are written to will cost beside the usual.

    Raises:
      OptionError: a job cannot work in one of them.
    """
    warnings = []
    for folder in dict.fromkeys(one for one in (settings.output, settings.image_folder) if abilities(one).has_buckets):
        fault, found = look_at_bucket(folder)
        if fault:
            raise OptionError(fault)
        warnings += found
    return [Notice("bucket_bills", detail=warning) for warning in dict.fromkeys(warnings)]
