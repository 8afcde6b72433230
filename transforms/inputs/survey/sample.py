"""Some names and rows of an input, as a look before the work takes them: by number, never by a clock.

Of a folder of images the first names of folders that lie apart are taken, since classes follow one another; of other inputs the
first rows of the first file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Block, Extent, Input, OpenBlock, Record, Row
from transforms.examples.image_cells import image_value
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.cutting import Cutter
from transforms.inputs.folder import image_record
from transforms.inputs.lines import read_block
from transforms.inputs.linked_folders import entered_below
from transforms.inputs.name_kinds import ROWS as OF_ROWS
from transforms.inputs.name_kinds import kind_of_unread, unread_place
from transforms.inputs.options import InputOptions
from transforms.inputs.parquet.files import footer_of
from transforms.inputs.patterns import is_dataset, is_folder, list_pattern
from transforms.inputs.registry import IMAGES, MEANINGS, container_of
from transforms.inputs.row_function import transformed
from transforms.inputs.rows import build_examples
from transforms.inputs.survey.near_paths import THOUGHTS, Named, column_of
from transforms.inputs.survey.small_looks import NOT_THERE
from transforms.storage import store_for
from transforms.storage.api import Stat

ROWS = 1000  # of an input
_NAMES = 480  # of an input of images: with those that told what it is, under 1,000
_LISTINGS, _FOLDERS = 8, 12  # requests that tell folders, and folders whose first names are listed
_BLOCK_BYTES, _LINE_BYTES = 256 << 10, 1 << 20


@dataclass
class SampleRow:
    """One row, as templates see it."""

    columns: Mapping[str, Any]
    path: str  # of its image, below the input where it lies there


@dataclass
class Sample:
    """What was looked at of an input."""

    input: Input
    rows: list[SampleRow] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)  # files of rows beside images that nothing reads
    images: list[Named] = field(default_factory=list)  # that the first rows name


def sample_of(one_input: Input, options: InputOptions) -> Sample:
    """Some rows of an input, and tables beside them."""
    sample = Sample(one_input)
    try:
        meaning = MEANINGS[one_input.format]
        if meaning.of_files:
            _add_images(sample, options)
        elif meaning.columns is None:  # where they are always the same, answers are labels and boxes
            _add_rows(sample, options)
    except (RowError, *NOT_THERE):
        pass  # the job rejects such a file, or says what is wrong
    return sample


def _add_images(sample: Sample, options: InputOptions) -> None:
    one_input = sample.input
    for file in islice(_scattered_names(one_input, options), _NAMES):
        if is_dataset(file.uri, IMAGES.name):
            row = image_record(file.uri, one_input.base)
            sample.rows.append(SampleRow(row.columns, str(row.columns["image"])))
        elif kind_of_unread(file.uri, file.generation, IMAGES.name, IMAGES.suffixes) == OF_ROWS:
            sample.tables.append(file.uri)


def _scattered_names(one_input: Input, options: InputOptions) -> Iterator[Stat]:
    """The first names of folders that lie apart, and of the input itself."""
    without = (*one_input.left_out, options.output)
    if not is_folder(one_input.pattern):
        yield from list_pattern(one_input.pattern, without, one_input.links)
        return
    folders = _deep_folders(one_input, without)
    apart = folders[:: -(-len(folders) // _FOLDERS)] if folders else []
    each = _NAMES // (len(apart) + 1)
    on_top = (
        file
        for file in store_for(one_input.base).list(one_input.base, deep=False)
        if not _is_unread(file.uri, one_input.base)
    )
    yield from islice(on_top, each)
    for folder in apart:
        yield from islice(list_pattern(f"{folder}/", without), each)


def _deep_folders(one_input: Input, without: Sequence[str]) -> list[str]:
    """Folders below an input's, the deepest that a few requests tell, as the job enters them."""
    base = one_input.base
    is_entered = entered_below(one_input.links, base, without)
    level, deepest, listings = [base], list[str](), _LISTINGS
    while level and listings > 0:
        below: list[str] = []
        for folder in level[:listings]:
            names, _ = next(store_for(folder).folders(folder), ((), False))
            children = [
                name for name in names if name not in without and not _is_unread(f"{name}/", base) and is_entered(name)
            ]
            below += children
            if not children and folder != base:
                deepest.append(folder)
        deepest += level[listings:]
        listings -= len(level)
        level = below
    return sorted({*deepest, *level})


def _is_unread(uri: str, base: str) -> bool:
    return unread_place(uri[len(base) :].lstrip("/")) != ""


def _add_rows(sample: Sample, options: InputOptions) -> None:
    one_input = sample.input
    names = list_pattern(one_input.pattern, (*one_input.left_out, options.output), one_input.links)
    wanted = (
        file
        for file in names
        if not is_folder(one_input.pattern) or is_dataset(file.uri, one_input.format, one_input.json)
    )
    file = next(wanted, None)
    if file is None:
        return
    extent = Extent(file.uri, file.generation, file.size, 0, file.size, file.encoding)
    tables = options.wanted
    parquet = container_of(file.uri, b"").is_columnar
    if parquet:
        # Images that stand in Parquet are not read: what templates ask for is, and columns of mere names.
        footer = footer_of(extent)
        bulky = footer.bulky(footer.schema.names, options.image_column)
        unread = {name for name in options.image_column if name in bulky or name not in footer.schema.names}
        tables = replace(tables, columns=tuple(name for name in tables.columns if name not in unread))
    if parquet and not tables.columns:
        return
    whole = Block((0, b"", 0), (extent,), one_input.format, base=one_input.base)
    block = next(Cutter(_BLOCK_BYTES, _LINE_BYTES, tables).cut(whole), None)
    if block is None or block.fault:
        return
    below = posixpath.dirname(file.uri)[len(one_input.base) :].strip("/") if one_input.base else ""
    opened = read_block(block, _no_key, TableReader(tables, _LINE_BYTES, (), _no_image))
    folders_tell = MEANINGS[one_input.format].own_columns
    made = transformed(opened, options.row_function, _pass_over, folders_tell=folders_tell)
    opened.rows = list(islice(made, ROWS))
    for row in opened.rows:
        try:
            values = row.columns if isinstance(row, Record) else jsonl.loads(row.raw)
        except RowError:
            continue
        images = [image_value(name, values) for name in options.image_column]
        written = [one for value in images for one in (value if isinstance(value, list) else [value])]
        image = next((one for one in written if isinstance(one, str)), "")
        sample.rows.append(SampleRow(values, posixpath.join(below, image)))
    sample.images = _first_images(opened, options)


def _first_images(opened: OpenBlock, options: InputOptions) -> list[Named]:
    """The images of the first rows of a block, as the job would understand them."""
    opened.rows = opened.rows[:THOUGHTS]
    build_examples(opened, b"", None, 1 << 64, options.recipe)
    column = column_of(opened.block.format, options.image_column)
    named = (Named(image["fileUri"], example.base, column) for example in opened.examples for image in example.images)
    return list(islice(dict.fromkeys(named), THOUGHTS))


def _no_image(data: bytes) -> tuple[str, str]:
    return "", ""  # it is not looked at here


def _pass_over(opened: OpenBlock, row: Row, error: RowError) -> None:
    """The job rejects it."""


def _no_key(block: Block) -> str:
    return ""  # it is not committed
