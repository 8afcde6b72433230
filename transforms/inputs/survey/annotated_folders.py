"""Folders of images with annotations as detection tools write them, told by content: YOLO's, COCO's and Pascal VOC's.

    data.yaml, images/, labels/              YOLO: data.yaml is read
    _annotations.coco.json beside images     COCO, on top or in each folder of a split: these files are read
    annotations/instances_train2017.json     COCO, beside the folders of its images (coco_layout.py)
    1.xml beside 1.jpg, or Annotations/      Pascal VOC: the folder's XML is read

Only where one of them is there, and where nobody asks for the names of folders: some ten small requests before the work.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass
from itertools import islice

from transforms.core.records import Extent
from transforms.examples.split_names import split_of_name
from transforms.inputs.formats import yolo
from transforms.inputs.formats.boxes import BOXES
from transforms.inputs.formats.joined.coco import is_coco
from transforms.inputs.options import InputOptions
from transforms.inputs.registry import COCO, MEANINGS, VOC, YOLO, Meaning
from transforms.inputs.survey.coco_layout import files_apart
from transforms.inputs.survey.small_looks import NOT_THERE, folders_in, head_of, names_in, stat_of
from transforms.storage.packings import Damaged

_YAML = ("data.yaml", "dataset.yaml", "data.yml")
_COCO_FILE = "_annotations.coco.json"
_ANNOTATIONS = ("annotations", "Annotations")
_OTHER_YAML = 5  # files that are not called as usual, and are looked into
_FOLDERS = 8  # folders below a folder that are looked at
_CAPTIONS = ("caption", "captions")  # columns that COCO's rows alone have
_IS_VOC = re.compile(rb"<annotation[\s>]")


@dataclass(frozen=True)
class Annotated:
    """What a folder was told to be.

    patterns: what is read of it; nothing where that alone does not tell where the images are. by: the file that told it.
    bases: of each pattern, the folder that its images' paths are told from, where that is not the pattern's own.
    unread: why other files beside these are not read, each with their names.
    """

    meaning: Meaning
    patterns: tuple[str, ...]
    by: str
    bases: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()


def annotations_of(folder: str, options: InputOptions) -> list[Annotated]:
    """What a folder of images with annotations may be: none, one, or several between which nobody has chosen."""
    names = {name.partition(".")[0] for name in (options.recipe.columns if options.recipe else ())}
    captions = bool(names & {*_CAPTIONS})
    if not _asks_for_annotations(options, names):
        return []
    root = folder.rstrip("/")
    below = list(_folders(root))
    if captions:
        found: tuple[Annotated | None, ...] = (_coco(root, below, captions),)
    else:
        found = (_yolo(root), _coco(root, below, captions), _voc(root, below))
    return [one for one in found if one]


def _asks_for_annotations(options: InputOptions, names: Set[str]) -> bool:
    """Whether templates, with these names, leave the answer to the format, or ask for nothing that a folder of images has."""
    known = {*BOXES, *_CAPTIONS}
    asks = not options.answer or bool(names & known)
    return asks and names <= known and not (options.image_column or options.row_function)


def _folders(root: str) -> Iterator[str]:
    """Folders of splits and annotations below one."""
    wanted = (
        name
        for name in folders_in(root)
        if split_of_name(posixpath.basename(name)) or posixpath.basename(name) in _ANNOTATIONS
    )
    yield from islice(wanted, _FOLDERS)


def _yolo(root: str) -> Annotated | None:
    usual = list(filter(None, (stat_of(f"{root}/{name}") for name in _YAML)))
    others = (
        file for file in names_in(root) if file.uri.endswith((".yaml", ".yml"))
    )  # coco8.yaml, as ultralytics names them
    for file in usual or islice(others, _OTHER_YAML):
        try:
            told = yolo.told_by(Extent(file.uri, file.generation, file.size, 0, file.size))
        except (Damaged, *NOT_THERE):
            continue
        splits = [told[key] for key in yolo.SPLITS if told.get(key)]
        # Settings of a training may hold `val: true`, so what is not called as usual has to name places.
        if any(isinstance(one, str | list) for one in splits) or (usual and (splits or told.get("nc"))):
            return Annotated(MEANINGS[YOLO], (file.uri,), file.uri)
    return None


def _coco(root: str, below: list[str], captions: bool) -> Annotated | None:
    named = filter(None, (stat_of(f"{place}/{_COCO_FILE}") for place in (root, *below)))
    files = tuple(file.uri for file in named if is_coco(head_of(file)))
    if files:
        return Annotated(MEANINGS[COCO], files, files[0])
    annotations = [place for place in below if posixpath.basename(place) in _ANNOTATIONS]
    apart, unread, lost = files_apart(root, annotations, captions)
    if apart:
        patterns, bases = tuple(file.uri for file in apart), tuple(file.base for file in apart)
        why = (_said_of(unread, "of the same images as what is read"), _said_of(lost, "whose images are not there"))
        return Annotated(MEANINGS[COCO], patterns, patterns[0], bases, tuple(filter(None, why)))
    return Annotated(MEANINGS[COCO], (), lost[0]) if lost else None


def _said_of(uris: list[str], why: str) -> str:
    return f"{', '.join(map(posixpath.basename, uris))}: {why}" if uris else ""


def _voc(root: str, below: list[str]) -> Annotated | None:
    for place in (root, *below):
        file = next((file for file in names_in(place) if file.uri.lower().endswith(".xml")), None)
        if file and _IS_VOC.search(head_of(file)):
            return Annotated(MEANINGS[VOC], (f"{root}/",), file.uri)
    return None
