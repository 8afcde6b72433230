"""Validation beside the one training file that a job takes: what is warned of, at one below, at and one above each rule."""

from __future__ import annotations

from typing import Any

import pytest

from transforms.core.warning_codes import WARNINGS
from transforms.dataset.validation import validation_notices

BYTES, LINES = "validation_bytes", "validation_examples"


def file(name: str, lines: int, size: int) -> dict[str, Any]:
    return {"name": name, "lines": lines, "bytes": size}


def codes(*files: dict[str, Any]) -> list[str]:
    return [notice.code for notice in validation_notices(files)]


@pytest.mark.parametrize(
    "train, validation, told",
    [
        ((100, 4000), (10, 999), []),
        ((100, 4000), (10, 1000), []),
        ((100, 4000), (10, 1001), [BYTES]),
        ((100, 4003), (10, 1000), []),
        ((100, 4003), (10, 1001), [BYTES]),
        ((100, 4004), (10, 1001), []),
        ((3333, 9000), (999, 9), []),
        ((10, 9000), (1000, 9), []),  # up to 1,000 whatever training has
        ((10, 9000), (1001, 9), [LINES]),
        ((3336, 9000), (1001, 9), [LINES]),
        ((3337, 9000), (1001, 9), []),
        ((4000, 9000), (1199, 9), []),
        ((4000, 9000), (1200, 9), []),
        ((4000, 9000), (1201, 9), [LINES]),
        ((4000, 8000), (1201, 2001), [BYTES, LINES]),
        ((0, 0), (2000, 9000), []),
        ((100, 4000), (0, 0), []),
    ],
)
def test_validation_that_the_service_may_refuse(
    train: tuple[int, int], validation: tuple[int, int], told: list[str]
) -> None:
    assert codes(file("train.jsonl", *train), file("validation.jsonl", *validation)) == told


def test_numbered_files_are_for_several_jobs_so_the_smallest_counts() -> None:
    train = [file("train-00000-of-00002.jsonl", 9000, 90_000), file("train-00001-of-00002.jsonl", 40, 400)]
    others = [file("test.jsonl", 9000, 9000), file("validation-unused.jsonl", 9000, 9000), file("rejected.jsonl", 0, 0)]
    assert codes(*train, *others, file("validation.jsonl", 10, 100)) == []
    assert codes(*train, *others, file("validation.jsonl", 10, 101)) == [BYTES]
    validation = [file("validation-00000-of-00002.jsonl", 9, 99), file("validation-00001-of-00002.jsonl", 9, 101)]
    assert codes(*train, *validation) == [BYTES]


def test_a_warning_names_the_files_the_numbers_and_the_option() -> None:
    (notice,) = validation_notices([file("train.jsonl", 40, 4000), file("validation.jsonl", 9, 1001)])
    assert notice.line.startswith(
        "! validation_bytes: 1,001 bytes of validation.jsonl are over 25 % of the 4,000 of train.jsonl: the service may refuse more "
        "than 1,000. --max_validation auto keeps 20 %"
    )
    assert all("--max_validation auto" in WARNINGS[code].hint for code in (BYTES, LINES))
