"""CRC32C of joined parts, against the CRC32C of the joined bytes."""

from __future__ import annotations

import functools

import google_crc32c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.storage.gcs.crc32c import combine


def crc(data: bytes) -> int:
    return int(google_crc32c.value(data))


@settings(max_examples=200)
@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_combine_is_the_crc_of_the_concatenation(a: bytes, b: bytes) -> None:
    assert combine(crc(a), crc(b), len(b)) == crc(a + b)


@settings(max_examples=50)
@given(st.lists(st.binary(max_size=200), max_size=20))
def test_combine_folds_over_any_number_of_parts(parts: list[bytes]) -> None:
    folded = functools.reduce(lambda left, part: combine(left, crc(part), len(part)), parts, crc(b""))
    assert folded == crc(b"".join(parts))


@settings(max_examples=50)
@given(*(st.integers(0, 2**32 - 1) for _ in range(3)), *(st.integers(0, 2**45) for _ in range(2)))
def test_combine_is_associative_for_lengths_no_test_can_read(a: int, b: int, c: int, len_b: int, len_c: int) -> None:
    left = combine(combine(a, b, len_b), c, len_c)
    assert left == combine(a, combine(b, c, len_c), len_b + len_c)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_combine_at_powers_of_two(size: int) -> None:
    zeros, other = bytes(size), b"\xa5" * size
    assert combine(crc(b"head"), crc(zeros), size) == crc(b"head" + zeros)
    assert combine(crc(b"head"), crc(other), size) == crc(b"head" + other)


def test_check_value_of_the_standard() -> None:
    assert combine(crc(b"12345"), crc(b"6789"), 4) == 0xE3069283  # CRC-32C of "123456789"


def test_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="-1 bytes"):
        combine(0, 0, -1)
