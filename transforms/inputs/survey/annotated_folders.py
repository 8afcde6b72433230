"""Folders of images with annotations as detection tools write them, told by content: YOLO's, COCO's and Pascal VOC's.

    data.yaml, images/, labels/              YOLO: data.yaml is read
    _annotations.coco.json beside images     COCO, on top or in each folder of a split: these files are read
    1.xml beside 1.jpg, or Annotations/      Pascal VOC: the folder's XML is read

Only where one of them is there, and where nobody asks for the names of folders: some ten small requests before the work.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from transforms.core.file_kinds import LOOK
from transforms.core.records import Extent
from transforms.examples.split_names import split_of_name
from transforms.inputs.formats import yolo
from transforms.inputs.formats.boxes import BOXES
from transforms.inputs.formats.joined.coco import is_coco
from transforms.inputs.options import InputOptions
from transforms.inputs.registry import COCO, MEANINGS, VOC, YOLO, Meaning
from transforms.storage import store_for
from transforms.storage.api import Changed, Forbidden, NotAFile, NotFound, Refused, Stat
from transforms.storage.packings import Damaged

_YAML = ("data.yaml", "dataset.yaml", "data.yml")
_COCO_FILE = "_annotations.coco.json"
_ANNOTATIONS = ("annotations", "Annotations")
_NAMES, _FOLDERS, _READS = 50, 8, 5  # names of a folder, folders below it, and .json files, that are looked at
_IS_VOC = re.compile(rb"<annotation[\s>]")
_NOT_THERE = (Changed, Forbidden, NotAFile, NotFound, Refused)


@dataclass(frozen=True)
class Annotated:
    """What a folder was told to be.

    patterns: what is read of it; nothing where that alone does not tell where the images are. by: the file that told it.
    """

    meaning: Meaning
    patterns: tuple[str, ...]
    by: str


def annotations_of(folder: str, options: InputOptions) -> list[Annotated]:
    """What a folder of images with annotations may be: none, one, or several between which nobody has chosen."""
    if not _asks_for_annotations(options):
        return []
    root = folder.rstrip("/")
    below = list(_folders(root))
    found = (_yolo(root), _coco(root, below), _voc(root, below))
    return [one for one in found if one]


def _asks_for_annotations(options: InputOptions) -> bool:
    """Whether templates leave the answer to the format, or ask for nothing that a folder of images has."""
    names = {name.partition(".")[0] for name in (options.recipe.columns if options.recipe else ())}
    asks = not options.answer or bool(names & {*BOXES})
    return asks and names <= {*BOXES} and not (options.image_column or options.row_function)


def _folders(root: str) -> Iterator[str]:
    """Folders of splits and annotations below one."""
    try:
        names = [name for some, _ in islice(store_for(root).folders(root), 1) for name in some]
    except _NOT_THERE:
        return
    wanted = (
        name for name in names if split_of_name(posixpath.basename(name)) or posixpath.basename(name) in _ANNOTATIONS
    )
    yield from islice(wanted, _FOLDERS)


def _yolo(root: str) -> Annotated | None:
    for file in filter(None, (_stat(f"{root}/{name}") for name in _YAML)):
        try:
            told = yolo.told_by(Extent(file.uri, file.generation, file.size, 0, file.size))
        except (Damaged, *_NOT_THERE):
            continue
        if any(told.get(key) for key in (*yolo.SPLITS, "nc")):
            return Annotated(MEANINGS[YOLO], (file.uri,), file.uri)
    return None


def _coco(root: str, below: list[str]) -> Annotated | None:
    named = filter(None, (_stat(f"{place}/{_COCO_FILE}") for place in (root, *below)))
    files = tuple(file.uri for file in named if is_coco(_head(file)))
    if files:
        return Annotated(MEANINGS[COCO], files, files[0])
    for place in (place for place in below if posixpath.basename(place) in _ANNOTATIONS):
        json = (file for file in _names(place) if file.uri.endswith(".json"))
        if file := next((file for file in islice(json, _READS) if is_coco(_head(file))), None):
            return Annotated(MEANINGS[COCO], (), file.uri)  # whose images lie in a folder that it does not name
    return None


def _voc(root: str, below: list[str]) -> Annotated | None:
    for place in (root, *below):
        file = next((file for file in _names(place) if file.uri.lower().endswith(".xml")), None)
        if file and _IS_VOC.search(_head(file)):
            return Annotated(MEANINGS[VOC], (f"{root}/",), file.uri)
    return None


def _names(folder: str) -> list[Stat]:
    try:
        return list(islice(store_for(folder).list(folder, deep=False, page=_NAMES), _NAMES))
    except _NOT_THERE:
        return []


def _stat(uri: str) -> Stat | None:
    try:
        return store_for(uri).stat(uri)
    except _NOT_THERE:
        return None


def _head(file: Stat) -> bytes:
    try:
        return store_for(file.uri).read(file.uri, 0, LOOK, file.generation)[0]
    except _NOT_THERE:
        return b""
