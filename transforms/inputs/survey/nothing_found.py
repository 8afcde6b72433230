"""What is said of an input that gives no file to read: what is there instead, and what to do."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from itertools import islice

from transforms.core.file_kinds import LOOK
from transforms.inputs.name_kinds import CAMERA_RAW, OF_OTHER_ROWS, kind_of_unread
from transforms.inputs.options import InputOptions
from transforms.inputs.patterns import is_folder, is_glob, list_pattern
from transforms.inputs.registry import IMAGES, MEANINGS, TAR_SHARDS
from transforms.inputs.survey.left_out import in_words
from transforms.inputs.survey.links import links_out
from transforms.inputs.survey.not_rows import fault_of_bytes
from transforms.inputs.survey.small_looks import NOT_THERE
from transforms.storage import abilities, store_for
from transforms.storage.api import Forbidden, NotAFile, NotFound, Stat

_NAMES = 100  # among which one of a known kind is looked for
_IMAGES = 1000  # names among which a file of rows is looked for
_READS = 5  # of them that are opened


def nothing_found(pattern: str, left_out: Sequence[str], options: InputOptions) -> str:
    """Why a pattern gives no file to read."""
    start = f"--input {pattern} finds no file to read"
    has_paths = abilities(pattern).has_paths
    if has_paths and not (is_folder(pattern) or is_glob(pattern)) and not os.path.lexists(pattern):
        comma = "; commas part inputs: for one in a name write ?, as in 'a?b/*'" if len(options.input) > 1 else ""
        return f"{start}: there is nothing of this name{comma}"

    if left_out:
        hint = f"; left out what Tuneset wrote: {in_words(left_out)}"
    elif linked := next(iter(links_out(pattern, options)), None):
        hint = f"; {linked.detail}"
    elif others := _others(pattern, options.output):
        hint = _said_of(others)
    else:
        hint = "" if has_paths or pattern.endswith("/") else "; a gs:// folder is named with a / at its end"
    given = (
        MEANINGS[options.input_format].files
        if options.input_format in MEANINGS
        else "*.jsonl, *.csv, *.tsv, *.parquet, or images"
    )
    return f"{start} (of a folder: {given}, text also with .gz, .bz2, .xz or .zst{hint})"


def rows_beside(pattern: str, output: str) -> str:
    """What is said of the first file among images that may hold rows, but is of a kind that is not read; "" if there is none."""
    try:
        for file in islice(list_pattern(pattern, without=(output,)), _IMAGES):
            if kind_of_unread(file.uri, file.generation, IMAGES.name, IMAGES.suffixes) in OF_OTHER_ROWS:
                return _said_of([file])
    except (Forbidden, NotAFile, NotFound):
        pass  # if it matters, the listing of the input says so
    return ""


def _others(pattern: str, output: str) -> list[Stat]:
    """The first files that a pattern gives, whatever they are."""
    try:
        return list(islice(list_pattern(pattern, without=(output,)), _NAMES))
    except (Forbidden, NotAFile, NotFound):
        return []


def _said_of(others: Sequence[Stat]) -> str:
    """The first file whose bytes tell what it is, else the first of all; a camera's raw file by its name, as many are TIFFs."""
    if others[0].uri.lower().endswith(CAMERA_RAW):
        name = posixpath.basename(others[0].uri)
        return f"; {name}: it is a camera's raw data: develop it, and export it as JPEG, PNG or TIFF of 8 bits"
    for file in others[:_READS]:
        try:
            head = store_for(file.uri).read(file.uri, 0, LOOK, file.generation)[0]
        except NOT_THERE:
            continue
        if fault := fault_of_bytes(file.uri, head):
            as_shards = f", or --input_format {TAR_SHARDS} for shards of samples"
            of_shards = file.uri.endswith(MEANINGS[TAR_SHARDS].suffixes)
            return f"; {posixpath.basename(file.uri)}: {fault}{as_shards if of_shards else ''}"
    return f"; {posixpath.basename(others[0].uri)} is none of them"
