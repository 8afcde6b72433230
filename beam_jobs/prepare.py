"""`tuneset prepare`: check the options against the world, claim the folder, run the job, say what came of it."""

from __future__ import annotations

import json
import logging
import sys
import traceback
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.runners.runner import PipelineState

from beam_jobs import screen
from beam_jobs.checks import (
    beam_options,
    check_apart,
    check_beam_options,
    check_buckets,
    check_folders,
    is_remote,
    on_this_machine,
    runner_of,
    template_location,
)
from beam_jobs.detection import detect
from beam_jobs.engines import NoEngine, check_engine
from beam_jobs.graph import build
from beam_jobs.manifests import differences, read_manifest
from beam_jobs.nights import choose_night
from beam_jobs.options import OptionError
from beam_jobs.plan import Plan
from beam_jobs.progress import Progress, stderr_alone
from beam_jobs.settings import Settings, parse
from beam_jobs.shortages import allow_files
from beam_jobs.trial import run_trial
from transforms.claiming import CLAIM, Claim, Claimed, release_claim, still_ours, take_claim
from transforms.committing import WORK
from transforms.sealing import FAILURE, MANIFEST
from transforms.storage import Forbidden, NoAccess, NotFound, StorageError, Unavailable, exists, reach, store_for
from transforms.sweeping import OWNED, owned_images, sweep_folder, top_level

SEALED, FAILED, WRONG = 0, 1, 2


def prepare(argv: Sequence[str]) -> int:
    """Run the batch job -> exit status: 0 sealed (or submitted, with --no_wait), 1 failed, 2 wrong options."""
    allow_files()
    try:
        settings = on_this_machine(parse(argv))
        set_up_log(settings.verbose)
        check_beam_options(settings)
        reach(settings.user_project)
        FileSystems.set_options(beam_options(settings))  # of schemes that Beam reads
        remote = is_remote(settings)
        check_folders(settings, remote)
        settings = replace(settings, asked=settings.as_asked())
        trial = bool(settings.preview or settings.dry_run)
        if not trial and (manifest := asked_before(settings)):
            print(screen.sealed_before(manifest, settings))
            return SEALED
        check_engine(runner_of(settings), beam_options(settings))
        settings, told = detect(settings)
        if trial:
            check_apart(settings)
            print("\n".join([*told, ""]), flush=True)
            return run_trial(Plan(settings, Claim("", 0, False), remote))
        manifest = sealed_before(settings)
        if manifest is None:
            settings, nights = choose_night(settings)
            check_apart(settings)
            told += [f"! {warning}" for warning in check_buckets(settings)] + nights
    except (Claimed, NoAccess, NoEngine, Unavailable) as error:
        print(f"tuneset: {error}", file=sys.stderr)
        return FAILED
    except (OptionError, StorageError) as error:
        print(f"tuneset: {error}", file=sys.stderr)
        return WRONG
    try:
        if manifest is not None:
            print(screen.sealed_before(manifest, settings))
            return SEALED
        if told:
            print("\n".join([*told, ""]), flush=True)
        claim = take_claim(settings.output, uuid.uuid4().hex[:12], take_over=settings.take_over, remote=remote)
        if settings.overwrite:
            remove_dataset(settings)
        elif exists(f"{settings.output}/{MANIFEST}"):
            release_claim(settings.output, claim.run)
            raise Claimed(f"Another job sealed {settings.output} just now: look at it, or add --overwrite.")
        store_for(settings.output).delete([f"{settings.output}/{WORK}/{FAILURE}"])  # of an earlier run
    except (Claimed, StorageError) as error:
        if isinstance(error, NotFound | Forbidden):
            print(
                f"tuneset: {settings.output} cannot be written to: choose a folder that can. ({error})", file=sys.stderr
            )
        else:
            print(f"tuneset: {error}", file=sys.stderr)
        return FAILED
    plan = Plan(settings, claim, remote)
    try:
        return run(plan)
    except KeyboardInterrupt:
        return failed(KeyboardInterrupt("It was interrupted"), plan)
    except Exception as error:
        return failed(error, plan)


def set_up_log(verbose: bool) -> None:
    """Beam's log is for its own developers: a person reads one paragraph, unless --verbose asks for more."""
    logging.getLogger().setLevel(logging.INFO if verbose else logging.CRITICAL)
    logging.getLogger("apache_beam.typehints").setLevel(logging.ERROR)  # a line for each annotation


def run(plan: Plan) -> int:
    settings = plan.settings
    with stderr_alone(settings.verbose) as out, Progress(settings.output, hidden=plan.remote, out=out):
        pipeline = beam.Pipeline(options=beam_options(settings))
        build(pipeline, plan)
        result = pipeline.run()
        template = template_location(settings)
        if settings.no_wait or template:
            print(screen.submitted(result, settings, template))
            return SEALED
        try:
            result.wait_until_finish()
        except KeyboardInterrupt:
            if not plan.remote:
                raise
            print(f"tuneset: {screen.left_running(result, settings)}", file=out)
            return FAILED
        except Exception as error:
            if result.state == PipelineState.CANCELLED:
                raise RuntimeError("The job was cancelled") from error
            raise
        finally:
            if plan.remote and PipelineState.is_terminal(result.state):
                release_claim(settings.output, plan.claim.run)  # if it is there still
    manifest = json.loads(store_for(settings.output).read(f"{settings.output}/{MANIFEST}")[0])
    print(screen.sealed(manifest, settings))
    return SEALED


