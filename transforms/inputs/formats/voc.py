"""Pascal VOC: an XML file of an image and its objects -> the columns of the image with its boxes.

In the layout of the challenge (Annotations/1.xml) images lie in JPEGImages beside it; those of annotations/ in images/, as on Kaggle;
elsewhere they lie beside the XML, as Roboflow and labelImg write. The XML is read by expat, with neither a document type nor
entities, which such a file never has.

Boxes are pixels that are counted from 1, and both of their ends belong to them, as the challenge has it: (1, 1, width, height) is the
whole picture. A file with a corner at 0, or at a part of a pixel, is of a tool that measures from the picture's edge instead.
"""

from __future__ import annotations

import math
import posixpath
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from transforms.core.reasons import RowError
from transforms.inputs.formats.boxes import box_of_pixels, columns_of_boxes

_DEPTH = 32
_IMAGES = {
    "Annotations": "JPEGImages",
    "annotations": "images",
}  # by the folder of annotations, the folder of images beside it
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def columns_of(uri: str, data: bytes) -> dict[str, Any]:
    """The columns of one file.

    Raises:
        RowError: bad_record, it is no annotation; no_image.
    """
    root = _parsed(data)
    if root.tag != "annotation":
        raise RowError("bad_record", f"the XML is a <{root.tag[:40]}>, not an <annotation>")
    size = _number(root.find("size"), "width", 0), _number(root.find("size"), "height", 0)
    drawn = [
        ((found.findtext("name") or "").strip(), [_number(found.find("bndbox"), key, math.nan) for key in _CORNERS])
        for found in root.findall("object")
    ]
    first = _first_pixel([corner for _, corners in drawn for corner in corners])
    boxes, fault = [], ""
    for label, (left, top, right, bottom) in drawn:
        try:
            boxes.append(box_of_pixels(label, (left - first, top - first, right, bottom), size))
        except RowError as error:
            fault = fault or error.detail
    return columns_of_boxes(_image(root, uri), boxes, fault)


def _first_pixel(corners: list[float]) -> int:
    """The number of a picture's first pixel, by all corners of a file: 1, or 0 where they are measured from its edge."""
    return int(all(corner >= 1 and corner == round(corner) for corner in corners if math.isfinite(corner)))


def _image(root: Element, uri: str) -> str:
    name, path = ((root.findtext(key) or "").strip().replace("\\", "/") for key in ("filename", "path"))
    name = posixpath.basename(name) or posixpath.basename(path)
    if not name:
        raise RowError("no_image", "the annotation has neither a filename nor a path")
    beside = _IMAGES.get(posixpath.basename(posixpath.dirname(uri)), "")
    return f"../{beside}/{name}" if beside else name


def _number(parent: Element | None, key: str, otherwise: float) -> float:
    try:
        return float((parent.findtext(key) if parent is not None else "") or otherwise)
    except ValueError:
        return otherwise


def _parsed(data: bytes) -> Element:
    """The tree of an XML text.

    Raises:
        RowError: bad_record: damaged, or with a document type, entities or more levels than an annotation has.
    """
    builder, parser, depth = TreeBuilder(), expat.ParserCreate(), 0

    def refuse(*_: Any) -> None:
        raise RowError("bad_record", "the XML declares a document type or entities, as no annotation does")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEPTH:
            raise RowError("bad_record", f"the XML nests deeper than {_DEPTH} levels")
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, builder.data
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, RowError):
            raise
        raise RowError("bad_record", f"it is no XML that can be read: {error}") from None
    return builder.close()
