"""`tuneset prepare`: check the options against the world, claim the folder, run the job, say what came of it."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems
from apache_beam.runners.runner import PipelineState

from beam_jobs import console
from beam_jobs.commands.preview import run_trial
from beam_jobs.dataflow.remote_job import ask_after, job_of, remote_progress
from beam_jobs.engines import NoEngine, check_engine
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.graph import build
from beam_jobs.image_folders import check_image_folder, settle_image_folder
from beam_jobs.job import Job
from beam_jobs.manifests import differences, read_manifest
from beam_jobs.nights import choose_night
from beam_jobs.options import OptionError
from beam_jobs.preflight import (
    beam_options,
    check_apart,
    check_beam_options,
    check_buckets,
    check_folders,
    is_remote,
    look_at_inputs,
    on_this_machine,
    runner_of,
    template_location,
)
from beam_jobs.report import screen
from beam_jobs.report.interrupted import how_to_go_on
from beam_jobs.report.page.writing import write_report
from beam_jobs.report.progress import Progress, stderr_alone, watched_counts
from beam_jobs.report.second_thoughts import second_thoughts
from beam_jobs.report.shortages import allow_files
from beam_jobs.settings import Settings, parse
from beam_jobs.signals import INTERRUPTED
from transforms.core.output_names import CLAIM, FAILURE, MANIFEST, WORK
from transforms.core.warning_codes import as_lines, model_notices
from transforms.dataset.claim import (
    Answer,
    Claim,
    Claimed,
    RemoteJob,
    hand_over_claim,
    release_claim,
    still_ours,
    take_claim,
)
from transforms.dataset.heartbeat import Heartbeat
from transforms.dataset.sweep import owned_files, remove_dataset, sweep_folder
from transforms.storage import exists, store_for
from transforms.storage.api import Forbidden, NoAccess, NotFound, StorageError, Unavailable, set_access


def prepare(argv: Sequence[str]) -> int:
    """Run the batch job -> exit status: 0 sealed (or submitted, with --no_wait), 1 failed, 2 wrong options."""
    allow_files()
    try:
        settings = on_this_machine(parse(argv))
        set_up_log(settings.verbose)
        check_beam_options(settings)
        set_access(settings.access)
        FileSystems.set_options(beam_options(settings))  # of schemes that Beam reads
        remote = is_remote(settings)
        check_folders(settings, remote)
        settings = replace(settings, asked=settings.as_asked())
        trial = bool(settings.preview or settings.dry_run)
        if not trial and (manifest := asked_before(settings)):
            console.say(screen.sealed_before(manifest, settings))
            return DONE
        check_engine(runner_of(settings), beam_options(settings))
        settings, told = look_at_inputs(settings)
        told += as_lines(model_notices(settings.profile))
        if trial:
            check_apart(settings)
            check_image_folder(Job(settings, Claim("", 0, False), remote))
            console.say("\n".join([*told, ""]))
            return run_trial(Job(settings, Claim("", 0, False), remote))
        told += as_lines(notices := check_buckets(settings))
        settings = replace(settings, notices=(*settings.notices, *notices))
        manifest = sealed_before(settings)
        if manifest is None:
            settings, nights = choose_night(settings)
            check_apart(settings)
            told += nights
            check_image_folder(Job(settings, Claim("", 0, False), remote))
    except (Claimed, NoAccess, NoEngine, Unavailable) as error:
        console.complain(str(error))
        return FAILED
    except (OptionError, StorageError) as error:
        console.complain(str(error))
        return WRONG
    if manifest is not None:
        console.say(screen.sealed_before(manifest, settings))
        return DONE
    if told:
        console.say("\n".join([*told, ""]))
    return run_claimed(settings, remote)


def run_claimed(settings: Settings, remote: bool) -> int:
    """Claim the folder and run the job -> exit status. Unless a job goes on elsewhere, the claim ends with it."""
    output, run = settings.output, uuid.uuid4().hex[:12]
    submitted = False

    def note_submission(job: RemoteJob) -> None:
        nonlocal submitted
        submitted = True
        heartbeat.stop()
        hand_over_claim(output, run, job)

    try:
        plan = begin(settings, run, remote)
        with watched_counts() as counts, Heartbeat(output, run) as heartbeat:
            plan = plan if remote else replace(plan, counts=counts)
            try:
                return run_job(plan, note_submission)
            except KeyboardInterrupt as stop:
                return failed(KeyboardInterrupt(str(stop) or INTERRUPTED), plan)
            except Exception as error:  # an engine's, which wraps what its workers raise
                return failed(error, plan)
    except (Claimed, StorageError) as error:
        console.complain(not_begun(output, error))
        return FAILED
    finally:
        if not submitted:
            release_claim(output, run)  # if it is there still


def not_begun(output: str, error: Claimed | StorageError) -> str:
    """What is said of a folder that could not be claimed."""
    if isinstance(error, NotFound | Forbidden):
        return f"{output} cannot be written to: choose a folder that can. ({error})"
    return str(error) if isinstance(error, Claimed) else screen.cause(error)


def take(settings: Settings, run: str) -> Claim:
    """As `take_claim`, by what a command says."""

    def ask(job: RemoteJob) -> Answer:
        return ask_after(job, settings)

    return take_claim(settings.output, run, take_over=settings.take_over, ask=ask)


def begin(settings: Settings, run: str, remote: bool) -> Job:
    """Claim the output folder and settle where images go; with --overwrite, remove what the folder holds.

    Raises:
      Claimed: another job has the folder, has just sealed it, or deletes images that this one might count on.
    """
    output = settings.output
    claim = take(settings, run)
    plan, sealed = Job(settings, claim, remote), exists(f"{output}/{MANIFEST}")
    if sealed and not settings.overwrite:
        raise Claimed(f"Another job sealed {output} just now: look at it, or add --overwrite.")
    settle_image_folder(plan, fresh=not (claim.resumed or sealed))
    if settings.overwrite:
        remove_dataset(output)
    store_for(output).delete([f"{output}/{WORK}/{FAILURE}"])  # of an earlier run
    return plan


def set_up_log(verbose: bool) -> None:
    """Beam's log is for its own developers: a person reads one paragraph, unless --verbose asks for more."""
    logging.getLogger().setLevel(logging.INFO if verbose else logging.CRITICAL)
    logging.getLogger("apache_beam.typehints").setLevel(logging.ERROR)  # a line for each annotation


