"""Labels of examples: the smallest hash among the images of all that an example hangs together with.

An example that shares no image has the smallest of its own. An image that is everywhere counts only where an example has no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from transforms.dataset.shared_images.components import compact, roots_of
from transforms.dataset.shared_images.edges import Joining
from transforms.dataset.shared_images.hashes import LookedAt, Records, read_whole
from transforms.examples.image_groups import NO_IMAGE, pack_labels

_JOINED = np.dtype([("example", "<u4"), ("label", "<u8")])


class Joined(NamedTuple):
    """Examples that hang together with others.

    labels: by the block's key, packed (index of the example in its block, label). large: labels of components that no split holds.
    """

    labels: list[tuple[str, bytes]]
    large: tuple[int, ...]


def join_examples(blocks: Sequence[LookedAt], edges: Sequence[Any], common: Sequence[int], joining: Joining) -> Joined:
    """Find components, and the label of each.

    Args:
      blocks: all of them, in order.
      edges: arrays as SharedImages has them, which are changed.
      common: hashes of images that are everywhere.
    """
    nodes = compact(edges)
    roots = roots_of(edges, len(nodes))
    firsts = first_numbers(blocks)
    bounds = np.searchsorted(nodes, firsts.astype(np.uint32))
    places = np.flatnonzero(bounds[1:] > bounds[:-1]).tolist()  # of blocks that hold nodes

    smallest = np.full(len(nodes), NO_IMAGE, np.uint64)  # of each component, by its root
    for place, records in zip(places, read_whole([blocks[place] for place in places])):
        of_block = slice(bounds[place], bounds[place + 1])
        own = smallest_of_each(records, blocks[place].examples, common)
        np.minimum.at(smallest, roots[of_block].astype(np.intp), own[nodes[of_block] - firsts[place]])

    labels = [(blocks[place].key, packed) for place, packed in _packed(places, bounds, firsts, nodes, roots, smallest)]
    sizes = np.bincount(roots, minlength=len(nodes))
    large = smallest[joining.is_large(sizes, int(firsts[-1]))]
    return Joined(labels, tuple(large.tolist()))


def _packed(
    places: list[int], bounds: Any, firsts: Any, nodes: Any, roots: Any, smallest: Any
) -> Iterator[tuple[int, bytes]]:
    for place in places:
        of_block = slice(bounds[place], bounds[place + 1])
        joined = np.empty(bounds[place + 1] - bounds[place], _JOINED)
        joined["example"], joined["label"] = nodes[of_block] - firsts[place], smallest[roots[of_block]]
        yield place, joined.tobytes()


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
