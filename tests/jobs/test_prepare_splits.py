"""Splits, caps and samples under the options of `tuneset prepare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from folders import png, row
from laws import counters, lines, rejections, texts
from prepared import Run, all_lines, fates, ids_of, in_folder, questions, split_of, why

from transforms.core.records import Row
from transforms.examples.gemini_rules import parse_example
from transforms.examples.splits import parse_splits, rank


def ids(rows: Sequence[dict[str, Any]], seed: str = "0") -> set[int]:
    made = [Row("rows.jsonl", 0, 1, json.dumps(one).encode()) for one in rows]
    return {parse_example(one, seed=seed.encode(), check_types=None).id for one in made}


def test_splits_are_decided_by_the_example_id(run_rows: Run) -> None:
    spec = "train=0.5,validation=0.25,test=0.25"
    found = run_rows(questions(60), "--splits", spec)
    assert {name for name in found if name.endswith(".jsonl")} == {
        "train.jsonl",
        "validation.jsonl",
        "test.jsonl",
        "rejected.jsonl",
    }
    ids = {e["id"]: e["split"] for e in found["examples.parquet"]}
    assert ids == {example_id: parse_splits(spec).assign(int(example_id, 16)) for example_id in ids}
    assert all(found["manifest.json"]["splits"].values())
    # Raising one fraction moves only what it must; more rows move nothing.
    more = split_of(run_rows(questions(90), "--splits", "train=0.25,validation=0.5,test=0.25", output="two"))
    for text, split in split_of(found).items():
        assert more[text] == split or (split, more[text]) in (("train", "test"), ("test", "validation"))


def test_an_empty_split_is_an_empty_file_and_is_said(run_rows: Run) -> None:
    found = run_rows(questions(5), "--splits", "train=1", "--seed", "another")
    assert ids_of(found) == ids(questions(5), "another") and not ids_of(found) & ids(questions(5))
    assert found["validation.jsonl"] == b"" and "validation.jsonl is empty." in found["screen"]
    assert {"name": "validation.jsonl", "lines": 0, "bytes": 0, "crc32c": 0} in found["manifest.json"]["files"]
    assert found["manifest.json"]["splits"] == {"train": 5, "validation": 0}


def test_split_by_keeps_equal_values_together(run_rows: Run) -> None:
    rows = [row(f"question {n}", group={"patient": n % 7}) for n in range(70)] + questions(3, 70)
    found = run_rows(rows, "--split_by", "group", "--splits", "train=0.5,validation=0.5")
    split = split_of(found)
    together = {n % 7: split[f"question {n}"] for n in range(70)}
    assert all(split[f"question {n}"] == together[n % 7] for n in range(70)) and len(set(together.values())) == 2
    assert counters(found)["split_group_missing"] == 3
    own = {e["source_line"]: int(e["id"], 16) for e in found["examples.parquet"]}
    halves = parse_splits("train=0.5,validation=0.5")
    assert [split[f"question {n}"] for n in range(70, 73)] == [halves.assign(own[n + 1]) for n in range(70, 73)]
    assert b"patient" not in b"".join(all_lines(found))  # a column is not written


def test_split_column_names_each_split(run_rows: Run) -> None:
    words = ["train", "Training", "val", "VALIDATE", "validation", "TEST", " test ", "", None, "unassigned", "fun", 7]
    rows = [row(repr(word), ml_use=word) for word in words] + [row("missing")]
    found = run_rows(rows, "--split_column", "ml_use", "--splits", "train=1")
    assert split_of(found) == {
        **{repr(word): "train" for word in ("train", "Training", "", None, "unassigned")},
        **{repr(word): "validation" for word in ("val", "VALIDATE", "validation")},
        "missing": "train",
    } | ({repr(word): "test" for word in ("TEST", " test ")} if "test" in found["manifest.json"]["splits"] else {})
    assert len(lines(found, "test")) == 2
    assert why(found) == {"'fun'": "unknown_split", "7": "unknown_split"}
    assert {r["stage"] for r in rejections(found)} == {"assign"}


def half_and_half(count: int) -> list[dict[str, Any]]:
    """Rows of which exactly `count` name the validation split, by a column."""
    return [row(f"question {n}", split="validation" if n < count else "train") for n in range(count + 5)]


@pytest.mark.parametrize("cap, kept", [(7, 7), (8, 8), (9, 8), (0, 0)])
def test_max_validation_keeps_the_smallest_ids(run_rows: Run, cap: int, kept: int) -> None:
    rows = half_and_half(8)
    found = run_rows(rows, "--split_column", "split", "--max_validation", str(cap), "--block_bytes", "1024")
    unused = counters(found)["validation_unused"]
    assert (len(lines(found, "validation")), unused) == (kept, 8 - kept)
    assert ("validation-unused.jsonl" in found) is (unused > 0)
    ids: dict[str, list[str]] = {"validation": [], "validation-unused": [], "train": []}
    for e in found["examples.parquet"]:
        ids[e["split"]].append(e["id"])
    assert sorted(ids["validation"] + ids["validation-unused"])[:kept] == sorted(ids["validation"])
    assert ("beyond --max_validation, in validation-unused.jsonl." in found["screen"]) is (unused > 0)
    assert len(lines(found)) == 5


def test_equal_examples_stay_together_at_a_cap(run_rows: Run) -> None:
    rows = [row("the same", split="val")] * 4 + [row(f"question {n}", split="val") for n in range(8)] + questions(2)
    everyone = sorted(example_id for one in rows if "split" in one for example_id in ids([one]))
    first = next(k for k, example_id in enumerate(everyone) if everyone.count(example_id) == 4)
    for cap, kept in ((first + 2, first), (first + 4, first + 4)):
        options = ("--split_column", "split", "--splits", "train=1", "--max_validation", str(cap))
        found = run_rows(rows, *options, output=f"cap{cap}")
        assert len(lines(found, "validation")) == kept
        assert sum(texts(line)[0] == "the same" for line in lines(found, "validation")) in (0, 4)


def test_a_sample_of_a_count_keeps_the_smallest_ranks(run_rows: Run) -> None:
    everything = ids(questions(60))
    small = run_rows(questions(60), "--sample", "20", "--block_bytes", "1024", output="twenty")
    assert sorted(ids_of(small), key=rank) == sorted(everything, key=rank)[:20]
    assert counters(small)["examples_sampled_out"] == 40 and counters(small)["examples_used"] == 60
    assert small["manifest.json"]["splits"]["train"] > 0 < small["manifest.json"]["splits"]["validation"]
    # It is stable under growth: what more rows push out makes room for nothing old.
    grown = run_rows(questions(90), "--sample", "20", output="grown")
    assert ids_of(grown) & everything <= ids_of(small) and len(ids_of(grown)) == 20
    assert len(ids_of(grown) & ids_of(small)) >= 8


def test_a_sample_of_a_fraction_is_decided_row_by_row(run_rows: Run, tmp_path: Path) -> None:
    in_folder(tmp_path, a_png=png())
    rows = [row(f"question {n}", ["a.png"]) for n in range(80)]  # ids that depend on no folder
    quarter = run_rows(rows, "--sample", "0.25", output="quarter")
    half = run_rows(rows[:40], "--sample", "0.5", output="half")
    bound = 1 << 62
    assert all(rank(example_id) < bound for example_id in ids_of(quarter)) and all(
        rank(example_id) < 2 * bound for example_id in ids_of(half)
    )
    assert 8 <= len(ids_of(quarter)) <= 32 and {
        example_id for example_id in ids_of(half) if rank(example_id) < bound
    } <= ids_of(quarter)
    kept = len(ids_of(quarter))
    assert fates(quarter) == {"unused": 80 - kept, "untouched": kept}
    assert counters(quarter)["examples_sampled_out"] == 80 - kept


def test_a_sample_and_a_cap_are_taken_together(run_rows: Run) -> None:
    rows = half_and_half(20)
    found = run_rows(
        rows, "--sample", "12", "--max_validation", "3", "--split_column", "split", "--block_bytes", "1024"
    )
    split = {example_id: one["split"] for one in rows for example_id in ids([one])}
    sample = sorted(split, key=rank)[:12]
    validation = sorted(example_id for example_id in sample if split[example_id] == "validation")
    assert {int(e["id"], 16) for e in found["examples.parquet"] if e["split"] == "validation"} == set(validation[:3])
    assert ids_of(found) == set(sample)
