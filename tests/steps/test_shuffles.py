"""Only descriptors, orders and receipts cross a shuffle: rows and images never do, whatever they weigh."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from folders import bmp, jpeg, put, row, write_lines
from shuffles import Crossed, weigh_shuffles

from beam_jobs.job import Job
from beam_jobs.settings import parse
from transforms.dataset.claim import take_claim

ROOT = Path(__file__).resolve().parents[2]
BLOCK = 8192
# What each grouping carries, and its bytes at most: of one block, of one image, or of one whole job.
OF_A_BLOCK = {
    "List/Spread blocks": 400,
    "Wait for images": 400,
    "Seal/Segment/Group segments": 1600,
    "Seal/Smallest ids": 400,
}
OF_AN_IMAGE = {"Fit/Group equal images": 500, "Fit/Spread images": 700}


def weigh(folder: Path, words: int) -> tuple[int, int, dict[str, Crossed]]:
    """-> (blocks, bytes of rows, what crossed); each row names two images of ten that are rewritten."""
    images = [put(folder / f"raw/{i}.bmp", bmp(seed=i)) for i in range(10)] + [put(folder / "raw/a.jpg", jpeg())]
    rows = [row(f"question {i} " + "abc " * words, [images[i % 10], images[10]]) for i in range(400)]
    source = write_lines(folder / "raw/rows.jsonl", rows)
    settings = parse(["--input", source, "--output", str(folder / "out"), "--block_bytes", str(BLOCK)])
    claim = take_claim(settings.output, "run", take_over=False)
    size = Path(source).stat().st_size
    return -(-size // BLOCK), size, weigh_shuffles(Job(settings, claim, False), folder)


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int, dict[str, Crossed]]:
    return weigh(tmp_path_factory.mktemp("thin"), 10)


def test_what_crosses_is_counted_in_blocks_and_images(crossed: tuple[int, int, dict[str, Crossed]]) -> None:
    blocks, _, found = crossed
    assert {label: found[label].elements for label in OF_A_BLOCK if label != "Seal/Smallest ids"} == {
        "List/Spread blocks": blocks,
        "Wait for images": blocks,  # each has an image to rewrite
        "Seal/Segment/Group segments": blocks,
    }
    assert found["Fit/Spread images"].elements == 10  # each distinct image once
    assert found["Fit/Group equal images"].elements <= 10 * blocks
    over = {
        label: found[label].largest for label, most in (OF_A_BLOCK | OF_AN_IMAGE).items() if found[label].largest > most
    }
    assert over == {}


def test_longer_rows_make_nothing_heavier(
    crossed: tuple[int, int, dict[str, Crossed]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ten times the text is ten times the blocks, and no heavier block."""
    blocks, size, thin = crossed
    more_blocks, more_size, thick = weigh(tmp_path_factory.mktemp("long"), 1000)
    assert more_size > 5 * size and more_blocks > 5 * blocks
    for label in (*OF_A_BLOCK, *OF_AN_IMAGE):
        assert thick[label].largest <= thin[label].largest * 1.1, label


def test_the_model_of_a_run_is_the_one_in_the_docs() -> None:
    script = ROOT / "benchmarks/dataflow_model.py"
    printed = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True).stdout
    told = (ROOT / "docs/scaling.md").read_text(encoding="utf-8")
    assert printed in told, f"the table of docs/scaling.md is to be {printed}"
    limits = dict(re.findall(r"^\| `([^`]+)` \| [^|]+ \| [\d,]+ \| ([\d,]+) \|", told, re.MULTILINE))
    assert {label: int(most.replace(",", "")) for label, most in limits.items()} == OF_A_BLOCK | OF_AN_IMAGE
