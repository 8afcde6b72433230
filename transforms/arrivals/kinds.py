"""What an arriving file is, by its name and what the options say; a file of rows is looked into, as each may be of another format."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from transforms.arrivals.records import Arrival
from transforms.core.listing_tally import ListingTally
from transforms.core.records import Block, Extent, Fault, Input
from transforms.inputs.cutting import Cutter
from transforms.inputs.name_kinds import kind_of_unread
from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.registry import DEFAULT, IMAGES, MEANINGS, TABLE
from transforms.inputs.survey.input_detector import InputDetector
from transforms.storage import store_for
from transforms.storage.api import Changed, NotAFile, NotFound, Stat
from transforms.storage.uris import bucket_of, bucket_uri

_AUTO = "auto"
_ROWS = tuple(
    dict.fromkeys(
        suffix
        for meaning in MEANINGS.values()
        if meaning.by_name and not meaning.of_files
        for suffix in meaning.suffixes
    )
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


def is_image(uri: str) -> bool:
    """Whether a file that arrives is an image, and no file of rows."""
    return uri.lower().endswith(IMAGES.suffixes)


def kind_of_left_out(file: Stat, options: InputOptions, suffixes: tuple[str, ...]) -> str:
    """Why a listed file is not read, as one of name_kinds.KINDS; "" if it is."""
    named = DEFAULT.name if options.input_format == _AUTO else options.input_format
    return kind_of_unread(file.uri, file.generation, named, suffixes)


ROWS = "rows.jsonl"  # in the folder of a pane: the rows that came by themselves


@dataclass(frozen=True)
class ArrivalCutter:
    """Makes blocks of the arrivals of a pane.

    options: of the inputs. cutter: of whole files. base: folder that the paths of images are told from; "": their bucket.
    """

    options: InputOptions
    cutter: Cutter
    base: str

    def cut(self, arrivals: Sequence[Arrival], folder: str) -> tuple[list[Block], ListingTally]:
        """-> (blocks whose parts go below a folder, what became of the files). Of a name the newest version is read.

        Rows that came by themselves are put into a file of that folder first, where they stay.
        """
        newest = {one.uri: one for one in sorted(arrivals, key=lambda one: (one.time, one.version)) if one.row is None}
        rows = [arrival for arrival in arrivals if arrival.row is not None]
        if rows:
            file = put_rows(rows, folder)
            newest[file.uri] = Arrival(file.uri, file.generation, file.size, file.dated)
        tally = ListingTally()
        together: dict[tuple[str, str], dict[str, Stat]] = {}  # files by format and base
        blocks: list[Block] = []
        for arrival in sorted(newest.values(), key=lambda one: os.fsencode(one.uri)):
            if not is_image(arrival.uri) and not _is_there(arrival):
                continue
            try:
                key = self._format_of(arrival), self.base or bucket_uri(bucket_of(arrival.uri))
                together.setdefault(key, {}).update({file.uri: file for file in arrival.files})
            except InputError as error:
                blocks.append(_refused(arrival, str(error), tally))
        for (name, base), files in together.items():
            blocks += self._blocks(name, base, files.values(), tally)
        tally.counters["names_listed"] = tally.counters["files_taken"] + tally.counters["pictures_taken"]
        return [replace(block, folder=folder) for block in blocks], tally

    def _blocks(self, named: str, base: str, files: Iterable[Stat], tally: ListingTally) -> Iterator[Block]:
        """Images share blocks; a file of rows has its own, so that its part of the ledger can be told."""
        images = MEANINGS[named].of_files
        one_input = Input(base, named, base if images else "")
        ordered = sorted(files, key=lambda file: os.fsencode(file.uri))
        for together in [ordered] if images else [[file] for file in ordered]:
            for block in self.cutter.pack(0, one_input, together, tally):
                yield from self.cutter.cut(block)

    def _format_of(self, arrival: Arrival) -> str:
        """Raises InputError: what it needs is not given, or is not there."""
        if is_image(arrival.uri):
            return IMAGES.name
        look = InputDetector(arrival.uri, self.options)
        look.fill(self.options)
        return look.meaning.name


def _refused(arrival: Arrival, detail: str, tally: ListingTally) -> Block:
    """A file that options do not fit: one rejection stands for it, as nothing that arrives ends a stream."""
    tally.counters["files_taken"] += 1
    extent = Extent(arrival.uri, arrival.generation, arrival.size, 0, arrival.size, arrival.encoding)
    order = (0, os.fsencode(arrival.uri), 0)
    return Block(order, (extent,), TABLE.name, fault=Fault("missing_column", detail))


def _is_there(arrival: Arrival) -> bool:
    """Whether a file of rows is still what arrived. What was overwritten arrives again; of what was deleted nobody wants a row."""
    try:
        return store_for(arrival.uri).stat(arrival.uri).generation == arrival.generation
    except (NotFound, NotAFile):
        return False


def put_rows(rows: Iterable[Arrival], folder: str) -> Stat:
    """Put rows into the file that a pane keeps them in, in the order in which they came."""
    uri = f"{folder}/{ROWS}"
    ordered = sorted(rows, key=lambda one: (one.time, one.uri))
    store_for(uri).replace(uri, b"".join((one.row or b"") + b"\n" for one in ordered), "")
    return store_for(uri).stat(uri)


def fill_in(options: InputOptions, arrivals: Iterable[Arrival]) -> InputOptions:
    """Options with what the first table among some arrivals tells: its columns of images."""
    for arrival in arrivals:
        if options.image_column or not options.recipe:
            break
        if arrival.row is None and not is_image(arrival.uri):
            try:
                options = InputDetector(arrival.uri, options).fill(options)
            except (InputError, NotFound, Changed):
                continue
    return options
