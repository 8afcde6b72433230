"""A stream on an engine that streams by itself: one long job whose workers are threads of this process, drained from here.

Prism is started in a session of its own, so that Ctrl-C does not reach it before it has drained.
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace

import apache_beam as beam
from apache_beam.options.pipeline_options import (
    PipelineOptions,
    PrismRunnerOptions,
    StandardOptions,
    TypeOptions,
)

from beam_jobs.engines import check_engine
from beam_jobs.options import OptionError
from beam_jobs.preflight import beam_options, runner_of
from beam_jobs.settings import Settings
from beam_jobs.stream.announcer import EngineAnnouncer
from beam_jobs.stream.fronts import front_of, watcher_of
from beam_jobs.stream.graph import StreamJob, windows_of
from beam_jobs.stream.rounds import SLACK_S
from beam_jobs.stream.tally import NewPanes, Tally
from transforms.arrivals.intake import Intake
from transforms.arrivals.messages import LEASE_S
from transforms.steps import watch
from transforms.steps.watch import TakeAnnounced, WatchFolder
from transforms.storage import abilities

ENGINES = ("PrismRunner", "PortableRunner")
_LOOK_S = 0.5  # between two looks at what is sealed
_PATIENCE_S = 10.0  # for Prism to end
# Runs a command until standard input ends, as it does when this process is killed.
_UNTIL_WE_END = '"$@" & cat > /dev/null; kill $!; wait $!'


def check_streams(runner: str, options: PipelineOptions) -> None:
    """Raises OptionError or NoEngine where an engine cannot be streamed on from here."""
    if runner not in ENGINES:
        raise OptionError(
            f"--runner {runner}: a stream works in this process, on Prism (--runner PrismRunner --prism_location FILE), "
            "on a job server (--runner PortableRunner --job_endpoint HOST:PORT --environment_type LOOPBACK), or on Dataflow"
        )
    if runner == "PrismRunner" and not options.view_as(PrismRunnerOptions).prism_location:
        raise OptionError("--runner PrismRunner: name Prism's program with --prism_location FILE")
    check_engine(runner, options)


def run_on_engine(stream: StreamJob, since: int, stop: threading.Event, panes: NewPanes, tally: Tally) -> None:
    """Run the job until it has drained.

    Args:
      since: microseconds since 1970, before which nothing is taken.
      stop: set once the stream is to drain.
      panes: notes those that are done.
      tally: is told what they took.
    """
    with ExitStack() as until_the_end:
        announcer = None
        if stream.own.subscription:
            front = until_the_end.enter_context(closing(front_of(stream, since)))
            announcer = EngineAnnouncer(front, since, Intake(stream.windows, panes.done.settled), tally)
        watch.announcer = announcer
        _run(stream, since, stop, panes, tally, announcer)


def _run(
    stream: StreamJob,
    since: int,
    stop: threading.Event,
    panes: NewPanes,
    tally: Tally,
    announcer: EngineAnnouncer | None,
) -> None:
    def look() -> None:
        done = panes.look()
        tally.arrivals += sum(done.values())
        if announcer:
            announcer.settle(done)

    watch.drain.clear()
    after = stream.own.stop_after
    ends_by = time.monotonic() + (after if after >= 0 else float("inf"))
    with engine_options(stream) as options:
        pipeline = beam.Pipeline(options=options)
        build_stream(pipeline, stream, since)
        failures = list[Exception]()
        job = threading.Thread(target=_wait, args=(pipeline.run().wait_until_finish, failures), daemon=True)
        job.start()
        while job.is_alive():
            if stop.is_set() or time.monotonic() >= ends_by:
                watch.drain.set()
            look()
            job.join(_LOOK_S)
    look()
    if failures:
        raise failures[0]


def _wait(wait_until_finish: Callable[[], object], failures: list[Exception]) -> None:
    try:
        wait_until_finish()
    except Exception as error:  # an engine's, told by whoever waits for this thread
        failures.append(error)


def build_stream(pipeline: beam.Pipeline, stream: StreamJob, since: int) -> beam.PCollection[str]:
    """Lay out the long job -> the folder of each pane, once it is done."""
    own, access, paths = stream.own, stream.job.access, abilities(stream.own.watch).has_paths
    if own.subscription:
        resumed = stream.job.claim.resumed  # what a dead run had leased comes only after a while
        front: beam.PTransform = TakeAnnounced(
            since=since,
            seconds=own.window,
            slack=SLACK_S[False],
            pause=own.poll_interval,
            hold=time.time() + LEASE_S + SLACK_S[True] if resumed else 0.0,
            access=access,
        )
    else:
        front = WatchFolder(
            watcher=watcher_of(stream),
            output=stream.output,
            seconds=own.window,
            since=since,
            slack=SLACK_S[paths],
            pause=own.poll_interval,
            access=access,
        )
    return pipeline | "Watch" >> front | "Stream" >> windows_of(stream, None)


def streaming_options(settings: Settings) -> PipelineOptions:
    """Beam's options of a job whose input has no end."""
    options = beam_options(settings)
    options.view_as(StandardOptions).streaming = True
    options.view_as(TypeOptions).pipeline_type_check = False
    return options


@contextmanager
def engine_options(stream: StreamJob) -> Iterator[PipelineOptions]:
    """Beam's options for the job; Prism runs as long as the context lasts."""
    settings = stream.job.settings
    if runner_of(settings) != "PrismRunner":
        yield streaming_options(settings)
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    location = beam_options(settings).view_as(PrismRunnerOptions).prism_location
    prism = subprocess.Popen(
        ["sh", "-c", _UNTIL_WE_END, "sh", location, f"--job_port={port}", "--serve_http=false"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        flags = ("--runner=PortableRunner", f"--job_endpoint=localhost:{port}", "--environment_type=LOOPBACK")
        options = streaming_options(replace(settings, beam=(*settings.beam, *flags)))
        check_engine("PortableRunner", options)
        yield options
    finally:
        with suppress(subprocess.TimeoutExpired):
            prism.communicate(timeout=_PATIENCE_S)  # the end of its input
