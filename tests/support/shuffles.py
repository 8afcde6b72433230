"""What crosses a shuffle: lay out a job, weigh what goes into each grouping, run it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.metrics import Metrics, MetricsFilter
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.pvalue import PCollection

from beam_jobs.graph import build
from beam_jobs.job import Job
from beam_jobs.preflight import beam_options

_NAMESPACE = "shuffles"
_ROOT = 44  # bytes of the path of a job's folder, of which every descriptor of a local file holds some


@dataclass(frozen=True)
class Crossed:
    """What went into one grouping."""

    elements: int
    bytes: int  # of all elements
    largest: int  # bytes of one


class _Groupings(PipelineVisitor):
    """Inputs of every GroupByKey, by the name of the step of ours that it stands in."""

    def __init__(self) -> None:
        self.found: dict[str, PCollection] = {}

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        self.visit_transform(node)

    def visit_transform(self, node: AppliedPTransform) -> None:
        if isinstance(node.transform, beam.GroupByKey):
            label = (
                node.full_label.removesuffix("/GroupByKey")
                .removesuffix("/ReshufflePerKey")
                .removesuffix("/CombinePerKey")
            )
            self.found[label] = node.inputs[0]


class _Weigh(beam.DoFn):
    """Bytes of what goes into a grouping, as if the job's folder had a name of _ROOT bytes."""

    def __init__(self, label: str, root: bytes) -> None:
        self._label, self._root, self._coder = label, root, FastPrimitivesCoder()

    def process(self, element: Any) -> None:
        data = self._coder.encode(element)
        size = len(data) - data.count(self._root) * (len(self._root) - _ROOT)
        Metrics.distribution(_NAMESPACE, self._label).update(size)


def weigh_shuffles(plan: Job, root: Path) -> dict[str, Crossed]:
    """Run a job below `root` on this machine -> what went into each grouping; those that nothing reached are left out."""
    pipeline = beam.Pipeline(options=beam_options(plan.settings))
    build(pipeline, plan)
    groupings = _Groupings()
    pipeline.visit(groupings)
    for label, elements in groupings.found.items():
        _ = elements | f"Weigh {label}" >> beam.ParDo(_Weigh(label, os.fsencode(root)))
    result = pipeline.run()
    result.wait_until_finish()
    told = result.metrics().query(MetricsFilter().with_namespace(_NAMESPACE))["distributions"]
    weights = {one.key.metric.name: one.committed for one in told}
    return {
        label: Crossed(weights[label].count, weights[label].sum, weights[label].max)
        for label in groupings.found
        if label in weights
    }
