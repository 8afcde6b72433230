"""Image classification: which flower is it? Folders of pictures, a class each, below folders of the splits.

python examples/classification.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from recipe import encoded, main, put

from beam_jobs.sample.drawing import COLOURS, flower


def make(folder: Path) -> list[str]:
    """Four classes, three pictures of each for training and one for validation."""
    for kind, colours in (
        ("daisy", ("white", "pink", "yellow", "purple")),
        ("sunflower", ("yellow", "orange", "brown", "red")),
        ("poppy", ("red", "orange", "pink", "purple")),
        ("tulip", ("red", "yellow", "purple", "white")),
    ):
        for number, colour in enumerate(colours):
            split = "validation" if number == 3 else "train"
            put(folder / f"{split}/{kind}/{colour}.jpg", encoded(flower(kind, COLOURS[colour]).done()))
    return ["--input", str(folder), "--prompt", "Which flower is this?", "--shuffle_seed", "flowers"]


if __name__ == "__main__":
    sys.exit(main("classification", make))
