"""`tuneset template ACTION`: print what the Dataflow templates are made of, build them, launch one."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import subprocess
import time
from collections.abc import Sequence

from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import GoogleAuthError

from beam_jobs import console
from beam_jobs.command_parser import Parser
from beam_jobs.dataflow.launch import as_curl, as_gcloud, plan_launch, send
from beam_jobs.dataflow.templates import FOLDER, TEMPLATES, Template, dockerfile, metadata, spec, text
from beam_jobs.dataflow.workers import MIXES
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.option_values import reader_of
from beam_jobs.options import OptionError
from beam_jobs.preflight import check_beam_options
from beam_jobs.settings import Settings, parse
from beam_jobs.stream.options import parse_stream
from transforms.storage import store_for
from transforms.storage.api import NoAccess, StorageError


def parser() -> argparse.ArgumentParser:
    made = Parser(
        prog="tuneset template",
        description="Dataflow Flex Templates: metadata, spec and Dockerfile are made from the table of options.",
        epilog="`launch` takes the options of `tuneset prepare`, or of `tuneset stream`, and Beam's own (--project, --region, "
        "--job_name, --labels, --temp_location, --machine_type, --max_num_workers, --flexrs_goal, ...) beside its own.",
    )
    actions = made.add_subparsers(dest="action", required=True, metavar="ACTION")
    add = actions.add_parser
    for name, what in (
        ("metadata", "print a template's metadata"),
        ("spec", "print a template's spec, or write it with --spec"),
        ("dockerfile", "print the Dockerfile"),
        ("build", "build the image with Cloud Build, in a checkout of Tuneset, and write the spec"),
        ("launch", "start a job from a spec"),
    ):
        one = add(name, help=what, description=what)
        if name != "dockerfile":
            one.add_argument(
                "--name", choices=sorted(TEMPLATES), default="batch", help="which template (default batch)"
            )
        if name in ("spec", "build"):
            named = "the image's name in its registry, with a tag or digest"
            one.add_argument("--image", required=True, type=reader_of("IMAGE"), help=named)
        if name in ("spec", "build", "launch"):
            needed = name != "spec"
            where = "where the spec lies: gs://..."
            one.add_argument("--spec", required=needed, default="", type=reader_of("URI"), metavar="URI", help=where)
        if name == "build":
            one.add_argument("--project", required=True, type=reader_of("PROJECT"), help="whose Cloud Build builds it")
        if name == "launch":
            mixes = "; ".join(f"{mix.name}: {mix.what}" for mix in MIXES.values())
            one.add_argument(
                "--image_mix",
                choices=list(MIXES),
                default="",
                help=f"recommended workers for what the images are ({mixes})",
            )
            one.add_argument("--validate_only", action="store_true", help="ask the service, start nothing")
        if name in ("build", "launch"):
            one.add_argument("--print_only", action="store_true", help="print the commands, do nothing")
    return made


def template(argv: Sequence[str]) -> int:
    """Run one action -> exit status: 0 done, 1 failed, 2 wrong options."""
    try:
        known, others = parser().parse_known_args(list(argv) or ["--help"])
        if others and known.action != "launch":
            raise OptionError(f"{others[0]} is no option of `tuneset template {known.action}`")
        if known.action == "dockerfile":
            console.say(dockerfile(), end="")
        elif known.action == "metadata":
            console.say(text(metadata(TEMPLATES[known.name])), end="")
        elif known.action == "spec":
            return write_spec(TEMPLATES[known.name], known.image, known.spec)
        elif known.action == "build":
            return build(TEMPLATES[known.name], known)
        else:
            return launch(TEMPLATES[known.name], known, others)
        return console.printed(DONE)
    except OptionError as error:
        console.complain(str(error))
        return WRONG
    except (StorageError, NoAccess, GoogleAuthError, GoogleAPICallError) as error:
        console.complain(str(error))
        return FAILED


def write_spec(template: Template, image: str, uri: str) -> int:
    """Print a template's spec, or write it to `uri` -> exit status."""
    made = text(spec(template, image))
    if not uri:
        console.say(made, end="")
        return console.printed(DONE)
    store_for(uri).replace(uri, made.encode(), "")
    console.say(f"Wrote {uri}")
    return DONE


def build(template: Template, known: argparse.Namespace) -> int:
    """Build the image in Cloud Build from the checkout in the current folder, then write the spec -> exit status."""
    if not os.path.isfile(f"{FOLDER}/Dockerfile"):
        raise OptionError(f"there is no {FOLDER}/Dockerfile here: run it in a checkout of Tuneset")
    command = ["gcloud", "builds", "submit", ".", f"--project={known.project}", f"--config={FOLDER}/cloudbuild.yaml"]
    command += [
        f"--ignore-file={FOLDER}/.gcloudignore",
        f"--substitutions=_IMAGE={known.image},_MAIN={template.name}_main.py",
    ]
    console.say(shlex.join(command))
    if known.print_only:
        again = ["tuneset", "template", "spec", "--name", template.name, "--image", known.image, "--spec", known.spec]
        console.say(shlex.join(again))
        return console.printed(DONE)
    try:
        status = subprocess.run(command, check=False).returncode
    except FileNotFoundError:
        raise OptionError(
            "gcloud is not installed: build the image as Dockerfile's first lines say, then write the spec"
        ) from None
    if status:
        console.complain(f"gcloud ended with status {status}; no spec was written")
        return FAILED
    return write_spec(template, known.image, known.spec)


def launch(template: Template, known: argparse.Namespace, others: Sequence[str]) -> int:
    """Launch a job, or validate or print the launch -> exit status."""
    settings, flags, appears = _asked(template, others)
    check_beam_options(settings)
    try:
        made = json.loads(store_for(known.spec).read(known.spec)[0])
    except ValueError:
        raise OptionError(f"{known.spec} is no template spec: write one with `tuneset template spec`") from None
    unique = time.strftime("%Y%m%d-%H%M%S-", time.gmtime()) + secrets.token_hex(2)
    planned = plan_launch(
        template, settings, flags, known.spec, made, mix=known.image_mix, unique=unique, validate=known.validate_only
    )
    console.say(f"The same with gcloud:\n\n  {as_gcloud(planned)}\n\nand with curl:\n\n  {as_curl(planned)}\n")
    if known.print_only:
        return console.printed(DONE)
    job = send(planned)
    if known.validate_only:
        console.say("The service would accept it. Nothing was started.")
        return DONE
    console.say(f"Launched {planned.parameter['jobName']} as job {job}. {settings.output}/{appears}.")
    return DONE


def _asked(template: Template, words: Sequence[str]) -> tuple[Settings, list[str], str]:
    """What a launch asks for -> (settings, the template's own options as flags, what will appear below the output)."""
    if template.streaming:
        given = parse_stream(words)
        settings, flags, appears = given.of_job, given.as_flags(), "windows fills window by window"
    else:
        settings = parse(words)
        flags, appears = settings.as_flags(), "manifest.json appears once it is sealed"
    return settings, flags[: len(flags) - len(settings.beam)], appears
