"""List input files and have them cut into blocks: patterns -> Block descriptors, spread over the workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import GlobalWindows

from transforms.core.counters import NAMESPACE
from transforms.core.places import is_text
from transforms.core.records import Block, Input
from transforms.inputs.cutting import Cutter
from transforms.inputs.name_ranges import EVERYTHING, PAGE, Range, cut_names
from transforms.inputs.packing import Skipped
from transforms.inputs.patterns import gives, is_folder, is_glob, list_pattern, static_folder
from transforms.inputs.registry import MEANINGS
from transforms.storage import store_for
from transforms.storage.api import USUAL, Access, Stat
from transforms.storage.parallel import ahead

_AHEAD = 8  # ranges whose names are under way: a page of each, and whether there is another


@dataclass(kw_only=True)
class ListBlocks(beam.PTransform):
    """Patterns -> Block descriptors, spread over the workers.

    Args:
      inputs: a file that the pattern of an earlier one also names is read once, there.
      cutter: makes blocks of files.
      output: files below it are no input.
    """

    inputs: tuple[Input, ...]
    cutter: Cutter
    output: str
    access: Access = USUAL

    def expand(self, root: beam.Pipeline) -> tuple[beam.PCollection[Block], beam.PCollection[int]]:
        """-> (blocks, numbers of files skipped)."""
        listed = (
            root
            | "Patterns" >> beam.Create(list(enumerate(self.inputs)), reshuffle=False)
            | "Spread patterns" >> beam.Reshuffle()
            | "Cut names" >> beam.FlatMap(cut_input, self.output, self.access)
            | "Spread names" >> beam.Reshuffle()
            | "List files" >> beam.ParDo(_ListFiles(self)).with_outputs("skipped", main="files")
        )
        blocks = (
            listed.files
            | "Spread files" >> beam.Reshuffle()
            | "Cut blocks" >> beam.FlatMap(self.cutter.cut)
            | "Spread blocks" >> beam.Reshuffle()
        )
        return blocks, listed.skipped


def cut_input(indexed: tuple[int, Input], output: str, access: Access) -> Iterator[tuple[int, Input, Range]]:
    """An input -> ranges of its names that many workers list at once."""
    index, input = indexed
    many = is_folder(input.pattern) or is_glob(input.pattern)
    folder, without = static_folder(input.pattern), (*input.left_out, output)
    for names in cut_names(store_for(folder), folder, without) if many else [EVERYTHING]:
        yield index, input, names


class _ListFiles(beam.DoFn):
    """Ranges of names -> blocks of whole files. While one range is packed, the names of the next ones are under way."""

    def __init__(self, options: ListBlocks) -> None:
        self._inputs, self._cutter, self._output = options.inputs, options.cutter, options.output

    def start_bundle(self) -> None:
        self._begun: deque[Iterator[Any]] = deque()

    def process(self, some: tuple[int, Input, Range]) -> Iterator[Any]:
        self._begun.append(self.begin(some))
        if len(self._begun) > _AHEAD:
            yield from self._begun.popleft()

    def finish_bundle(self) -> Iterator[Any]:
        for found in chain.from_iterable(self._begun):
            if isinstance(found, beam.pvalue.TaggedOutput):
                yield beam.pvalue.TaggedOutput(found.tag, GlobalWindows.windowed_value(found.value))
            else:
                yield GlobalWindows.windowed_value(found)

    def begin(self, some: tuple[int, Input, Range]) -> Iterator[Any]:
        """What a range comes to; its first names are asked for at once."""
        index, input, _ = some
        skipped = Skipped()
        return self._packed(index, input, ahead(self._wanted(*some, skipped), PAGE + 1, _AHEAD), skipped)

    def _packed(self, index: int, input: Input, names: Iterator[Stat], skipped: Skipped) -> Iterator[Any]:
        yield from self._cutter.pack(index, input, names, skipped)
        if skipped.files:
            beam.metrics.Metrics.counter(NAMESPACE, "files_skipped").inc(skipped.files)
            yield beam.pvalue.TaggedOutput("skipped", skipped.files)

    def _wanted(self, index: int, input: Input, names: Range, skipped: Skipped) -> Iterator[Stat]:
        folder, suffixes = (
            is_folder(input.pattern) or MEANINGS[input.format].of_files,
            self._cutter.suffixes(input.format),
        )
        for found in list_pattern(input.pattern, *names, without=(*input.left_out, self._output)):
            if any(gives(earlier, found.uri) for earlier in self._inputs[:index]):
                continue
            if (folder and not found.uri.lower().endswith(suffixes)) or not is_text(found.uri) or found.uri[-1] == "/":
                skipped.files += 1
            else:
                yield found


def listed_blocks(options: ListBlocks) -> Iterator[Block]:
    """The blocks of the input in order, without Beam and only as far as they are taken."""
    for index, input in enumerate(options.inputs):
        for found in _ListFiles(options).begin((index, input, EVERYTHING)):
            if isinstance(found, Block):
                yield from options.cutter.cut(found)
