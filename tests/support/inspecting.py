"""An inspector of images below some folders; and how to look without rights."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from transforms.images.fit.policy import FitPolicy
from transforms.images.inspection import Inspector
from transforms.storage.places import Places


def inspector(*folders: str) -> Inspector:
    policy = FitPolicy(max_bytes=20_000_000, types=("png", "jpeg"))
    allowed = Places(folders)
    return Inspector(
        places=allowed, verify="structure", policy=policy, on_bad_image="reject_example", threads=1, upright=False
    )


@contextmanager
def no_rights() -> Iterator[None]:
    """Act as nobody where the tests run as root, whom no permission stops."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
