"""Try blocks: Block -> what would become of it, and nothing is written. Everything is done but the rewriting of images.

Images that stand in rows are looked at in memory. What would be rewritten is counted as such: how, only the attempt tells.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace

import apache_beam as beam

from transforms.core.limits import Profile
from transforms.core.records import Block, FitOrder, ImageFacts, OpenBlock
from transforms.dataset.block_files import SPLITS
from transforms.examples.gemini_rules import output_line
from transforms.examples.recipe import Recipe
from transforms.examples.splits import Splits
from transforms.examples.tally import assign_splits, close_ledger, split_examples
from transforms.images.inspection import HEAD, Inspector, look_at_bytes
from transforms.images.orders import Fitter
from transforms.images.sources import drop_after_inspection, inspect_images
from transforms.images.staging import staged_uri
from transforms.inputs.csv_table import TableReader
from transforms.inputs.lines import read_block
from transforms.inputs.rows import build_examples
from transforms.storage import patiently

REASON, SPLIT, SPLIT_BYTES, WRITES, READS = "reason ", "lines ", "bytes ", "writes", "reads"  # of a tally's names
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


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What blocks are tried with: the same parts as those of the job."""

    key: Callable[[Block], str]
    tables: TableReader
    recipe: Recipe | None
    fitter: Fitter
    profile: Profile
    seed: bytes
    check_types: tuple[str, ...] | None
    sample_below: int
    max_images: int
    on_too_many_images: str
    on_too_many_tokens: str
    splits: Splits
    split_by: str
    split_column: str

    def open(self, block: Block, most: int | None = None) -> OpenBlock:
        """A block as far as it goes without writing.

        Args:
          most: examples whose images are looked at; the others are left out.
        """
        inspector = self.fitter.inspector
        looking = _Looking(self.fitter.image_folder, inspector)
        tables = replace(self.tables, stage=looking)
        opened = patiently(read_block, block, self.key, tables)
        each = self.profile.part_resolution
        opened = build_examples(opened, self.seed, self.check_types, self.sample_below, self.recipe, each)
        opened.examples = opened.examples[:most]
        opened.facts.update(looking.facts)
        opened = drop_after_inspection(patiently(inspect_images, opened, inspector), inspector.on_bad_image)
        may_split, reject_tokens = self.on_too_many_images == "split", self.on_too_many_tokens == "reject"
        opened = split_examples(opened, self.max_images, may_split, reject_tokens, self.profile)
        opened = assign_splits(opened, self.splits, self.seed, self.split_by, self.split_column)
        close_ledger(opened)
        return opened

    def orders(self, opened: OpenBlock) -> dict[str, FitOrder]:
        """What would have to be done about images, by source."""
        sources = dict.fromkeys(source for example in opened.examples for source in example.sources)
        facts = ((source, opened.facts[source]) for source in sources if source in opened.facts)
        return {source: order for source, found in facts if (order := self.fitter.order(found))}

    def tally(self, opened: OpenBlock, orders: dict[str, FitOrder]) -> Counter[str]:
        """The ledger of a block, and what it would take."""
        told = Counter(opened.counters)
        told.update(REASON + rejection.reason for rejection in opened.rejections)
        unverified = self.fitter.inspector.verify == "none"
        for example in opened.examples:
            for contents in example.pieces:
                told[SPLIT + example.split] += 1
                told[SPLIT_BYTES + example.split] += len(output_line(example, contents))
            for source in example.sources:
                order = orders.get(source)
                fate = "unverified" if unverified else "rewritten" if order and not order.stage else "untouched"
                told[f"images_{fate}"] += 1
        told["examples_written"] = sum(told[SPLIT + split] for split in SPLITS)
        looked = [facts for facts in opened.facts.values() if facts.size]
        told[READS] += len(opened.block.extents) + sum(1 + (facts.size > HEAD) for facts in looked)
        told[WRITES] += 4 + bool(orders) + bool(opened.rejections)
        return told


@dataclass(kw_only=True)
class TryBlocks(beam.PTransform):
    """Blocks -> one tally of them all, as a Counter."""

    trial: Trial

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[Counter]:
        tried = blocks | "Try" >> beam.ParDo(_Try(self.trial)).with_outputs("orders", main="tallies")
        images = (
            tried.orders
            | "Equal images once" >> beam.CombinePerKey(max)  # (key, (bytes, whether it is only staged))
            | "Tally images" >> beam.Map(tally_image)
        )
        return (tried.tallies, images) | "All tallies" >> beam.Flatten() | "Add up" >> beam.CombineGlobally(_Sum())


class _Try(beam.DoFn):
    def __init__(self, trial: Trial) -> None:
        self._trial = trial

    def process(self, block: Block) -> Iterator[object]:
        opened = self._trial.open(block)
        orders = self._trial.orders(opened)
        yield self._trial.tally(opened, orders)
        for order in orders.values():
            yield beam.pvalue.TaggedOutput("orders", (order.key, (order.facts.size, order.stage)))


def tally_image(keyed: tuple[str, tuple[int, bool]]) -> Counter[str]:
    """What one distinct image would take: itself read, and written with its outcome."""
    size, stage = keyed[1]
    told = Counter({READS: 1, WRITES: 2})
    told.update({STAGE: 1} if stage else {REWRITE: 1, REWRITE_BYTES: size})
    return told


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
