"""What an arriving file is, by its name and what the options say; a file of rows is looked into, as each may be of another format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from transforms.arrivals.records import Arrival
from transforms.core.listing_tally import ListingTally
from transforms.core.records import Block, Extent, Fault, Input
from transforms.inputs.cutting import Cutter
from transforms.inputs.detect import InputDetector
from transforms.inputs.name_kinds import kind_of_unread
from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.packing import SIDECARS
from transforms.inputs.registry import DEFAULT, IMAGES, MEANINGS, TABLE
from transforms.storage.api import Stat

_AUTO = "auto"
_ROWS = tuple(
    dict.fromkeys(suffix for meaning in MEANINGS.values() if not meaning.of_files for suffix in meaning.suffixes)
)


def images_arrive(options: InputOptions) -> bool:
    """Whether an image is a row of its own: a prompt asks nothing of it that only a table has. Else rows have to name it."""
    if options.input_format != _AUTO:
        return MEANINGS[options.input_format].of_files
    recipe = options.recipe
    if not recipe or options.image_column:
        return False
    known = set(IMAGES.columns or ())
    return all(name.partition(".")[0] in known for name in recipe.columns)


def suffixes_of(options: InputOptions, cutter: Cutter) -> tuple[str, ...]:
    """Endings of the files that arrive, sidecars among them if a template asks for them."""
    if options.input_format != _AUTO:
        return cutter.suffixes(options.input_format)
    return (*_ROWS, *(cutter.suffixes(IMAGES.name) if images_arrive(options) else ()))


def is_row(uri: str) -> bool:
    """Whether a file that arrives is an image, or a sidecar, and no file of rows."""
    return uri.lower().endswith((*IMAGES.suffixes, *SIDECARS))


def arrives(file: Stat, options: InputOptions, suffixes: tuple[str, ...]) -> bool:
    """Whether a listed file is read."""
    named = DEFAULT.name if options.input_format == _AUTO else options.input_format
    return not kind_of_unread(file.uri, file.generation, named, suffixes)


@dataclass(frozen=True)
class ArrivalCutter:
    """Makes blocks of the arrivals of a pane.

    options: of the inputs. cutter: of whole files. base: folder that the paths of images are told from.
    """

    options: InputOptions
    cutter: Cutter
    base: str

    def cut(self, arrivals: Sequence[Arrival], folder: str) -> tuple[list[Block], ListingTally]:
        """-> (blocks whose parts go below a folder, what became of the files). Of a name the newest version is read."""
        newest = {arrival.uri: arrival for arrival in sorted(arrivals, key=lambda one: (one.time, one.version))}
        tally = ListingTally()
        by_format: dict[str, dict[str, Stat]] = {}
        faults: list[Block] = []
        for arrival in sorted(newest.values(), key=lambda one: os.fsencode(one.uri)):
            try:
                named = self._format_of(arrival)
            except InputError as error:
                faults.append(self._refused(arrival, str(error), tally))
                continue
            by_format.setdefault(named, {}).update({file.uri: file for file in arrival.files})
        blocks = [block for name, files in by_format.items() for block in self._blocks(name, files.values(), tally)]
        tally.counters["names_listed"] = tally.counters["files_taken"] + tally.counters["pictures_taken"]
        return [replace(block, folder=folder) for block in [*blocks, *faults]], tally

    def _blocks(self, named: str, files: Iterable[Stat], tally: ListingTally) -> Iterator[Block]:
        """Images share blocks; a file of rows has its own, so that its part of the ledger can be told."""
        images = MEANINGS[named].of_files
        one_input = Input(self.base, named, self.base if images else "")
        ordered = sorted(files, key=lambda file: os.fsencode(file.uri))
        for together in [ordered] if images else [[file] for file in ordered]:
            for block in self.cutter.pack(0, one_input, together, tally):
                yield from self.cutter.cut(block)

    def _format_of(self, arrival: Arrival) -> str:
        """Raises InputError: what it needs is not given, or is not there."""
        if is_row(arrival.uri):
            return IMAGES.name
        look = InputDetector(arrival.uri, self.options)
        look.fill(self.options)
        return look.meaning.name

    def _refused(self, arrival: Arrival, detail: str, tally: ListingTally) -> Block:
        """A file that options do not fit: one rejection stands for it, as nothing that arrives ends a stream."""
        tally.counters["files_taken"] += 1
        extent = Extent(arrival.uri, arrival.generation, arrival.size, 0, arrival.size, arrival.encoding)
        order = (0, os.fsencode(arrival.uri), 0)
        return Block(order, (extent,), TABLE.name, fault=Fault("missing_column", detail))


def fill_in(options: InputOptions, arrivals: Iterable[Arrival]) -> InputOptions:
    """Options with what the first table among some arrivals tells: its columns of images."""
    for arrival in arrivals:
        if options.image_column or not options.recipe:
            break
        if not is_row(arrival.uri):
            try:
                options = InputDetector(arrival.uri, options).fill(options)
            except InputError:
                continue
    return options
