"""Makes docs/pictures/sample.png, eight pictures of the sample that `make demo` prepares: `python docs/make_sample.py`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from beam_jobs.sample.rows import write_sample

NAMES = (
    "shoe-01.jpg",
    "lamp-01.jpg",
    "mug-01.jpg",
    "outfit-01.jpg",
    "daisy.jpg",
    "sign-01.jpg",
    "part-01.jpg",
    "table-01.png",
)
SIDE, GAP = 100, 8  # pixels


def main() -> None:
    """Draw the sample, and lay some of its pictures side by side."""
    sheet = Image.new("RGB", (len(NAMES) * (SIDE + GAP) - GAP, SIDE), "white")
    with tempfile.TemporaryDirectory() as folder:
        rows = write_sample(Path(folder))
        for number, name in enumerate(NAMES):
            with Image.open(rows.parent / "images" / name) as picture:
                sheet.paste(ImageOps.fit(picture.convert("RGB"), (SIDE, SIDE)), (number * (SIDE + GAP), 0))

    path = Path(__file__).resolve().parent / "pictures" / "sample.png"
    sheet.quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main()
