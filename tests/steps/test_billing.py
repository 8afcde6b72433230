"""Which project is billed: every step that asks storage says it itself, in a process that knows nothing of the launcher's."""

from __future__ import annotations

import subprocess
import sys

import apache_beam as beam
import pytest
from apache_beam.internal import pickler
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from step_labels import EVERYTHING

from beam_jobs.graph import build
from beam_jobs.job import Job
from beam_jobs.settings import parse
from transforms.dataset.claim import Claim
from transforms.steps.billing import StorageDoFn, billed
from transforms.storage.api import Access, access

PAYER = Access("payer")
# What asks storage nothing: it computes from what it is given.
PURE = {
    "All but lines", "All images fitted", "Assign", "Boundaries", "Build", "Count what is committed", "Count what is done",
    "Damaged parts", "In order", "Key by image", "Kinds that are listed", "Name files", "Named validation", "One of each", "Publish",
    "Report", "Reused or not", "Sample ids", "Cut sample", "Cut validation", "Split", "Their places", "To segments", "Tonight's files",
    "What became of it", "Validation ids",
}  # fmt: skip


class _Steps(PipelineVisitor):
    """Collects the DoFns of the steps that our own code names, by the last part of their labels."""

    def __init__(self) -> None:
        self.found: dict[str, beam.DoFn] = {}

    def visit_transform(self, node: AppliedPTransform) -> None:
        if node.parent is not None and type(node.parent.transform).__name__ == "_MultiParDo":  # of with_outputs
            self.found[node.parent.full_label.rpartition("/")[2]] = node.transform.fn
        ours = node.parent is not None and type(node.parent.transform).__module__.startswith(
            ("beam_jobs.", "transforms.")
        )
        top = node.parent is not None and node.parent.parent is None
        if isinstance(node.transform, beam.ParDo) and (ours or top):
            self.found[node.full_label.rpartition("/")[2]] = node.transform.fn

    def enter_composite_transform(self, node: AppliedPTransform) -> None:
        self.visit_transform(node)


def test_whatever_asks_storage_in_a_worker_says_who_is_billed() -> None:
    pipeline = beam.Pipeline()
    settings = parse(["--input", "/in/a.jsonl", "--output", "/out", "--user_project", "payer-1", *EVERYTHING])
    build(pipeline, Job(settings, Claim("run", 1, False), False))
    steps = _Steps()
    pipeline.visit(steps)

    said, silent = set(), set()
    for label, step in steps.found.items():
        called = getattr(step, "_fn", None)
        called = getattr(called, "_argspec_fn", called)  # beneath what Map makes of it
        if isinstance(step, StorageDoFn):
            assert step._access == Access("payer-1"), label
            said.add(label)
        elif hasattr(called, "__wrapped__"):
            assert called.__closure__[0].cell_contents == Access("payer-1"), label
            said.add(label)
        else:
            silent.add(label)

    assert sorted(silent) == sorted(PURE)
    assert {
        "Look for receipts",
        "Hold",
        "One night's blocks",
        "Cut blocks",
        "Read rows",
        "Inspect",
        "Fit",
        "Commit",
        "Join files",
        "Write manifest",
        "Sweep",
    } <= said


class _Told(StorageDoFn):
    def process(self, element: None) -> list[str]:
        return [access().user_project]


@pytest.mark.parametrize("kind", ["a DoFn", "a call"])
def test_a_process_that_knows_nothing_bills_the_project_of_its_step(kind: str) -> None:
    """As a worker does it: the step is unpickled, set up and given an element. To unpickle alone has no effect."""
    step = _Told(PAYER) if kind == "a DoFn" else billed(PAYER, lambda _: access().user_project)
    run = "step.setup(); told = step.process(None)[0]" if kind == "a DoFn" else "told = step(None)"
    worker = f"""
import sys
sys.path[:0] = {[*sys.path]!r}
from apache_beam.internal import pickler
from transforms.storage.api import access
step = pickler.loads({pickler.dumps(step)!r})
before = access().user_project
{run}
print([before, told, access().user_project])
"""
    done = subprocess.run([sys.executable, "-c", worker], capture_output=True, text=True, check=True)
    assert done.stdout == "['', 'payer', 'payer']\n"
    assert access() == Access()
