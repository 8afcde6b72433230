"""PaliGemma's rows: an image, the prefix that is asked and the suffix that is learnt. Record -> Example.

    {"image": "a.jpg", "prefix": "caption en", "suffix": "A cat."}
    {"image": "a.jpg", "prefix": "detect cat ; dog", "suffix": "<loc0256><loc0128><loc0768><loc0512> cat ; <loc...> dog"}

Four `<loc>` are ymin, xmin, ymax and xmax in 1024ths of the picture. They become Gemini's boxes, as JSON: `box_2d` from 0 to 1000 with
its `label`. Masks (`<seg>`) are rejected.
"""

from __future__ import annotations

import re
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Example, Record
from transforms.inputs.formats.conversation import body_of, example_of_body, image_part
from transforms.inputs.formats.row_rules import RowRules

_OWN_KEYS = ("image", "prefix", "suffix")
_LOC = re.compile(r"<loc(\d{1,4})>")
_BOX = re.compile(r"\s*((?:<loc\d{1,4}>){4})\s*([^<;]*?)\s*(?:;|$)")
_BINS = 1024


def is_paligemma_object(obj: dict[str, Any]) -> bool:
    return "prefix" in obj and "suffix" in obj and "image" in obj


def has_location(obj: dict[str, Any]) -> bool:
    """Whether a line of JSON holds boxes."""
    return isinstance(obj.get("suffix"), str) and _LOC.search(obj["suffix"]) is not None


def paligemma_example(row: Record, base: str, rules: RowRules) -> Example:
    """One row as an example; its id is that of the same question in a row of Gemini's.

    Args:
        base: folder that relative image paths start from.

    Raises:
        RowError: with a reason of stage rules.
    """
    image, prefix, suffix = (row.columns.get(key) for key in _OWN_KEYS)
    if not isinstance(image, str) or not image.strip():
        raise RowError("no_image", "image is no text, or a blank one")
    if not isinstance(prefix, str) or not isinstance(suffix, str):
        raise RowError("bad_turn", "prefix and suffix are not both texts")
    answer = jsonl.text(boxes_of(suffix)) if has_location(row.columns) or "<seg" in suffix else suffix
    if not answer.strip():
        raise RowError("empty_answer", "the suffix is blank: there is nothing to learn")
    contents = [
        {"role": "user", "parts": [image_part(image.strip()), {"text": prefix}]},
        {"role": "model", "parts": [{"text": answer}]},
    ]
    return example_of_body(row, base, rules, body_of(contents, []), _OWN_KEYS)


def boxes_of(suffix: str) -> list[dict[str, Any]]:
    """The boxes of a suffix.

    >>> boxes_of("<loc0256><loc0128><loc0768><loc0512> a cat ; <loc0000><loc0000><loc1023><loc1023> dog")
    [{'box_2d': [250, 125, 750, 500], 'label': 'a cat'}, {'box_2d': [0, 0, 999, 999], 'label': 'dog'}]

    Raises:
        RowError: bad_box, unsupported_part (a mask).
    """
    if "<seg" in suffix:
        raise RowError("unsupported_part", "the suffix holds a mask (<seg>), which has no place in boxes")
    boxes, at = [], 0
    while at < len(suffix.rstrip()):
        found = _BOX.match(suffix, at)
        if not found:
            raise RowError(
                "bad_box", f"expected four <loc>, then a label, up to a semicolon; found {suffix[at : at + 60]!r}"
            )
        corners = [int(number) for number in _LOC.findall(found[1])]
        if max(corners) >= _BINS or corners[0] > corners[2] or corners[1] > corners[3] or not found[2]:
            raise RowError(
                "bad_box", f"{found[0][:80]!r} is no box: ymin, xmin, ymax, xmax from 0 to 1023, and a label"
            )
        boxes.append({"box_2d": [round(1000 * corner / _BINS) for corner in corners], "label": found[2]})
        at = found.end()
    return boxes
