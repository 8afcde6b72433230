"""Image moderation: is a notice allowed, and which rule does it break? A spreadsheet saved as CSV, with multi-line cells.

python examples/moderation.py [FOLDER]
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from random import Random

from recipe import encoded, main, put

from beam_jobs.sample.drawing import COLOURS, poster

NOTICES = (
    (("FLEA MARKET", "Sunday, 10 to 4", "Town hall"), "allowed", "none", ""),
    (("LOST CAT", "Grey, shy,", "answers to Mia"), "allowed", "none", ""),
    (("EARN 5000 A DAY", "No work!", "Send a deposit"), "blocked", "scam", "Promises money\nand asks for a deposit."),
    (("PILLS", "No prescription", "Fast and discreet"), "blocked", "drugs", 'Sells "pills",\nno prescription.'),
    (("YOGA CLASS", "Tuesdays at 7", "First one free"), "allowed", "none", ""),
    (("FAKE PASSPORTS", "All countries", "Ask for Jo"), "blocked", "fraud", "Offers forged papers."),
)


def make(folder: Path) -> list[str]:
    """Twelve notices, and the moderators' spreadsheet."""
    rows = []
    for number in range(12):
        lines, verdict, rule, note = NOTICES[number % 6]
        colour = list(COLOURS)[number % 7]
        put(folder / f"notices/{number:02}.png", encoded(poster(lines, COLOURS[colour], Random(number)).done(), "PNG"))
        rows.append([f"notices/{number:02}.png", verdict, rule, note or f"Nothing to object to.\n({colour})"])
    with open(folder / "moderation.csv", "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerow(["picture", "verdict", "rule", "note"])
        writer.writerows(rows)
    return [
        "--input", str(folder / "moderation.csv"),
        "--prompt", "May this notice be shown? Answer as JSON: verdict, rule, note.",
        "--answer", "{verdict,rule,note|object}",
        "--splits", "train=0.7,validation=0.3",
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main("moderation", make))
