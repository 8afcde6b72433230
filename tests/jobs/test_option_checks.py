"""Checks of options' values: one below, at and one above each bound, and what the table makes of a complaint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from beam_jobs.option_checks import (
    at_least,
    check_delimiter,
    check_prefix,
    check_sample,
    check_seed,
    check_type,
    check_uri_prefix,
    within,
)
from beam_jobs.options import OPTIONS, OptionError

GOOD: list[tuple[Callable[[Any], None], list[Any]]] = [
    (at_least(1024), [1024, 1025]),
    (within(1, 95), [1, 95]),
    (within(0, 1), [0.0, 1.0]),
    (check_prefix, ["gs://bucket", "file:///data", "data", "https://host.example/a", "http://127.0.0.1/", "https://"]),
    (check_uri_prefix, ["gs://bucket/data"]),
    (check_delimiter, ["auto", "tab", ";", "\t", " "]),
    (check_type, ["jpeg", "heif"]),
    (check_seed, ["", "x" * 63, "x" * 64, "é" * 32]),
    (check_sample, ["1", "100", "0.01", "1.0"]),
]
BAD: list[tuple[Callable[[Any], None], list[Any]]] = [
    (at_least(1024), [1023]),
    (within(1, 95), [0, 96]),
    (within(0, 1), [-0.01, 1.01, float("nan")]),
    (check_prefix, ["ftp://host.example/a", "s3://bucket"]),
    (check_uri_prefix, ["/data", "gs://bucket/*", "gs://bucket/a[1]"]),
    (check_delimiter, ["", "ab", '"', "\n", "é"]),
    (check_type, ["gif", "JPEG"]),
    (check_seed, ["x" * 65, "é" * 33]),
    (check_sample, ["0", "-1", "1.5", "0.0", "nan", "1e3", "many"]),
]


@pytest.mark.parametrize(("check", "value"), [(check, value) for check, values in GOOD for value in values])
def test_what_can_be_passes(check: Callable[[Any], None], value: object) -> None:
    check(value)


@pytest.mark.parametrize(("check", "value"), [(check, value) for check, values in BAD for value in values])
def test_what_cannot_be_is_refused(check: Callable[[Any], None], value: object) -> None:
    with pytest.raises(ValueError, match=r"expected|choose another"):
        check(value)


def test_a_complaint_names_the_option_and_the_item_of_a_list() -> None:
    types = next(option for option in OPTIONS if option.name == "types")
    types.judge(("png", "jpeg"))
    with pytest.raises(OptionError) as refused:
        types.judge(("png", "bmp"))
    assert str(refused.value) == "--types bmp: expected some of png, jpeg, webp, heic, heif"
