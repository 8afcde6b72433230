"""What a job lists: the files that patterns give it."""

from __future__ import annotations

from transforms.core.records import Block, Input
from transforms.inputs.cells.csv_dialect import Wanted
from transforms.inputs.cutting import Cutter
from transforms.steps import listing


def listed(patterns: tuple[str, ...], output: str = "/nowhere") -> tuple[list[str], int]:
    """Files that a job with these patterns reads, and how many it counts as skipped."""
    blocks: list[Block] = []
    skipped = 0
    inputs = tuple(map(Input, patterns))
    for some in (some for indexed in enumerate(inputs) for some in listing.cut_input(indexed, output)):
        options = listing.ListBlocks(inputs=inputs, cutter=Cutter(1000, 1000, Wanted()), output=output)
        for found in listing._ListFiles(options).begin(some):
            if isinstance(found, Block):
                blocks.append(found)
            else:
                skipped += found.value.counters["files_skipped"]
    return [e.uri for b in sorted(blocks, key=lambda b: b.order) for e in b.extents], skipped
