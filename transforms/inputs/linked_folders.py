"""Links to folders below an input: which of them a walk enters, so that what may be read is read, and once.

A folder that the walk, or that of another input, reaches without a link is read there. Of several paths through links the first
counts, in the order of the walk, which is that of full names as bytes. Loops end by the same rule. What links may lead into is settled
at launch (`Links`); whether an opened image really lies there is checked after it is opened (storage/allowed_files.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable

from transforms.core.places import FolderSet, inside
from transforms.core.records import Links
from transforms.inputs.name_kinds import unread_place
from transforms.storage import abilities


def links_of(folders: Iterable[str], readable: Iterable[str]) -> Links:
    """What links below inputs may lead into.

    Args:
      folders: that inputs name and whose names are all listed.
      readable: folders that images may be read from.
    """

    def real(some: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(os.path.realpath(one) for one in some if abilities(one).has_paths))

    return Links(real(readable), real(folders))


def entered_below(links: Links, root: str, without: Collection[str]) -> Callable[[str], bool]:
    """-> whether a walk enters a folder below `root`; asked once of each, in the walk's order.

    A store without paths has no links: all its folders are entered.
    """
    return FollowedLinks(links, root, without).reaches if abilities(root).has_paths else lambda path: True


class FollowedLinks:
    """Tells one walk which folders to enter through links, in the order in which it meets them."""

    def __init__(self, links: Links, root: str, without: Collection[str]) -> None:
        """Args:
        root: the folder that is walked.
        without: folders that are not entered.
        """
        self._links, self._root = links, len(root)
        self._without = FolderSet(
            path for one in without if abilities(one).has_paths for path in (one, os.path.realpath(one))
        )
        self._entered: set[str] = set()
        self._real_root = os.path.realpath(root)

    def reaches(self, path: str) -> bool:
        """Whether a folder below the root is entered by this path, which may hold no link at all."""
        real = os.path.realpath(path)
        if real == self._real_root + path[self._root :]:
            return True
        return self.enters(path, real, os.path.islink(path))

    def enters(self, path: str, real: str, link: bool) -> bool:
        """Whether a folder is entered by a path that leads through a link.

        Args:
          real: the folder itself.
          link: whether the path's last name is a link; below one, names of systems and hidden ones are walked to be counted.
        """
        if link and unread_place(path[self._root :].lstrip("/") + "/"):
            return False
        if any(map(self._without.holding, (f"{path}/", f"{real}/"))) or real in self._entered:
            return False
        if self._is_walked(real) or not any(inside(real, folder) for folder in self._links.readable):
            return False
        self._entered.add(real)
        return True

    def _is_walked(self, real: str) -> bool:
        """Whether some input gives what a folder holds, by a path without links."""
        return any(
            inside(real, folder) and not unread_place(real[len(folder) :].lstrip("/") + "/")
            for folder in self._links.walked
        )
