"""The file systems that the commit protocol holds on."""

from __future__ import annotations

import errno

import pytest
from linkless import without_links


@pytest.fixture(params=["hard links", "none, and no rename that does not replace"])
def file_system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol holds on file systems without hard links too, where a lock decides who was first."""
    if request.param != "hard links":
        without_links(monkeypatch, errno.EPERM, errno.EINVAL)
