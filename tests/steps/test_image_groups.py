"""Examples that share images stay in one split, whatever blocks they stand in and whoever came first: whole jobs, nights, kills."""

from __future__ import annotations

import json
import random
import shutil
import signal
from pathlib import Path
from typing import Any

from folders import assert_equal_folders, bmp, jpeg, put, read_folder, row, write_lines
from launcher import At, Launcher
from laws import counters

SPLITS = ("train", "validation", "test")


class World:
    """Rows in two files, of which few share images; and nights of them."""

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.folder, self._launcher = folder, launcher
        draw = random.Random(7)
        images = [put(folder / f"in/images/{i}.jpg", jpeg(seed=i)) for i in range(60)]
        images += [put(folder / "in/images/again.jpg", jpeg(seed=3)), put(folder / "in/images/fit.bmp", bmp(seed=1))]
        images += [put(folder / "in/images/cut.jpg", jpeg(seed=99)[:-60]), str(folder / "in/images/none.jpg")]
        for name in ("a", "b"):
            rows = [row(f"{name} {i}", draw.sample(images, draw.choice((1, 1, 2)))) for i in range(30)]
            write_lines(folder / f"in/{name}.jsonl", [*rows, row(f"{name}: text alone")])

    def run(self, output: str, *flags: str, at: At | None = None) -> int:
        places = ["--input", f"{self.folder}/in/*.jsonl", "--output", f"{self.folder}/{output}"]
        kept = [
            "--image_folder",
            f"{self.folder}/images",
            "--keep_blocks",
            "--splits",
            "train=0.6,validation=0.2,test=0.2",
        ]
        return self._launcher.run([*places, *kept, "--split_by", "image", *flags], at)

    def dataset(self, output: str) -> dict[str, Any]:
        return {
            name: content
            for name, content in read_folder(self.folder / output).items()
            if not name.startswith("_tuneset/")
        }


def split_of_questions(found: dict[str, Any]) -> dict[str, str]:
    return {question: split for split, some in images_by_question(found).items() for question in some}


def images_by_question(found: dict[str, Any]) -> dict[str, dict[str, list[str]]]:
    """For each split, and each question in it, the images of its line."""
    told: dict[str, dict[str, list[str]]] = {}
    for split in SPLITS:
        lines = [json.loads(line)["contents"][0]["parts"] for line in found[f"{split}.jsonl"].splitlines()]
        told[split] = {
            next(part["text"] for part in parts if "text" in part): [
                part["fileData"]["fileUri"] for part in parts if "fileData" in part
            ]
            for parts in lines
        }
    return told


def pictures(found: dict[str, Any]) -> dict[str, set[bytes]]:
    """The images of each split, by what they hold."""
    return {
        split: {Path(uri).read_bytes() for some in questions.values() for uri in some}
        for split, questions in images_by_question(found).items()
    }


def assert_no_picture_in_two_splits(found: dict[str, Any]) -> None:
    seen = list(pictures(found).values())
    assert all(seen) and sum(map(len, seen)) == len(set.union(*seen))


def test_an_example_that_joins_two_others_on_a_later_night(tmp_path: Path, launcher: Launcher) -> None:
    """It stands in a file of its own. The night is killed, and comes to what a full run comes to, with blocks of any size."""
    world = World(tmp_path, launcher)
    assert world.run("one", "--block_bytes", "4096") == 0
    one = world.dataset("one")
    assert_no_picture_in_two_splits(one)
    assert counters(one)["split_group_missing"] == 2 and counters(one)["images_rejected"] > 0
    assert one["manifest.json"]["image_identity"] == "size, first 16 KiB and last 4 KiB"

    by_question = images_by_question(one)
    first = next(iter(by_question["validation"].items()))
    other = next((q, images) for q, images in by_question["test"].items() if images)
    write_lines(tmp_path / "in/c.jsonl", [row("joins", [first[1][0], other[1][0]])])
    night = ("--previous", f"{tmp_path}/one", "--block_bytes", "4096")
    assert world.run("two", *night, at=(r"link .*\.receipt", 2)) == -signal.SIGKILL
    assert world.run("two", *night) == 0
    two, run = world.dataset("two"), json.loads((tmp_path / "two/manifest.json").read_bytes())["run"]
    assert_no_picture_in_two_splits(two)
    assert run["night"]["files"] == {"new": 1, "changed": 0, "gone": 0, "same": 2}
    assert run["night"]["blocks"]["reused"] > 0

    splits, before = split_of_questions(two), split_of_questions(one)
    assert splits["joins"] == splits[first[0]] == splits[other[0]]
    moved = {question for question in before if splits[question] != before[question]}
    joined = joined_with(
        "joins", {q: images for some in images_by_question(two).values() for q, images in some.items()}
    )
    assert moved and moved < joined and len(joined) < len(splits) // 3

    shutil.rmtree(tmp_path / "two")
    assert world.run("two", "--block_bytes", str(64 << 20)) == 0
    assert_equal_folders(two, world.dataset("two"), same_blocks=False)


def joined_with(question: str, images: dict[str, list[str]]) -> set[str]:
    """The questions that hang together with one, by what their images hold."""
    held = {one: {Path(uri).read_bytes() for uri in uris} for one, uris in images.items()}
    joined, grown = set[str](), {question}
    while grown != joined:
        joined = grown
        seen = set.union(*(held[one] for one in joined))
        grown = joined | {one for one, some in held.items() if some & seen}
    return joined
