"""Visual inspection: where is the defect of a part, and of what kind? JSON lines of an inspection system, with boxes.

python examples/inspection.py [FOLDER]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

from recipe import encoded, main, put

from beam_jobs.sample.drawing import part

DEFECTS = ("none", "scratch", "dent", "hole")
SIZE = (400, 300)  # of a picture, in the units of its drawing


def make(folder: Path) -> list[str]:
    """Twelve parts; what was found on each is a list, as Gemini gives boxes: thousandths, from the top left."""
    rows = []
    for number in range(12):
        defect, x, y = DEFECTS[number % 4], 120 + 14 * number, 100 + 9 * number
        form = ("flange", "plate")[number // 4 % 2]
        picture = encoded(part(form, defect, x, y, Random(number)).done())
        put(folder / f"parts/{number:02}.jpg", picture)
        edges = (y - 24, x - 24, y + 24, x + 24)
        box = [round(1000 * edge / SIZE[1 - i % 2]) for i, edge in enumerate(edges)]
        found = [] if defect == "none" else [{"box_2d": box, "label": defect}]
        rows.append({"serial": number, "image": f"parts/{number:02}.jpg", "form": form, "defects": found})
    put(folder / "inspection.jsonl", b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    return [
        "--input", str(folder / "inspection.jsonl"),
        "--prompt", "List the defects of this {form}, each with its box_2d and label, as JSON. Without any: []",
        "--answer", "{defects|json}",
        "--splits", "train=0.7,validation=0.3",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main("inspection", make))