def run_job(plan: Job, note_submission: Callable[[RemoteJob], None]) -> int:
    """Lay out the job, run or submit it, and wait for its end -> exit status.

    Args:
      note_submission: called once a job elsewhere no longer needs this process.
    """
    settings = plan.settings
    hidden = plan.remote or settings.quiet
    with (
        stderr_alone(settings.verbose) as out,
        Progress(plan.counts, hidden=hidden, out=out, live=not settings.verbose),
    ):
        pipeline = beam.Pipeline(options=beam_options(settings))
        build(pipeline, plan)
        result = pipeline.run()
        template = template_location(settings)
        job = {} if template or not plan.remote else job_of(result, settings)
        if plan.remote:
            note_submission(job)
        if settings.no_wait or template:
            console.say(screen.submitted(result, settings, template))
            return DONE
        try:
            with remote_progress(job, settings, out):
                result.wait_until_finish()
        except KeyboardInterrupt:
            if not plan.remote:
                raise
            console.write(out, f"tuneset: {screen.left_running(result, settings)}\n")
            return FAILED
        except Exception as error:
            if result.state == PipelineState.CANCELLED:
                raise RuntimeError("The job was cancelled") from error
            raise
        finally:
            if plan.remote and PipelineState.is_terminal(result.state):
                release_claim(settings.output, plan.claim.run)  # if it is there still
    manifest = json.loads(store_for(settings.output).read(f"{settings.output}/{MANIFEST}")[0])
    console.say("\n".join(filter(None, (screen.sealed(manifest, settings), reported(plan, manifest)))))
    return DONE


def reported(plan: Job, manifest: dict[str, Any]) -> str:
    """Make the report -> what is said of it. The dataset is sealed, whatever becomes of the report."""
    try:
        page = write_report(plan, manifest)
    except StorageError as error:
        return f"The dataset is whole, but its report could not be made: {error}"
    return f"To look at it: {page}" if page else ""


def failed(error: BaseException, plan: Job) -> int:
    """Tell a person what became of the work, though the job ended with an error, in one paragraph -> exit status."""
    settings, run = plan.settings, plan.claim.run
    if settings.verbose:
        console.show_traceback(error)
    state, said_after = "not sealed", list[str]()
    try:
        sealed_by = run_that_sealed(settings.output)
        if still_ours(settings.output, run):
            if sealed_by:
                state = "sealed, but not swept"
                reason = (
                    f"{screen.cause(error)} The dataset is whole: the same command removes what it no longer needs."
                )
            else:
                reason = json.loads(store_for(settings.output).read(f"{settings.output}/{WORK}/{FAILURE}")[0])[
                    "unsealed"
                ]
                said_after = second_thoughts(settings)
        elif sealed_by == run:
            console.complain(f"sealed {settings.output}. Only what came after that failed: {screen.cause(error)}")
            return DONE
        else:  # whatever the error was, this is what led to it
            reason = f"Another job took {settings.output} over; this one leaves it as it is."
    except (StorageError, ValueError, LookupError, TypeError):
        reason = screen.cause(error)
        if reason.startswith(INTERRUPTED):
            reason += f" {how_to_go_on(plan)}"
        else:
            if "--overwrite" not in reason:
                reason += " What was committed is kept: the same command goes on from where this run stopped."
            reason += "" if settings.verbose else " --verbose shows Beam's own messages."
    console.complain(" ".join([f"{state}. {reason}", *said_after]))
    return FAILED


def run_that_sealed(output: str) -> str:
    """The run of the manifest in a folder; "" if there is none."""
    try:
        manifest = json.loads(store_for(output).read(f"{output}/{MANIFEST}")[0])
    except NotFound:
        return ""
    return str(manifest["run"]["id"])


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
    now = Job(settings, Claim("", 0, False), remote=False).dataset
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
        foreign = owned_files(output)
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
    now = Job(settings, Claim("", 0, False), remote=False).dataset
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
    output, run = settings.output, uuid.uuid4().hex[:12]
    if exists(f"{output}/{CLAIM}"):
        try:
            take(settings, run)
            with Heartbeat(output, run):
                sweep_folder(output, run, settings.keep_blocks)
        finally:
            release_claim(output, run)  # if it is there still
    store_for(output).remove_empty(f"{output}/{WORK}")  # the sweep's last step, if it died before it
