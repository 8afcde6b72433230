"""Counts of values between fixed edges, so that two datasets can be laid beside each other: numbers -> bars for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Histogram:
    """How often values fall between edges; a value on an edge belongs to the bar that ends there.

    edges: ascending. labels: of the edges, as a person reads them. limit: the label of the edge that is a limit, if one is.
    """

    name: str
    edges: Sequence[float]
    labels: Sequence[str]
    limit: str = ""
    counts: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.edges) + 1, np.int64)

    def add(self, values: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Args: weights: how often each value counts; once if it is None."""
        bars = np.searchsorted(np.asarray(self.edges, np.float64), values, side="left")
        self.counts += np.bincount(bars, weights, len(self.counts)).astype(np.int64)

    def as_json(self) -> dict[str, object]:
        """Its bars from the first to the last that is not empty; the limit stands after the bar that it ends."""
        filled = np.flatnonzero(self.counts)
        if not len(filled):
            return {"name": self.name, "limit": self.limit, "bars": []}
        texts = [*(f"up to {label}" for label in self.labels), f"over {self.labels[-1]}"]
        last_of_limit = self.labels.index(self.limit) if self.limit else -1
        bars = [
            {"label": texts[i], "count": int(self.counts[i]), "over_limit": -1 < last_of_limit < i}
            for i in range(filled[0], filled[-1] + 1)
        ]
        return {"name": self.name, "limit": self.limit, "bars": bars}


def of_bytes(limit: int) -> Histogram:
    """Args: limit: bytes that an image may have."""
    kilo = [10, 30, 100, 300, 1000, 3000, 7000, 10_000, 50_000]
    edges = sorted({*(1000 * one for one in kilo), limit})
    return Histogram("bytes of an image, as it came", edges, [_bytes(edge) for edge in edges], _bytes(limit))


def of_pixels(limit: int) -> Histogram:
    """Args: limit: pixels that an image may have."""
    mega = [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100]
    edges = sorted({*(int(1_000_000 * one) for one in mega), limit})
    return Histogram("megapixels of an image, as it came", edges, [f"{e / 1e6:,g}" for e in edges], f"{limit / 1e6:,g}")


def of_shapes() -> Histogram:
    """Of width divided by height."""
    edges = (0.1, 0.5, 0.7, 0.9, 1.1, 1.4, 2.0, 10.0)
    return Histogram("width divided by height", edges, [f"{edge:g}" for edge in edges])


def of_tokens(limit: int) -> Histogram:
    """Args: limit: tokens that an example may have."""
    edges = sorted({*(1 << bits for bits in range(8, 18)), limit})
    return Histogram("estimated tokens of an example", edges, [f"{edge:,}" for edge in edges], f"{limit:,}")


def _bytes(number: int) -> str:
    """
    >>> _bytes(300_000), _bytes(20_000_000), _bytes(1536)
    ('300 KB', '20 MB', '1,536 bytes')
    """
    for unit, name in ((1_000_000, "MB"), (1000, "KB")):
        if number % unit == 0:
            return f"{number // unit:,} {name}"
    return f"{number:,} bytes"
