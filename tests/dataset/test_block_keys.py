"""Names of blocks: whatever can change a byte changes the key, and nothing else does."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from protocol_run import Run, world

from beam_jobs.options import OPTIONS
from transforms.core.records import Block, Extent

pytestmark = pytest.mark.usefixtures("file_system")

OTHER_VALUES = {
    "prompt": "What is {a}?",
    "answer": "{b}",
    "system": "Be brief.",
    "image_column": "photo",
    "delimiter": "tab",
    "header": "no",
    "keep_blanks": None,
    "allow_private_hosts": None,
    "encoding": "latin-1",
    "max_line_bytes": "2000", "allow_prefix": "/", "image_folder": "/elsewhere", "uri_prefix": "gs://bucket/x",
    "model": "gemini-2.5", "max_images": "3", "max_image_bytes": "5000", "types": "png", "verify": "decode",
    "on_bad_image": "drop_image", "oversize": "resize", "min_quality": "80", "max_side": "99", "max_pixels": "99",
    "alpha": "flatten", "animation": "reject", "effort": "best", "upright": None, "on_too_many_images": "reject",
    "on_too_many_tokens": "reject",
    "splits": "train=1", "split_by": "label", "split_column": "label", "seed": "other", "max_validation": "7",
    "sample": "10", "findings": "rows", "image_root": "/", "empty_boxes": "reject",
}  # fmt: skip


def test_every_option_that_can_change_a_byte_changes_the_key(tmp_path: Path) -> None:
    # tests/inputs/test_row_function.py shows it of --transform, whose module counts too
    assert {*OTHER_VALUES, "stage", "transform"} == {option.name for option in OPTIONS if option.shapes}
    world(tmp_path, "i.png")
    (block,) = Run(tmp_path).blocks()
    key = Run(tmp_path).plan.keys(block)
    assert Run(tmp_path, epoch=9).plan.keys(block) == key
    keys = {key}
    for name, value in OTHER_VALUES.items():
        flags = (f"--{name}",) if value is None else (f"--{name}", value)
        if name == "max_side":
            flags += ("--oversize", "resize")
        keys.add(Run(tmp_path, flags=flags).plan.keys(block))
    assert len(keys) == 1 + len(OTHER_VALUES)
    gs = ("--output", "gs://bucket/out")
    assert Run(tmp_path, flags=gs).plan.keys(block) != Run(tmp_path, flags=(*gs, "--stage", "copy")).plan.keys(block)
    running = (
        "--block_bytes",
        "5000",
        "--user_project",
        "payer",
        "--threads",
        "3",
        "--keep_blocks",
        "--max_rejected_fraction",
        "0.5",
    )
    assert Run(tmp_path, flags=running).plan.keys(block) == key


def test_every_version_and_range_has_a_key_of_its_own(tmp_path: Path) -> None:
    keys = Run(tmp_path).plan.keys
    extent = Extent("/a", "10-1", 10, 0, 10)
    others = [{"uri": "/b"}, {"generation": "10-2"}, {"start": 1}, {"end": 9}]
    extents = [(extent,), *((dataclasses.replace(extent, **other),) for other in others), (extent, extent)]
    named = {keys(Block((0, b"", 0), found, "gemini")) for found in extents}
    named.add(keys(Block((0, b"", 0), (extent,), "gemini", b"raw")))
    named.add(keys(Block((0, b"", 0), (extent,), "other")))
    assert len(named) == 8
    assert keys(Block((7, b"/a", 3), (extent,), "gemini")) == keys(Block((0, b"", 0), (extent,), "gemini"))
