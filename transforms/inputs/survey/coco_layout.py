"""COCO's files that lie apart from their images, as its own site, CVAT, FiftyOne and Label Studio write them: where the images are.

    annotations/instances_train2017.json     beside train2017/, or images/train2017/
    annotations/instances_default.json       beside images/
    labels.json, result.json                 beside data/ or images/

A folder of images is told by the file's name, or by where the first image that the file lists is. Of several files of the same images
one kind is read: boxes before captions, unless captions are asked for.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from transforms.examples.split_names import split_of_name
from transforms.inputs.formats.joined.coco import first_image_of, is_coco
from transforms.inputs.survey.small_looks import folders_in, head_of, names_in, stat_of
from transforms.storage.api import Stat

_ON_TOP = ("labels.json", "annotations.json", "instances.json", "result.json")
_NOT_BOXES = ("image_info", "panoptic")  # beginnings of names: images without answers, and segments
_KINDS = ("instances", "person_keypoints", "stuff", "captions")  # of the same images, the one that is meant first
_IMAGES, _DATA = "images", "data"  # folders that hold images, or their folders
_FOLDERS = 40  # that are looked at


@dataclass(frozen=True)
class ApartFile:
    """A file of COCO's, and the folder that the names in it start from."""

    uri: str
    base: str


def files_apart(root: str, annotations: Sequence[str], captions: bool) -> tuple[list[ApartFile], list[str], list[str]]:
    """COCO's files of a folder that lie apart from their images.

    Args:
        annotations: folders below it that may hold such files.
        captions: whether captions are asked for, rather than boxes.

    Returns:
        Files that are to be read; others of the same images; and those whose images were not found.
    """
    folders = list(_image_folders(root))
    by_base: dict[str, list[str]] = {}
    lost: list[str] = []
    for file in _files(root, annotations):
        head = head_of(file)
        if posixpath.basename(file.uri).startswith(_NOT_BOXES) or not is_coco(head):
            continue
        base = _base_of(posixpath.basename(file.uri).removesuffix(".json"), first_image_of(head), root, folders)
        if base:
            by_base.setdefault(base, []).append(file.uri)
        else:
            lost.append(file.uri)
    kinds = (*reversed(_KINDS), "") if captions else (*_KINDS, "")
    chosen, others = [], []
    for base, uris in by_base.items():
        best = min(map(_kind_of, uris), key=kinds.index)
        chosen += [ApartFile(uri, base) for uri in uris if _kind_of(uri) == best]
        others += [uri for uri in uris if _kind_of(uri) != best]
    return chosen, others, lost


def _files(root: str, annotations: Sequence[str]) -> Iterator[Stat]:
    for place in annotations:
        yield from (file for file in names_in(place) if file.uri.endswith(".json"))
    yield from filter(None, (stat_of(f"{root}/{name}") for name in _ON_TOP))


def _image_folders(root: str) -> Iterator[str]:
    """Folders that may hold images: those of the folder, and those of its folder of images."""
    yield from islice(folders_in(root), _FOLDERS)
    yield from islice(folders_in(f"{root}/{_IMAGES}"), _FOLDERS)


def _base_of(name: str, image: str, root: str, folders: Sequence[str]) -> str:
    """The folder of a file's images, "" if it is not to be found.

    Args:
        name: of the file, without its ending.
        image: that the file lists first; "" if its first bytes list none.
    """
    split = split_of_name(name)
    called_so = [folder for folder in folders if _ends_with(name, posixpath.basename(folder))]
    of_split = [folder for folder in folders if split and split_of_name(posixpath.basename(folder)) == split]
    if not image:
        return (called_so or of_split or [""])[0]
    others = (f"{root}/{_IMAGES}", f"{root}/{_DATA}", root)
    return next((base for base in (*called_so, *of_split, *others) if stat_of(f"{base}/{image}")), "")


def _ends_with(name: str, folder: str) -> bool:
    return name == folder or name.endswith((f"_{folder}", f"-{folder}", f".{folder}"))


def _kind_of(uri: str) -> str:
    return next((kind for kind in _KINDS if posixpath.basename(uri).startswith(kind)), "")
