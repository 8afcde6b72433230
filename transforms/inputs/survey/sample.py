"""Some names and rows of an input, as a look before the work takes them: by number, never by a clock.

Of a folder of images the first names of folders that lie apart are taken, since classes follow one another; of other inputs the
first rows of the first file.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Block, Extent, Input, Record
from transforms.examples.prompt_templates import value_of
from transforms.inputs.cells.csv_table import TableReader
from transforms.inputs.cutting import Cutter
from transforms.inputs.folder import image_record
from transforms.inputs.lines import read_block
from transforms.inputs.name_kinds import ROWS as OF_ROWS
from transforms.inputs.name_kinds import kind_of_unread, unread_place
from transforms.inputs.options import InputOptions
from transforms.inputs.patterns import is_dataset, is_folder, list_pattern
from transforms.inputs.registry import IMAGES, MEANINGS, container_of
from transforms.storage import store_for
from transforms.storage.api import Changed, Forbidden, NotAFile, NotFound, Refused, Stat

ROWS = 1000  # of an input
_NAMES = 480  # of an input of images: with those that told what it is, under 1,000
_LISTINGS, _FOLDERS = 8, 12  # requests that tell folders, and folders whose first names are listed
_BLOCK_BYTES, _LINE_BYTES = 256 << 10, 1 << 20
_NOT_THERE = (Changed, Forbidden, NotAFile, NotFound, Refused)  # what is wrong with it, the job tells


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


def sample_of(one_input: Input, options: InputOptions) -> Sample:
    """Some rows of an input, and tables beside them."""
    sample = Sample(one_input)
    try:
        meaning = MEANINGS[one_input.format]
        if meaning.of_files:
            _add_images(sample, options)
        elif meaning.columns is None:  # where they are always the same, answers are labels and boxes
            _add_rows(sample, options)
    except (RowError, *_NOT_THERE):
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
        yield from list_pattern(one_input.pattern, without=without)
        return
    folders = [folder for folder in _deep_folders(one_input.base) if folder not in without]
    apart = folders[:: -(-len(folders) // _FOLDERS)] if folders else []
    each = _NAMES // (len(apart) + 1)
    on_top = (
        file
        for file in store_for(one_input.base).list(one_input.base, deep=False)
        if not _is_unread(file.uri, one_input.base)
    )
    yield from islice(on_top, each)
    for folder in apart:
        yield from islice(list_pattern(f"{folder}/", without=without), each)


def _deep_folders(base: str) -> list[str]:
    """Folders below one, the deepest that a few requests tell."""
    level, deepest, listings = [base], list[str](), _LISTINGS
    while level and listings > 0:
        below: list[str] = []
        for folder in level[:listings]:
            names, _ = next(store_for(folder).folders(folder), ((), False))
            children = [name for name in names if not _is_unread(f"{name}/", base)]
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
    names = list_pattern(one_input.pattern, without=(*one_input.left_out, options.output))
    wanted = (file for file in names if not is_folder(one_input.pattern) or is_dataset(file.uri, one_input.format))
    file = next(wanted, None)
    if file is None:
        return
    # Images that stand in Parquet are not read: what templates ask for is.
    columns = tuple(name for name in options.wanted.columns if name not in options.image_column)
    parquet = container_of(file.uri, b"").is_columnar
    tables = replace(options.wanted, columns=columns) if parquet else options.wanted
    if parquet and not columns:
        return
    extent = Extent(file.uri, file.generation, file.size, 0, file.size, file.encoding)
    block = next(Cutter(_BLOCK_BYTES, _LINE_BYTES, tables).cut(Block((0, b"", 0), (extent,), one_input.format)), None)
    if block is None or block.fault:
        return
    below = posixpath.dirname(file.uri)[len(one_input.base) :].strip("/") if one_input.base else ""
    reader = TableReader(tables, _LINE_BYTES, (), _no_image)
    for row in islice(read_block(block, _no_key, reader).rows, ROWS):
        try:
            values = row.columns if isinstance(row, Record) else jsonl.loads(row.raw)
        except RowError:
            continue
        images = [value_of(values, name, "") for name in options.image_column]
        image = next((value for value in images if isinstance(value, str)), "")
        sample.rows.append(SampleRow(values, posixpath.join(below, image)))


def _no_image(data: bytes) -> tuple[str, str]:
    raise AssertionError("no column of images is read")


def _no_key(block: Block) -> str:
    return ""  # it is not committed
