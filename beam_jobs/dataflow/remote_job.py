"""A job whose workers are elsewhere: what its claim says of it, and what its service says when another launch meets that claim."""

from __future__ import annotations

import re
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from beam_jobs.dataflow.launch import HOST
from beam_jobs.report.screen import job_id
from beam_jobs.settings import Settings
from transforms.dataset.claim import Answer, RemoteJob

_TIMEOUT_S = 15.0
_ENDED = ("JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_DRAINED")
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
    from google.api_core.exceptions import GoogleAPICallError, RetryError
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.cloud import dataflow_v1beta3 as dataflow

    names = [str(job.get(name, "")) for name in ("service", "id", "project", "region")]
    if names[0] != "dataflow" or not all(map(_WORD.fullmatch, names)):
        return Answer(False, "")
    _, job_id, project, region = names
    where = f"{job_id} --project {project} --region {region}"
    cloud = PipelineOptions(list(settings.beam)).view_as(GoogleCloudOptions)
    endpoint = (cloud.dataflow_endpoint or "").rstrip("/")
    try:
        client = dataflow.JobsV1Beta3Client(
            credentials=AnonymousCredentials() if cloud.no_auth else None,
            transport="rest",
            client_options={"api_endpoint": endpoint or HOST},
        )
        request = dataflow.GetJobRequest(job_id=job_id, project_id=project, location=region)
        state = client.get_job(request, timeout=_TIMEOUT_S, retry=None).current_state.name
    except (GoogleAPICallError, GoogleAuthError, RetryError, OSError) as error:
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
