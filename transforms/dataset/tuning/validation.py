"""How large validation may be beside the one training file that a tuning job takes: arithmetic on bytes and lines.

The bytes: google/skills, agent-platform-tuning, data_prep.md (2026-08-21): splits of 25.03 % and more were refused, whatever
their number of examples. It says so of open models; of Gemini's nothing else is known. The lines: the limits of every profile
that can be tuned (core/limits.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from transforms.core.warning_codes import Notice
from transforms.dataset.seal_plan import EVERYTHING, is_file_of

_FREE_LINES = 1000  # of validation, whatever training has


def most_bytes(train_bytes: int) -> int:
    """Bytes that validation may have: 25 % of the training file's.

    >>> most_bytes(400), most_bytes(403)
    (100, 100)
    """
    return train_bytes // 4


def most_lines(train_lines: int) -> int:
    """Examples that validation may have: 30 % of the training file's, or 1,000 if that is more.

    >>> most_lines(3333), most_lines(3340), most_lines(4000)
    (1000, 1002, 1200)
    """
    return max(_FREE_LINES, train_lines * 3 // 10)


def share_bound(lines: Sequence[tuple[int, int]], train_files: Sequence[tuple[int, int]], max_lines: int) -> int:
    """The id below which validation is kept: at most 20 % of the smallest training file's bytes, and so many lines as are taken.

    Args:
      lines: (id, bytes) of validation, in order; at least the first `max_lines` + 1. Equal ids stay together.
      train_files: (lines, bytes) of each; if one is empty, only `max_lines` holds.
      max_lines: examples that the model takes.
    """
    max_bytes = sum(size for _, size in lines)
    if all(count for count, _ in train_files):
        max_bytes = min(size for _, size in train_files) // 5
        max_lines = min(max_lines, most_lines(min(count for count, _ in train_files)))
    total = 0
    for number, (example_id, size) in enumerate(lines):
        total += size
        if number >= max_lines or total > max_bytes:
            return example_id
    return EVERYTHING


def validation_notices(files: Sequence[Mapping[str, Any]], max_lines: int | None = None) -> Iterator[Notice]:
    """Warnings of a validation file that is too large for a training file; of numbered ones the largest and the smallest count.

    Args:
      files: of the manifest.
      max_lines: examples that the model takes.
    """
    train = [file for file in files if is_file_of(file["name"], "train")]
    validation = [file for file in files if is_file_of(file["name"], "validation")]
    if not (validation and train and all(file["lines"] for file in train)):
        return  # what has nothing to train on is told by itself

    for code, unit, share, most in (
        ("validation_bytes", "bytes", "25 %", most_bytes),
        ("validation_examples", "lines", "1,000 and 30 %", most_lines),
    ):
        smallest = min(train, key=lambda file: (file[unit], file["name"]))
        largest = max(validation, key=lambda file: (file[unit], file["name"]))
        if largest[unit] > most(smallest[unit]):
            yield Notice(
                code,
                largest[unit],
                detail=f"of {largest['name']} are over {share} of the {smallest[unit]:,} of {smallest['name']}: the service "
                f"may refuse more than {most(smallest[unit]):,}",
            )
    most_of_all = max(file["lines"] for file in validation)
    if max_lines is not None and most_of_all > max_lines:
        yield Notice(
            "validation_over_model",
            most_of_all,
            detail=f"of validation are more than the {max_lines:,} that the model takes",
        )
