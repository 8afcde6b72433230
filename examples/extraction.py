"""Table content extraction: the rows of a printed table as JSON. Scans in a folder, each with its contents in a file beside it.

python examples/extraction.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from recipe import encoded, main, put

from beam_jobs.sample.drawing import COLOURS, table

GOODS = ("Apples", "Bread", "Cheese", "Dates", "Eggs", "Figs", "Grapes")


def make(folder: Path) -> list[str]:
    """Twelve price lists of three to five goods."""
    for number in range(12):
        goods = [GOODS[(number + i) % 7] for i in range(3 + number % 3)]
        rows = [["Item", "Price", "Stock"]]
        rows += [
            [good, f"{1 + (number + i) % 5}.{25 * (i % 4):02}", str(10 * i + number)] for i, good in enumerate(goods)
        ]
        picture = table(f"Price list {number + 1}", rows, list(COLOURS.values())[number])
        put(folder / f"{number:02}.png", encoded(picture.done(), "PNG"))
        contents = [dict(zip(("item", "price", "stock"), row)) for row in rows[1:]]
        put(folder / f"{number:02}.json", json.dumps({"rows": contents}).encode())
    return [
        "--input", str(folder),
        "--prompt", "Give the rows of the table as JSON: item, price, stock.",
        "--answer", "{sidecar.rows|json}",
        "--splits", "train=0.7,validation=0.3",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main("extraction", make))
