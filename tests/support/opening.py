"""A job as far as it goes without Beam and without writing."""

from __future__ import annotations

import sys

from beam_jobs.commands.preview import open_block, trial_steps
from beam_jobs.graph import front
from beam_jobs.job import Job
from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms.core.records import OpenBlock
from transforms.dataset.claim import Claim
from transforms.examples.tally import close_ledger
from transforms.steps.listing import listed_blocks


def tried(source: str, *flags: str) -> list[OpenBlock]:
    """The blocks of a job over one input."""
    settings, _ = look_at_inputs(on_this_machine(parse(["--input", source, "--output", f"{source}-out", *flags])))
    plan = Job(settings, Claim("", 0, False), False)
    opened = [open_block(block, trial_steps(plan), sys.maxsize) for block in listed_blocks(front(plan))]
    for block in opened:
        close_ledger(block)
    return opened
