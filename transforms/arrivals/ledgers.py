"""What one arrival added to its window's ledger, so that a merge can take it back when a newer version counts instead.

A file of rows has blocks of its own, so its window notes what their receipts count (`ledger` in arrivals.jsonl). An image shares its
block with others: what it came to is told by its rows in the window's tables.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.arrivals.kinds import is_image
from transforms.core.records import Receipt
from transforms.images.headers.rare import RARE

Ledger = dict[str, Any]  # counters, reasons, and where its rows of the table of images are: first and number


def ledgers_of(receipts: Iterable[Receipt]) -> dict[str, Ledger]:
    """Files of rows -> what their blocks came to.

    Args:
      receipts: of all blocks of a window, in order.
    """
    told: dict[str, Ledger] = {}
    before = 0  # rows of the table of images
    for receipt in receipts:
        images = sum(part.lines for part in receipt.parts if part.kind == "images")
        sources = {source for source, _ in receipt.lines}
        if len(sources) == 1 and not is_image(source := sources.pop()):
            ledger = told.setdefault(source, {"counters": {}, "reasons": {}, "images": [before, 0]})
            ledger["counters"] = dict(Counter(ledger["counters"]) + Counter(dict(receipt.counters)))
            ledger["reasons"] = dict(Counter(ledger["reasons"]) + Counter(dict(receipt.reasons)))
            ledger["images"][1] += images
        before += images
    return told


def image_ledger(
    sources: frozenset[str],
    examples: pa.Table,
    images: pa.Table | None,
    rejected: Mapping[str, str],
    sidecars: int,
    max_tokens: int,
) -> tuple[Counter[str], Counter[str]]:
    """(counters, reasons) of images that were rows, by their rows in a window's tables.

    Args:
      sources: URIs of the images.
      examples, images: the window's rows of these sources alone; None: no image was looked at.
      rejected: those of them that were rejected, with their reasons.
      sidecars: files beside them.
      max_tokens: that the model takes.
    """
    count, reasons = Counter[str](), Counter(rejected.values())
    used = examples.num_rows
    count["examples_read"] = used + len(rejected)
    count["examples_used"], count["examples_written"] = used, used
    count["examples_rejected"] = len(rejected)
    count["examples_over_tokens"] = int((examples["tokens"].to_numpy() > max_tokens).sum())
    count["pictures_taken"] = len(sources)
    count["files_taken"] = sidecars
    count["files_read"] = count["names_listed"] = len(sources) + sidecars
    if images is None:
        count["images_seen"] = count["images_unverified"] = used
        count["images_local"] = sum(source.startswith("/") for source in examples["source"].to_pylist())
        return count, reasons
    for row in images.to_pylist():
        _count_image(count, row)
    return count, reasons


def _count_image(count: Counter[str], row: Mapping[str, Any]) -> None:
    """Add what a row of the table of images came to."""
    references, fate = row["references"], row["fate"]
    count["images_seen"] += references
    count[f"images_{fate}"] += references
    count["bytes_seen"] += references * row["bytes"]
    count["images_escalated"] += references * row["escalated"]
    if fate in ("rejected", "dropped", "unused"):
        return
    uri = row["output"] or row["source"]
    count["images_local"] += references * uri.startswith("/")
    count["images_rare_type"] += references * (row["type"] in RARE)
    if fate != "untouched":
        count["bytes_rewritten"] += references * row["output_bytes"]
    elif row["orientation"] != 1:
        count["images_rotated_tag"] += references
    if fate == "untouched" and row["output"]:
        count["images_staged"] += references


def rows_of(table: pa.Table, column: str, values: Iterable[str]) -> np.ndarray:
    """Which rows of a table hold one of some texts in a column."""
    mask: np.ndarray = pc.is_in(
        table[column].cast(pa.string()), value_set=pa.array(sorted(values), pa.string())
    ).to_numpy()
    return mask
