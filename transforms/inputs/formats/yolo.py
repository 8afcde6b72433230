"""YOLO's datasets: a data.yaml, the images it names and a text of boxes for each -> a line of JSON for each image.

    data.yaml     path, train, val and test (folders, or .txt lists of images), names of the classes; without a split, as supervision
                  writes it, folders are looked for that are called after splits, and else all images below it are taken
    labels        images/train/1.jpg has labels/train/1.txt, else 1.txt beside it: `class x y width height`, in parts of the picture;
                  of an outline or a turned box (class x1 y1 x2 y2 ...) the box around it

All lies below the folder of data.yaml: where its paths lead up, or elsewhere, their ends are looked for there.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Any

import yaml

from transforms.core import jsonl
from transforms.core.media_types import has_image_ending
from transforms.core.places import inside
from transforms.core.reasons import RowError
from transforms.core.records import Extent
from transforms.inputs.formats.boxes import box_of, columns_of_boxes
from transforms.storage import abilities, store_for
from transforms.storage.allowed_files import open_allowed
from transforms.storage.api import Forbidden, NotAFile, NotFound
from transforms.storage.local import read_open
from transforms.storage.packings import Damaged
from transforms.storage.parallel import overlapped

SPLITS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
_MOST_YAML, _MOST_LIST, _MOST_LABELS = 4 << 20, 256 << 20, 16 << 20  # bytes
_TOGETHER, _THREADS = 1024, 32  # labels that are read side by side in an object store
_BOX, _SCORED_BOX = 5, 6  # numbers of a line


def lines_of(extent: Extent) -> Iterator[bytes]:
    """The rows of a dataset, as lines of JSON.

    Raises:
        Damaged: not_rows, data.yaml is none, or no image is where it says.
    """
    folder = posixpath.dirname(extent.uri)
    told = told_by(extent)
    names, points = _names(told.get("names")), "kpt_shape" in told
    total = 0
    for split, images in _splits(told, folder):
        while some := list(islice(images, _TOGETHER)):
            total += len(some)
            read = partial(_labels, folder=folder)
            texts = map(read, some) if abilities(folder).has_paths else overlapped(read, some, _THREADS)
            for image, text in zip(some, texts):
                row = columns_of_boxes(image[len(folder) + 1 :], *_boxes(text, names, points))
                yield jsonl.dumps(row | {"split": split}) + b"\n"
    if not total:
        named = ", ".join(f"{key}: {str(told[key])[:80]}" for key in SPLITS if told.get(key)) or "no train, val or test"
        raise Damaged(f"no image is where it says ({named}), below {folder}", "not_rows")


def _splits(told: dict[str, Any], folder: str) -> Iterator[tuple[str, Iterator[str]]]:
    """(the split, its images) for each that is there; "" is the split of images of which nobody says it."""
    path = str(told.get("path") or "")
    if any(told.get(key) for key in SPLITS):
        yield from ((split, _images(told.get(key), path, folder)) for key, split in SPLITS.items())
        return
    found = False
    for key, split in SPLITS.items():
        images = chain.from_iterable(_images(entry, path, folder) for entry in (f"{key}/images", f"images/{key}"))
        first = next(images, "")
        if first:
            found = True
            yield split, chain([first], images)
    if not found:
        yield "", _images(".", path, folder)


def told_by(extent: Extent) -> dict[str, Any]:
    """What a data.yaml says.

    Raises:
        Damaged: not_rows, it is none.
    """
    if extent.size > _MOST_YAML:
        raise Damaged(f"it has {extent.size:,} bytes, at most {_MOST_YAML:,} are read of a data.yaml", "not_rows")
    data, _ = store_for(extent.uri).read(extent.uri, 0, extent.size, extent.generation)
    try:
        told = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Damaged(f"it is no YAML that can be read: {str(error)[:200]}", "not_rows") from None
    if not isinstance(told, dict) or "names" not in told:
        raise Damaged("it is no data.yaml of YOLO: expected train, val and names", "not_rows")
    return told


def _names(told: Any) -> dict[int, str]:
    pairs = enumerate(told) if isinstance(told, list) else told.items() if isinstance(told, dict) else ()
    return {int(number): str(name).strip() for number, name in pairs if str(number).isdecimal()}


def _images(entry: Any, path: str, folder: str) -> Iterator[str]:
    """The images that an entry of data.yaml names, in order."""
    for one in entry if isinstance(entry, list) else [entry]:
        if not isinstance(one, str) or not one.strip():
            continue
        places = dict.fromkeys(
            place for top in (_below(path, folder), folder) if inside(place := _below(one, top), folder)
        )
        for place in places:
            found = _listed(place, posixpath.dirname(place), folder) if place.endswith(".txt") else _in_folder(place)
            first = next(found, "")
            if first:
                yield first
                yield from found
                break


def _below(path: str, folder: str) -> str:
    """Where a path leads that is told from a folder, without its steps up and its root.

    >>> _below("../train/images", "/in"), _below("/", "/in")
    ('/in/train/images', '/in')
    """
    normal = posixpath.normpath("/" + path.strip().replace("\\", "/")).strip("/")
    return f"{folder}/{normal}" if normal else folder


def _in_folder(folder: str) -> Iterator[str]:
    try:
        for file in store_for(folder).list(folder):
            if has_image_ending(file.uri) and "/." not in file.uri[len(folder) :]:
                yield file.uri
    except (NotFound, NotAFile):
        return


def _listed(uri: str, base: str, folder: str) -> Iterator[str]:
    """The images of a text with a name a line."""
    for line in _text(uri, folder, _MOST_LIST).splitlines():
        if line.strip():
            yield _below(line, base)


def _labels(image: str, folder: str) -> str:
    """The text of an image's boxes; "" if there is none."""
    stem = image.rpartition(".")[0] + ".txt"
    before, images, after = stem.rpartition("/images/")
    return _text(f"{before}/labels/{after}" if images else stem, folder, _MOST_LABELS)


