"""Fit images in a stage of their own: blocks with something to fit wait, every distinct image is rewritten exactly once.

    hold      OpenBlock -> blocks that are ready | blocks that wait | fit orders; what inspection found is stored first, and
              what storage then says is what counts
    fit       orders, grouped by key -> outcomes; the image is created only if absent and carries its own facts
    recall    waiting blocks, once every order has its outcome -> OpenBlock with stored facts and fitted images

An outcome is an object too, created only if absent, so that two executions cannot tell two blocks different things.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any

import apache_beam as beam

from transforms.committing import Ledgers
from transforms.core.facts import read_facts
from transforms.core.policy import FittedImage
from transforms.core.reasons import ImageError
from transforms.core.records import Block, FitOrder, Fitted, ImageFacts, OpenBlock
from transforms.examples import drop_bad_images
from transforms.inspection import drop_after_inspection, resolve_images
from transforms.local import LocalStore, open_regular, translate
from transforms.looking import check_opened, unpack
from transforms.orders import Fitter
from transforms.storage import (
    Changed,
    NotFound,
    Stat,
    StorageError,
    Unavailable,
    is_local,
    patiently,
    read_existing,
    store_for,
)

_HEAD = 64 << 10


@dataclass(kw_only=True)
class HoldForFitting(beam.PTransform):
    """OpenBlock -> (ready OpenBlocks, waiting Blocks, FitOrders)."""

    fitter: Fitter

    def expand(
        self, blocks: beam.PCollection[OpenBlock]
    ) -> tuple[beam.PCollection[OpenBlock], beam.PCollection[Block], beam.PCollection[FitOrder]]:
        held = blocks | "Hold" >> beam.ParDo(_Hold(self.fitter)).with_output_types(OpenBlock).with_outputs(
            "waiting", "orders", main="ready"
        )
        return held.ready, held.waiting, held.orders


class _Hold(beam.DoFn):
    def __init__(self, fitter: Fitter) -> None:
        self._fitter = fitter

    def process(self, opened: OpenBlock) -> Iterator[Any]:
        fitter = self._fitter
        wanted = any(fitter.order(facts) for facts in opened.facts.values())
        if wanted:
            opened.facts = patiently(store_facts, opened, fitter.ledgers)
        opened = drop_after_inspection(opened, fitter.inspector.on_bad_image)
        orders = used_orders(opened, fitter) if wanted else {}
        if not orders:
            yield opened
            return
        yield beam.pvalue.TaggedOutput("waiting", opened.block)
        for order in orders.values():
            yield beam.pvalue.TaggedOutput("orders", order)


def used_orders(opened: OpenBlock, fitter: Fitter) -> dict[str, FitOrder]:
    """The orders of the images that examples still use, by source: nothing else is worth a decode."""
    orders: dict[str, FitOrder] = {}
    for example in opened.examples:
        for source in example.sources:
            if source in opened.facts and source not in orders and (order := fitter.order(opened.facts[source])):
                orders[source] = order
    return orders


def _facts_path(key: str, ledgers: Ledgers) -> str:
    return ledgers.path(key, f"{ledgers.epoch}.facts")


def store_facts(opened: OpenBlock, ledgers: Ledgers) -> dict[str, ImageFacts]:
    """Store what inspection found, unless another execution did -> what is stored."""
    path, store = _facts_path(opened.key, ledgers), store_for(ledgers.folder)
    if store.create(path, json.dumps([asdict(facts) for facts in opened.facts.values()]).encode()):
        return opened.facts
    return load_facts(opened.key, ledgers)


def load_facts(key: str, ledgers: Ledgers) -> dict[str, ImageFacts]:
    data, _ = read_existing(_facts_path(key, ledgers))
    return {facts["uri"]: ImageFacts(**facts) for facts in json.loads(data)}


@dataclass(kw_only=True)
class FitImages(beam.PTransform):
    """FitOrders -> keys of the orders that have their outcome in storage, each distinct one worked once.

    Args:
      fitter: policy and places.
      min_ram: resource hint of the stage, such as "4GB"; "" on this machine, where a hint only doubles the worker processes.
    """

    fitter: Fitter
    min_ram: str

    def expand(self, orders: beam.PCollection[FitOrder]) -> beam.PCollection[str]:
        fit = beam.Map(lambda order: patiently(fit_image, order, self.fitter))
        return (
            orders
            | "Key by image" >> beam.Map(lambda order: (order.key, order))
            | "Group equal images" >> beam.GroupByKey()  # (key, [FitOrder])
            | "One of each" >> beam.MapTuple(lambda key, same: next(iter(same)))
            | "Spread images" >> beam.Reshuffle()
            | "Fit" >> (fit.with_resource_hints(min_ram=self.min_ram) if self.min_ram else fit)
        )


def fit_image(order: FitOrder, fitter: Fitter) -> str:
    """Make sure that an order has its outcome -> its key."""
    store, path = store_for(fitter.ledgers.folder), fitter.outcome_path(order.key)
    try:
        store.stat(path)
    except NotFound:
        store.create(path, json.dumps(asdict(_outcome(order, fitter))).encode())
    return order.key


def _outcome(order: FitOrder, fitter: Fitter) -> Fitted:
    facts = order.facts
    made = None if order.stage else _made_before(order, fitter)
    if made:
        return made
    if order.stage and not (is_local(facts.uri) or facts.encoding or is_local(fitter.image_folder)):
        return _copied(order, fitter)
    try:
        if order.stage:
            data = _read_whole(facts, fitter)
            name = blake2b(data, digest_size=16, person=b"tuneset stage").hexdigest()
            image = FittedImage(data, facts.type, facts.width, facts.height, 0, "", 1.0, 0, "untouched")
        else:
            name, pixels = order.key, facts.width * facts.height
            image = fitter.inspector.pool.fit(
                lambda: _read_whole(facts, fitter),
                fitter.policy,
                source=name,
                header_type=facts.type,
                pixels=pixels,
                size=facts.size,
            )
    except (ImageError, StorageError) as error:  # of reading and decoding; a failed write below is an outage
        if isinstance(error, Unavailable) and not is_local(facts.uri):
            raise  # says nothing about the image
        return Fitted(reason=error.reason, detail=str(error))
    uri = fitter.image_uri(name, image.type)
    store_for(uri).create(uri, image.data, f"image/{image.type}")
    size, shape = len(image.data), (image.width, image.height)
    return Fitted(uri, image.type, size, *shape, image.fate, image.quality, image.scale)


def _copied(order: FitOrder, fitter: Fitter) -> Fitted:
    """A conforming object of Cloud Storage beside the dataset: no byte of it passes through here."""
    facts, uri = order.facts, fitter.image_uri(order.key, order.facts.type)
    try:
        store_for(uri).copy(Stat(facts.uri, facts.size, facts.generation), uri)
    except (NotFound, Changed) as error:  # it was there when it was inspected
        return Fitted(reason=error.reason, detail=str(error))
    return Fitted(uri, facts.type, facts.size, facts.width, facts.height, "untouched")


def _made_before(order: FitOrder, fitter: Fitter) -> Fitted | None:
    """What an earlier run made of the same source by the same policy, as the image itself tells it."""
    for type in ("jpeg", "png"):
        uri = fitter.image_uri(order.key, type)
        try:
            head, found = store_for(uri).read(uri, 0, _HEAD)
        except NotFound:
            continue
        told = read_facts(head)
        if told and told.get("source") == order.key:
            return Fitted(
                uri,
                type,
                found.size,
                int(told["width"]),
                int(told["height"]),
                str(told["fate"]),
                int(told["quality"]),
                float(told["scale"]),
            )
    return None


def _read_whole(facts: ImageFacts, fitter: Fitter) -> bytes:
    store = store_for(facts.uri)
    if not isinstance(store, LocalStore):
        data = store.read(facts.uri, generation=facts.generation)[0]
        return unpack(data) if facts.encoding == "gzip" else data
    try:
        with open(open_regular(facts.uri), "rb") as file:
            check_opened(facts.uri, file.fileno(), fitter.inspector.places.readable)
            return store.read_open(facts.uri, file.fileno(), generation=facts.generation)[0]
    except OSError as error:  # it was there when it was inspected
        raise translate(error, facts.uri) from None


@dataclass(kw_only=True)
class TakeFitted(beam.PTransform):
    """Waiting blocks, read and built again -> OpenBlocks with the stored facts and the outcomes of their orders."""

    fitter: Fitter

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Take fitted images" >> beam.Map(take_fitted, self.fitter).with_output_types(OpenBlock)


def take_fitted(opened: OpenBlock, fitter: Fitter) -> OpenBlock:
    opened.facts = patiently(load_facts, opened.key, fitter.ledgers)
    resolve_images(opened, fitter.inspector)
    opened = drop_after_inspection(opened, fitter.inspector.on_bad_image)
    for source, order in used_orders(opened, fitter).items():
        data, _ = patiently(read_existing, fitter.outcome_path(order.key))
        opened.fitted[source] = Fitted(**json.loads(data))
    if any(fitted.reason for fitted in opened.fitted.values()):

        def fault(source: str) -> tuple[str, str]:
            fitted = opened.fitted.get(source)
            return (fitted.reason, fitted.detail) if fitted else ("", "")

        drop_bad_images(opened, fault, fitter.inspector.on_bad_image)
    return opened
