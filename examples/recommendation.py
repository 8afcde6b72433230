"""Image-based recommendations: what goes with these two? A TSV file with two columns of pictures.

python examples/recommendation.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from recipe import encoded, main, put

from beam_jobs.sample.drawing import COLOURS, product

MATCHES = {"red": "beige", "blue": "white", "green": "brown", "black": "grey"}


def make(folder: Path) -> list[str]:
    """Twelve pairs of a shirt and a shoe, and the bag that goes with them."""
    lines = ["pair\tshirt\tshoe\tbag\twhy"]
    for number in range(12):
        shirt, shoe = list(MATCHES)[number % 4], list(MATCHES)[number // 3 % 4]
        for kind, colour in (("shirt", shirt), ("shoe", shoe)):
            picture = product(kind, COLOURS[colour], ("Alba", "Nord", "Kite")[number % 3], "M", COLOURS["beige"]).done()
            put(folder / f"{kind}/{number:02}.jpg", encoded(picture))
        bag = MATCHES[shirt]
        lines.append(f"{number}\tshirt/{number:02}.jpg\tshoe/{number:02}.jpg\t{bag}\tit calms the {shirt} of the shirt")
    put(folder / "outfits.tsv", "\n".join(lines).encode())
    return [
        "--input", str(folder / "outfits.tsv"),
        "--image_column", "shirt,shoe",
        "--prompt", "Here are a shirt and a shoe. Which bag goes with them, and why?",
        "--answer", "A {bag} bag: {why}.",
        "--splits", "train=0.7,validation=0.3",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main("recommendation", make))
