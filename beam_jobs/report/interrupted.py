"""What is said to whoever interrupted a run: what is kept, and the command that goes on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from beam_jobs.job import Job

# Each was for the run that has ended. (Options may be written with hyphens.)
_ONCE = ("--overwrite", "--take_over", "--take-over")


def how_to_go_on(plan: Job) -> str:
    """What is kept of the work, as far as workers on this machine told; then the command, in a line of its own."""
    numbers = plan.counts.total()
    blocks = numbers["blocks_skipped"] + numbers["blocks_committed"]
    images = numbers["images_rewritten"] + numbers["images_staged"]
    kept = f", {blocks:,} of {numbers['blocks_listed']:,} blocks" if blocks else ""
    kept += f", and {images:,} images that were rewritten or copied" if images else ""
    return f"What was committed is kept{kept}. To go on from there:\n  {command_again('prepare', plan.settings.words)}"


def command_again(name: str, words: Sequence[str]) -> str:
    """A command as a shell takes it, without what was for the run that has ended."""
    return shlex.join(["tuneset", name, *(word for word in words if word not in _ONCE)])
