"""What a tuning job says of the lines that it dropped, in both spellings; and rules that a line is close to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.genai import types

from transforms.dataset.tuning.close_rules import Limits, close_rules
from transforms.dataset.tuning.job_stats import DamagedJob, JobStats, read_job

URI = "gs://b/set/train-00001-of-00002.jsonl"


def rest(**stats: Any) -> bytes:
    """A job as REST writes it."""
    return json.dumps(
        {"supervisedTuningSpec": {"trainingDatasetUri": URI}, "tuningDataStats": {"supervisedTuningDataStats": stats}}
    ).encode()


def test_both_spellings_say_the_same() -> None:
    told = rest(
        truncatedExampleIndices=["17", "4"],
        droppedExampleReasons=["too many tokens", "an invalid image"],
        totalTruncatedExampleCount="9",
        tuningDatasetExampleCount="100",
    )
    expected = JobStats({4: "an invalid image", 17: "too many tokens"}, 9, 100, URI)
    assert read_job(told) == expected
    job = types.TuningJob.model_validate_json(told)
    for text in (job.model_dump_json(exclude_none=True), job.model_dump_json(), job.model_dump_json(by_alias=True)):
        assert read_job(text.encode()) == expected


def test_dropped_indices_and_indices_without_reasons() -> None:
    assert read_job(
        rest(droppedExampleIndices=[3], truncatedExampleIndices=[9], droppedExampleReasons=["why"])
    ).reasons == {
        3: "why",
        9: "why",
    }
    told = read_job(rest(truncatedExampleIndices=[5, 6], droppedExampleReasons=["why"]))
    assert told == JobStats({5: "why", 6: ""}, 2, 0, URI)
    assert read_job(rest(tuningDatasetExampleCount="8")) == JobStats({}, 0, 8, URI)
    other = {"tuning_data_stats": {"preference_optimization_data_stats": {"dropped_example_indices": [2]}}}
    assert read_job(json.dumps(other).encode()).reasons == {2: ""}


def test_what_users_wrote_is_no_statistic() -> None:
    own = [{"role": "user", "parts": [{"functionCall": {"args": {"truncatedExampleIndices": [1]}}}]}]
    assert read_job(rest(truncatedExampleIndices=[7], userDatasetExamples=own)).reasons == {7: ""}


@pytest.mark.parametrize(
    "text, why",
    [
        (b"no json", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a":' * 300 + b"1" + b"}" * 300, "not JSON"),
        (b"{}", "no tuningDataStats"),
        (b"[1]", "no tuningDataStats"),
        (b'{"state": "JOB_STATE_PENDING", "tuningDataStats": null}', "no tuningDataStats"),
        (rest(truncatedExampleIndices=3), "no list"),
        (rest(truncatedExampleIndices=["x"]), 'holds "x", which is no number'),
        (rest(truncatedExampleIndices=[True]), "no number"),
        (rest(truncatedExampleIndices=[-1]), "no number"),
        (rest(truncatedExampleIndices=[1.5]), "no number"),
    ],
)
def test_what_is_no_job_is_said(text: bytes, why: str) -> None:
    with pytest.raises(DamagedJob, match=why):
        read_job(text)


LIMITS = Limits(max_images=20, max_image_bytes=1000, max_tokens=100, warn_types=("webp",))
FINE = {"tokens": 1, "image_count": 1}
IMAGE = {"served_bytes": 1, "served_type": "png", "escalated": False, "fate": "untouched"}


@pytest.mark.parametrize(
    "row, image, told",
    [
        ({"tokens": 89}, {}, []),
        ({"tokens": 90}, {}, ["an estimated 90 tokens, of 100 at most (90 %)"]),
        ({"tokens": 100}, {}, ["an estimated 100 tokens, of 100 at most (100 %)"]),
        ({"tokens": 101}, {}, ["an estimated 101 tokens, of 100 at most (101 %): over the limit"]),
        ({"image_count": 17}, {}, []),
        ({"image_count": 18}, {}, ["18 images, of 20 at most (90 %)"]),
        ({"image_count": 20}, {}, ["20 images, of 20 at most (100 %)"]),
        ({}, {"served_bytes": 899}, []),
        ({}, {"served_bytes": 900}, ["image 1 has 900 bytes, of 1,000 at most (90 %)"]),
        ({}, {"served_bytes": 1000}, ["image 1 has 1,000 bytes, of 1,000 at most (100 %)"]),
        ({}, {"served_type": "webp"}, ["image 1 is webp, which not all tuning pages name"]),
        (
            {},
            {"escalated": True},
            ["image 1 had no end mark in its file, so a stricter reader may take it for invalid"],
        ),
        ({}, {"fate": ""}, ["image 1 was not looked at, so it may be missing or no image"]),
    ],
)
def test_rules_that_a_line_is_close_to(row: dict[str, Any], image: dict[str, Any], told: list[str]) -> None:
    assert close_rules(FINE | row, [IMAGE | image], LIMITS) == told


def test_limits_are_those_of_the_dataset() -> None:
    assert Limits.of({"model": "gemini-3", "max_images": 7, "max_image_bytes": 9}) == Limits(
        7, 9, 131_072, ("webp", "heic", "heif")
    )
    assert Limits.of({"model": "of a later version"}).max_images == 16
