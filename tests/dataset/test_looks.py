"""What looks leave: the first that is committed counts, another night's holds while its images are what they were, and bounds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from folders import png, put

from transforms.core.output_names import FAILURE, WORK
from transforms.core.records import Block, Example, Extent, ImageFacts, ImageGroups, OpenBlock, Row
from transforms.dataset.looks import commit_look, parse_facts
from transforms.dataset.previous import PreviousDataset
from transforms.dataset.receipts import BlockKeys, ReceiptStore
from transforms.dataset.segments import Unsealed
from transforms.dataset.shared_images.edges import Joining
from transforms.dataset.shared_images.hashes import looked_at, read_whole
from transforms.examples.image_groups import image_hash
from transforms.steps.image_groups import MOST_EDGES, MOST_EXAMPLES, GroupByImages
from transforms.storage import store_for
from transforms.storage.api import USUAL

KEY = "ab" * 16
BLOCK = Block((0, b"/rows", 0), (Extent("/rows", "9-1", 9, 0, 9),), "gemini")


def fact(path: str, identity: str, reason: str = "") -> ImageFacts:
    if reason:
        return ImageFacts(path, reason=reason)
    found = store_for(path).stat(path)
    return ImageFacts(path, found.generation, found.size, "png", 9, 9, identity=identity)


def example(*sources: str) -> Example:
    return Example(Row("/rows", 0, 1, b""), 1, [], {}, {}, [], sources)


def opened(*facts: ImageFacts) -> OpenBlock:
    """Two examples: of the first two images, and of the last."""
    examples = [example(*(one.uri for one in facts[:2])), example(facts[-1].uri)]
    return OpenBlock(BLOCK, KEY, examples=examples, facts={one.uri: one for one in facts})


@pytest.fixture
def images(tmp_path: Path) -> list[str]:
    return [put(tmp_path / f"in/{name}.png", png(seed=number)) for number, name in enumerate("abc")]


def test_the_look_that_is_committed_first_counts(tmp_path: Path, images: list[str]) -> None:
    looks = ReceiptStore(str(tmp_path / "out"), 5, "run").looks
    first = commit_look(opened(*(fact(path, path[-5]) for path in images)), looks, rejects=True, verified=True)
    seen = looked_at(first)
    assert seen.examples == 2 and seen.key == KEY
    (records,) = read_whole([seen])
    held = dict(zip(records.hashes.tolist(), zip(records.examples.tolist(), records.alone.tolist())))
    assert held == {image_hash("a"): (0, False), image_hash("b"): (0, False), image_hash("c"): (1, True)}
    assert list(parse_facts(Path(seen.facts).read_bytes())) == images
    other = commit_look(opened(*(fact(path, "other") for path in images)), looks, rejects=True, verified=True)
    assert other == first
    assert ReceiptStore(str(tmp_path / "out"), 5, "run").find(BLOCK, KEY) is None  # no receipt of the block itself


@pytest.mark.parametrize(("rejects", "joined"), [(True, []), (False, ["a"])])
def test_an_image_that_cannot_be_used_joins_nothing(
    rejects: bool, joined: list[str], tmp_path: Path, images: list[str]
) -> None:
    facts = [fact(images[0], "a"), fact("/none.png", "", "image_not_found"), fact(images[2], "c")]
    looks = ReceiptStore(str(tmp_path / "out"), 5, "run").looks
    receipt = commit_look(opened(*facts), looks, rejects=rejects, verified=True)
    (records,) = read_whole([looked_at(receipt)])
    assert sorted(records.hashes.tolist()) == sorted(map(image_hash, [*joined, "c"]))
    assert receipt.heals
    assert replace(looks, epoch=6).find(BLOCK, KEY) is None  # a later run looks again


def test_another_nights_look_holds_until_an_image_changes(tmp_path: Path, images: list[str]) -> None:
    night, tonight = (ReceiptStore(str(tmp_path / name), 5, name) for name in ("one", "two"))
    facts = [fact(path, path[-5]) for path in images]
    commit_look(opened(*facts), night.looks, rejects=True, verified=True)
    earlier = PreviousDataset(tonight, night, False, 4).looks
    assert earlier.facts(BLOCK, KEY, images) == {one.uri: one for one in facts}
    taken = earlier.find(BLOCK, KEY)
    assert taken and taken.reused and looked_at(taken).hashes.startswith(f"{tmp_path}/two/")

    put(images[1], png(seed=50))
    later = PreviousDataset(ReceiptStore(str(tmp_path / "three"), 5, "three"), night, False, 4)
    assert later.looks.find(BLOCK, KEY) is None
    assert list(later.looks.facts(BLOCK, KEY, images)) == [images[0], images[2]]


def test_a_block_has_a_key_for_each_view_of_its_groups() -> None:
    keys = BlockKeys("options")
    groups = [
        ImageGroups(b"12345678"),
        ImageGroups(b"12345679"),
        ImageGroups(b"12345678", common=(1,)),
        ImageGroups(b"12345678", large=(1,)),
        ImageGroups(b"12345678", facts="/out/KEY.other.facts"),
    ]
    named = [keys(BLOCK), *(keys(replace(BLOCK, groups=one)) for one in groups)]
    assert len(set(named)) == 6
    moved = replace(BLOCK, groups=ImageGroups(b"12345678", facts="/elsewhere/KEY.other.facts"))
    assert keys(moved) == named[-1]  # the same look, taken over by another night


@pytest.mark.parametrize(
    ("examples", "edges", "said"),
    [
        (0, MOST_EDGES - 1, ""),
        (0, MOST_EDGES, ""),
        (0, MOST_EDGES + 1, "There are 50,000,001 links between examples by images they share"),
        (MOST_EXAMPLES, 0, ""),
        (
            MOST_EXAMPLES + 1,
            0,
            "There are 4,294,967,296 examples, and --split_by image joins at most 4,294,967,295 examples",
        ),
    ],
)
def test_more_than_one_worker_can_join_ends_the_job(examples: int, edges: int, said: str, tmp_path: Path) -> None:
    step = GroupByImages(folder=str(tmp_path), joining=Joining(0.1), access=USUAL)
    if not said:
        step.check_size(examples, edges)
        return
    with pytest.raises(Unsealed) as stopped:
        step.check_size(examples, edges)
    assert str(stopped.value).startswith(said) and "--split_by COLUMN" in str(stopped.value)
    assert json.loads((tmp_path / WORK / FAILURE).read_bytes()) == {"unsealed": str(stopped.value)}
