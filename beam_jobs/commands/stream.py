"""`tuneset stream`: claim the folder, take rounds until it is told to stop, say what came of it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from contextlib import closing

from beam_jobs import console
from beam_jobs.commands.prepare import not_begun, set_up_log, take
from beam_jobs.dataflow.remote_job import job_of
from beam_jobs.exit_status import DONE, FAILED, WRONG
from beam_jobs.image_folders import check_image_folder, settle_image_folder
from beam_jobs.job import Job
from beam_jobs.options import OptionError
from beam_jobs.preflight import runner_of, template_location
from beam_jobs.report import screen
from beam_jobs.report.progress import stderr_alone
from beam_jobs.report.shortages import allow_files
from beam_jobs.signals import first_stop_drains
from beam_jobs.stream.begin import checked, settle_begin
from beam_jobs.stream.engine import ENGINES, run_on_engine
from beam_jobs.stream.fronts import front_of
from beam_jobs.stream.graph import StreamJob
from beam_jobs.stream.live import LiveLine
from beam_jobs.stream.native import is_native, submit, submitted
from beam_jobs.stream.options import StreamSettings, parse_stream
from beam_jobs.stream.reports import WindowReports
from beam_jobs.stream.rounds import Rounds
from beam_jobs.stream.tally import NewPanes, Tally
from transforms.arrivals.panes import remove_unfinished
from transforms.core.output_names import CLAIM, STREAM, WORK
from transforms.core.warning_codes import as_lines
from transforms.dataset.claim import Claim, Claimed, hand_over_claim, release_claim, still_ours
from transforms.dataset.heartbeat import Heartbeat
from transforms.dataset.sharing import is_private
from transforms.storage import exists, store_for
from transforms.storage.api import NoAccess, StorageError, Unavailable


def stream(argv: Sequence[str]) -> int:
    """Work what arrives until it is stopped -> exit status: 0 all of it is sealed or rejected, 1 failed, 2 wrong options."""
    allow_files()
    try:
        given = parse_stream(argv)
        set_up_log(given.of_job.verbose)
        options, told = checked(given)
        check_image_folder(Job(options.of_job, Claim("", 0, False), remote=is_native(options.of_job)))
    except (NoAccess, Unavailable) as error:
        console.complain(str(error))
        return FAILED
    except (OptionError, StorageError) as error:
        console.complain(str(error))
        return WRONG
    if told:
        console.say("\n".join([*told, ""]))
    return _run_claimed(options)


def _run_claimed(options: StreamSettings) -> int:
    """Claim the folder and stream into it -> exit status. The claim ends with the stream."""
    settings, run = options.of_job, uuid.uuid4().hex[:12]
    output, begun, goes_on = settings.output, False, False
    try:
        claim = take(settings, run)
        with Heartbeat(output, run) as heartbeat:
            fresh = not (claim.resumed or exists(f"{output}/{STREAM}"))
            since = settle_begin(options)
            job = Job(settings, claim, remote=is_native(settings))
            settle_image_folder(job, fresh=fresh)
            if claim.resumed:
                remove_unfinished(output, job.image_folder if is_private(job.image_folder, output) else "")
            stream, begun = StreamJob(job, options.of_stream), True
            if is_native(settings):
                with stderr_alone(settings.verbose):
                    result = submit(stream, since)
                goes_on = True
                heartbeat.stop()
                hand_over_claim(output, run, {} if template_location(settings) else job_of(result, settings))
                console.say(submitted(result, settings))
                return DONE
            tally = _stream(stream, since)
        _leave(output, run)
    except OptionError as error:
        console.complain(str(error))
        return WRONG
    except KeyboardInterrupt:
        console.complain("ended at once. What is sealed stays; the same command goes on with the rest.")
        return FAILED
    except Exception as error:  # an engine's, which wraps what its workers raise
        if isinstance(error, Claimed) or (isinstance(error, StorageError) and not begun):
            console.complain(not_begun(output, error))
            return FAILED
        if settings.verbose:
            console.show_traceback(error)
        more = "" if settings.verbose else " --verbose shows Beam's own messages."
        console.complain(
            f"stopped. {screen.cause(error)} What is sealed stays; the same command goes on with the rest.{more}"
        )
        return FAILED
    finally:
        if not goes_on:
            release_claim(output, run)  # if it is there still
    console.say(_closing(output, tally))
    return FAILED if tally.unsealed else DONE


def _stream(stream: StreamJob, since: int) -> Tally:
    settings = stream.job.settings
    watched = [name for name in (stream.own.watch, stream.own.subscription) if name]
    console.say(
        f"Watching {' and '.join(watched)} in windows of {stream.own.window} s; sealed ones appear in {stream.output}/windows. Ctrl-C "
        "drains: open windows are sealed part-filled."
    )
    tally = Tally()
    panes = NewPanes(stream.output, tally, console.say, WindowReports(stream.job).write)
    with stderr_alone(settings.verbose) as out, first_stop_drains() as stop, LiveLine(out, tally, stop):
        if runner_of(settings) in ENGINES:
            run_on_engine(stream, since, stop, panes, tally)
        else:
            with closing(front_of(stream, since)) as front:
                Rounds(stream, front, since, stop, panes, tally).run()
    return tally


def _leave(output: str, run: str) -> None:
    """Leave nothing behind that only a stream under way needs."""
    work = f"{output}/{WORK}"
    store, claim = store_for(work), f"{output}/{CLAIM}"
    if still_ours(output, run):
        store.delete(file.uri for file in store.list(work) if file.uri != claim)
        store.delete([claim])
        store.remove_empty(work)


def _closing(output: str, tally: Tally) -> str:
    """What is said of a stream that has drained."""
    windows = screen.count(tally.sealed, "window")
    more = [
        f"{tally.late:,} of them late" if tally.late else "",
        f"{tally.part_filled:,} part-filled" if tally.part_filled else "",
        f"{tally.unsealed:,} not sealed, as too much of them was rejected: see their unsealed.json"
        if tally.unsealed
        else "",
    ]
    names = {"doubles": "of what was announced before", "other": "of nothing new", "garbage": "of nothing known"}
    more += [
        f"{screen.count(number, 'message')} {names[name]}" for name, number in sorted(tally.counts.items()) if number
    ]
    told = "; ".join([f"{windows} sealed", *filter(None, more)])
    left_out = as_lines(tally.left_out.warnings.notices())
    if not tally.arrivals:
        told += ". Nothing arrived that is new and is read: files of rows are and, with --prompt, images, in what --watch names"
    return "\n".join([f"Drained {output}: {screen.count(tally.arrivals, 'arrival')}, {told}.", *left_out])
