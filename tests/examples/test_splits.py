"""Which split an example belongs to."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core.reasons import RowError
from transforms.examples.splits import IDS, Splits, group_hash, parse_splits, rank, sample_bound, split_word

quick = settings(max_examples=150)
ids = st.integers(0, IDS - 1)
HALF, QUARTER = IDS // 2, IDS // 4


@pytest.mark.parametrize(
    ("text", "splits"),
    [
        ("train=0.5,validation=0.5", Splits(HALF, HALF, ("train", "validation"))),
        ("train=0.5,validation=0.25,test=0.25", Splits(QUARTER, HALF, ("train", "validation", "test"))),
        (" test = 0.25 , train = 0.75 ", Splits(0, QUARTER, ("train", "validation", "test"))),
        ("train=1", Splits(0, 0, ("train", "validation"))),
        ("train=1.0,validation=0,test=0", Splits(0, 0, ("train", "validation", "test"))),
        ("train=0.9,validation=0.1", Splits(1844674407370955264, 1844674407370955264)),
        ("train=0.7,validation=0.2,test=0.1", Splits(3689348814741910528, 5534023222112866304, ("train", "validation", "test"))),
    ],
)  # fmt: skip
def test_fractions_become_thresholds(text: str, splits: Splits) -> None:
    found = parse_splits(text)
    assert (found.names, abs(found.validation - splits.validation) < 4096, abs(found.test - splits.test) < 4096) == (
        splits.names, True, True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is not NAME=FRACTION"),
        ("0.9,0.1", "'0.9' is not NAME=FRACTION"),
        ("train=0.9,", "'' is not NAME=FRACTION"),
        ("train=0.9,val=0.1", "there is no split 'val', only train, validation, test"),
        ("train=0.5,train=0.5", "train stands twice"),
        ("train=a lot", "train=a lot is not a number"),
        ("train=", "train= is not a number"),
        ("train=1.1,validation=-0.1", "train=1.1 is not between 0 and 1"),
        ("validation=-0.1,train=1", "validation=-0.1 is not between 0 and 1"),
        ("train=nan", "train=nan is not between 0 and 1"),
        ("train=90,validation=10", "train=90 is not between 0 and 1"),
        ("validation=1", "train must be named and above 0"),
        ("train=0,validation=1", "train must be named and above 0"),
        ("train=0.9,validation=0.2", "the fractions add up to 1.1, not 1"),
        ("train=0.9", "the fractions add up to 0.9, not 1"),
        ("train=0.899999998,validation=0.1", "the fractions add up to 0.999999998, not 1"),
    ],
)
def test_what_is_no_split(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_splits(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["train=0.9000000005,validation=0.1", "train=0.8999999995,validation=0.1"])
def test_rounding_is_forgiven(text: str) -> None:
    assert parse_splits(text) == parse_splits("train=0.9,validation=0.1")


@pytest.mark.parametrize(
    ("example_id", "split"),
    [(0, "validation"), (QUARTER - 1, "validation"), (QUARTER, "test"), (HALF - 1, "test"), (HALF, "train"),
     (IDS - 1, "train")],
)  # fmt: skip
def test_each_split_owns_a_range(example_id: int, split: str) -> None:
    assert parse_splits("train=0.5,validation=0.25,test=0.25").assign(example_id) == split


def test_no_id_is_validation_when_none_is_wanted() -> None:
    assert parse_splits("train=1").assign(0) == "train"


@quick
@given(st.lists(ids, max_size=50), st.integers(0, 8), st.integers(0, 8), st.integers(0, 3))
def test_raising_validation_moves_none_out_of_it(all_ids: list[int], v: int, more: int, t: int) -> None:
    before = parse_splits(f"train={(20 - v - t) / 20},validation={v / 20},test={t / 20}")
    after = parse_splits(f"train={(20 - v - more - t) / 20},validation={(v + more) / 20},test={t / 20}")
    moved = [example_id for example_id in all_ids if before.assign(example_id) != after.assign(example_id)]
    assert not [
        example_id for example_id in all_ids if before.assign(example_id) == "validation" and example_id in moved
    ]
    # Only the ids next to a threshold move: as many as the fraction grew by, once at each of the two thresholds.
    assert all(
        example_id in range(before.validation, after.validation) or example_id in range(before.test, after.test)
        for example_id in moved
    )


@pytest.mark.parametrize(
    ("word", "split"),
    [("train", "train"), ("TRAINING", "train"), (" Train ", "train"), ("val", "validation"), ("VALIDATE", "validation"),
     ("Validation", "validation"), ("test", "test"), ("TEST", "test"), ("", None), ("  ", None), (None, None),
     ("UNASSIGNED", None), ("valid", "validation"), ("Dev", "validation"), ("development", "validation"), ("eval", "test"),
     ("evaluation", "test"), ("testing", "test"), ("tst", "test"), ("trn", "train"), ("train2017", "train")],
)  # fmt: skip
def test_words_of_a_split_column(word: Any, split: str | None) -> None:
    assert split_word(word) == split


@pytest.mark.parametrize("word", ["train_test", "holdout", "0", 0, 1, True, ["train"], {"train": 1}, 0.5, "tests"])
def test_unknown_words_are_refused(word: Any) -> None:
    with pytest.raises(RowError) as caught:
        split_word(word)
    assert caught.value.reason == "unknown_split"
    assert caught.value.detail.endswith(" names no split: train, validation, test or empty")


def test_a_group_is_the_hash_of_its_json() -> None:
    expected = int.from_bytes(hashlib.blake2b(b'{"a":"\xc3\xa9","b":1}', digest_size=8, key=b"s").digest(), "big")
    assert group_hash({"b": 1, "a": "é"}, b"s") == expected
    values = ["1", 1, None, "", [], {}, True]
    assert len({group_hash(value, seed) for value in values for seed in (b"", b"s")}) == 2 * len(values)


@quick
@given(ids)
def test_rank_swaps_the_halves(example_id: int) -> None:
    assert rank(example_id) == int(f"{example_id:016x}"[8:] + f"{example_id:016x}"[:8], 16)
    assert rank(rank(example_id)) == example_id


@pytest.mark.parametrize(("fraction", "bound"), [(0, 0), (0.25, QUARTER), (0.5, HALF), (1, IDS), (1.0, IDS)])
def test_sample_bound(fraction: float, bound: int) -> None:
    assert sample_bound(fraction) == bound


@pytest.mark.parametrize("fraction", [-0.1, 1.1, float("nan")])
def test_sample_fraction_out_of_range(fraction: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        sample_bound(fraction)


def test_a_sample_holds_each_split_in_its_proportion() -> None:
    splits = parse_splits("train=0.8,validation=0.1,test=0.1")
    every = [group_hash(n, b"s") for n in range(20_000)]
    sample = [splits.assign(example_id) for example_id in every if rank(example_id) < sample_bound(0.25)]
    shares = {name: round(sample.count(name) / len(sample), 1) for name in splits.names}
    assert (round(len(sample) / len(every), 2), shares) == (0.25, {"train": 0.8, "validation": 0.1, "test": 0.1})
