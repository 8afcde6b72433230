"""The writer of a trial: the trunk runs as in the job, and nothing is written. Its receipts tell what blocks would come to.

Images that stand in rows are looked at in memory. What would be rewritten is counted as such: how, only the attempt tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import apache_beam as beam

from transforms.core.records import Block, FitOrder, Fitted, ImageFacts, OpenBlock, Part, Receipt
from transforms.dataset import block_files
from transforms.examples.tally import close_ledger
from transforms.images.inspection import HEAD, Inspector, look_at_bytes
from transforms.images.orders import ImageRewriter
from transforms.images.sources import drop_after_inspection
from transforms.images.staging import staged_uri
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.lines import read_block
from transforms.steps.writer import Orders, used_orders
from transforms.storage import patiently
from transforms.storage.api import Access

REASON, WARNING, SPLIT, SPLIT_BYTES = "reason ", "warning ", "lines ", "bytes "  # of a tally's names
WRITES, READS = "writes", "reads"
REWRITE, REWRITE_BYTES, STAGE = "images to rewrite", "bytes to rewrite", "images to stage"


@dataclass
class _Looking:
    """In place of a Stager: looks at images that stand in rows, and keeps what it found instead of them."""

    folder: str
    inspector: Inspector
    facts: dict[str, ImageFacts] = field(default_factory=dict)

    def __call__(self, data: bytes) -> tuple[str, str]:
        uri, name, _ = staged_uri(self.folder, data)
        if self.inspector.verify != "none" and uri not in self.facts:
            self.facts[uri] = look_at_bytes(uri, data, self.inspector)
        return uri, name


@dataclass(frozen=True)
class TrialWriter:
    """Writes nothing: no block waits for images, and its receipts stand nowhere."""

    rewriter: ImageRewriter

    @property
    def access(self) -> Access:
        return self.rewriter.receipt_store.access

    @property
    def copier(self) -> None:
        return None

    def read(self, block: Block, key: Callable[[Block], str], tables: TableReader) -> OpenBlock:
        looking = _Looking(self.rewriter.image_folder, self.rewriter.inspector)
        opened = patiently(read_block, block, key, replace(tables, stage=looking))
        opened.facts.update(looking.facts)
        return opened

    def hold(self, opened: OpenBlock) -> tuple[OpenBlock, Orders]:
        opened = drop_after_inspection(opened, self.rewriter.inspector.on_bad_image)
        orders = used_orders(opened, self.rewriter)
        for source, order in orders.items():
            opened.fitted[source] = self._promised(order)
        return opened, orders

    def _promised(self, order: FitOrder) -> Fitted:
        """In place of an outcome. How long a rewritten image is, and of which type, is not known: most are JPEG."""
        facts = order.facts
        kind, size, fate = (facts.type, facts.size, "untouched") if order.stage else ("jpeg", 0, "rewritten")
        return Fitted(self.rewriter.image_uri(order.key, kind), kind, size, facts.width, facts.height, fate)

    def fit(self, order: FitOrder) -> None:
        pass

    def commit(self, opened: OpenBlock) -> Receipt:
        """The receipt that a job would put, if nothing about a rewritten image hindered it, and requests as two counters more."""
        close_ledger(opened)
        parts = [Part(kind, "", len(data), lines, 0) for kind, data, lines in block_files.parts(opened) if lines]
        looked = [facts for facts in opened.facts.values() if facts.size]
        counters = opened.counters
        counters[READS] = len(opened.block.extents) + sum(1 + (facts.size > HEAD) for facts in looked)
        counters[WRITES] = len(parts) + bool(opened.fitted) + 1  # its facts, and the receipt
        reasons = Counter(rejection.reason for rejection in opened.rejections)
        return Receipt(
            key=opened.key,
            order=opened.block.order,
            epoch=0,
            heals=False,
            parts=tuple(parts),
            lines=tuple(opened.lines),
            counters=tuple(counters.items()),
            reasons=tuple(reasons.items()),
            warnings=tuple((code, *counted) for code, counted in opened.warnings.counts.items()),
        )


class TallyTrial(beam.PTransform):
    """(Receipts, each distinct FitOrder) of a trial's trunk -> one tally of them all, as a Counter."""

    def expand(self, inputs: tuple[beam.PCollection[Receipt], beam.PCollection[FitOrder]]) -> beam.PCollection[Counter]:
        receipts, orders = inputs
        blocks = receipts | "Tally blocks" >> beam.Map(tally_block)
        images = orders | "Tally images" >> beam.Map(tally_image)
        return (blocks, images) | "All tallies" >> beam.Flatten() | "Add up" >> beam.CombineGlobally(_Sum())


def tally_block(receipt: Receipt) -> Counter[str]:
    """The ledger of a block, and what it would take."""
    tally = Counter(dict(receipt.counters))
    tally.update({REASON + reason: number for reason, number in receipt.reasons})
    tally.update({WARNING + code: number for code, number, _ in receipt.warnings})
    for part in receipt.parts:
        if part.kind in block_files.SPLITS:
            tally.update({SPLIT + part.kind: part.lines, SPLIT_BYTES + part.kind: part.size})
    return tally


def tally_image(order: FitOrder) -> Counter[str]:
    """What one distinct image would take: itself read, and written with its outcome."""
    work = {STAGE: 1} if order.stage else {REWRITE: 1, REWRITE_BYTES: order.facts.size}
    return Counter({READS: 1, WRITES: 2} | work)


class _Sum(beam.CombineFn):
    def create_accumulator(self) -> Counter[str]:
        return Counter()

    def add_input(self, mutable_accumulator: Counter[str], element: Counter[str]) -> Counter[str]:
        mutable_accumulator.update(element)
        return mutable_accumulator

    def merge_accumulators(self, accumulators: Iterable[Counter[str]]) -> Counter[str]:
        return sum(accumulators, Counter())

    def extract_output(self, accumulator: Counter[str]) -> Counter[str]:
        return accumulator
