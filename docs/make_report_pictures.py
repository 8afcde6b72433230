"""Make the pictures of the report in docs/pictures: prepare the sample, and photograph its page by a headless chromium.

python docs/make_report_pictures.py [FOLDER]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from beam_jobs.__main__ import main

PICTURES = Path(__file__).resolve().parent / "pictures"
# (name, columns and rows of the window in pixels, dark)
SHOTS = (("report-desktop", 1200, 1500, False), ("report-desktop-dark", 1200, 1500, True))
PHONES = (("report-phone", 360, 1400, False), ("report-phone-dark", 360, 1400, True))
MOST_BYTES = 200_000


def browser() -> str:
    """The command of a chromium.

    Raises:
      SystemExit: there is none.
    """
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    if not found:
        raise SystemExit("no chromium is installed: apt-get install chromium")
    return found


def photograph(page: Path, width: int, height: int, dark: bool, target: Path) -> None:
    """A picture of the top of a page, of at most MOST_BYTES.

    A window of a headless chromium is at least some 500 pixels wide, so a narrow page is shown in a frame of its width.
    """
    with tempfile.TemporaryDirectory() as folder:
        frame, shot = Path(folder, "frame.html"), Path(folder, "shot.png")
        frame.write_text(
            f"<style>body{{margin:0;background:{'#14171d' if dark else '#fff'}}}iframe{{border:0;width:{width}px;height:{height}px}}"
            f'</style><iframe src="{page.resolve().as_uri()}"></iframe>'
        )
        colours = ["--blink-settings=preferredColorScheme=0"] if dark else ["--blink-settings=preferredColorScheme=1"]
        command = [browser(), "--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", *colours]
        size = f"--window-size={max(width, 520)},{height}"
        subprocess.run([*command, size, f"--screenshot={shot}", frame.as_uri()], check=True, capture_output=True)
        picture = Image.open(shot).convert("RGB").crop((0, 0, width, height))
        picture.quantize(128).save(target, optimize=True)
    if target.stat().st_size > MOST_BYTES:
        raise SystemExit(f"{target} has {target.stat().st_size:,} bytes, over {MOST_BYTES:,}")


def make(folder: Path) -> None:
    """Prepare the sample in a folder, and photograph its report."""
    if main(["demo", str(folder)]):
        raise SystemExit("the demo failed")
    for name, width, height, dark in (*SHOTS, *PHONES):
        photograph(folder / "dataset/report.html", width, height, dark, PICTURES / f"{name}.png")


if __name__ == "__main__":
    make(Path(sys.argv[1] if len(sys.argv) > 1 else "demo"))
