"""The end of the trunk: examples are split and assigned, images published, and the block is committed: OpenBlock -> Receipt."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import apache_beam as beam

from transforms.core.counters import COUNTERS, NAMESPACE
from transforms.core.limits import PROFILES
from transforms.core.records import OpenBlock, Receipt
from transforms.dataset import block_files
from transforms.dataset.receipts import Ledgers
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.examples.splits import Splits
from transforms.examples.tally import assign_splits, close_ledger, split_examples
from transforms.images.orders import Fitter
from transforms.images.publishing import publish_images
from transforms.steps.billing import billed
from transforms.storage import patiently

_LOG = logging.getLogger(__name__)


@dataclass(kw_only=True)
class SplitExamples(beam.PTransform):
    """Examples -> pieces of at most `max_images` images; counts tokens.

    Args:
      max_images: an example may hold.
      on_too_many_images: split | reject.
      on_too_many_tokens: warn | reject.
      model: the profile that estimates tokens.
    """

    max_images: int
    on_too_many_images: str
    on_too_many_tokens: str
    model: str

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Split" >> beam.Map(
            split_examples,
            self.max_images,
            self.on_too_many_images == "split",
            self.on_too_many_tokens == "reject",
            PROFILES[self.model],
        ).with_output_types(OpenBlock)


@dataclass(kw_only=True)
class AssignSplits(beam.PTransform):
    """By the example's id, or by a column's value (`split_by`), or as a column (`split_column`) or names of its files say."""

    splits: Splits
    seed: bytes
    split_by: str = ""
    split_column: str = ""
    names: SplitNames = NO_NAMES

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Assign" >> beam.Map(
            assign_splits, self.splits, self.seed, self.split_by, self.split_column, self.names
        ).with_output_types(OpenBlock)


@dataclass(kw_only=True)
class PublishImages(beam.PTransform):
    """Write into every example where its images are and what they are; settles each reference's fate."""

    fitter: Fitter
    warn_types: tuple[str, ...]

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Publish" >> beam.Map(publish_images, self.fitter, self.warn_types).with_output_types(OpenBlock)


@dataclass(kw_only=True)
class CommitBlocks(beam.PTransform):
    """OpenBlock -> Receipt, as it stands in storage.

    Args:
      ledgers: where.
      caps: what ids a receipt must carry (block_files.packed_ids).
    """

    ledgers: Ledgers
    caps: block_files.Caps

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[Receipt]:
        return (
            blocks
            | "Commit" >> beam.Map(billed(self.ledgers.access, commit_block), self.ledgers, self.caps)
            | "Count what is committed" >> beam.Map(count)
        )


def commit_block(opened: OpenBlock, ledgers: Ledgers, caps: block_files.Caps) -> Receipt:
    close_ledger(opened)
    parts = list(block_files.parts(opened))
    receipt = patiently(ledgers.commit, opened, parts, block_files.packed_ids(opened, caps))
    first, lines = opened.block.extents[0], sum(part.lines for part in receipt.parts if part.kind in block_files.SPLITS)
    _LOG.debug("%s from %d: %d lines, %d rejected", first.uri, first.start, lines, len(opened.rejections))
    return receipt


def count(receipt: Receipt) -> Receipt:
    """Add a receipt to the Beam metrics, under the manifest's names."""
    for name, value in receipt.counters:
        if name in COUNTERS:
            beam.metrics.Metrics.counter(NAMESPACE, name).inc(value)
    return receipt
