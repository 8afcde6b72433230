"""The trunk up to inspection: Block -> OpenBlock with rows, then with examples, then with the facts of their images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.core.records import Block, OpenBlock
from transforms.examples.recipe import Recipe
from transforms.images.inspection import Inspector
from transforms.images.sources import KnownImages, begin_inspection, inspect_images
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.row_function import RowFunction
from transforms.inputs.rows import build_examples
from transforms.steps.billing import StorageDoFn
from transforms.steps.open_block_coder import quiet_collector
from transforms.steps.writer import Writer
from transforms.storage.api import USUAL, Access


@dataclass(kw_only=True)
class ReadRows(beam.PTransform):
    """Block -> OpenBlock with rows.

    Args:
      key: names a block (receipts.BlockKeys).
      tables: reads blocks that are no lines; its `max_line_bytes` holds for lines too.
      writer: stages images that stand in rows.
    """

    key: Callable[[Block], str]
    tables: TableReader
    writer: Writer

    def expand(self, blocks: beam.PCollection[Block]) -> beam.PCollection[OpenBlock]:
        return blocks | "Read rows" >> beam.ParDo(_ReadRows(self.writer.access, self.call)).with_output_types(OpenBlock)

    @property
    def call(self) -> Callable[[Block], OpenBlock]:
        return partial(self.writer.read, key=self.key, tables=self.tables)


class _ReadRows(StorageDoFn):
    def __init__(self, access: Access, read: Callable[[Block], OpenBlock]) -> None:
        super().__init__(access)
        self._read = read

    def setup(self) -> None:
        super().setup()
        quiet_collector()

    def process(self, block: Block) -> Iterator[OpenBlock]:
        yield self._read(block)


@dataclass(kw_only=True)
class BuildExamples(beam.PTransform):
    """Rows -> examples that obey the rules.

    Args:
      seed: keys ids.
      check_types: conforming image subtypes under --verify none, else None.
      sample_below: examples of a higher rank are left out before their images are looked at (--sample FRACTION).
      recipe: makes examples of rows that are not Gemini's; None if there are none.
      part_resolution: whether the model takes a media resolution for each image.
      function: makes rows of rows before they become examples (--transform).
    """

    seed: bytes
    check_types: tuple[str, ...] | None
    sample_below: int
    recipe: Recipe | None = None
    part_resolution: bool = False
    function: RowFunction | None = None

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Build" >> beam.Map(self.call).with_output_types(OpenBlock)

    @property
    def call(self) -> Callable[[OpenBlock], OpenBlock]:
        return partial(
            build_examples,
            seed=self.seed,
            check_types=self.check_types,
            sample_below=self.sample_below,
            recipe=self.recipe,
            part_resolution=self.part_resolution,
            function=self.function,
        )


@dataclass(kw_only=True)
class InspectImages(beam.PTransform):
    """Give every example its sources, and every source its facts.

    Args:
      inspector: how closely.
      known: what a night before, or a stream, found of images: it holds for those that have not changed.
    """

    inspector: Inspector
    known: KnownImages | None = None
    access: Access = USUAL

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Inspect" >> beam.ParDo(_Inspect(self)).with_output_types(OpenBlock)

    @property
    def call(self) -> Callable[[OpenBlock], OpenBlock]:
        return partial(inspect_images, inspector=self.inspector, known=self.known)


class _Inspect(StorageDoFn):
    """A block with reads under way is held until the next one's have begun: storage is never waited for at a block's end.

    It goes on in the window that it came in, which need not be that of the next.
    """

    def __init__(self, options: InspectImages) -> None:
        super().__init__(options.access)
        self._inspector, self._known = options.inspector, options.known

    def start_bundle(self) -> None:
        self._held: list[WindowedValue] = []  # of what finishes a block

    def process(
        self,
        opened: OpenBlock,
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[OpenBlock | WindowedValue]:
        reading, finish = begin_inspection(opened, self._inspector, self._known)
        yield from self._finish()
        if reading:
            self._held.append(WindowedValue(finish, timestamp, (window,)))
        else:
            yield finish()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        yield from self._finish()

    def _finish(self) -> Iterator[WindowedValue]:
        while self._held:
            held = self._held.pop()
            yield held.with_value(held.value())
