"""What a sealed dataset is warned of: its counts, splits and files as the manifest tells them -> Notices, in the table's order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from transforms.core.limits import PROFILES
from transforms.core.warning_codes import WARNINGS, Notice, WarningCounts, model_notices
from transforms.dataset.tuning.validation import validation_notices

_COUNTED = ("examples_split", "examples_over_tokens", "images_warn_type", "images_rotated_tag", "validation_unused")
_FOUND = (
    "train_in_several_files",
    "train_files_in_order",
    "classes_in_order",
    "empty_split",
    "validation_bytes",
    "validation_examples",
    "validation_over_model",
    "model_retired",
    "model_unknown",
    "not_verified",
)
OF_THE_WHOLE = frozenset((*_FOUND, *_COUNTED))  # which `_of_whole` finds; the others are counted block by block


def dataset_notices(dataset: Mapping[str, Any], warned: WarningCounts, by_class: bool = False) -> list[Notice]:
    """All that looks wrong about a dataset.

    Args:
      dataset: the manifest's, with its counters, splits, files and options.
      warned: warnings that its blocks counted.
      by_class: whether rows stand in the order of their classes.
    """
    notices = [*_of_whole(dataset, by_class), *warned.notices()]
    order = {code: place for place, code in enumerate(WARNINGS)}
    return sorted(notices, key=lambda notice: order[notice.code])


def _of_whole(dataset: Mapping[str, Any], by_class: bool) -> Iterator[Notice]:
    counters, splits = dataset["counters"], dataset["splits"]
    mixed = bool(dataset["options"]["shuffle_seed"])

    profile = PROFILES.get(dataset["options"].get("model", ""))
    if profile:
        yield from model_notices(profile)
    train_files = sum(file["name"].startswith("train-") for file in dataset["files"])
    if train_files:
        yield Notice("train_in_several_files", train_files)
        if not mixed:
            yield Notice("train_files_in_order")
    if by_class and not mixed:
        yield Notice("classes_in_order")
    for name, lines in splits.items():
        if not lines:
            yield Notice("empty_split", detail=f"{name}.jsonl is empty")
    yield from validation_notices(dataset["files"], profile.max_validation if profile else None)
    for code in _COUNTED:
        if counters.get(code):
            yield Notice(code, counters[code])
    if not dataset["verified"]:
        yield Notice("not_verified")