def _text(uri: str, folder: str, most: int) -> str:
    """The text of a file that lies in the folder; "" if there is none.

    Raises:
        Damaged: it is longer than what is read.
    """
    try:
        if abilities(uri).has_paths:
            descriptor, found = open_allowed(uri, (folder,))
            try:
                data = read_open(descriptor, found, 0, most + 1, "")[0]
            finally:
                os.close(descriptor)
        else:
            data = store_for(uri).read(uri, 0, most + 1)[0]
    except (NotFound, FileNotFoundError, NotADirectoryError):
        return ""
    except (NotAFile, Forbidden, PermissionError) as error:
        raise Damaged(f"{uri} cannot be read: {error}", "bad_record") from None
    if len(data) > most:
        raise Damaged(f"{uri} has over {most:,} bytes", "bad_record")
    return data.decode("utf-8", "replace")


def _boxes(text: str, names: dict[int, str], points: bool) -> tuple[list[dict[str, Any]], str]:
    """The boxes of an image, and what is wrong with the first that cannot be."""
    boxes, fault = [], ""
    for number, line in enumerate(text.splitlines(), 1):
        try:
            if line.strip():
                boxes.append(_box(line.split(), names, points))
        except RowError as error:
            fault = fault or f"line {number} of its labels: {error.detail}"
    return boxes, fault


def _box(words: list[str], names: dict[int, str], points: bool) -> dict[str, Any]:
    """The box of one line.

    Args:
        points: whether key points follow the box.

    Raises:
        RowError: bad_box.
    """
    try:
        label, numbers = names.get(int(words[0]), ""), list(map(float, words[1:]))
    except ValueError:
        raise RowError("bad_box", f"{' '.join(words)[:80]!r} is no class and its numbers") from None
    if not label:
        raise RowError("bad_box", f"class {words[0][:20]} is not among the {len(names)} names of data.yaml")
    if len(words) in (_BOX, _SCORED_BOX) or (points and len(words) > _BOX):
        x, y, width, height = numbers[:4]
        return box_of(label, x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    if len(numbers) < 6 or len(numbers) % 2:
        raise RowError("bad_box", f"expected x y width height, or an outline; found {len(numbers)} numbers")
    return box_of(label, min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2]))
