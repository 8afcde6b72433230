"""Skip what is committed: Block -> its receipt, of this run, of one that died or of an earlier night; or the block, to be worked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam

from transforms.core.records import Block, Receipt
from transforms.dataset.previous import Damaged, PreviousDataset
from transforms.dataset.receipts import BlockKeys, ReceiptStore
from transforms.steps.billing import StorageDoFn
from transforms.steps.finish import count
from transforms.steps.running_counts import NOT_WATCHED, RunningCounts
from transforms.storage import patiently


@dataclass(kw_only=True)
class SkipCommitted(beam.PTransform):
    """Blocks -> (receipts of those that are committed, the other blocks, damaged parts): resume, always on.

    An earlier night's receipts count too, if there is one. A part is told by its URI; its block is among the others.

    Args:
      counted_as: what a block that is skipped is counted as.
    """

    receipt_store: ReceiptStore
    key: BlockKeys
    earlier: PreviousDataset | None = None
    counts: RunningCounts = NOT_WATCHED
    counted_as: str = "blocks_skipped"

    def expand(
        self, blocks: beam.PCollection[Block]
    ) -> tuple[beam.PCollection[Receipt], beam.PCollection[Block], beam.PCollection[str]]:
        found = blocks | "Look for receipts" >> beam.ParDo(_Find(self)).with_outputs("open", "damaged", main="done")
        return found.done | "Count what is done" >> beam.Map(count), found.open, found.damaged


class _Find(StorageDoFn):
    def __init__(self, options: SkipCommitted) -> None:
        super().__init__(options.receipt_store.access)
        self._receipt_store, self._key, self._earlier = options.receipt_store, options.key, options.earlier
        self._counts, self._counted_as = options.counts, options.counted_as

    def process(self, block: Block) -> Iterator[Any]:
        key = self._key(block)
        receipt = patiently(self._receipt_store.find, block, key)
        if receipt is None and self._earlier:
            try:
                receipt = patiently(self._earlier.find, block, key)
            except Damaged as error:
                yield beam.pvalue.TaggedOutput("damaged", error.part)
        if receipt:
            self._counts.add(**{self._counted_as: 1})
            yield receipt
        else:
            yield beam.pvalue.TaggedOutput("open", block)
