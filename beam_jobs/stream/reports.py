"""A report beside each window that is sealed, as `tuneset prepare` writes one; without pictures it takes some 50 ms."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from beam_jobs.job import Job
from beam_jobs.report.page.writing import write_report
from transforms.arrivals.panes import Pane
from transforms.storage.api import StorageError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class WindowReports:
    """Writes the reports of a stream's windows. job: the stream's."""

    job: Job

    def write(self, pane: Pane, manifest: Mapping[str, Any]) -> None:
        """Write one. The window is sealed, whatever becomes of its report."""
        job = self.job
        settings = replace(job.settings, output=pane.folder, image_folder=job.image_folder)
        try:
            write_report(Job(settings, job.claim, job.remote), manifest)
        except StorageError as error:
            _LOG.warning("%s has no report: %s", pane.name, error)
