"""Walk through local folders: a folder or a glob -> its files, in the order of full names as bytes.

Nothing is left out in silence: what may not be looked at is an error, and what has too long a path is told by a name that ends
with a slash, which no file has. Only what is gone by now, or a link that leads nowhere, was never there.
"""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat as stat_module
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from transforms.core.places import FolderSet
from transforms.storage.api import Forbidden, NotAFile, NotFound, Stat, StorageError, Unavailable

State = frozenset[int]  # of a rule, in a folder; empty: it is not entered


def translate(error: OSError, uri: str) -> StorageError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFound(f"{uri} does not exist")
    if isinstance(error, PermissionError):
        return Forbidden(f"{uri} may not be opened: {error.strerror}")
    if isinstance(error, FileExistsError):  # of making a folder
        return NotAFile(f"{uri}: a file stands where one of its folders should be")
    if isinstance(error, IsADirectoryError) or error.errno in (errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG):
        return NotAFile(f"{uri} is not a regular file")
    return Unavailable(f"{uri}: {error}")


def generation_of(info: os.stat_result) -> str:
    return f"{info.st_size}-{info.st_mtime_ns}"


def stat_of(path: str, info: os.stat_result) -> Stat:
    """What is told of a file: a rename dates it anew, as a careful producer's last step."""
    return Stat(path, info.st_size, generation_of(info), dated=info.st_ctime_ns // 1000)


class _Rule(Protocol):
    """What of a folder is wanted."""

    links: bool  # whether a link to a folder may be entered
    link: str  # version that links to folders, or to nothing, are told with; "": they are not told

    def names(self, state: State) -> list[str] | None:
        """The only names that can be wanted; None: any."""

    def enters(self, state: State, name: str, link: bool) -> State: ...
    def takes(self, state: State, name: str) -> bool: ...


def below(folder: str, deep: bool, without: Collection[str] = (), link: str = "") -> Iterator[Stat]:
    """Files below a folder (`deep`) or directly in it; links to folders are not followed, nor folders of `without` entered.

    Args:
      link: if it is given, a link to a folder, or to nothing, is told too: by its name with a slash at its end, and this version.
    """
    return _walk(folder, State([0]), _Everything(deep, link), without)


def globbed(folder: str, pattern: str, without: Collection[str] = ()) -> Iterator[Stat]:
    """Files that a glob matches, as Python's glob does; but of a folder that is a link, `**` enters none.

    Args:
      folder: that holds all that it can match; the pattern begins with it.
      without: folders that are not entered.
    """
    rule = _Glob(pattern[len(folder) :])
    return _walk(folder, rule.closed([0]), rule, without)


def folders_in(folder: str) -> list[str]:
    """Paths of the folders directly in a folder, and of links to folders, in order.

    Raises:
      StorageError: it may not be looked at, or is no folder.
    """
    try:
        return sorted(
            (path for name, path, _ in _named(folder, None, links=True) if name.endswith("/")), key=os.fsencode
        )
    except OSError as error:
        raise translate(error, folder) from None


class _Everything:
    links = False

    def __init__(self, deep: bool, link: str) -> None:
        self._deep, self.link = deep, link

    def names(self, state: State) -> None:
        return None

    def enters(self, state: State, name: str, link: bool) -> State:
        return state if self._deep and not link else State()

    def takes(self, state: State, name: str) -> bool:
        return True


class _Glob:
    """The parts of a pattern between slashes. A state holds those that the next name may stand for: no folder is entered twice."""

    links, link = True, ""

    def __init__(self, pattern: str) -> None:
        self._parts = [part for part in pattern.split("/") if part]
        self._matches: list[Callable[[str], object]] = [re.compile(fnmatch.translate(p)).match for p in self._parts]
        self._plain = {at for at, part in enumerate(self._parts) if not re.search(r"[*?\[]", part)}

    def closed(self, state: list[int]) -> State:
        """With what follows a doubled star, which may stand for no folder at all."""
        for at in state:
            if at < len(self._parts) and self._parts[at] == "**":
                state.append(at + 1)
        return State(at for at in state if at < len(self._parts))

    def names(self, state: State) -> list[str] | None:
        return [self._parts[at] for at in state] if state <= self._plain else None

    def enters(self, state: State, name: str, link: bool) -> State:
        doubled = [at for at in state if self._parts[at] == "**"]
        within = doubled if not link and not name.startswith(".") else []
        return self.closed([*within, *(at + 1 for at in state if at not in doubled and self._fits(at, name))])

    def takes(self, state: State, name: str) -> bool:
        last = len(self._parts) - 1
        return last in state and self._fits(last, name)

    def _fits(self, at: int, name: str) -> bool:
        hidden = name.startswith(".") and not self._parts[at].startswith(".")
        return not hidden and self._matches[at](name) is not None


def _walk(folder: str, state: State, rule: _Rule, without: Collection[str]) -> Iterator[Stat]:
    left_out = FolderSet(without)
    if left_out.holding(f"{folder}/"):
        return
    under_way = [_entries(folder, state, rule)]  # a stack of our own: folders may be nested deeper than Python's goes
    while under_way:
        found = next(under_way[-1], None)
        if found is None:
            under_way.pop()
        elif isinstance(found, Stat):
            yield found
        elif not left_out.holding(f"{found[0]}/"):
            under_way.append(_entries(*found, rule))


def _entries(folder: str, state: State, rule: _Rule) -> Iterator[Stat | tuple[str, State]]:
    """Files of a folder that are wanted, and folders that are to be entered with their states."""
    try:
        found = _named(folder, rule.names(state), rule.links)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: an embedded NUL
        return
    except OSError as error:
        yield _too_long(error, folder)
        return
    found.sort(key=lambda one: os.fsencode(one[0]))
    for name, path, link in found:
        if name.endswith("/"):
            if inner := rule.enters(state, name[:-1], link):
                yield path, inner
        elif (takes := rule.takes(state, name)) or (link and rule.enters(state, name, link)):
            yield from _told(path, takes, rule.link if link else "")


def _told(path: str, takes: bool, link: str) -> Iterator[Stat]:
    """What a walk tells of a name that is no folder to it.

    Args:
      takes: whether it is wanted if it is a file.
      link: version that it is told with if it leads to a folder, or to nothing; "": it is not told then.
    """
    leads_astray = Stat(path + "/", 0, link)
    try:
        info = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):  # gone since, or a link that leads nowhere
        yield from [leads_astray] if link else []
    except OSError as error:
        if error.errno != errno.ELOOP:
            yield _too_long(error, path)
        elif link:
            yield leads_astray
    else:
        if takes and stat_module.S_ISREG(info.st_mode):
            yield stat_of(path, info)
        elif link and stat_module.S_ISDIR(info.st_mode):
            yield leads_astray


def _named(folder: str, names: list[str] | None, links: bool) -> list[tuple[str, str, bool]]:
    """(name, path, whether it is a link) of what is in a folder.

    A folder is called "name/", as it sorts among its siblings: then depth-first order is the order of full names as bytes.
    """
    found = []
    for name in set(names or ()):
        path = os.path.join(folder, name)
        try:
            found.append((name + "/" * stat_module.S_ISDIR(os.stat(path).st_mode), path, os.path.islink(path)))
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
    if names is None:
        with os.scandir(folder or ".") as entries:
            for entry in entries:
                inside = entry.is_dir(follow_symlinks=False) or (links and _leads_to_folder(entry))
                path = entry.path if folder else entry.name
                found.append((entry.name + "/" * inside, path, entry.is_symlink()))
    return found


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_symlink() and entry.is_dir()
    except OSError:
        return False  # what is wrong with it is told if it is wanted


def _too_long(error: OSError, path: str) -> Stat:
    if error.errno != errno.ENAMETOOLONG:
        raise translate(error, path) from None
    return Stat(path.rstrip("/") + "/", 0, "")
