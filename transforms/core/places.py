"""Names of files, folders and buckets as texts: their limits, and which folder holds which name."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable
from heapq import nsmallest

LONGEST = 8192  # characters of a URI: an object's name has at most 1,024 bytes, a path 4,096
BUCKET = re.compile(  # the whole name of one: 3 to 63 letters, 222 where dots part them, and no address of a machine
    r"(?=[a-z0-9].{1,220}[a-z0-9]\Z)(?!(?:[0-9]+\.){3}[0-9]+\Z)(?:(?:\.(?!\Z))?(?![-.])[a-z0-9_-]{1,63}(?<!-)(?=\.|\Z))+"
)
MOST_BUCKETS = 1000  # that a manifest names


def keep_buckets(held: set[str], more: Iterable[str]) -> None:
    """Add names, of which the first in order are kept: one more than a manifest names, so that it can say that there are more.

    >>> held = {"a"}
    >>> keep_buckets(held, (f"bucket-{number}" for number in range(5000)))
    >>> len(held), "a" in held, "bucket-4999" in held
    (1001, True, False)
    """
    held.update(more)
    if len(held) > MOST_BUCKETS + 1:
        held.intersection_update(nsmallest(MOST_BUCKETS + 1, held))


def is_text(name: str) -> bool:
    """Whether a name can stand in JSON: that of a local file may be any bytes, and that of a class half of a surrogate pair."""
    return name.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in name)


def inside(path: str, folder: str) -> bool:
    """Whether a normalised path lies in a folder, by whole segments."""
    return path == folder or path.startswith(folder if folder.endswith("/") else folder + "/")


class FolderSet:
    """Folders that are asked, for each of many names, which of them holds it.

    >>> folders = FolderSet(["/data/out", "/data/out/images", "/data/out2/"])
    >>> [folders.holding(name) for name in ("/data/out/images/a.jpg", "/data/out2/b", "/data/output/c", "/data/out")]
    ['/data/out', '/data/out2', '', '']
    """

    def __init__(self, folders: Iterable[str]) -> None:
        self._beginnings: list[str] = []  # of the outermost folders' names, in order
        for beginning in sorted(folder.rstrip("/") + "/" for folder in folders):
            if not self._beginnings or not beginning.startswith(self._beginnings[-1]):
                self._beginnings.append(beginning)

    def holding(self, name: str) -> str:
        """The outermost of the folders that a name lies below; "" if it lies in none."""
        at = bisect_right(self._beginnings, name)
        return self._beginnings[at - 1][:-1] if at and name.startswith(self._beginnings[at - 1]) else ""


def uploaded_images(uri_prefix: str) -> str:
    """The folder that the images of a local dataset will lie in, by the last part of their paths, once it is uploaded."""
    return f"{uri_prefix.rstrip('/')}/images"
