"""Union-find over arrays: edges between numbered nodes -> the smallest node that each hangs together with.

All nodes are hooked onto smaller neighbours at once, and paths are halved until they are flat; then what is still parted is hooked
again. A chain of any length takes a handful of rounds, and nothing is held but the edges and one number a node.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_SLICE = 1 << 22  # edges that are looked at together: what is made of them takes some 100 MB


def compact(edges: Sequence[Any]) -> Any:
    """Renumber the ends of edges, in place -> the nodes that they had, sorted: node i is now called i.

    Args:
      edges: arrays of shape (n, 2), of uint32.
    """
    ends = np.concatenate([some.reshape(-1) for some in edges]) if edges else np.empty(0, np.uint32)
    ends.sort()
    is_first = np.ones(len(ends), bool)
    np.not_equal(ends[1:], ends[:-1], out=is_first[1:])
    nodes = ends[is_first]
    del ends, is_first
    for pairs in edges:
        flat = pairs.reshape(-1)
        for at in range(0, len(flat), _SLICE):
            some = flat[at : at + _SLICE]
            order = np.argsort(some)  # looked up in order, for the caches' sake: one by one they take ten times as long
            some[order] = np.searchsorted(nodes, some[order])
    return nodes


def roots_of(edges: Sequence[Any], nodes: int) -> Any:
    """For each node the smallest one of its component, as uint32.

    Args:
      edges: arrays of shape (n, 2), of uint32 below `nodes`.
    """
    parents = np.arange(nodes, dtype=np.uint32)
    slices = [some[at : at + _SLICE] for some in edges for at in range(0, len(some), _SLICE)]
    while slices:
        slices = [some for some in slices if _hook(some, parents)]
        _flatten(parents)
    return parents


def _hook(edges: Any, parents: Any) -> bool:
    """Hook the larger root of each edge onto the smaller one -> whether any edge joined two roots.

    Where several edges hook one root, the smallest wins. The others' ends stay parted until the next round, which sees to them.
    """
    ones, others = parents[edges[:, 0]], parents[edges[:, 1]]
    parted = ones != others
    if not parted.any():
        return False
    ones, others = ones[parted], others[parted]
    np.minimum.at(parents, np.maximum(ones, others).astype(np.intp), np.minimum(ones, others))
    return True


def _flatten(parents: Any) -> None:
    """Let every node name its root."""
    flat = False
    while not flat:
        flat = True
        for at in range(0, len(parents), _SLICE):
            some = parents[at : at + _SLICE]
            above = parents[some]
            if not np.array_equal(above, some):
                some[:] = above
                flat = False


def sizes_of(roots: Any) -> Any:
    """How many nodes name each as their root."""
    sizes = np.zeros(len(roots), np.uint32)
    for at in range(0, len(roots), _SLICE):
        np.add.at(sizes, roots[at : at + _SLICE].astype(np.intp), 1)
    return sizes
