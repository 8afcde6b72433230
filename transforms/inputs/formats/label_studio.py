"""Label Studio's exports: a task of its JSON, a row of its JSON-MIN or CSV -> the columns image, answer, boxes and one a control.

    JSON              {"id": 1, "data": {"image": "/data/upload/3/0.jpg"}, "annotations": [{"result": [...]}]}
    JSON-MIN, CSV     image, id, a column for each control (`choice`, `label`, ...), annotator, annotation_id, ..., lead_time

Of a task's annotations the first that was not skipped counts. `answer` is what was chosen or written: of several controls a line each.
Rectangles, in percent of the picture, become Gemini's boxes.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

from transforms.core import jsonl
from transforms.core.media_types import has_image_ending
from transforms.core.reasons import RowError
from transforms.inputs.formats.boxes import FAULT, box_of

_OF_ANNOTATION = ("annotator", "annotation_id", "created_at", "updated_at", "lead_time")
_RECTANGLE = ("x", "y", "width", "height")
_CHOICES = ("choices", "taxonomy", "rating", "number", "datetime", "pairwise")
_TEXTS = ("text",)


def is_label_studio(row: dict[str, Any]) -> bool:
    """Whether a row looks like Label Studio's, and is not made into columns yet."""
    is_task = isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list)
    return is_task or {"annotation_id", "lead_time"} <= row.keys()


def has_boxes(row: dict[str, Any]) -> bool:
    """Whether a row holds rectangles."""
    try:
        return columns_of(row).get("boxes") is not None
    except RowError:
        return False


def columns_of(row: dict[str, Any]) -> dict[str, Any]:
    """The columns of a row.

    Raises:
        RowError: bad_record or no_image.
    """
    if "annotations" in row:
        data = row.get("data")
        if not isinstance(data, dict) or not isinstance(row["annotations"], list):
            raise RowError("bad_record", "a task is not an object of `data` and a list of `annotations`")
        controls = dict(_controls_of_task(row))
        own = {"id": row.get("id")}
    else:
        data, controls = _parted(row)
        own = {key: data.get(key) for key in ("id", "annotator", "annotation_id") if key in row}
    columns: dict[str, Any] = {**data, **own, "image": _image(data)}
    fault, boxes, answers = "", list[dict[str, Any]](), dict[str, str]()
    has_rectangles = False
    for name, values in controls.items():
        columns[name] = _value(values)
        rectangles = [value for value in values if _is_rectangle(value)]
        has_rectangles |= bool(rectangles)
        if rectangles:
            try:
                boxes += [box for value in rectangles for box in _boxes(value)]
            except RowError as error:
                fault = fault or error.detail
        elif text := _text(values):
            answers[name] = text
    columns["answer"] = _answer(answers)
    columns |= {
        "boxes": boxes if has_rectangles else None,
        "labels": list(dict.fromkeys(box["label"] for box in boxes)),
    }
    return columns | ({FAULT: fault} if fault else {})


