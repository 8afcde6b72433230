"""Which split an example belongs to, decided by its id alone. id (0 .. 2^64 - 1) -> split name.

Validation owns the ids below v * 2^64, test the next t * 2^64, training the rest: raising a fraction moves only the
examples it must, adding rows moves none, and equal examples stay together.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.examples.split_names import split_of_name

IDS = 1 << 64  # ids are below it
NAMES = ("train", "validation", "test")

_BY_HASH = ("", "unassigned")  # in a column


@dataclass(frozen=True)
class Splits:
    """Where each split ends: validation owns ids in [0, validation), test [validation, test), training the rest."""

    validation: int
    test: int
    names: tuple[str, ...] = NAMES[:2]  # the splits that were asked for, in the order of NAMES

    @property
    def smallest(self) -> float:
        """The smallest fraction of a split that has one."""
        ends = (0, self.validation, self.test, IDS)
        return min(end - begin for begin, end in pairwise(ends) if end > begin) / IDS

    def assign(self, example_id: int) -> str:
        """The split of an example id, or of a group's hash.

        >>> [parse_splits("train=0.5,validation=0.25,test=0.25").assign(eighth << 61) for eighth in (0, 1, 2, 3, 4, 7)]
        ['validation', 'validation', 'test', 'test', 'train', 'train']
        """
        if example_id < self.validation:
            return "validation"
        return "test" if example_id < self.test else "train"


def parse_splits(text: str) -> Splits:
    """Read `train=0.9,validation=0.1` or `train=0.8,validation=0.1,test=0.1`.

    Raises:
        ValueError: saying which name or number is wrong. The fractions must add up to 1 within 1e-9, train above 0.
    """
    fractions: dict[str, float] = {}
    for item in text.split(","):
        name, equals, number = (piece.strip() for piece in item.partition("="))
        if not equals:
            raise ValueError(f"{item.strip()!r} is not NAME=FRACTION, such as train=0.9")
        if name not in NAMES:
            raise ValueError(f"there is no split {name!r}, only {', '.join(NAMES)}")
        if name in fractions:
            raise ValueError(f"{name} stands twice")
        try:
            fractions[name] = float(number)
        except ValueError:
            raise ValueError(f"{name}={number} is not a number") from None
        if not 0 <= fractions[name] <= 1:
            raise ValueError(f"{name}={number} is not between 0 and 1")
    if not fractions.get("train"):
        raise ValueError("train must be named and above 0")
    total = math.fsum(fractions.values())
    if abs(total - 1) > 1e-9:
        raise ValueError(f"the fractions add up to {total:.12g}, not 1")
    validation, test = fractions.get("validation", 0.0), fractions.get("test", 0.0)
    # Scaling by a power of two is exact, so the thresholds are the same on every machine.
    return Splits(
        validation=int(validation * IDS),
        test=int((validation + test) * IDS),
        names=tuple(name for name in NAMES if name in fractions or name == "validation"),
    )


def group_hash(value: Any, seed: bytes) -> int:
    """The number that stands for a value of --split_by in place of the example id: a hash of its canonical JSON.

    Args:
        value: any JSON value. 1 and "1" are different groups.
        seed: at most 64 bytes.
    """
    return hash64(jsonl.canonical(value), seed)


def hash64(text: bytes, seed: bytes) -> int:
    """blake2b-64, keyed by `seed` (at most 64 bytes), as a number below 2^64."""
    digest = _keyed(seed).copy()
    digest.update(text)
    return int.from_bytes(digest.digest(), "big")


@lru_cache
def _keyed(seed: bytes) -> hashlib.blake2b:
    return hashlib.blake2b(digest_size=8, key=seed)


def split_word(word: Any) -> str | None:
    """The split a value of --split_column names, or None to decide by hash (empty, null or unassigned).

    Raises:
        RowError: unknown_split.

    >>> split_word(" TRAINING "), split_word("val"), split_word("UNASSIGNED"), split_word(None)
    ('train', 'validation', None, None)
    """
    key = "" if word is None else word.strip().lower() if isinstance(word, str) else repr(word)
    if key in _BY_HASH:
        return None
    split = split_of_name(key) if isinstance(word, str) else ""
    if not split:
        raise RowError("unknown_split", f"{key[:80]!r} names no split: train, validation, test or empty")
    return split


def rank(example_id: int) -> int:
    """The order of --sample: `id` with its two 32-bit halves swapped.

    The split is decided by the high bits, so a sample of the smallest ids would hold nothing but validation.

    >>> hex(rank(0x0000000112345678))
    '0x1234567800000001'
    """
    return (example_id & 0xFFFFFFFF) << 32 | example_id >> 32


def sample_bound(fraction: float) -> int:
    """Examples whose `rank` is below this are the sample of `fraction` (0 to 1): a larger one contains a smaller."""
    if not 0 <= fraction <= 1:
        raise ValueError(f"--sample {fraction}: a fraction is between 0 and 1")
    return int(fraction * IDS)
