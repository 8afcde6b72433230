"""COCO's detection and captions: one JSON file of images, annotations and categories -> a line of JSON for each image or caption.

Images and annotations are joined in bounded memory, some 60 bytes an annotation besides the texts of captions: a file of a
gigabyte is walked through once. An image's row has its boxes; where annotations are captions, each caption has a row.
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Iterator
from typing import Any

import numpy as np

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Extent
from transforms.inputs.formats.boxes import FAULT, box_of_pixels, columns_of_boxes
from transforms.inputs.formats.joined.json_items import LARGE, ItemScan, items, key_of
from transforms.storage import store_for
from transforms.storage.packings import Damaged

_KEYS = frozenset(("images", "annotations", "categories", "info", "licenses"))
_NOT_COCO = frozenset(("messages", "conversations", "contents", "query"))
_OF_ITEMS = {"images": "file_name", "annotations": "image_id"}  # a key that every item of a list has
_CHUNK = 4 << 20  # bytes read at a time
_MOST = 1 << 30  # bytes of what is held of a file
_MOST_CATEGORIES = 1 << 20
_NO_BOX = (float("nan"),) * 4


def is_coco(head: bytes) -> bool:
    """Whether the first bytes of a file are those of COCO's JSON.

    >>> is_coco(b'{"info": {}, "images": [{"id": 1'), is_coco(b'{"images": [{"path": "a"}], "messages": []}')
    (True, False)
    >>> is_coco(b'{"images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_na')
    True
    >>> is_coco(b'{"image": "a", "annotations": [{"id": 1}], "info": ""}\\n{"image": "b"}')
    False
    """
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{"):
        return False
    scan = ItemScan()
    try:
        first = next(iter([key for key, _ in scan.feed(head)]), "") or next(iter(scan.keys), "")
    except Damaged:  # as where another line follows
        return False
    named = [key for key in (*_KEYS, *_NOT_COCO) if f'"{key}"'.encode() in head]
    alone = (
        f'"{_OF_ITEMS[first]}"'.encode() in head if first in _OF_ITEMS else False
    )  # the others stand behind a long list
    return first in _KEYS and (len(named) > 1 or alone) and b'"id"' in head and not _NOT_COCO.intersection(named)


def first_image_of(head: bytes) -> str:
    """The name of the first image that the first bytes of a file list; "" if they list none.

    >>> first_image_of(b'{"info": {}, "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_na')
    '1.jpg'
    """
    try:
        first = next((text for key, text in ItemScan().feed(head) if key == "images"), b"{}")
        name = jsonl.loads(first).get("file_name")
    except (Damaged, RowError):
        return ""
    return name if isinstance(name, str) else ""


def lines_of(extent: Extent) -> Iterator[bytes]:
    """The rows of a whole file, as lines of JSON.

    Raises:
        Damaged: it is no JSON, no COCO, or more than one worker should hold.
    """
    store, joined = store_for(extent.uri), _Joined()
    starts = range(0, extent.size, _CHUNK)
    chunks = (store.read(extent.uri, at, min(at + _CHUNK, extent.size), extent.generation)[0] for at in starts)
    try:
        for key, text in items(chunks):
            if take := joined.takers.get(key):
                take(jsonl.loads(text))
    except RowError as error:
        raise Damaged(error.detail, error.reason) from None
    for row in joined.rows():
        yield jsonl.dumps(row) + b"\n"


class _Joined:
    """What is held of a file: of each image its name and size, of each annotation numbers, and captions as text."""

    def __init__(self) -> None:
        self.takers = {"images": self._image, "annotations": self._annotation, "categories": self._category}
        self._names: dict[int, str] = {}  # of categories
        self._images, self._image_ends, self._image_keys = bytearray(), array("Q"), array("Q")
        self._keys, self._categories, self._corners = array("Q"), array("Q"), array("d")  # of boxes; 4 corners each
        self._captions, self._caption_ends, self._caption_keys = bytearray(), array("Q"), array("Q")
        self._held = 0

    def _hold(self, more: int) -> None:
        self._held += more
        if self._held > _MOST:
            raise Damaged(
                f"over {_MOST:,} bytes of annotations, which one worker would have to hold: part the file", "bad_record"
            )

    def _category(self, category: dict[str, Any]) -> None:
        if len(self._names) == _MOST_CATEGORIES:
            raise Damaged(f"over {_MOST_CATEGORIES:,} categories", "bad_record")
        name = category.get("name")
        self._names[key_of(category.get("id"), "a category's id")] = name.strip() if isinstance(name, str) else ""

    def _image(self, image: dict[str, Any]) -> None:
        name, size = image.get("file_name"), (image.get("width"), image.get("height"))
        packed = marshal.dumps(
            (name if isinstance(name, str) else "", *(side if _is_number(side) else 0 for side in size))
        )
        self._hold(len(packed) + 16)
        self._images += packed
        self._image_ends.append(len(self._images))
        self._image_keys.append(key_of(image.get("id"), "an image's id"))

    def _annotation(self, annotation: dict[str, Any]) -> None:
        key = key_of(annotation.get("image_id"), "image_id of an annotation")
        if isinstance(caption := annotation.get("caption"), str):
            self._hold(len(caption) + 16)
            self._captions += caption.strip().encode("utf-8", "replace")
            self._caption_ends.append(len(self._captions))
            self._caption_keys.append(key)
        elif annotation.get("iscrowd") != 1:  # a crowd is no object
            self._hold(48)
            box = annotation.get("bbox")
            if not (isinstance(box, list) and len(box) == 4 and all(map(_is_number, box))):
                box = _NO_BOX
            self._keys.append(key)
            self._categories.append(key_of(annotation.get("category_id"), "category_id of an annotation"))
            self._corners.extend(box)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The columns of each row, images in the order of the file; then what belongs to no image, as faults."""
        images = np.frombuffer(self._image_keys, np.uint64)
        if self._caption_keys and not self._keys:
            yield from self._caption_rows(images)
            return
        keys = np.frombuffer(self._keys, np.uint64)
        order, starts, ends = _joined(images, keys)
        corners = np.frombuffer(self._corners, np.float64).reshape(-1, 4)
        for number in range(len(images)):
            own = order[starts[number] : ends[number]]
            yield self._box_row(number, own.tolist(), corners[own].tolist())
        yield from _orphans(images, keys)

    def _box_row(self, number: int, annotations: list[int], corners: list[list[float]]) -> dict[str, Any]:
        """The columns of an image; `corners`: left, top, width and height of each of its boxes."""
        name, width, height = self._packed(number)
        boxes, fault = [], ""
        for one, (left, top, wide, high) in zip(annotations, corners):
            label = self._names.get(self._categories[one], "")
            try:
                boxes.append(box_of_pixels(label, (left, top, left + wide, top + high), (width, height)))
            except RowError as error:
                fault = fault or error.detail
        return columns_of_boxes(name, boxes, fault)

    def _caption_rows(self, images: Any) -> Iterator[dict[str, Any]]:
        keys = np.frombuffer(self._caption_keys, np.uint64)
        order, starts, ends = _joined(images, keys)
        for number in range(len(images)):
            name = self._packed(number)[0]
            captions = [self._caption(one) for one in order[starts[number] : ends[number]].tolist()]
            for caption in captions or (None,):
                yield {"image": name, "caption": caption, "captions": captions, "boxes": None}
        yield from _orphans(images, keys)

    def _packed(self, number: int) -> tuple[str, float, float]:
        start = self._image_ends[number - 1] if number else 0
        told: tuple[str, float, float] = marshal.loads(self._images[start : self._image_ends[number]])
        return told

    def _caption(self, number: int) -> str:
        start = self._caption_ends[number - 1] if number else 0
        return self._captions[start : self._caption_ends[number]].decode()


def _joined(images: Any, keys: Any) -> tuple[Any, Any, Any]:
    """Annotations in the order of their images' keys, and for each image where its own begin and end in that order."""
    order = np.argsort(keys, kind="stable")
    in_order = keys[order]
    return order, np.searchsorted(in_order, images, "left"), np.searchsorted(in_order, images, "right")


def _orphans(images: Any, keys: Any) -> Iterator[dict[str, Any]]:
    """A fault that stands for all annotations whose image the file does not list."""
    lost = keys[~np.isin(keys, images)]
    if len(lost):
        said = f"{len(lost):,} annotations are of images that the file does not list"
        first = f", as image_id {int(lost[0])}" if int(lost[0]) < LARGE else ""
        yield {"image": "", "boxes": None, FAULT: ["annotation_without_image", said + first]}


def _is_number(value: Any) -> bool:
    return value.__class__ is float or value.__class__ is int
