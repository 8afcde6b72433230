"""Command lines of tests that have usual options: what a test gives stands in their place, since nothing may be given twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def with_usual(given: Sequence[str], usual: Mapping[str, str]) -> list[str]:
    """Options as words, behind the usual ones (their values by name) that are not among them."""
    names = {word.partition("=")[0].removeprefix("--") for word in given}
    return [*(f"--{name}={value}" for name, value in usual.items() if name not in names), *given]
