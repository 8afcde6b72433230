"""A file system without hard links, as FAT, network mounts and volumes of containers are."""

from __future__ import annotations

import os
from typing import Any, NoReturn

import pytest

from transforms.storage import local_create


def without_links(patch: pytest.MonkeyPatch, link: int, rename: int = 0) -> None:
    """Let `link` fail by an errno, and with another one the rename that does not replace (0: there is one)."""

    def refuse(code: int) -> Any:
        def call(*_: Any, **__: Any) -> NoReturn:
            raise OSError(code, os.strerror(code))

        return call

    patch.setattr(os, "link", refuse(link))
    if rename:
        patch.setattr(local_create, "_rename_noreplace", refuse(rename))
