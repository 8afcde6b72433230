"""Where the tests of stores work, and what they watch there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_place import Place
from wire import Wire, wired

from transforms.storage.gcs.store import GcsStore
from transforms.storage.local import LocalStore


@pytest.fixture(params=["local", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return Place(LocalStore(), str(tmp_path))
    return Place(GcsStore(), request.getfixturevalue("bucket"))


@pytest.fixture
def wire(gcs: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Begins when the bucket is there."""
    with wired(gcs.url) as wire:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", wire.url)
        yield wire
