"""Validation beside the one training file that a job takes: what is warned of, at one below, at and one above each rule."""

from __future__ import annotations

from typing import Any

import pytest

from transforms.core.warning_codes import WARNINGS
from transforms.dataset.seal_plan import EVERYTHING
from transforms.dataset.tuning.validation import share_bound, validation_notices

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


@pytest.mark.parametrize("lines, told", [(4999, []), (5000, []), (5001, ["validation_over_model"])])
def test_more_than_the_model_takes(lines: int, told: list[str]) -> None:
    files = [file("train.jsonl", 90_000, 90_000), file("validation.jsonl", lines, 900)]
    assert [notice.code for notice in validation_notices(files, 5000)] == told


FOUR = [(10, 5), (20, 5), (30, 5), (40, 5)]  # ids and bytes


@pytest.mark.parametrize(
    "train_bytes, bound",
    [
        (0, 10),
        (24, 10),
        (25, 20),
        (49, 20),
        (50, 30),
        (74, 30),
        (75, 40),
        (99, 40),
        (100, EVERYTHING),
        (900, EVERYTHING),
    ],
)
def test_a_share_is_at_most_20_percent_of_the_bytes(train_bytes: int, bound: int) -> None:
    assert share_bound(FOUR, [(9, train_bytes)], 5000) == bound
    assert share_bound(FOUR, [(9, 100_000), (9, train_bytes), (9, 100_000)], 5000) == bound  # the smallest file


@pytest.mark.parametrize("most, bound", [(0, 10), (3, 40), (4, EVERYTHING), (5, EVERYTHING)])
def test_a_share_is_at_most_what_the_model_takes(most: int, bound: int) -> None:
    assert share_bound(FOUR, [(9, 10**6)], most) == share_bound(FOUR, [(0, 0)], most) == bound


@pytest.mark.parametrize("train_lines, kept", [(3333, 1000), (3336, 1000), (3337, 1001), (4000, 1200), (9000, 2000)])
def test_a_share_is_at_most_30_percent_of_the_examples_above_1000(train_lines: int, kept: int) -> None:
    bound = share_bound([(number, 1) for number in range(2000)], [(train_lines, 10**6)], 5000)
    assert bound == (kept if kept < 2000 else EVERYTHING)


def test_equal_ids_stay_together() -> None:
    assert share_bound([(10, 5), (20, 5), (20, 5), (30, 5)], [(9, 50)], 5000) == 20
    assert share_bound([(10, 5), (20, 5), (20, 5), (30, 5)], [(9, 75)], 5000) == 30


def test_a_warning_names_the_files_the_numbers_and_the_option() -> None:
    (notice,) = validation_notices([file("train.jsonl", 40, 4000), file("validation.jsonl", 9, 1001)])
    assert notice.line.startswith(
        "! validation_bytes: 1,001 bytes of validation.jsonl are over 25 % of the 4,000 of train.jsonl: the service may refuse more "
        "than 1,000. --max_validation auto keeps 20 %"
    )
    assert all("--max_validation auto" in WARNINGS[code].hint for code in (BYTES, LINES))
