"""Stores of the tests of inputs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from transforms import storage


@pytest.fixture
def no_stores_left() -> Iterator[None]:
    yield
    storage._stores.pop("mem", None)
