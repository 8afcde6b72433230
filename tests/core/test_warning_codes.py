"""Codes of warnings: how they add up, and what a person reads."""

from __future__ import annotations

import random

import pytest

from transforms.core.warning_codes import WARNINGS, Notice, WarningCounts
from transforms.dataset.notices import dataset_notices

DATASET = {
    "counters": {},
    "splits": {"train": 4000, "validation": 1001},
    "files": [
        {"name": "train.jsonl", "lines": 4000, "bytes": 9000},
        {"name": "validation.jsonl", "lines": 1001, "bytes": 900},
    ],
    "formats": ["table"],
    "options": {"shuffle_seed": ""},
    "verified": True,
}


def test_the_order_of_blocks_changes_nothing() -> None:
    blocks = [{"images_rotated_tag": (n, f"{n}.jpg"), "not_verified": (1, "")} for n in range(1, 6)]
    sums = []
    for seed in range(3):
        random.Random(seed).shuffle(blocks)
        counts = WarningCounts()
        for block in blocks:
            counts.update(block)
        sums.append(counts.counts)
    assert sums == [{"images_rotated_tag": (15, "1.jpg"), "not_verified": (5, "")}] * 3
    assert [notice.code for notice in counts.notices()] == ["images_rotated_tag", "not_verified"]


def test_a_code_that_the_table_does_not_know_is_a_fault() -> None:
    with pytest.raises(KeyError):
        WarningCounts().add("no_such_code", "a.jpg")


def test_a_name_that_would_harm_a_terminal_is_escaped() -> None:
    line = Notice("images_rotated_tag", 1, "a\x1b[31m\n.jpg" + "x" * 300).line
    assert line.startswith("! images_rotated_tag: 1 reference to images with an EXIF rotation tag (a\\x1b[31m\\n.jpgxx")
    assert line.isprintable() and len(line) < 350


@pytest.mark.parametrize(
    "change, codes",
    [
        ({}, []),
        ({"splits": {"train": 10, "validation": 0, "test": 0}}, ["empty_split", "empty_split"]),
        ({"options": {"shuffle_seed": "", "model": "image-tuning"}}, []),
        ({"options": {"shuffle_seed": "", "model": "gemini-1.5"}}, ["model_retired", "validation_over_model"]),
        ({"options": {"shuffle_seed": "", "model": "gemini-2.0"}}, ["model_retired"]),
        ({"options": {"shuffle_seed": "", "model": "gemini-2.5"}}, ["model_unknown"]),
        ({"options": {"shuffle_seed": "", "model": "gemini-3"}}, []),
        ({"files": [{"name": "train-00000-of-00001.jsonl", "lines": 1}]}, ["train_in_several_files", "train_files_in_order"]),
        ({"counters": {"examples_split": 2, "images_warn_type": 0}}, ["examples_split"]),
        ({"verified": False}, ["not_verified"]),
    ],
)  # fmt: skip
def test_what_a_dataset_is_warned_of(change: dict, codes: list[str]) -> None:
    assert [notice.code for notice in dataset_notices(DATASET | change, WarningCounts())] == codes


def test_classes_in_order_are_warned_of_unless_lines_are_mixed() -> None:
    for seed, codes in (("", ["classes_in_order"]), ("1", [])):
        dataset = DATASET | {"options": {"shuffle_seed": seed}}
        assert [notice.code for notice in dataset_notices(dataset, WarningCounts(), by_class=True)] == codes


def test_the_table_reads_as_sentences() -> None:
    for code in WARNINGS.values():
        assert code.name.replace("_", "").isalpha() and not code.meaning.endswith(".")
        assert not code.hint or code.hint.endswith(".")
