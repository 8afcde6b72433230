"""Product catalogue enrichment: brand, colour and size from a picture. A Parquet file that holds the pictures themselves.

python examples/catalogue.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from recipe import encoded, main

from beam_jobs.sample.drawing import COLOURS, product

KINDS = ("mug", "shoe", "shirt", "lamp", "bag")


def make(folder: Path) -> list[str]:
    """Twelve products, as Hugging Face's `datasets` stores images: a struct of bytes and path."""
    rows = []
    for number in range(12):
        kind, colour = KINDS[number % 5], list(COLOURS)[number]
        brand, size = ("Alba", "Nord", "Kite")[number % 3], ("S", "M", "L")[number // 3 % 3]
        picture = encoded(product(kind, COLOURS[colour], brand, size, COLOURS["beige"]).done())
        image = {"bytes": picture, "path": f"{number}.jpg"}
        rows.append(
            {"sku": f"P{number:03}", "image": image, "kind": kind, "brand": brand, "colour": colour, "size": size}
        )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / "catalogue.parquet")
    return [
        "--input", str(folder / "catalogue.parquet"),
        "--system", "You fill in a shop's catalogue.",
        "--prompt", "Give the attributes of the product as JSON: kind, brand, colour, size.",
        "--answer", "{kind,brand,colour,size|object}",
        "--splits", "train=0.7,validation=0.3",
        "--split_by", "sku",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main("catalogue", make))
