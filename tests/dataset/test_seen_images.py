"""What windows saw of images, asked for by source: of several versions the newest, and none that could not be used."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from transforms.dataset.block_files import BLOCK_IMAGES
from transforms.dataset.seen_images import SeenImages


def window(*rows: dict[str, Any]) -> pa.Table:
    usual = {"generation": "1", "reason": "", "bytes": 5, "escalated": False, "renamed_from": []}
    return pa.Table.from_pylist([usual | row for row in rows], BLOCK_IMAGES)


def test_of_several_windows_the_newest_counts() -> None:
    seen = SeenImages(
        [
            window({"source": "a"}, {"source": "b", "generation": "7"}),
            window({"source": "a", "generation": "2"}, {"source": "c", "reason": "undecodable"}),
            window({"source": "d", "escalated": True}),
        ]
    )
    facts = seen.facts(["d", "c", "b", "a", "none"])
    assert {uri: one.generation for uri, one in facts.items()} == {"b": "7", "a": "2"}
    assert facts["b"].size == 5


@pytest.mark.parametrize("sources", [[], ["a"]])
def test_no_window_saw_anything(sources: list[str]) -> None:
    assert SeenImages([]).facts(sources) == SeenImages([window()]).facts(sources) == {}