def failed(error: BaseException, plan: Plan) -> int:
    """Tell a person why nothing was sealed, or swept, in one paragraph."""
    settings, claim, state = plan.settings, plan.claim, "not sealed"
    if settings.verbose:
        traceback.print_exception(error)
    try:
        ours = still_ours(settings.output, claim.run)
        if ours and exists(f"{settings.output}/{MANIFEST}"):
            state = "sealed, but not swept"
            reason = f"{screen.cause(error)} The dataset is whole: the same command removes what it no longer needs."
        elif ours:
            reason = json.loads(store_for(settings.output).read(f"{settings.output}/{WORK}/{FAILURE}")[0])["unsealed"]
        else:  # whatever the error was, this is what led to it
            reason = f"Another job took {settings.output} over; this one leaves it as it is."
    except (StorageError, ValueError):
        reason = screen.cause(error)
        if "--overwrite" not in reason:
            reason += " What was committed is kept: the same command goes on from where this run stopped."
        reason += "" if settings.verbose else " --verbose shows Beam's own messages."
    if not plan.remote:  # a job elsewhere may live on
        release_claim(settings.output, claim.run)
    print(f"tuneset: {state}. {reason}", file=sys.stderr)
    return FAILED


def asked_before(settings: Settings) -> dict[str, Any] | None:
    """The manifest, if this very command has sealed the folder already, whatever became since of what it read.

    Raises:
      Claimed: a live job is still sweeping it.
    """
    if settings.overwrite:
        return None
    try:
        manifest = read_manifest(settings.output)
    except NotFound:
        return None
    now = Plan(settings, Claim("", 0, False), remote=False).dataset
    if not manifest or manifest["run"].get("asked") != settings.asked:
        return None
    if any(manifest["dataset"].get(name) != now[name] for name in ("tool", "codecs")):
        return None
    finish_sweep(settings)
    return manifest


def sealed_before(settings: Settings) -> dict[str, Any] | None:
    """The manifest, if other words for this command have sealed the folder already; a sweep that was cut off is finished.

    Raises:
      OptionError: the folder holds another dataset, or files that no claim of ours explains.
      Claimed: a live job is still sweeping it.
    """
    output = settings.output
    try:
        manifest = read_manifest(output)
    except NotFound:
        foreign = [uri for uri in top_level(output) if OWNED.fullmatch(uri[len(output) + 1 :])]
        if foreign and not settings.overwrite and not exists(f"{output}/{CLAIM}"):
            raise OptionError(
                f"{output} holds {foreign[0].rpartition('/')[2]}, which no run of Tuneset explains: choose another "
                "--output, or add --overwrite to replace it"
            ) from None
        return None
    if settings.overwrite:
        return None
    if not manifest:
        raise OptionError(
            f"{output}/{MANIFEST} is damaged, or none of Tuneset's: choose another --output, or add --overwrite to make "
            "the dataset anew"
        )
    now = Plan(settings, Claim("", 0, False), remote=False).dataset
    if other := differences(manifest["dataset"], json.loads(json.dumps(now))):
        raise OptionError(
            f"{output} holds a sealed dataset that another command made ({'; '.join(other)}): choose another --output, or "
            "add --overwrite to make this one anew"
        )
    finish_sweep(settings)
    return manifest


def finish_sweep(settings: Settings) -> None:
    """Remove what a run that died after it had sealed would have removed.

    Raises:
      Claimed: that run still lives.
    """
    output, probe = settings.output, Plan(settings, Claim("", 0, False), remote=False)
    if exists(f"{output}/{CLAIM}"):
        claim = take_claim(output, uuid.uuid4().hex[:12], take_over=settings.take_over, remote=False)
        sweep_folder(output, probe.own_image_folder, claim.run, settings.keep_blocks)
    store_for(output).remove_empty(f"{output}/{WORK}")  # the sweep's last step, if it died before it


def remove_dataset(settings: Settings) -> None:
    """--overwrite: the manifest first, so that nothing half removed looks whole; then what Tuneset owns, and no more."""
    output, store = settings.output, store_for(settings.output)
    store.delete([f"{output}/{MANIFEST}"])
    store.delete(uri for uri in top_level(output) if OWNED.fullmatch(uri[len(output) + 1 :]))
    claim = f"{output}/{CLAIM}"
    store.delete(found.uri for found in store.list(f"{output}/{WORK}") if found.uri != claim)
    if settings.image_folder != f"{output}/images":
        store.delete(owned_images(f"{output}/images"))
