"""A model of a run on Dataflow: worker count against time and cost. Arithmetic alone; nothing is run.

The rates were measured on one machine, the prices and the minutes are assumptions that stand below: change them there.

    python benchmarks/dataflow_model.py
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

CORES, GB = 4, 16  # n2-standard-4
# Measured: processor seconds of one image.
READ_S = 0.0007  # conforming, in gs:// over TLS: its share of rows, requests and lines
FIT_S = 1.5  # rewritten: 24 to 48 megapixels
# Counted (tests/steps/test_shuffles.py): bytes that are shuffled.
BLOCK_BYTES, IMAGE_BYTES = 1_800, 650  # for a block, for an image that is rewritten
IMAGES_A_BLOCK = 1_300  # of 256 KB of rows
# Assumed.
BEGIN_AND_END_MIN = 8.0  # until workers are at work, and the seal
CORE_H, GB_H, SHUFFLE_GB = 0.056, 0.003557, 0.011  # dollars, batch, us-central1
FLEX_CORE_H, FLEX_GB_H = 0.0336, 0.0021341  # with FlexRS


def minutes(images: int, rewritten: float, workers: int) -> float:
    work = images * (READ_S + rewritten * FIT_S) / (workers * CORES)
    return BEGIN_AND_END_MIN + work / 60


def shuffled_gb(images: int, rewritten: float) -> float:
    return (images / IMAGES_A_BLOCK * BLOCK_BYTES + images * rewritten * IMAGE_BYTES) / 1e9


def dollars(images: int, rewritten: float, workers: int, core: float = CORE_H, gb: float = GB_H) -> float:
    hours = minutes(images, rewritten, workers) / 60 * workers
    return hours * (CORES * core + GB * gb) + shuffled_gb(images, rewritten) * SHUFFLE_GB


def table() -> Iterator[str]:
    """The table of docs/scaling.md, line by line."""
    yield "| images | rewritten | shuffled | workers | time | cost | with FlexRS |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for images, counts in ((1_000_000, (2, 10)), (10_000_000, (10, 50)), (100_000_000, (50, 200))):
        for rewritten in (0.01, 0.1):
            for workers in counts:
                took, flex = (
                    minutes(images, rewritten, workers),
                    dollars(images, rewritten, workers, FLEX_CORE_H, FLEX_GB_H),
                )
                time = f"{took:.0f} min" if took < 120 else f"{took / 60:.1f} h"
                cells = (
                    f"{images:,}",
                    f"{rewritten:.0%}",
                    f"{shuffled_gb(images, rewritten):.2f} GB",
                    f"{workers}",
                    time,
                )
                yield f"| {' | '.join(cells)} | ${dollars(images, rewritten, workers):,.2f} | ${flex:,.2f} |"


def main() -> int:
    print("\n".join(table()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
