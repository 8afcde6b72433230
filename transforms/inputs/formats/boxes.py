"""Boxes as Gemini takes them: one answer for all formats of object detection. Corners of any scale -> `box_2d` and `label`.

`box_2d` is [ymin, xmin, ymax, xmax] from 0 to 1000 of the picture as it is shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transforms.core.reasons import RowError

BOXES = ("image", "label", "labels", "boxes")  # columns of a row of object detection
FAULT = "fault"  # the column that says what is wrong with a box of the image
_LEAST, _MOST = -0.01, 1.01  # parts of the picture, between which a corner may lie


def box_of(label: str, left: float, top: float, right: float, bottom: float) -> dict[str, Any]:
    """A box whose corners are parts of the picture, from 0 to 1.

    >>> box_of("cat", 0.125, 0.25, 0.5, 1.001)
    {'box_2d': [250, 125, 1000, 500], 'label': 'cat'}

    Raises:
        RowError: bad_box.
    """
    if not label:
        raise RowError("bad_box", "a box has no label")
    # Written out, as files hold millions of boxes; no comparison holds for a number that is none.
    if not (
        _LEAST <= left <= _MOST and _LEAST <= top <= _MOST and _LEAST <= right <= _MOST and _LEAST <= bottom <= _MOST
    ):
        corners = (left, top, right, bottom)
        raise RowError("bad_box", f"expected numbers from 0 to 1, relative to the picture; found {corners}")
    if left > right:
        left, right = right, left
    if top > bottom:
        top, bottom = bottom, top
    return {
        "box_2d": [_thousandths(top), _thousandths(left), _thousandths(bottom), _thousandths(right)],
        "label": label,
    }


def _thousandths(part: float) -> int:
    number = round(1000 * part)
    return 0 if number < 0 else 1000 if number > 1000 else number


def box_of_pixels(label: str, corners: Sequence[float], size: tuple[float, float]) -> dict[str, Any]:
    """A box whose corners (left, top, right, bottom) are pixels of a picture of this width and height.

    Raises:
        RowError: bad_box.
    """
    width, height = size
    if not (width > 0 and height > 0):
        raise RowError("bad_box", f"the picture is said to be {width} x {height} pixels, which tells nothing of a box")
    left, top, right, bottom = corners
    return box_of(label, left / width, top / height, right / width, bottom / height)


def columns_of_boxes(image: str, boxes: Sequence[dict[str, Any]], fault: str = "") -> dict[str, Any]:
    """The columns of an image with its boxes; `fault` says what is wrong with one of them."""
    labels = list(dict.fromkeys(box["label"] for box in boxes))
    columns = {"image": image, "label": labels[0] if labels else None, "labels": labels, "boxes": list(boxes)}
    return columns | ({FAULT: fault} if fault else {})
