"""Sealed windows -> receipts, as if each were a block of one dataset: what `tuneset merge` hands to the seal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import apache_beam as beam

from transforms.arrivals.merging import SealedWindow, WindowReader
from transforms.core.records import Receipt
from transforms.dataset.receipts import from_parts
from transforms.dataset.resplit import Resplitter
from transforms.dataset.shared_images.edges import Joining
from transforms.dataset.shared_images.hashes import LookedAt
from transforms.steps.billing import billed
from transforms.steps.image_groups import GroupByImages
from transforms.steps.running_counts import NOT_WATCHED, RunningCounts
from transforms.storage.api import Access


@dataclass(kw_only=True)
class ReadWindows(beam.PTransform):
    """SealedWindows -> Receipts; `reader` makes them, and each window is counted as a block that is committed."""

    reader: WindowReader
    access: Access
    counts: RunningCounts = NOT_WATCHED

    def expand(self, windows: beam.PCollection[SealedWindow]) -> beam.PCollection[Receipt]:
        return (
            windows
            | "Spread windows" >> beam.Reshuffle()
            | "Read windows" >> beam.FlatMap(billed(self.access, self._receipts)).with_output_types(Receipt)
        )

    def _receipts(self, window: SealedWindow) -> Iterable[Receipt]:
        receipts = from_parts(lambda: list(self.reader.receipts(window)))
        self.counts.add(blocks_committed=1)
        return receipts


@dataclass(kw_only=True)
class SplitByImages(beam.PTransform):
    """Receipts of windows -> the same with other splits, so that lines of any windows which share an image stand in one.

    Args:
      resplitter: looks at lines, and writes them anew.
      joining: what joins examples.
    """

    resplitter: Resplitter
    joining: Joining
    access: Access

    def expand(self, receipts: beam.PCollection[Receipt]) -> beam.PCollection[Receipt]:
        look, resplit = self.resplitter.look, self.resplitter.resplit
        looks = receipts | "Look at lines" >> beam.Map(
            billed(self.access, lambda receipt: from_parts(look, receipt))
        ).with_output_types(LookedAt)
        keyed = receipts | "Windows by key" >> beam.Map(lambda receipt: (receipt.key, receipt))
        grouping = GroupByImages(folder=self.resplitter.folder, joining=self.joining, access=self.access)
        return (
            (keyed, looks)
            | "Group" >> grouping
            | "Split anew"
            >> beam.MapTuple(
                billed(self.access, lambda receipt, groups: from_parts(resplit, receipt, groups))
            ).with_output_types(Receipt)
        )
