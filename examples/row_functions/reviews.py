"""Rows of a review tool as rows of a table: a worked example of --transform.

    tuneset prepare --input reviews.jsonl --output dataset --transform examples/row_functions/reviews.py:photos_of \\
        --prompt 'Is the {part} of this car damaged?' --answer '{verdict}'

A line holds all photos of one car, `{"car": "c1", "photos": [{"file": "1.jpg", "part": "door", "votes": ["dent", "dent", "ok"]}]}`.
The function makes a row of each photo on which most reviewers agree, and drops cars that nobody has looked at.
"""

from __future__ import annotations

from collections import Counter
from typing import Any


def photos_of(car: dict[str, Any]) -> list[dict[str, Any]] | None:
    """One row for each photo; a photo without votes is a fault of the file, which an exception tells."""
    if not car["photos"]:
        return None
    return [row for photo in car["photos"] if (row := _row_of(photo, car["car"]))]


def _row_of(photo: dict[str, Any], car: str) -> dict[str, Any] | None:
    if not photo["votes"]:
        raise ValueError(f"photo {photo['file']} has no votes")
    (verdict, votes), *_ = Counter(photo["votes"]).most_common(1)
    if votes * 2 <= len(photo["votes"]):
        return None
    return {"image": photo["file"], "part": photo["part"], "verdict": verdict, "car": car}
