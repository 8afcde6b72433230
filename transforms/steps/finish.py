"""The end of the trunk: examples are split and assigned, images published, and the block is committed: OpenBlock -> Receipt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import apache_beam as beam

from transforms.core.counters import COUNTERS, NAMESPACE
from transforms.core.limits import PROFILES
from transforms.core.records import OpenBlock, Receipt
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.examples.splits import Splits
from transforms.examples.tally import assign_splits, split_examples
from transforms.images.orders import ImageRewriter
from transforms.images.publishing import publish_images
from transforms.steps.billing import billed
from transforms.steps.writer import Writer


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
        return blocks | "Split" >> beam.Map(self.call).with_output_types(OpenBlock)

    @property
    def call(self) -> Callable[[OpenBlock], OpenBlock]:
        return partial(
            split_examples,
            max_images=self.max_images,
            may_split=self.on_too_many_images == "split",
            reject_tokens=self.on_too_many_tokens == "reject",
            profile=PROFILES[self.model],
        )


@dataclass(kw_only=True)
class AssignSplits(beam.PTransform):
    """By the example's id, or by a column's value (`split_by`), or as a column (`split_column`) or names of its files say."""

    splits: Splits
    seed: bytes
    split_by: str = ""
    split_column: str = ""
    names: SplitNames = NO_NAMES

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Assign" >> beam.Map(self.call).with_output_types(OpenBlock)

    @property
    def call(self) -> Callable[[OpenBlock], OpenBlock]:
        return partial(
            assign_splits,
            splits=self.splits,
            seed=self.seed,
            split_by=self.split_by,
            split_column=self.split_column,
            names=self.names,
        )


@dataclass(kw_only=True)
class PublishImages(beam.PTransform):
    """Write into every example where its images are and what they are; settles each reference's fate."""

    rewriter: ImageRewriter
    warn_types: tuple[str, ...]

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Publish" >> beam.Map(publish_images, self.rewriter, self.warn_types).with_output_types(
            OpenBlock
        )


@dataclass(kw_only=True)
class CommitBlocks(beam.PTransform):
    """OpenBlock -> Receipt, as it stands in storage.

    Args:
      writer: commits.
    """

    writer: Writer

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[Receipt]:
        commit = billed(self.writer.access, self.writer.commit)
        return blocks | "Commit" >> beam.Map(commit) | "Count what is committed" >> beam.Map(count)


def count(receipt: Receipt) -> Receipt:
    """Add a receipt to the Beam metrics, under the manifest's names."""
    for name, value in receipt.counters:
        if name in COUNTERS:
            beam.metrics.Metrics.counter(NAMESPACE, name).inc(value)
    return receipt
