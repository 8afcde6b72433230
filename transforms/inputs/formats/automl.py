"""Vertex AutoML's image datasets: a CSV row or JSON line -> the columns image, ml_use, label, labels and boxes.

    CSV, no header    [ML_USE,]gs://IMAGE[,LABEL...]         classification, of one label or several
                      [ML_USE,]gs://IMAGE,LABEL,8 cells      object detection: one box a row; xmin,ymin,,,xmax,ymax,, or four vertices
    JSON lines        imageGcsUri, classificationAnnotation(s) or boundingBoxAnnotations, dataItemResourceLabels

What a cell means is told row by row, since ML_USE is left out where there is none. Boxes become Gemini's: `box_2d` as ymin, xmin,
ymax, xmax from 0 to 1000. AutoML's were drawn on the picture as it is shown, so pictures are to be upright.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from transforms.core.reasons import RowError
from transforms.examples.splits import split_word
from transforms.inputs.formats.boxes import FAULT, box_of
from transforms.storage.uris import is_object

COLUMNS = ("image", "ml_use", "label", "labels", "boxes")
NEGATIVE = "NEGATIVE_IMAGE"  # the label of an image without objects, in the older format
_ML_USE = ("aiplatform.googleapis.com/ml_use", "ml_use")


def is_automl_row(cells: Sequence[str]) -> bool:
    """Whether a record of CSV looks like AutoML's: gs:// in its first cell, or behind a word that names a split."""
    first, second = [*(cell.strip() for cell in cells[:2]), "", ""][:2]
    if is_object(first):
        return True
    try:
        split_word(first)
    except RowError:
        return False
    return is_object(second)


def is_automl_object(obj: dict[str, Any]) -> bool:
    return "imageGcsUri" in obj or "image_gcs_uri" in obj


def has_boxes(obj: dict[str, Any]) -> bool:
    """Whether a line of JSON is one of object detection."""
    return "boundingBoxAnnotations" in obj


def has_box(cells: Sequence[str]) -> bool:
    """Whether a record of CSV is one of object detection."""
    _, rest = _without_use(cells)
    return _is_box(rest[2:])


def cells_columns(cells: Sequence[str]) -> dict[str, Any]:
    """The columns of one CSV row.

    Raises:
        RowError: bad_record, no gs:// where it must stand. A bad box is noted in the column `fault`.
    """
    use, rest = _without_use(cells)
    if not rest or not is_object(rest[0]):
        raise RowError(
            "bad_record", "neither the first nor the second cell begins with gs://: expected [ML_USE,]gs://IMAGE,LABEL"
        )
    if _is_box(rest[2:]):
        try:
            return _columns(rest[0], use, [], [box_of(rest[1], *_corners(rest[2:]))])
        except RowError as error:  # its image cannot be used, whatever its other rows say
            return _columns(rest[0], use, [], []) | {FAULT: error.detail}
    labels = [cell for cell in rest[1:] if cell]
    return _columns(rest[0], use, labels, [] if labels == [NEGATIVE] else None)


def object_columns(obj: dict[str, Any]) -> dict[str, Any]:
    """The columns of one JSON line.

    Raises:
        RowError: no_image, bad_record or bad_box.
    """
    uri = obj.get("imageGcsUri", obj.get("image_gcs_uri"))
    if not isinstance(uri, str) or not uri.strip():
        raise RowError("no_image", "imageGcsUri is not a text, or blank")
    told = obj.get("dataItemResourceLabels")
    use = next((told[name] for name in _ML_USE if name in told), "") if isinstance(told, dict) else ""
    one, several = obj.get("classificationAnnotation"), obj.get("classificationAnnotations")
    found = [one] if one is not None else several if several is not None else []
    labels = [_name(annotation) for annotation in _list(found, "classificationAnnotations")]
    boxes = obj.get("boundingBoxAnnotations")
    if boxes is not None:
        boxes = [
            box_of(_name(b), *(_number(b.get(key), key) for key in ("xMin", "yMin", "xMax", "yMax")))
            for b in _list(boxes, "boundingBoxAnnotations")
        ]
    return _columns(uri.strip(), use, labels, boxes)


def group_boxes(rows: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The columns of the rows of one image, together: all boxes, the first ml_use that is there."""
    gathered: dict[str, Any] = {}
    for row in rows:
        if not gathered:
            gathered = _columns(row["image"], row["ml_use"], [], [])
        gathered["ml_use"] = gathered["ml_use"] or row["ml_use"]
        gathered["boxes"] += row["boxes"] or []
        if FAULT in row:
            gathered.setdefault(FAULT, row[FAULT])
    gathered["labels"] = list(dict.fromkeys(box["label"] for box in gathered["boxes"]))
    gathered["label"] = gathered["labels"][0] if gathered["labels"] else None
    return gathered


def _columns(uri: str, use: str, labels: list[str], boxes: list[dict[str, Any]] | None) -> dict[str, Any]:
    names = labels or list(dict.fromkeys(box["label"] for box in boxes or []))
    return {"image": uri, "ml_use": use, "label": names[0] if names else None, "labels": names, "boxes": boxes}


def _without_use(cells: Sequence[str]) -> tuple[str, list[str]]:
    stripped = [cell.strip() for cell in cells]
    if stripped and not is_object(stripped[0]):
        return stripped[0], stripped[1:]
    return "", stripped


def _is_box(cells: list[str]) -> bool:
    return 5 < len(cells) < 9 and sum(map(bool, cells)) in (4, 8) and all(map(_is_number, filter(None, cells)))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _corners(cells: list[str]) -> tuple[float, float, float, float]:
    xs = [float(cell) for cell in cells[::2] if cell]
    ys = [float(cell) for cell in cells[1::2] if cell]
    if not xs or not ys:
        raise RowError("bad_box", "expected x and y in turn: xmin,ymin,,,xmax,ymax,, or four vertices")
    return min(xs), min(ys), max(xs), max(ys)


def _number(value: Any, key: str) -> float:
    """A coordinate: the docs' own samples give them as texts."""
    if isinstance(value, str | int | float) and not isinstance(value, bool) and _is_number(str(value)):
        return float(value)
    raise RowError("bad_box", f"{key} is {str(value)[:40]!r}, not a number from 0 to 1")


def _list(value: Any, key: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise RowError("bad_record", f"{key} is not a list of objects")
    return value


def _name(annotation: dict[str, Any]) -> str:
    name = annotation.get("displayName", annotation.get("display_name"))
    if not isinstance(name, str) or not name.strip():
        raise RowError("bad_record", "an annotation has no displayName")
    return name.strip()
