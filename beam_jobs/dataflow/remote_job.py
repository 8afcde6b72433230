"""A job whose workers are elsewhere: what its claim says of it, and what its service says when another launch meets that claim."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from beam_jobs.console import write
from beam_jobs.dataflow.launch import HOST
from beam_jobs.report import progress
from beam_jobs.report.pace import clock
from beam_jobs.report.progress import told_every
from beam_jobs.report.screen import job_id
from beam_jobs.settings import Settings
from transforms.core.counters import NAMESPACE
from transforms.dataset.claim import Answer, RemoteJob

_TIMEOUT_S = 15.0
_CONSOLE = "https://console.cloud.google.com/dataflow/jobs"
_ENDED = ("JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_DRAINED")
# Counters that are told of a job under way, in words.
_TOLD = {
    "examples_read": "examples",
    "images_seen": "references to images",
    "examples_rejected": "rejected",
}
_Told = TypeVar("_Told")
_WORD = re.compile(
    r"[\w.:-]{1,200}", re.ASCII
)  # of a project, a region or a job: a claim is read from storage, and printed


def job_of(result: Any, settings: Settings) -> RemoteJob:
    """What a claim says of a job that was submitted: how its service can be asked; nothing if it cannot."""
    cloud = PipelineOptions(list(settings.beam)).view_as(GoogleCloudOptions)
    if not job_id(result):
        return {}
    return {"service": "dataflow", "id": job_id(result), "project": cloud.project, "region": cloud.region}


def ask_after(job: RemoteJob, settings: Settings) -> Answer:
    """Ask Dataflow after a job of a claim.

    Where the service is, and as whom it is asked, comes from this command's options and never from the claim.
    """
    names = [str(job.get(name, "")) for name in ("service", "id", "project", "region")]
    if names[0] != "dataflow" or not all(map(_WORD.fullmatch, names)):
        return Answer(False, "")
    _, job_id, project, region = names
    where = f"{job_id} --project {project} --region {region}"
    state, error = _state_of(job, settings)
    if not state:
        return Answer(
            False,
            f"It is the Dataflow job {job_id}, which could not be asked after ({error}). If `gcloud dataflow jobs describe {where}` "
            "says that it has ended, add --take_over.",
        )
    return Answer(
        state in _ENDED,
        f"It is the Dataflow job {job_id}, in {state}. Wait for it, choose another --output, or end it: "
        f"gcloud dataflow jobs cancel {where}",
    )


def _state_of(job: RemoteJob, settings: Settings) -> tuple[str, str]:
    """The state of a job, as Dataflow calls it, by a client of its own; or "", and why it could not be asked."""
    from google.cloud import dataflow_v1beta3 as dataflow

    def ask(client: Any) -> str:
        request = dataflow.GetJobRequest(job_id=job["id"], project_id=job["project"], location=job["region"])
        return str(client.get_job(request, timeout=_TIMEOUT_S, retry=None).current_state.name)

    state, error = _asked(dataflow.JobsV1Beta3Client, ask, settings)
    return state or "", error


def _counters_of(job: RemoteJob, settings: Settings) -> Counter[str]:
    """What blocks of a job have counted so far, as far as Dataflow tells."""
    from google.cloud import dataflow_v1beta3 as dataflow

    def ask(client: Any) -> Counter[str]:
        request = dataflow.GetJobMetricsRequest(job_id=job["id"], project_id=job["project"], location=job["region"])
        counted = Counter[str]()
        for update in client.get_job_metrics(request, timeout=_TIMEOUT_S, retry=None).metrics:
            context = update.name.context
            if (
                context.get("namespace") == NAMESPACE
                and "tentative" not in context
                and isinstance(update.scalar, int | float)
            ):
                counted[update.name.name] += int(update.scalar)
        return counted

    return _asked(dataflow.MetricsV1Beta3Client, ask, settings)[0] or Counter()


def _asked(client: Any, ask: Callable[[Any], _Told], settings: Settings) -> tuple[_Told | None, str]:
    """What a service of Dataflow answers, or why it could not be asked.

    Args:
      client: the class of its client.
    """
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError

    cloud = PipelineOptions(list(settings.beam)).view_as(GoogleCloudOptions)
    endpoint = (cloud.dataflow_endpoint or "").rstrip("/")
    credentials = AnonymousCredentials() if cloud.no_auth else None
    try:
        made = client(credentials=credentials, transport="rest", client_options={"api_endpoint": endpoint or HOST})
        return ask(made), ""
    except (GoogleAPICallError, GoogleAuthError, RetryError, OSError) as error:
        return None, str(error)


@contextmanager
def remote_progress(job: RemoteJob, settings: Settings, out: TextIO) -> Iterator[None]:
    """While the context lasts, tell where a job of ours can be looked at, and every ten seconds its state and what it has counted.

    Args:
      job: as `job_of` tells it; of one that cannot be asked after nothing is told.
    """
    if not job or settings.quiet:
        yield
        return
    began = time.monotonic()

    def tell() -> None:
        state, error = _state_of(job, settings)
        said = state.removeprefix("JOB_STATE_").lower() or f"Dataflow could not be asked ({error})"
        counted = _counters_of(job, settings)
        facts = [f"{counted[name]:,} {words}" for name, words in _TOLD.items() if counted[name]]
        write(out, f"  {clock(time.monotonic() - began)}  {'  '.join(filter(None, (said, ', '.join(facts))))}\n")

    write(out, f"Dataflow job {job['id']}: {_CONSOLE}/{job['region']}/{job['id']}?project={job['project']}\n")
    with told_every(progress.PAUSE_S, tell):
        yield
