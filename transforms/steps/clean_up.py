"""Sweep as a step: once the manifest is written, what the seal no longer needs is deleted."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.dataset.sweep import sweep_folder
from transforms.steps.billing import billed
from transforms.storage import patiently
from transforms.storage.api import USUAL, Access


@dataclass(kw_only=True)
class SweepBlocks(beam.PTransform):
    """Manifest written -> what the seal no longer needs is deleted. Never in one stage with the seal."""

    folder: str
    run: str
    keep_blocks: bool
    access: Access = USUAL

    def expand(self, sealed: beam.PCollection[str]) -> beam.PCollection[None]:
        return sealed | "Sealed" >> beam.Reshuffle() | "Sweep" >> beam.Map(billed(self.access, self._sweep))

    def _sweep(self, _: str) -> None:
        patiently(sweep_folder, self.folder, self.run, self.keep_blocks)
