"""The trunk up to inspection: Block -> OpenBlock with rows, then with examples, then with the facts of their images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows
from apache_beam.utils.windowed_value import WindowedValue

from transforms.core.records import Block, OpenBlock
from transforms.dataset.previous import Earlier
from transforms.examples.recipe import Recipe
from transforms.images.inspection import Inspector
from transforms.images.sources import begin_inspection
from transforms.inputs.csv_table import TableReader
from transforms.inputs.lines import read_block
from transforms.inputs.rows import build_examples
from transforms.steps.open_block_coder import quiet_collector
from transforms.storage import patiently


@dataclass(kw_only=True)
class ReadRows(beam.PTransform):
    """Block -> OpenBlock with rows.

    Args:
      key: names a block (receipts.BlockKeys).
      tables: reads blocks that are no lines; its `max_line_bytes` holds for lines too.
    """

    key: Callable[[Block], str]
    tables: TableReader

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[OpenBlock]:
        return blocks | "Read rows" >> beam.ParDo(_ReadRows(self)).with_output_types(OpenBlock)


class _ReadRows(beam.DoFn):
    def __init__(self, options: ReadRows) -> None:
        self._key, self._tables = options.key, options.tables

    def setup(self) -> None:
        quiet_collector()

    def process(self, block: Block) -> Iterator[OpenBlock]:
        yield patiently(read_block, block, self._key, self._tables)


@dataclass(kw_only=True)
class BuildExamples(beam.PTransform):
    """Rows -> examples that obey the rules.

    Args:
      seed: keys ids.
      check_types: conforming image subtypes under --verify none, else None.
      sample_below: examples of a higher rank are left out before their images are looked at (--sample FRACTION).
      recipe: makes examples of rows that are not Gemini's; None if there are none.
      part_resolution: whether the model takes a media resolution for each image.
    """

    seed: bytes
    check_types: tuple[str, ...] | None
    sample_below: int
    recipe: Recipe | None = None
    part_resolution: bool = False

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Build" >> beam.Map(
            build_examples, self.seed, self.check_types, self.sample_below, self.recipe, self.part_resolution
        ).with_output_types(OpenBlock)


@dataclass(kw_only=True)
class InspectImages(beam.PTransform):
    """Give every example its sources, and every source its facts.

    Args:
      inspector: how closely.
      earlier: the night before, whose facts hold for images that have not changed.
    """

    inspector: Inspector
    earlier: Earlier | None = None

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Inspect" >> beam.ParDo(_Inspect(self)).with_output_types(OpenBlock)


class _Inspect(beam.DoFn):
    """A block with reads under way is held until the next one's have begun: storage is never waited for at a block's end."""

    def __init__(self, options: InspectImages) -> None:
        self._inspector, self._earlier = options.inspector, options.earlier

    def start_bundle(self) -> None:
        self._held: list[Callable[[], OpenBlock]] = []

    def process(self, opened: OpenBlock) -> Iterator[OpenBlock]:
        reading, finish = begin_inspection(opened, self._inspector, self._earlier)
        yield from self._finish()
        if reading:
            self._held.append(finish)
        else:
            yield finish()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from map(GlobalWindows.windowed_value, self._finish())

    def _finish(self) -> Iterator[OpenBlock]:
        while self._held:
            yield self._held.pop()()
