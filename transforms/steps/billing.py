"""Steps that ask storage say how they reach it, and which project is billed: each for itself, in whatever process a runner puts it.

A worker's process is not the launcher's, and which steps share one is the runner's choice. So whatever asks storage in a worker is a
`StorageDoFn`, or a call that is `billed`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import apache_beam as beam

from transforms.storage.api import Access, set_access

Result = TypeVar("Result")


def billed(access: Access, call: Callable[..., Result]) -> Callable[..., Result]:
    """The same call for `beam.Map` and `beam.FlatMap`; it is set before each how storage is reached."""

    @wraps(call)
    def with_project(*args: Any, **kwargs: Any) -> Result:
        set_access(access)
        return call(*args, **kwargs)

    return with_project


class StorageDoFn(beam.DoFn):
    """A DoFn that asks storage. One with a `setup` of its own calls this one's too."""

    def __init__(self, access: Access) -> None:
        super().__init__()
        self._access = access

    def setup(self) -> None:
        set_access(self._access)
