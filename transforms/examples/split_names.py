"""Which split a name speaks of, and which names of an input decide: folders of one level, or files of rows that lie side by side.

What decides is found once, at launch (inputs/survey/splits.py). After that the split of a row follows from names alone, so that every
worker, every retry and every later run comes to the same.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from transforms.core.places import inside

# The words of Hugging Face's Hub.
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training", "trn"), "train"),
    **dict.fromkeys(("validation", "validate", "valid", "val", "dev", "development"), "validation"),
    **dict.fromkeys(("test", "testing", "tst", "eval", "evaluation"), "test"),
}
HASH = "hash"  # what decides where no name does
_PARTED = re.compile(r"[-_. 0-9]+")


@lru_cache(maxsize=4096)
def split_of_name(name: str) -> str:
    """The split that the words of a name speak of; "" if none does, or they speak of two.

    >>> [split_of_name(name) for name in ("train2017", "shop_Dev.csv", "test-00000-of-00001.parquet", "trains", "train_test")]
    ['train', 'validation', 'test', '', '']
    """
    splits = {SPLIT_WORDS[word] for word in _PARTED.split(name.lower()) if word in SPLIT_WORDS}
    return splits.pop() if len(splits) == 1 else ""


def splits_of_names(names: Iterable[str]) -> set[str]:
    """The different splits that some names speak of."""
    return {split for name in names if (split := split_of_name(name))}


@dataclass(frozen=True)
class Level:
    """All folders that lie `depth` folders below a root: 1 are those directly in it."""

    root: str
    depth: int

    def folder_of(self, uri: str) -> str:
        """The name of the folder of this level that holds a file; "" if none does.

        >>> Level("/data", 2).folder_of("/data/images/train/cat/1.jpg")
        'train'
        """
        if not inside(uri, self.root):
            return ""
        folders = uri[len(self.root) :].lstrip("/").split("/")[:-1]
        return folders[self.depth - 1] if len(folders) >= self.depth else ""


@dataclass(frozen=True)
class SplitNames:
    """Which names decide the splits of a job; empty: none do.

    levels: their folders decide, for what lies in them and for rows whose first image does.
    folders: their files of rows decide by their own names, where no folder does.
    validation: whether any of these names speaks of validation. Else it is taken from train, by the hash.
    """

    levels: tuple[Level, ...] = ()
    folders: tuple[str, ...] = ()
    validation: bool = True

    def __bool__(self) -> bool:
        return bool(self.levels or self.folders)

    def of_file(self, uri: str) -> str:
        """The split that the name of a file, or of a folder that holds it, speaks of; "": none, its rows' images may."""
        return self._of_levels(uri) or self._of_own_name(uri)

    def of_row(self, source: str, image: str) -> tuple[str, bool]:
        """-> (the split of a row or "" for the hash, whether it lies among names that decide).

        Args:
          source: the file that the row stands in.
          image: its first image; "" if it has none.
        """
        split = self._of_levels(source) or self._of_levels(image) or self._of_own_name(source)
        return split, bool(split) or self._is_among(source, image)

    def key_of(self, uri: str) -> str:
        """What decides the splits of a file's rows, for the key of its blocks; "": these names have no say."""
        split = self._of_levels(uri)
        if not split and self.levels:  # the images of its rows may decide
            return " ".join([self._of_own_name(uri) or HASH, *(f"{level.depth} {level.root}" for level in self.levels)])
        if not split and posixpath.dirname(uri) in self.folders:
            split = self._of_own_name(uri) or HASH
        return f"{split} and validation" if split == "train" and not self.validation else split

    def _of_levels(self, uri: str) -> str:
        return next((split for level in self.levels if (split := split_of_name(level.folder_of(uri)))), "")

    def _of_own_name(self, uri: str) -> str:
        folder, _, name = uri.rpartition("/")
        return split_of_name(name) if folder in self.folders else ""

    def _is_among(self, source: str, image: str) -> bool:
        below = any(level.folder_of(source) or inside(image, level.root) for level in self.levels)
        return below or posixpath.dirname(source) in self.folders


NO_NAMES = SplitNames()
