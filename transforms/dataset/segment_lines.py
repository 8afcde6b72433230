"""The lines that a segment of the dataset writes, as columns: tables of examples and cuts -> the group, size and place of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from transforms.core.records import Part
from transforms.dataset.block_files import SPLITS
from transforms.dataset.seal_plan import GROUPS, Cuts


@dataclass
class Lines:
    """The lines that a segment writes, as columns over all its blocks, in order."""

    table: pa.Table
    block: np.ndarray  # index of the receipt
    group: np.ndarray  # index into GROUPS, or -1: sampled out
    size: np.ndarray  # bytes
    offset: np.ndarray  # bytes before it in the block's part of its split


def groups_of(rows: pa.Table, cuts: Cuts) -> np.ndarray:
    """The output group of each line."""
    group: np.ndarray = rows["split"].to_numpy().astype(np.int64)
    if cuts.active:
        ids = rows["id"].to_numpy()
        if cuts.validation < 1 << 64:
            group[(group == 1) & (rows["number"].to_numpy() >= np.uint64(cuts.validation))] = 3
        if cuts.sample < 1 << 64:
            rank = (ids << np.uint64(32)) | (ids >> np.uint64(32))
            group[rank >= np.uint64(cuts.sample)] = -1
    return group


def whole_sizes(parts: dict[str, Part]) -> list[tuple[int, int]]:
    """As `sizes_of`, where no cap chooses."""
    return [(parts[name].lines, parts[name].size) if name in parts else (0, 0) for name in GROUPS]


def sizes_of(rows: pa.Table, cuts: Cuts) -> list[tuple[int, int]]:
    """Lines and bytes of each output group."""
    group, size = groups_of(rows, cuts), rows["bytes"].to_numpy()
    return [(int((group == g).sum()), int(size[group == g].sum())) for g in range(len(GROUPS))]


def lines_of(parts: Sequence[tuple[int, Part]], tables: Iterable[pa.Table], cuts: Cuts) -> Lines:
    """The lines of a segment.

    Args:
      parts: (index of the receipt, its part of examples), in order.
      tables: what these parts hold.
    """
    rows = pa.concat_tables(tables).combine_chunks()
    block = np.concatenate([np.full(part.lines, index) for index, part in parts])
    size = rows["bytes"].to_numpy().astype(np.int64)
    # Offsets are sums of sizes over the lines of one part, which are neighbours once sorted by part.
    part_of = block * len(SPLITS) + rows["split"].to_numpy()
    order = np.argsort(part_of, kind="stable")
    running = np.cumsum(size[order]) - size[order]
    starts = np.flatnonzero(np.diff(part_of[order], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    offset = np.zeros(len(size), np.int64)
    offset[order] = running - np.repeat(running[starts], lengths)
    return Lines(rows, block, groups_of(rows, cuts), size, offset)
