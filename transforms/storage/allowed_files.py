"""Open local images: a path below an allowed folder -> a descriptor of a file that lies there, whatever links led to it.

The opened descriptor's real path is checked, not the name: between a check of a name and its use the name may come to lead elsewhere.
Many images of one folder are opened from the descriptor of that folder, which is checked once:

- The descriptor goes on to stand for the folder that was checked. A link put in the folder's place, or in that of one above it, is
  not followed any more.
- From there a single name is opened, and not if it is a link (O_NOFOLLOW). A link is opened by its whole path, and checked.
- So a file is an entry of a folder that lay in an allowed one. Who can move that folder meanwhile, or put files of elsewhere into
  it, can do so to the file itself between any check and the reading after it: nothing is gained by the longer time.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from transforms.core.places import inside
from transforms.storage.api import NotAFile, Stat
from transforms.storage.local import open_regular
from transforms.storage.uris import is_local


@contextmanager
def opened_folder(path: str, folders: tuple[str, ...]) -> Iterator[int]:
    """A descriptor of a folder that lies in one of `folders`, to open its files by; -1 if that cannot be told for all of them."""
    descriptor = -1
    try:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            allowed = _allowed(path, os.readlink(f"/proc/self/fd/{descriptor}"), folders)
        except OSError:  # it is missing, or may be searched but not read; or there is no /proc (macOS)
            allowed = False
        yield descriptor if allowed else -1
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def open_allowed(path: str, folders: tuple[str, ...], folder: int = -1) -> tuple[int, Stat]:
    """A descriptor of a regular file that lies in one of `folders`.

    Args:
      folder: `opened_folder` of the path's folder.

    Raises:
      NotAFile: links led out of them, or it is no regular file.
      OSError: as `os.open`.
    """
    if folder >= 0:
        try:
            return open_regular(path, folder)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
    descriptor, found = open_regular(path)
    try:
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:  # no /proc (macOS): asked by name, a moment later
        real = os.path.realpath(path)
    if not _allowed(path, real, folders):
        os.close(descriptor)
        prefixes = ",".join((*folders, os.path.dirname(real)))
        raise NotAFile(
            f"{path} is a link that leads out of what may be read, to {real}; --allow_prefix {prefixes} lets it be read"
        )
    return descriptor, found


def _allowed(path: str, real: str, folders: tuple[str, ...]) -> bool:
    """Whether what was opened by an allowed path lies in an allowed folder."""
    return real == path or any(inside(real, _real(folder)) for folder in folders if is_local(folder))


@lru_cache(maxsize=64)
def _real(folder: str) -> str:
    return os.path.realpath(folder)
