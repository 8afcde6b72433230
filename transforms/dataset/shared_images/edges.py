"""Images that stand in two or more examples: packed hashes of all blocks, range by range -> edges between examples."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from transforms.core.finding_codes import COMMON_EXAMPLES
from transforms.dataset.shared_images.hashes import Records

_COMMON_SHARE = 100  # an image in over one of so many examples is everywhere


@dataclass(frozen=True)
class Joining:
    """What joins examples.

    share: the smallest fraction of a split that was asked for. join_common: an image that is everywhere joins too.
    """

    share: float
    join_common: bool = False

    def is_large(self, sizes: Any, examples: int) -> Any:
        """Which sizes of components no split of that share can hold, of so many examples in all."""
        return (sizes > 1) & (sizes > self.share * examples)


@dataclass(frozen=True)
class SharedImages:
    """What some ranges of hashes come to.

    edges: (n, 2) numbers of examples, over all blocks. common: hashes of images that are everywhere, and do not join. large: hashes
    of images that alone hold more examples together than a split's share.
    """

    edges: Any = field(default_factory=lambda: np.empty((0, 2), np.uint32))
    common: tuple[int, ...] = ()
    large: tuple[int, ...] = ()


def find_shared(runs: Iterable[tuple[int, Records]], examples: int, joining: Joining) -> SharedImages:
    """Compare hashes of all blocks.

    Args:
      runs: (number of the block's first example, its records in the ranges).
      examples: of all blocks.
    """
    runs = list(runs)
    if not runs:
        return SharedImages()
    hashes = np.concatenate([records.hashes for _, records in runs])
    numbers = np.concatenate([records.examples + np.uint32(first) for first, records in runs])
    alone = np.concatenate([records.alone for _, records in runs])
    order = np.lexsort((numbers, hashes))
    hashes, numbers, alone = hashes[order], numbers[order], alone[order]

    begins = np.flatnonzero(np.r_[True, hashes[1:] != hashes[:-1]])  # of each distinct image
    counts = np.diff(begins, append=len(hashes))
    alone_counts = np.add.reduceat(alone, begins, dtype=np.int64)
    common = np.zeros(len(begins), bool)
    if not joining.join_common:
        common = counts > max(COMMON_EXAMPLES, examples // _COMMON_SHARE)

    # Examples of one image go by its hash, whoever else has it: there is nothing to join unless one holds another image too.
    joins = (counts > 1) & (alone_counts < counts) & ~common
    large = joining.is_large(alone_counts, examples) & ~joins
    is_end = np.repeat(joins, counts)
    is_end[begins] = False
    firsts = np.repeat(numbers[begins], counts)
    edges = np.stack((firsts[is_end], numbers[is_end]), axis=1)
    values = hashes[begins]
    return SharedImages(edges, tuple(values[common].tolist()), tuple(values[large].tolist()))
