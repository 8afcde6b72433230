"""Examples that share images, directly or by others, have one label, as a plain union-find says; and splits keep their shares."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.core.finding_codes import COMMON_EXAMPLES
from transforms.core.records import Receipt
from transforms.dataset.block_files import Caps, packed_ids_of
from transforms.dataset.seal_plan import Cuts
from transforms.dataset.segment_lines import groups_of
from transforms.dataset.shared_images.components import compact, roots_of, sizes_of
from transforms.dataset.shared_images.edges import Joining, SharedImages, find_shared
from transforms.dataset.shared_images.hashes import RANGES, look_of, pack_hashes, read_range, read_whole
from transforms.dataset.shared_images.labels import first_numbers, join_examples, labels_of_block
from transforms.examples.image_groups import NO_IMAGE, group_number, image_hash, unpack_labels
from transforms.examples.splits import parse_splits
from transforms.steps.seal import ids_of, lines_of_validation

Images = Sequence[Sequence[int]]  # of each example, by hash


def plain_labels(examples: Images, join_common: bool) -> list[int]:
    """Labels by a union-find as textbooks have it."""
    holders = defaultdict[int, list[int]](list)
    for number, images in enumerate(examples):
        for image in set(images):
            holders[image].append(number)
    most = max(COMMON_EXAMPLES, len(examples) // 100)
    common = set() if join_common else {image for image, some in holders.items() if len(some) > most}

    parents = list(range(len(examples)))

    def root(node: int) -> int:
        while parents[node] != node:
            parents[node] = node = parents[parents[node]]
        return node

    own = [min(set(images) - common, default=min(images, default=NO_IMAGE)) for images in examples]
    for image, some in holders.items():
        for other in some[1:] if image not in common else []:
            parents[root(some[0])] = root(other)
    smallest = defaultdict[int, int](lambda: NO_IMAGE)
    for number, label in enumerate(own):
        smallest[root(number)] = min(smallest[root(number)], label)
    return [smallest[root(number)] for number in range(len(examples))]


class World:
    """Examples in blocks, compared as a job compares them."""

    def __init__(self, folder: Path, examples: Images, block: int, passes: int, joining: Joining) -> None:
        self.blocks = []
        for at in range(0, len(examples), block):
            some = examples[at : at + block]
            run, told = pack_hashes([set(images) for images in some])
            path = folder / f"{at}.hashes"
            path.write_bytes(run)
            self.blocks.append(look_of((0, b"", at), str(at), told, str(path)))
        firsts = first_numbers(self.blocks)
        ends = [RANGES * number // passes for number in range(passes + 1)]
        self.found = [
            find_shared(
                ((int(firsts[place]), records) for place, records in read_range(self.blocks, first, end)),
                len(examples),
                joining,
            )
            for first, end in pairwise(ends)
        ]
        self.common = [image for one in self.found for image in one.common]
        joined = join_examples(self.blocks, [one.edges.copy() for one in self.found], self.common, joining)
        self.large = {label for one in self.found for label in one.large} | set(joined.large)
        self.joined = dict(joined.labels)

    def labels(self) -> list[int]:
        packed = [
            labels_of_block(records, block.examples, self.common, self.joined.get(block.key, b""))
            for block, records in zip(self.blocks, read_whole(self.blocks))
        ]
        return [label for some in packed for label in unpack_labels(some)]


SMALL = st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=40)


@given(SMALL, st.integers(1, 12), st.integers(1, 3), st.booleans())
def test_labels_are_those_of_a_plain_union_find(
    tmp_path_factory: pytest.TempPathFactory, examples: list[list[int]], block: int, passes: int, join_common: bool
) -> None:
    hashed = [[image_hash(f"gs://b/{image}.png") for image in images] for images in examples]
    world = World(tmp_path_factory.mktemp("w"), hashed, block, passes, Joining(0.1, join_common))
    assert world.labels() == plain_labels(hashed, join_common)


def test_large_graphs(tmp_path: Path) -> None:
    """A chain of 1,000, a star of 100,000, and many small ones, whose examples stand anywhere."""
    chain = [[f"c{i}", f"c{i + 1}"] for i in range(1000)]
    star = [["hub", f"s{i}"] for i in range(100_000)]
    small = [[f"p{i % 3000}", f"q{i}"] for i in range(6000)] + [[f"lone {i}"] for i in range(500)] + [[]] * 3
    named = [*chain, *star, *small]
    random.Random(1).shuffle(named)
    examples = [[image_hash(name) for name in images] for images in named]
    world = World(tmp_path, examples, 5000, 3, Joining(0.1, join_common=True))
    labels = world.labels()
    assert labels == plain_labels(examples, join_common=True)
    of_star = [label for label, images in zip(labels, named) if "hub" in images]
    assert world.large == {of_star[0]} == set(of_star)


@pytest.mark.parametrize("seed", range(3))
def test_components_of_random_graphs(seed: int) -> None:
    draw = np.random.default_rng(seed)
    edges = [draw.integers(0, 3000, (size, 2), np.uint32) * np.uint32(1_000_003) for size in (700, 0, 900)]
    ends = np.concatenate(edges)
    nodes = compact(edges)
    assert nodes.tolist() == sorted(set(ends.reshape(-1).tolist()))
    roots = roots_of(edges, len(nodes))
    assert sizes_of(roots).tolist() == [roots.tolist().count(node) for node in range(len(nodes))]
    at = {node: place for place, node in enumerate(nodes.tolist())}
    parents = list(range(len(nodes)))
    for _ in range(len(nodes)):
        before = list(parents)
        for one, other in ends.tolist():
            low = min(parents[at[one]], parents[at[other]])
            parents[at[one]] = parents[at[other]] = low
        if parents == before:
            break
    assert roots.tolist() == parents


def shares(seed: int, per_example: int, examples: int = 60_000) -> dict[str, float]:
    """Which part of some examples that share no image goes to each split."""
    draw, splits = random.Random(seed), parse_splits("train=0.8,validation=0.1,test=0.1")
    counts = dict.fromkeys(("train", "validation", "test"), 0)
    for _ in range(examples):
        number = group_number(min(draw.getrandbits(64) for _ in range(per_example)), b"0")
        assert number is not None
        counts[splits.assign(number)] += 1
    return {name: count / examples for name, count in counts.items()}


@pytest.mark.parametrize("per_example", [1, 2, 8, 16])
def test_splits_keep_their_shares_however_many_images_examples_hold(per_example: int) -> None:
    assert shares(per_example, per_example) == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.01)


def examples_with_logo(holders: int) -> Images:
    """1,100 examples of an image each, some of which hold one more, that is theirs in common."""
    return [[image_hash(f"i{i}"), *([image_hash("logo")] if i < holders else [])] for i in range(1100)]


@pytest.mark.parametrize(("holders", "join_common", "groups"), [(11, False, 1090), (12, False, 1100), (12, True, 1089)])
def test_an_image_that_is_everywhere_joins_nothing_unless_asked(
    tmp_path: Path, holders: int, join_common: bool, groups: int
) -> None:
    world = World(tmp_path, examples_with_logo(holders), 100, 2, Joining(0.1, join_common))
    assert world.common == ([image_hash("logo")] if groups == 1100 else [])
    assert len(set(world.labels())) == groups
    assert world.labels() == plain_labels(examples_with_logo(holders), join_common)


@pytest.mark.parametrize(("size", "large"), [(9, False), (10, False), (11, True)])
@pytest.mark.parametrize("alone", [True, False])
def test_a_component_larger_than_a_splits_share_is_told(tmp_path: Path, size: int, large: bool, alone: bool) -> None:
    joined = [[image_hash("a"), *([] if alone else [image_hash(f"own {i}")])] for i in range(size)]
    examples = [*joined, *([image_hash(f"i{i}")] for i in range(100 - size))]
    world = World(tmp_path, examples, 7, 1, Joining(0.1, join_common=True))
    assert world.large == ({world.labels()[0]} if large else set())


def test_examples_of_one_image_need_no_edge() -> None:
    run = [(0, read_records([[5], [5], [7], [5]]))]
    assert find_shared(run, 4, Joining(0.9)).edges.tolist() == []
    run = [(0, read_records([[5], [5], [7, 5], [5]]))]
    assert find_shared(run, 4, Joining(0.9)).edges.tolist() == [[0, 1], [0, 2], [0, 3]]
    assert find_shared([], 0, Joining(0.9)).edges.tolist() == SharedImages().edges.tolist() == []


def read_records(examples: Images) -> Any:
    from transforms.dataset.shared_images.hashes import _records

    return _records(pack_hashes([set(images) for images in examples])[0])


def test_a_sample_chooses_by_id_and_a_cap_of_validation_by_group() -> None:
    lines = [(7, 1 << 32, 10), (7, 5, 10), (3, 9, 10)]  # (number, id, bytes); ranks are ids with their halves swapped
    cuts = Cuts(sample=9 << 32)
    for by_share, sampled in ((False, [[7, 7]]), (True, [[(7, 10), (7, 10)]])):
        packed = packed_ids_of([1 << 32, 5, 9], lines, False, Caps(validation=1, sample=2, by_share=by_share))
        receipt = Receipt("k", (0, b"", 0), 1, False, (), (), (), (), tuple(packed.items()))
        assert list(ids_of(receipt, "sample", Cuts())) == [[1, 5 << 32, 9 << 32]]
        assert list(lines_of_validation(receipt, cuts) if by_share else ids_of(receipt, "validation", cuts)) == sampled


def test_a_table_of_examples_is_cut_by_group() -> None:
    rows = pa.table(
        {
            "split": [1, 1, 1, 0],
            "id": pa.array([9, 1, 2, 3], pa.uint64()),
            "number": pa.array([5, 5, 8, 9], pa.uint64()),
        }
    )
    assert groups_of(rows, Cuts(validation=8)).tolist() == [1, 1, 3, 0]
