"""Run a check: the job's own front and trunk up to inspection, and then what looks for faults instead of what writes."""

from __future__ import annotations

import json
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import GoogleCloudOptions

from beam_jobs.checking.row_files import Chosen
from beam_jobs.graph import front, trunk_steps
from beam_jobs.job import Job
from beam_jobs.options import OptionError
from beam_jobs.preflight import beam_options, is_remote
from beam_jobs.report.progress import Progress, stderr_alone, watched_counts
from beam_jobs.settings import Settings
from transforms.core.records import Input, OpenBlock
from transforms.dataset.claim import Claim
from transforms.dataset.findings.rows import Expectations
from transforms.images.identity import CHECKSUM, HEAD_AND_TAIL
from transforms.images.inspection import Inspector
from transforms.inputs.registry import DEFAULT
from transforms.steps.check import RESULT, FindFaults, Judge
from transforms.steps.running_counts import count_inspected
from transforms.steps.trial import TrialWriter
from transforms.storage import abilities, store_for
from transforms.storage.api import join_uri
from transforms.storage.uris import CLOUD

_LOOK = 256 << 10  # bytes of rows in which it is seen whether images are objects


@dataclass(frozen=True)
class Check:
    """A check that is ready to run.

    job: whose settings have a scratch folder for an output. across: whether lines are compared with each other.
    """

    job: Job
    chosen: Chosen
    across: bool


def check_of(settings: Settings, chosen: Chosen, across: bool) -> Check:
    """Lay out what has to be read.

    Args:
      settings: of a `prepare` that would write to a scratch folder.
    """
    if chosen.readable and not settings.of_inputs.own_prefixes:
        own = settings.of_inputs.readable
        settings = replace(settings, allow_prefix=(*own, *(folder for folder in chosen.readable if folder not in own)))
    inputs = tuple(Input(file.uri, DEFAULT.name) for file in chosen.files)
    job = Job(replace(settings, inputs=inputs), Claim("", 0, False), is_remote(settings))
    return Check(job, chosen, across)


def inspector_of(check: Check) -> Inspector:
    """The job's, for which only what a row names is there, and which tells equal images."""
    inspector, rows = check.job.inspector, check.chosen.files[0].uri
    if inspector.verify == "none":
        kind = ""
    elif check.chosen.uploads or CLOUD.encode() not in store_for(rows).read(rows, 0, _LOOK)[0]:
        kind = HEAD_AND_TAIL
    else:
        kind = CHECKSUM
    places = replace(inspector.places, uploads=check.chosen.uploads)
    return replace(inspector, places=places, second_looks=False, identify=kind)


def run_check(check: Check) -> Mapping[str, Any]:
    """-> {"findings": [...], "summary": ..., "leaks": [...]}, as steps/check.py makes them."""
    job, settings, inspector = check.job, check.job.settings, inspector_of(check)
    expected = Expectations(
        profile=settings.profile,
        files={file.uri: file.split for file in check.chosen.files},
        across=check.across,
    )
    judge = Judge(
        expected=expected, files=check.chosen.files, inspector=inspector, max_line_bytes=settings.max_line_bytes
    )
    hidden, live = job.remote or settings.quiet, not settings.verbose
    with (
        watched_counts() as counts,
        stderr_alone(settings.verbose) as out,
        Progress(counts, hidden=hidden, out=out, live=live, last="compare"),
    ):
        job = job if job.remote else replace(job, counts=counts)
        steps = trunk_steps(job, TrialWriter(job.rewriter))
        inspect = replace(steps.inspect, inspector=inspector)
        pipeline = beam.Pipeline(options=beam_options(settings))
        blocks, _ = pipeline | "List" >> front(job)
        inspected = blocks | "Read" >> steps.read | "Build" >> steps.build | "Inspect" >> inspect
        inspected = inspected | "Count" >> beam.Map(count_inspected, job.counts).with_output_types(OpenBlock)
        _ = inspected | "Check" >> FindFaults(judge=judge, scratch=settings.output, access=job.access)
        pipeline.run().wait_until_finish()
    result: dict[str, Any] = json.loads(store_for(settings.output).read(f"{settings.output}/{RESULT}")[0])
    return result


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[str]:
    """A folder for hashes of blocks and for what comes back from the workers, which is gone afterwards.

    Raises:
      OptionError: the workers are elsewhere, and no option names a place that they share with this machine.
    """
    if not is_remote(settings):
        folder = tempfile.mkdtemp(prefix="tuneset-check-")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return

    above = beam_options(settings).view_as(GoogleCloudOptions).temp_location or ""
    if not abilities(above).has_buckets:
        raise OptionError(
            "the workers are not on this machine: --temp_location gs://BUCKET/FOLDER is where they leave what they find"
        )
    folder = join_uri(above, f"tuneset-check-{uuid.uuid4().hex[:12]}")
    try:
        yield folder
    finally:
        store = store_for(folder)
        store.delete([file.uri for file in store.list(folder)])
