"""Fit images in a stage of their own: blocks with something to fit wait, every distinct image is rewritten exactly once.

hold      OpenBlock -> blocks that are ready | blocks that wait | fit orders; what inspection found is stored first, and
          what storage then says is what counts
fit       orders, grouped by key -> outcomes; the image is created only if absent and carries its own facts
recall    waiting blocks, once every order has its outcome -> OpenBlock with stored facts and fitted images
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.core.records import Block, FitOrder, Fitted, OpenBlock
from transforms.examples.tally import drop_bad_images
from transforms.images.orders import ImageRewriter
from transforms.images.second_looks import take_respelled
from transforms.images.sources import drop_after_inspection, resolve_images
from transforms.steps.billing import StorageDoFn, billed
from transforms.steps.writer import Writer, load_facts, used_orders
from transforms.storage import patiently, read_existing
from transforms.storage.parallel import overlapped

_TOGETHER = 8  # orders for each that is worked at once: only at their end does one wait for another


@dataclass(kw_only=True)
class HoldForFitting(beam.PTransform):
    """OpenBlock -> (ready OpenBlocks, waiting Blocks by key, FitOrders)."""

    writer: Writer

    def expand(
        self, blocks: beam.PCollection[OpenBlock]
    ) -> tuple[beam.PCollection[OpenBlock], beam.PCollection[tuple[str, Block]], beam.PCollection[FitOrder]]:
        held = blocks | "Hold" >> beam.ParDo(_Hold(self.writer)).with_output_types(OpenBlock).with_outputs(
            "waiting", "orders", main="ready"
        )
        return held.ready, held.waiting, held.orders


class _Hold(StorageDoFn):
    def __init__(self, writer: Writer) -> None:
        super().__init__(writer.access)
        self._writer = writer

    def process(self, opened: OpenBlock) -> Iterator[Any]:
        opened, orders = self._writer.hold(opened)
        if orders.keys() <= opened.fitted.keys():
            yield opened
        else:
            yield beam.pvalue.TaggedOutput("waiting", (opened.key, opened.block))
        for order in orders.values():
            yield beam.pvalue.TaggedOutput("orders", order)


@dataclass(kw_only=True)
class FitImages(beam.PTransform):
    """FitOrders -> the orders that have their outcome, each distinct one worked once.

    Args:
      writer: sees to the outcomes.
      at_once: orders that a process works side by side: while one is decoded another is read or written.
      min_ram: resource hint of the stage, such as "4GB"; "" on this machine, where a hint only doubles the worker processes.
    """

    writer: Writer
    at_once: int
    min_ram: str

    def expand(self, orders: beam.PCollection[FitOrder]) -> beam.PCollection[FitOrder]:
        fit = beam.ParDo(_Fit(self.writer, self.at_once)).with_output_types(FitOrder)
        return (
            orders
            | "Key by image" >> beam.Map(lambda order: (order.key, order))
            | "Group equal images" >> beam.GroupByKey()  # (key, [FitOrder])
            | "One of each" >> beam.FlatMapTuple(first_of)
            | "Spread images" >> beam.Reshuffle()
            | "Fit" >> (fit.with_resource_hints(min_ram=self.min_ram) if self.min_ram else fit)
        )


def first_of(key: str, same: Iterable[FitOrder]) -> Iterable[FitOrder]:
    """One of equal orders; none of the empty panes that some engines send when a window is closed."""
    return islice(same, 1)


class _Fit(StorageDoFn):
    """Some orders of a bundle at once, of whatever windows. (A bundle that is tried again finds the outcomes of those done.)"""

    def __init__(self, writer: Writer, at_once: int) -> None:
        super().__init__(writer.access)
        self._writer, self._at_once = writer, at_once

    def start_bundle(self) -> None:
        self._held: list[WindowedValue] = []

    def process(
        self,
        order: FitOrder,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[WindowedValue]:
        self._held.append(WindowedValue(order, timestamp, (window,)))
        if len(self._held) >= _TOGETHER * self._at_once:
            yield from self._fit()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from self._fit()

    def _fit(self) -> Iterator[WindowedValue]:
        def fit(held: WindowedValue) -> WindowedValue:
            self._writer.fit(held.value)
            return held

        orders, self._held = self._held, []
        return overlapped(fit, orders, self._at_once)


def wait_for_images() -> beam.PTransform:
    """(waiting Blocks by key, what comes after all fitted images) -> the Blocks, once the images of their window are fitted.

    A grouping hands on a window once the watermarks of all that flows into it have passed, so what comes of the images need
    hold no element. (A side input would wait too, but Flink with checkpoints cannot take a snapshot of one.) It is chained of
    Beam's own steps and not a class, so that the labels within it are Beam's.
    """
    return beam.Flatten() | beam.GroupByKey() | beam.FlatMapTuple(lambda key, blocks: blocks).with_output_types(Block)


@dataclass(kw_only=True)
class TakeFitted(beam.PTransform):
    """Waiting blocks, read and built again -> OpenBlocks with the stored facts and the outcomes of their orders."""

    rewriter: ImageRewriter

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Take fitted images" >> beam.Map(
            billed(self.rewriter.receipt_store.access, take_fitted), self.rewriter
        ).with_output_types(OpenBlock)


def take_fitted(opened: OpenBlock, rewriter: ImageRewriter) -> OpenBlock:
    opened.facts = patiently(load_facts, opened, rewriter.receipt_store)
    resolve_images(opened, rewriter.inspector)
    take_respelled(opened, rewriter.inspector.places.root)
    opened = drop_after_inspection(opened, rewriter.inspector.on_bad_image)
    for source, order in used_orders(opened, rewriter).items():
        data, _ = patiently(read_existing, rewriter.outcome_path(order.key))
        opened.fitted[source] = Fitted(**json.loads(data))
    if any(fitted.reason for fitted in opened.fitted.values()):

        def fault(source: str) -> tuple[str, str]:
            fitted = opened.fitted.get(source)
            return (fitted.reason, fitted.detail) if fitted else ("", "")

        drop_bad_images(opened, fault, rewriter.inspector.on_bad_image)
    return opened
