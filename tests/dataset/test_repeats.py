"""What repeats across blocks: packed hashes -> findings, each at its line and beside the line that it repeats."""

from __future__ import annotations

import random
from collections.abc import Sequence
from tempfile import TemporaryDirectory

import pytest

from transforms.dataset.findings.repeats import (
    BUCKETS,
    EXAMPLES,
    IMAGES,
    compare_runs,
    packed_run,
    read_bucket,
    store_runs,
)
from transforms.dataset.findings.tally import MOST_TOLD, Finding, FindingTally, Place

TRAIN, VALIDATION = 0, 1


def at(split: int, line: int, *, start: int = 0, number: int = 0) -> Place:
    return Place(split, f"/{split}.jsonl", start, line, number)


def compared(
    kind: str, records: Sequence[tuple[int, ...]], places: Sequence[Place], examples: int = 1000
) -> FindingTally:
    """The tallies of all buckets, of records that stand at some places, in a random order of blocks."""
    extents: dict[Place, list[tuple[int, int, int]]] = {}
    for record, place in zip(records, places):
        packed = (record[0], place.line, place.number) if kind == IMAGES else (record[0], record[1], place.line)
        extents.setdefault(place._replace(line=0, number=0), []).append(packed)
    blocks = [[packed_run(kind, place, packed)] for place, packed in extents.items()]
    random.Random(1).shuffle(blocks)
    with TemporaryDirectory() as scratch:
        stored = [run for runs in blocks for run in store_runs(runs, scratch)]
        total = FindingTally()
        for bucket in range(BUCKETS):
            total.update(compare_runs(kind, read_bucket(stored, kind, bucket), examples))
    return total


def pairs(tally: FindingTally, code: str) -> list[tuple[Place, Place | None]]:
    return sorted((finding.place, finding.other) for finding in tally.findings.get(code, []))


def test_an_image_of_two_splits_is_told_at_the_later_one() -> None:
    high = (1 << 64) - 1
    places = [at(VALIDATION, 7, number=2), at(TRAIN, 9), at(TRAIN, 5, start=100), at(TRAIN, 3), at(TRAIN, 4)]
    tally = compared(IMAGES, [(high,), (high,), (high,), (5,), (5,)], places)
    assert pairs(tally, "image_in_two_splits") == [(at(VALIDATION, 7, number=2), at(TRAIN, 9))]
    assert tally.counts == {"image_in_two_splits": 1}


@pytest.mark.parametrize(
    "repeats, examples, common", [(10, 1000, 0), (11, 1000, 1), (11, 1099, 1), (11, 1100, 0), (12, 1100, 1)]
)
def test_an_image_in_over_a_hundredth_of_all_examples_is_no_leak(repeats: int, examples: int, common: int) -> None:
    places = [at(TRAIN, line + 1) for line in range(repeats - 1)] + [at(VALIDATION, 1)]
    tally = compared(IMAGES, [(77,)] * repeats, places, examples)
    assert tally.counts == ({"common_image": 1} if common else {"image_in_two_splits": 1})
    if common:
        said = f"in {repeats} of {examples:,} examples"
        assert tally.findings["common_image"] == [Finding(at(TRAIN, 1), detail=said)]


def test_an_image_that_one_example_repeats_is_in_one_example() -> None:
    places = [at(TRAIN, 1, number=number) for number in range(40)]
    assert compared(IMAGES, [(77,)] * 40, places).counts == {}


def test_equal_questions_are_doubles_or_conflicts() -> None:
    places = [at(TRAIN, 1), at(TRAIN, 2), at(TRAIN, 3), at(VALIDATION, 1), at(VALIDATION, 2), at(VALIDATION, 3)]
    tally = compared(EXAMPLES, [(9, 1), (9, 2), (9, 1), (9, 2), (9, 3), (8, 1)], places)
    assert pairs(tally, "duplicate_example") == [(places[2], places[0]), (places[3], places[1])]
    assert pairs(tally, "conflicting_answers") == [(places[1], places[0]), (places[4], places[0])]


def test_what_repeats_without_end_is_counted_and_told_in_part() -> None:
    places = [at(TRAIN, line) for line in range(1, 3001)]
    tally = compared(EXAMPLES, [(9, 1)] * 3000, places)
    assert tally.counts == {"duplicate_example": 2999}
    assert pairs(tally, "duplicate_example") == [(place, places[0]) for place in places[1 : MOST_TOLD + 1]]


def test_tallies_add_up_in_any_order() -> None:
    places = [at(TRAIN, line) for line in range(1, 2 * MOST_TOLD + 500)]
    random.Random(2).shuffle(places)
    one, other = FindingTally(), FindingTally()
    for number, place in enumerate(places):
        (one if number % 3 else other).add("small_image", Finding(place))
    other.update(one)
    assert other.counts["small_image"] == len(places)
    kept = sorted(finding.place for finding in other.findings["small_image"])
    assert kept[:MOST_TOLD] == [at(TRAIN, line) for line in range(1, MOST_TOLD + 1)]