def _controls_of_task(task: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """The values of each control of a task's first annotation that was not skipped."""
    annotations = [one for one in task["annotations"] if isinstance(one, dict)]
    results: Any = next(
        (one.get("result") for one in annotations if not one.get("was_cancelled") and one.get("result")), []
    )
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise RowError("bad_record", "the result of an annotation is not a list of objects")
    labels = {result.get("id"): label for result in results if (label := _label(_value_of(result)))}
    controls: dict[str, list[Any]] = {}
    for result in results:
        value = _value_of(result)
        size = {key: result[key] for key in ("original_width", "original_height") if key in result}
        if _is_rectangle(value) and not _label(value):  # its label is a result of its own
            value = {**value, "labels": [labels.get(result.get("id"), "")]}
        if isinstance(result.get("from_name"), str):
            controls.setdefault(result["from_name"], []).append(value | size if _is_rectangle(value) else value)
    yield from controls.items()


def _value_of(result: dict[str, Any]) -> dict[str, Any]:
    value = result.get("value")
    return value if isinstance(value, dict) else {}


def _parted(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """What the data of a task were, and what its controls say, of a row of JSON-MIN or CSV."""
    names = list(row)
    known = {"id", *_OF_ANNOTATION}
    begins, ends = (names.index(name) if name in names else -1 for name in ("id", "annotator"))
    between = names[begins + 1 : ends] if 0 <= begins < ends else names
    picture = _picture_key(row)
    chosen = [name for name in between if name not in known and name != picture]
    data = {name: value for name, value in row.items() if name not in chosen and name != "lead_time"}
    return data, {name: _values(row[name]) for name in chosen}


def _values(value: Any) -> list[Any]:
    """The values that one cell holds; in CSV lists and objects are JSON."""
    if isinstance(value, str) and value[:1] in ("[", "{"):
        with contextlib.suppress(RowError):  # it may be a text that begins so
            value = jsonl.loads(b'{"value":' + value.encode() + b"}")["value"]
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def _picture_key(data: dict[str, Any]) -> str:
    """The key of a task's picture: `image`, or the first that holds a name with an image's ending."""
    if isinstance(data.get("image"), str):
        return "image"
    return next((key for key, value in data.items() if isinstance(value, str) and _is_picture(value)), "")


def _is_picture(value: str) -> bool:
    return has_image_ending(value) or value.startswith("/data/") or has_image_ending(value.partition("?")[0])


def _image(data: dict[str, Any]) -> str:
    key = _picture_key(data)
    value = data[key].strip() if key else ""
    if not value:
        raise RowError("no_image", f"none of {', '.join(map(repr, list(data)[:10]))} holds the name of an image")
    return str(value)


def _is_rectangle(value: Any) -> bool:
    return isinstance(value, dict) and all(key in value for key in _RECTANGLE) and not _said(value)


def _said(value: dict[str, Any]) -> list[Any]:
    """What was chosen or written, of a value that is one."""
    for key in (*_CHOICES, *_TEXTS):
        if key in value:
            held = value[key]
            return held if isinstance(held, list) else [held]
    return []


def _words(item: Any) -> str:
    """A choice, a text, or the path of a taxonomy."""
    return " / ".join(map(str, item)) if isinstance(item, list) else str(item)


def _pieces(values: list[Any]) -> list[str]:
    said = (item for value in values for item in (_said(value) if isinstance(value, dict) else [value]))
    return [_words(item) for item in said if item is not None]


def _value(values: list[Any]) -> Any:
    """What a control's column holds: one text, a list of several, or regions as they are."""
    if any(_is_rectangle(value) for value in values):
        return values
    pieces = _pieces(values)
    return pieces[0] if len(pieces) == 1 else pieces or None


def _text(values: list[Any]) -> str:
    written = any(isinstance(value, dict) and "text" in value for value in values)
    return ("\n" if written else ", ").join(_pieces(values))


def _answer(answers: dict[str, str]) -> str | None:
    if len(answers) < 2:
        return next(iter(answers.values()), None)
    return "\n".join(f"{name}: {text}" for name, text in answers.items())


def _label(value: dict[str, Any]) -> str:
    """The first label of a region; "" if it has none."""
    held = next((held for key, held in value.items() if key.endswith("labels") and isinstance(held, list)), [])
    return str(held[0]) if held else ""


def _boxes(value: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The box of a rectangle, whose numbers are percents.

    Raises:
        RowError: bad_box.
    """
    x, y, width, height = (_number(value[key], key) / 100 for key in _RECTANGLE)
    corners = [(x, y), (x + width, y), (x, y + height), (x + width, y + height)]
    if turn := math.radians(_number(value.get("rotation") or 0, "rotation")):
        wide, high = (_number(value.get(key), key) for key in ("original_width", "original_height"))
        if wide <= 0 or high <= 0:
            raise RowError("bad_box", f"the picture of a turned rectangle is said to be {wide} x {high} pixels")
        turned = [_turned(across - x, down - y, turn, wide / high) for across, down in corners]
        corners = [(min(max(x + right, 0.0), 1.0), min(max(y + below, 0.0), 1.0)) for right, below in turned]
    across, down = zip(*corners)
    yield box_of(_label(value), min(across), min(down), max(across), max(down))


def _turned(across: float, down: float, turn: float, ratio: float) -> tuple[float, float]:
    """A vector in parts of the picture, turned clockwise; `ratio` is the picture's width by its height."""
    pixels = across * ratio, down
    turned = (
        pixels[0] * math.cos(turn) - pixels[1] * math.sin(turn),
        pixels[0] * math.sin(turn) + pixels[1] * math.cos(turn),
    )
    return turned[0] / ratio, turned[1]


def _number(value: Any, key: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise RowError("bad_box", f"{key} of a rectangle is {str(value)[:40]!r}, not a number")
