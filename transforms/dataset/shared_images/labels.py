"""Labels of examples: the smallest hash among the images of all that an example hangs together with.

An example that shares no image has the smallest of its own. An image that is everywhere counts only where an example has no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from transforms.dataset.shared_images.components import compact, roots_of, sizes_of
from transforms.dataset.shared_images.edges import Joining
from transforms.dataset.shared_images.hashes import LookedAt, Records, read_whole
from transforms.examples.image_groups import NO_IMAGE, pack_labels

_JOINED = np.dtype([("example", "<u4"), ("label", "<u8")])


class Joined(NamedTuple):
    """Examples that hang together with others.

    labels: by the block's key, packed (index of the example in its block, label). large: labels of components that no split holds.
    """

    labels: Iterator[tuple[str, bytes]]
    large: tuple[int, ...]


def join_examples(blocks: Sequence[LookedAt], edges: list[Any], common: Sequence[int], joining: Joining) -> Joined:
    """Find components, and the label of each.

    Args:
      blocks: all of them, in order.
      edges: arrays as SharedImages has them; none is left, for the sake of memory.
      common: hashes of images that are everywhere.
    """
    nodes = compact(edges)
    roots = roots_of(edges, len(nodes))
    edges.clear()
    firsts = first_numbers(blocks)
    large = np.flatnonzero(joining.is_large(sizes_of(roots), int(firsts[-1])))

    bounds = np.searchsorted(nodes, firsts.astype(np.uint32))
    of_blocks = [
        (block, slice(*ends), first)
        for block, ends, first in zip(blocks, pairwise(bounds.tolist()), firsts.tolist())
        if ends[0] < ends[1]
    ]
    smallest = np.full(len(nodes), NO_IMAGE, np.uint64)  # of each component, by its root
    for (block, some, first), records in zip(of_blocks, read_whole([block for block, _, _ in of_blocks])):
        own = smallest_of_each(records, block.examples, common)
        np.minimum.at(smallest, roots[some].astype(np.intp), own[nodes[some] - np.uint32(first)])

    def labels() -> Iterator[tuple[str, bytes]]:
        for block, some, first in of_blocks:
            joined = np.empty(some.stop - some.start, _JOINED)
            joined["example"], joined["label"] = nodes[some] - np.uint32(first), smallest[roots[some]]
            yield block.key, joined.tobytes()

    return Joined(labels(), tuple(smallest[large].tolist()))


def first_numbers(blocks: Sequence[LookedAt]) -> Any:
    """The number of each block's first example among those of all blocks, in order; and how many there are in all."""
    return np.cumsum([0, *(block.examples for block in blocks)], dtype=np.int64)


def smallest_of_each(records: Records, examples: int, common: Sequence[int]) -> Any:
    """For each example of a block the smallest of its own hashes; NO_IMAGE if it has none.

    Args:
      common: hashes that count only where an example has no other.
    """
    smallest = np.full(examples, NO_IMAGE, np.uint64)
    is_common = np.isin(records.hashes, np.array(common, np.uint64))
    rest = ~is_common
    np.minimum.at(smallest, records.examples[rest].astype(np.intp), records.hashes[rest])
    if is_common.any():
        without = is_common & (smallest[records.examples] == np.uint64(NO_IMAGE))
        np.minimum.at(smallest, records.examples[without].astype(np.intp), records.hashes[without])
    return smallest


def labels_of_block(records: Records, examples: int, common: Sequence[int], joined: bytes) -> bytes:
    """The label of each example of a block, packed.

    Args:
      joined: the block's of Joined.labels, or b"".
    """
    labels = smallest_of_each(records, examples, common)
    told = np.frombuffer(joined, _JOINED)
    labels[told["example"]] = told["label"]
    return pack_labels(labels.tolist())
