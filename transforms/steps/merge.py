"""Sealed windows -> receipts, as if each were a block of one dataset: what `tuneset merge` hands to the seal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import apache_beam as beam

from transforms.arrivals.merging import SealedWindow, WindowReader
from transforms.core.records import Receipt
from transforms.dataset.receipts import from_parts
from transforms.steps.billing import billed
from transforms.storage.api import Access


@dataclass(kw_only=True)
class ReadWindows(beam.PTransform):
    """SealedWindows -> Receipts; `reader` makes them."""

    reader: WindowReader
    access: Access

    def expand(self, windows: beam.PCollection[SealedWindow]) -> beam.PCollection[Receipt]:
        return (
            windows
            | "Spread windows" >> beam.Reshuffle()
            | "Read windows" >> beam.FlatMap(billed(self.access, self._receipts)).with_output_types(Receipt)
        )

    def _receipts(self, window: SealedWindow) -> Iterable[Receipt]:
        return from_parts(lambda: list(self.reader.receipts(window)))
