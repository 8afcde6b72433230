"""What the trunk writes, and who writes it: a job's writer puts it into storage, a trial's (trial.py) writes nothing.

The steps do not know which of them they have, so a trial runs every other line of the trunk, with the same options.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from transforms.core.records import Block, FitOrder, ImageFacts, OpenBlock, Receipt
from transforms.dataset import block_files
from transforms.dataset.findings.written import NO_NOTES, Notes
from transforms.dataset.looks import dump_facts, parse_facts
from transforms.dataset.receipts import ReceiptStore
from transforms.examples.tally import close_ledger
from transforms.images.orders import ImageRewriter, fit_image
from transforms.images.sources import drop_after_inspection
from transforms.images.staging import Copier
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.lines import read_block
from transforms.storage import patiently, persistently, read_existing, store_for
from transforms.storage.api import Access

_LOG = logging.getLogger(__name__)

Orders = dict[str, FitOrder]  # by source


class Writer(Protocol):
    """The places of the trunk that write."""

    @property
    def access(self) -> Access:
        """How its steps reach storage."""

    @property
    def copier(self) -> Copier | None:
        """Has images that are named by URL as they are looked at."""

    def read(self, block: Block, key: Callable[[Block], str], tables: TableReader) -> OpenBlock:
        """The rows of a block; images that stand in them are staged."""

    def hold(self, opened: OpenBlock) -> tuple[OpenBlock, Orders]:
        """A block without its unusable images -> what has to be done about the others.

        The block has to wait for those orders whose source it has no outcome of in `fitted`.
        """

    def fit(self, order: FitOrder) -> None:
        """See to it that an order has its outcome."""

    def commit(self, opened: OpenBlock) -> Receipt:
        """What a finished block came to."""


@dataclass(frozen=True)
class StorageWriter:
    """Writes into storage; what storage then says is what counts.

    rewriter: policy and places of images, and where receipts are. caps: what ids a receipt must carry (block_files.packed_ids).
    notes: what blocks note for the findings that the seal tells.
    """

    rewriter: ImageRewriter
    caps: block_files.Caps
    notes: Notes = NO_NOTES

    @property
    def access(self) -> Access:
        return self.rewriter.receipt_store.access

    @property
    def copier(self) -> Copier:
        rewriter = self.rewriter
        return Copier(rewriter.image_folder if rewriter.keep else "", rewriter.receipt_store.folder)

    def read(self, block: Block, key: Callable[[Block], str], tables: TableReader) -> OpenBlock:
        return patiently(read_block, block, key, tables)

    def hold(self, opened: OpenBlock) -> tuple[OpenBlock, Orders]:
        rewriter = self.rewriter
        wanted = any(rewriter.order(facts) for facts in opened.facts.values())
        if wanted:
            opened.facts = patiently(store_facts, opened, rewriter.receipt_store)
        opened = drop_after_inspection(opened, rewriter.inspector.on_bad_image)
        return opened, used_orders(opened, rewriter) if wanted else {}

    def fit(self, order: FitOrder) -> None:
        persistently(fit_image, order, self.rewriter)

    def commit(self, opened: OpenBlock) -> Receipt:
        return commit_block(opened, self.rewriter.receipt_store, self.caps, self.notes)


def used_orders(opened: OpenBlock, rewriter: ImageRewriter) -> Orders:
    """The orders of the images that examples still use: nothing else is worth a decode."""
    orders: Orders = {}
    for example in opened.examples:
        for source in example.sources:
            if source in opened.facts and source not in orders and (order := rewriter.order(opened.facts[source])):
                orders[source] = order
    return orders


def _facts_path(opened: OpenBlock, receipt_store: ReceiptStore) -> str:
    return receipt_store.path(opened.key, f"{receipt_store.epoch}.facts", opened.block.folder)


def store_facts(opened: OpenBlock, receipt_store: ReceiptStore) -> dict[str, ImageFacts]:
    """Store what inspection found, unless another execution did -> what is stored."""
    path = _facts_path(opened, receipt_store)
    if store_for(path).create(path, dump_facts(opened.facts.values())):
        return opened.facts
    return load_facts(opened, receipt_store)


def load_facts(opened: OpenBlock, receipt_store: ReceiptStore) -> dict[str, ImageFacts]:
    data, _ = read_existing(_facts_path(opened, receipt_store))
    return parse_facts(data)


def commit_block(
    opened: OpenBlock, receipt_store: ReceiptStore, caps: block_files.Caps, notes: Notes = NO_NOTES
) -> Receipt:
    close_ledger(opened)
    parts = [*block_files.parts(opened), *notes.part(opened)]
    receipt = patiently(receipt_store.commit, opened, parts, block_files.packed_ids(opened, caps))
    first, lines = opened.block.extents[0], sum(part.lines for part in receipt.parts if part.kind in block_files.SPLITS)
    _LOG.debug("%s from %d: %d lines, %d rejected", first.uri, first.start, lines, len(opened.rejections))
    return receipt
