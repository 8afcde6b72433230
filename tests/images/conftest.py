"""Helper processes for the tests that ask for them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helper_pools import SMALL

from transforms.images.helper import memory_slots
from transforms.images.helper.pool import DecoderPool


@pytest.fixture
def own_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget apart from everything else on this machine."""
    monkeypatch.setattr(memory_slots.tempfile, "gettempdir", lambda: str(tmp_path))


@pytest.fixture
def pool() -> Iterator[DecoderPool]:
    made = DecoderPool(workers=2, budget_bytes=4 * SMALL)
    yield made
    made.close()
