"""A stream on Dataflow: Beam's own source of Pub/Sub before the same trunk, in a job that outlives the command."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from beam_jobs.options import OptionError
from beam_jobs.preflight import runner_of, template_location
from beam_jobs.report.screen import job_id
from beam_jobs.settings import Settings
from beam_jobs.stream.engine import streaming_options
from beam_jobs.stream.fronts import wanted_of, watcher_of
from beam_jobs.stream.graph import StreamJob, windows_of
from beam_jobs.stream.options import StreamSettings
from transforms.steps.announced import ListOnce, ReadAnnounced

SLACK_S = 10  # for which a window stays open after its end: as long may the announcement of an upload take


def is_native(settings: Settings) -> bool:
    """Whether a stream is worked by a service, and not from here."""
    return runner_of(settings) == "DataflowRunner"


def check_native(options: StreamSettings) -> None:
    """Raises OptionError for what a stream on Dataflow cannot do."""
    settings, own = options.of_job, options.of_stream
    if not own.subscription:
        raise OptionError("--runner DataflowRunner: a stream there takes what a --subscription announces: name one")
    if own.stop_after >= 0:
        raise OptionError(
            "--stop_after is for a stream that this command drains: on Dataflow, `gcloud dataflow jobs drain` does"
        )
    recipe = settings.recipe
    if recipe and any(name.partition(".")[0] == "sidecar" for name in recipe.columns):
        raise OptionError(
            "--runner DataflowRunner: {sidecar} is waited for in rounds alone: leave --runner out, or let the uploader tell words as "
            "{metadata.key}"
        )


def build_native(pipeline: beam.Pipeline, stream: StreamJob, since: int) -> beam.PCollection[str]:
    """Lay out the job -> the folder of each pane, once it is done.

    Args:
      since: microseconds since 1970, before which nothing is taken that lies there when the job begins. A stream that goes on lists
        all from then on: so what a job that was cancelled had acknowledged is found again.
    """
    own, access = stream.own, stream.job.access
    arrivals = pipeline | "Announced" >> ReadAnnounced(
        subscription=own.subscription, wanted=wanted_of(stream), slack=SLACK_S, access=access
    )
    if own.watch and (not since or stream.job.claim.resumed):
        listed = pipeline | "There before" >> ListOnce(
            watcher=watcher_of(stream),
            output=stream.output,
            seconds=own.window,
            since=since,
            slack=SLACK_S,
            access=access,
        )
        arrivals = (arrivals, listed) | "Arrivals" >> beam.Flatten()
    return arrivals | "Stream" >> windows_of(stream, None, slack=SLACK_S, late=True)


def submit(stream: StreamJob, since: int) -> Any:
    """Submit the job, or write it where a template's launcher wants it -> what Beam says of it."""
    pipeline = beam.Pipeline(options=streaming_options(stream.job.settings))
    build_native(pipeline, stream, since)
    return pipeline.run()


def submitted(result: Any, settings: Settings) -> str:
    """What is said of a job that was submitted."""
    place, job = template_location(settings), job_id(result)
    windows = f"Sealed windows appear in {settings.output}/windows."
    if place or not job:
        return f"Wrote the job to {place}. {windows}" if place else f"Submitted. {windows}"
    cloud = PipelineOptions(list(settings.beam)).view_as(GoogleCloudOptions)
    drain = f"gcloud dataflow jobs drain {job} --project {cloud.project} --region {cloud.region}"
    return f"Submitted as job {job}. {windows} To end it, so that open windows are sealed part-filled: {drain}"
