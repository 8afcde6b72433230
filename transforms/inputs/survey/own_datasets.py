"""Look for datasets and image folders of Tuneset's below a folder that is to be read: no run takes for input what others wrote.

Folders are told by listings with a delimiter, two levels deep, and looked into by name. Both are bounded, so that a folder of
100,000 folders does not cost 100,000 requests. Nothing is read but manifests.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from transforms.core import jsonl
from transforms.core.output_names import CLAIM, MANIFEST, SHARED, STREAM, WORK
from transforms.core.places import inside
from transforms.core.reasons import RowError
from transforms.storage import abilities, exists, store_for
from transforms.storage.api import Forbidden, NotAFile, NotFound, Refused

# Requests that tell folders, and folders that are looked into, below a folder in Cloud Storage, some at once
_LISTINGS, _FOLDERS = 220, 200
_PAGES = 10  # listings at most of the folder itself, which may hold many files
_LOCAL = 500  # times as many below a local one, where each costs microseconds
_MANIFEST_BYTES = 16 << 20  # that are read of a file called manifest.json, whosever it is
_THREADS = 16


T = TypeVar("T")


@dataclass(frozen=True)
class OwnDatasets:
    """What was found below a folder, and whether all of its first levels was looked into."""

    folders: tuple[str, ...]
    whole: bool


def is_own_dataset(folder: str) -> bool:
    """Whether a folder is the --output of some run: it is claimed, a stream's, or holds a manifest of ours, even a damaged one."""
    try:
        if exists(f"{folder}/{CLAIM}") or exists(f"{folder}/{STREAM}"):
            return True
        data, _ = store_for(folder).read(f"{folder}/{MANIFEST}", 0, _MANIFEST_BYTES)
        return str(jsonl.loads(data).get("tuneset")).startswith("manifest/")
    except RowError:  # cut short, or somebody else's: every dataset of ours has this file too
        return exists(f"{folder}/rejected.jsonl")
    except (Forbidden, NotAFile, NotFound, Refused):
        return False


def _is_written(folder: str) -> bool:
    """Whether runs write to a folder: it is an --output, or an --image_folder that bears the mark of a run."""
    if is_own_dataset(folder):
        return True
    try:
        return next(store_for(folder).list(f"{folder}/{SHARED}", page=1), None) is not None
    except (Forbidden, NotAFile, NotFound):
        return False


def find_own_datasets(folder: str, output: str) -> OwnDatasets:
    """Datasets of ours at most two levels below a folder, or beside `output` wherever that lies below it.

    Args:
      output: of the run that is to come, which is not looked for. Folders whose names begin like its own are looked into first.
    """
    search = _Search(output, _LOCAL if abilities(folder).has_paths else 1)
    beside = posixpath.dirname(output)
    if beside != folder and inside(beside, folder):
        search.look_below([beside])
    search.look_below(search.look_below([folder], pages=_PAGES))
    return OwnDatasets(tuple(sorted(search.found)), search.whole)


class _Search:
    """Looks into folders as long as listings and looks are left."""

    def __init__(self, output: str, times: int) -> None:
        self.found: set[str] = set()
        self.whole = True
        self._output, self._listings, self._looks = output, times * _LISTINGS, times * _FOLDERS
        self._others: set[str] = set()  # looked into, and not ours

    def look_below(self, folders: list[str], pages: int = 1) -> list[str]:
        """Look into the folders directly below some -> those that are not known to be ours.

        Args:
          pages: requests at most for each folder; one that holds many files takes many.
        """
        children = sorted(self._children(folders, pages), key=self._distance)
        new = [child for child in children if child not in self._others and child not in self.found]
        looked = new[: self._looks]
        self._looks -= len(looked)
        self.whole &= len(looked) == len(new)

        for child, ours in zip(looked, _each(_is_written, looked)):
            (self.found if ours else self._others).add(child)
        return [child for child in children if child not in self.found]

    def _children(self, folders: list[str], pages: int) -> list[str]:
        def list_one(folder: str) -> list[tuple[Sequence[str], bool]]:
            try:
                return list(islice(store_for(folder).folders(folder), pages))
            except (Forbidden, NotAFile, NotFound):  # if it matters, the listing of the input says so
                return []

        listed = folders[: self._listings // pages]
        self.whole &= len(listed) == len(folders)
        names: list[str] = []
        for some_pages in _each(list_one, listed):
            self._listings -= len(some_pages)
            self.whole &= not any(more for _, more in some_pages[-1:])
            names += (name for some, _ in some_pages for name in some)
        return [name for name in names if name != self._output and posixpath.basename(name) not in ("", WORK, SHARED)]

    def _distance(self, folder: str) -> int:
        return -len(posixpath.commonprefix([f"{folder}/", f"{self._output}/"]))


def _each(look: Callable[[str], T], folders: list[str]) -> list[T]:
    """Look into folders, side by side where that saves waiting."""
    if not folders or abilities(folders[0]).has_paths:
        return [look(folder) for folder in folders]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(look, folders))
