"""Look at blocks before any is worked, and work them by what the looks found (--split_by image).

KeepLooks    OpenBlock after inspection -> the receipt of its look
TakeLooks    OpenBlock with examples -> the same with the facts of its look, in the place of inspection
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import apache_beam as beam

from transforms.core.records import OpenBlock, Receipt
from transforms.dataset.looks import commit_look, parse_facts
from transforms.dataset.receipts import ReceiptStore, from_parts
from transforms.images.inspection import Inspector
from transforms.images.second_looks import take_respelled
from transforms.images.sources import resolve_images
from transforms.steps.billing import billed
from transforms.steps.running_counts import NOT_WATCHED, RunningCounts, count_looks
from transforms.storage import patiently, store_for
from transforms.storage.api import Access


@dataclass(kw_only=True)
class KeepLooks(beam.PTransform):
    """OpenBlock after inspection -> the receipt of its look, as it stands in storage; `looks` keeps it."""

    inspector: Inspector
    looks: ReceiptStore
    counts: RunningCounts = NOT_WATCHED

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[Receipt]:
        keep = partial(
            commit_look,
            looks=self.looks,
            rejects=self.inspector.on_bad_image != "drop_image",
            verified=self.inspector.verify != "none",
        )

        def keep_and_count(opened: OpenBlock) -> Receipt:
            receipt = patiently(keep, opened)
            count_looks(opened, self.counts)
            return receipt

        return blocks | "Keep looks" >> beam.Map(billed(self.looks.access, keep_and_count)).with_output_types(Receipt)


@dataclass(kw_only=True)
class TakeLooks(beam.PTransform):
    """Give every example its sources, and every source the facts that the look at its block found."""

    inspector: Inspector
    access: Access

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        take = billed(self.access, take_look)
        return blocks | "Take looks" >> beam.Map(take, self.inspector).with_output_types(OpenBlock)


def take_look(opened: OpenBlock, inspector: Inspector) -> OpenBlock:
    groups = opened.block.groups
    assert groups, "a block that nobody looked at"
    if groups.facts:
        opened.facts = parse_facts(from_parts(store_for(groups.facts).read, groups.facts)[0])
    resolve_images(opened, inspector)
    take_respelled(opened, inspector.places.root)
    return opened
