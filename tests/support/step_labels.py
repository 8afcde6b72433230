"""The full names of the steps that our own code names."""

from __future__ import annotations

import apache_beam as beam
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor

from beam_jobs.graph import build
from beam_jobs.job import Job
from beam_jobs.settings import parse
from transforms.dataset.claim import Claim


class _Labels(PipelineVisitor):
    """Collects the full names of the steps that our own code names; what Beam has inside its own is Beam's."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def visit_transform(self, node: AppliedPTransform) -> None:
        if node.parent is not None and (
            node.parent.parent is None
            or type(node.parent.transform).__module__.startswith(("beam_jobs.", "transforms."))
        ):
            self.found.append(node.full_label)

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        if node.parent is not None:  # else it is the pipeline itself
            self.visit_transform(node)


EVERYTHING = (
    *("--sample", "10", "--shuffle_seed", "a", "--previous", "/before", "--image_folder", "/images"),
    *("--uri_prefix", "gs://bucket/data", "--max_validation", "auto"),
)


def labels(*flags: str) -> list[str]:
    pipeline = beam.Pipeline()
    settings = parse(["--input", "/in/a.jsonl", "--output", "/out", *flags])
    build(pipeline, Job(settings, Claim("run", 1, False), False))
    visitor = _Labels()
    pipeline.visit(visitor)
    return visitor.found
