"""List input files and have them cut into blocks: patterns -> Block descriptors, spread over the workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import apache_beam as beam
from apache_beam.transforms.window import BoundedWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.core.counters import NAMESPACE
from transforms.core.listing_tally import ListingTally
from transforms.core.records import Block, Input
from transforms.inputs.cutting import Cutter
from transforms.inputs.formats.sidecars import sidecars_apart
from transforms.inputs.name_kinds import BY_ENDING, ending_of, kind_of_unread
from transforms.inputs.name_ranges import EVERYTHING, PAGE, Range, cut_names
from transforms.inputs.patterns import gives, is_folder, is_glob, list_names, static_folder
from transforms.inputs.registry import MEANINGS
from transforms.steps.billing import StorageDoFn, billed
from transforms.steps.running_counts import NOT_WATCHED, RunningCounts, counting
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
      counts: whom blocks are told to.
    """

    inputs: tuple[Input, ...]
    cutter: Cutter
    output: str
    access: Access = USUAL
    counts: RunningCounts = NOT_WATCHED

    def expand(self, root: beam.Pipeline) -> tuple[beam.PCollection[Block], beam.PCollection[ListingTally]]:
        """-> (blocks, what became of the names)."""
        listed = (
            root
            | "Patterns" >> beam.Create(list(enumerate(self.inputs)), reshuffle=False)
            | "Spread patterns" >> beam.Reshuffle()
            | "Cut names" >> beam.FlatMap(billed(self.access, cut_input), self.output)
            | "Spread names" >> beam.Reshuffle()
            | "List files" >> beam.ParDo(_ListFiles(self)).with_outputs("tallies", main="files")
        )
        blocks = (
            listed.files
            | "Spread files" >> beam.Reshuffle()
            | "Cut blocks" >> beam.FlatMap(billed(self.access, counting(self.cutter.cut, self.counts)))
            | "Spread blocks" >> beam.Reshuffle()
        )
        return blocks, listed.tallies


def cut_input(indexed: tuple[int, Input], output: str) -> Iterator[tuple[int, Input, Range]]:
    """An input -> ranges of its names that many workers list at once."""
    index, one_input = indexed
    many = is_folder(one_input.pattern) or is_glob(one_input.pattern)
    folder, without = static_folder(one_input.pattern), (*one_input.left_out, output)
    for names in cut_names(store_for(folder), folder, without) if many else [EVERYTHING]:
        yield index, one_input, names


class _ListFiles(StorageDoFn):
    """Ranges of names -> blocks of whole files. While one range is packed, the names of the next ones are under way."""

    def __init__(self, options: ListBlocks) -> None:
        super().__init__(options.access)
        self._inputs, self._cutter, self._output = options.inputs, options.cutter, options.output

    def start_bundle(self) -> None:
        self._begun: deque[WindowedValue] = deque()  # of what ranges come to

    def process(
        self,
        some: tuple[int, Input, Range],
        timestamp: Timestamp = beam.DoFn.TimestampParam,
        window: BoundedWindow = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        self._begun.append(WindowedValue(self.begin(some), timestamp, (window,)))
        if len(self._begun) > _AHEAD:
            yield from in_its_window(self._begun.popleft())

    def finish_bundle(self) -> Iterator[Any]:
        yield from chain.from_iterable(map(in_its_window, self._begun))

    def begin(self, some: tuple[int, Input, Range]) -> Iterator[Any]:
        """What a range comes to; its first names are asked for at once."""
        index, one_input, _ = some
        tally = ListingTally()
        return self._packed(index, one_input, ahead(self._wanted(*some, tally), PAGE + 1, _AHEAD), tally)

    def _packed(self, index: int, one_input: Input, names: Iterator[Stat], tally: ListingTally) -> Iterator[Any]:
        yield from self._cutter.pack(index, one_input, names, tally)
        if tally.counters["files_skipped"]:
            beam.metrics.Metrics.counter(NAMESPACE, "files_skipped").inc(tally.counters["files_skipped"])
        if is_folder(one_input.pattern) or is_glob(one_input.pattern):
            yield beam.pvalue.TaggedOutput("tallies", tally)

    def _wanted(self, index: int, one_input: Input, names: Range, tally: ListingTally) -> Iterator[Stat]:
        by_ending = is_folder(one_input.pattern) or MEANINGS[one_input.format].of_files
        suffixes = self._cutter.suffixes(one_input.format, one_input.json) if by_ending else ()
        without = (*one_input.left_out, self._output)
        kinds = (
            (file, place or kind_of_unread(file.uri, file.generation, one_input.format, suffixes))
            for file, place in list_names(one_input.pattern, *names, without=without, links=one_input.links)
        )
        for file, kind in sidecars_apart(kinds) if one_input.json else kinds:
            if not kind and any(gives(earlier, file.uri) for earlier in self._inputs[:index]):
                continue
            tally.counters["names_listed"] += 1
            if kind:
                tally.leave_out(kind, file.uri, ending_of(file.uri) if kind in BY_ENDING else "")
            else:
                yield file


def in_its_window(begun: WindowedValue) -> Iterator[Any]:
    """What a range comes to, each with the time and window that the range came in."""
    for found in begun.value:
        if isinstance(found, beam.pvalue.TaggedOutput):
            yield beam.pvalue.TaggedOutput(found.tag, begun.with_value(found.value))
        else:
            yield begun.with_value(found)


def listed_blocks(options: ListBlocks) -> Iterator[Block]:
    """The blocks of the input in order, without Beam and only as far as they are taken."""
    for index, one_input in enumerate(options.inputs):
        for found in _ListFiles(options).begin((index, one_input, EVERYTHING)):
            if isinstance(found, Block):
                yield from options.cutter.cut(found)
