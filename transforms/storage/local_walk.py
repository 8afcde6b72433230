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
from typing import NamedTuple, Protocol

from transforms.core.places import FolderSet
from transforms.storage.api import Forbidden, NotAFile, NotFound, Stat, StorageError, Unavailable

State = frozenset[int]  # of a rule, in a folder; empty: it is not entered


def translate(error: OSError, uri: str) -> StorageError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return NotFound(f"{uri} does not exist")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
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

    link: str  # version that links to folders, or to nothing, are told with; "": they are not told

    def names(self, state: State) -> list[str] | None:
        """The only names that can be wanted; None: any."""

    def enters(self, state: State, name: str, link: bool) -> State:
        """The state in a folder of this name; `link`: only what follows any link goes on there."""

    def takes(self, state: State, name: str) -> bool: ...


class Follower(Protocol):
    """Who says which links to folders are followed."""

    def enters(self, path: str, real: str, link: bool) -> bool:
        """Whether a folder (`real`) is entered by a path that leads through links; `link`: its last name is one."""


def below(
    folder: str, deep: bool, without: Collection[str] = (), link: str = "", follower: Follower | None = None
) -> Iterator[Stat]:
    """Files below a folder (`deep`) or directly in it; folders of `without` are not entered.

    Args:
      link: if it is given, a link that leads to nothing, or to a folder and is not followed, is told too: by its name with a slash at
        its end, and this version.
      follower: without it no link to a folder is followed.
    """
    return _walk(folder, State([0]), _Everything(deep, link), without, follower)


def globbed(
    folder: str, pattern: str, without: Collection[str] = (), follower: Follower | None = None
) -> Iterator[Stat]:
    """Files that a glob matches, as Python's glob does; but `**` enters links to folders only as `follower` says.

    Args:
      folder: that holds all that it can match; the pattern begins with it.
      without: folders that are not entered.
    """
    rule = _Glob(pattern[len(folder) :])
    return _walk(folder, rule.closed([0]), rule, without, follower)


def folders_in(folder: str) -> list[str]:
    """Paths of the folders directly in a folder, and of links to folders, in order.

    Raises:
      StorageError: it may not be looked at, or is no folder.
    """
    try:
        return sorted((path for name, path, _ in _named(folder, None) if name.endswith("/")), key=os.fsencode)
    except OSError as error:
        raise translate(error, folder) from None


class _Everything:
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

    link = ""

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


class _Folder(NamedTuple):
    """A folder that is to be entered."""

    path: str
    state: State
    real: str = ""  # where it lies, if links that are followed led to it


def _walk(
    folder: str, state: State, rule: _Rule, without: Collection[str], follower: Follower | None = None
) -> Iterator[Stat]:
    left_out = FolderSet(without)
    if left_out.holding(f"{folder}/"):
        return
    # A stack of our own: folders may be nested deeper than Python's goes.
    under_way = [_entries(_Folder(folder, state), rule, follower)]
    while under_way:
        entry = next(under_way[-1], None)
        if entry is None:
            under_way.pop()
        elif isinstance(entry, Stat):
            yield entry
        elif not left_out.holding(f"{entry.path}/"):
            under_way.append(_entries(entry, rule, follower))


def _entries(folder: _Folder, rule: _Rule, follower: Follower | None) -> Iterator[Stat | _Folder]:
    """Files of a folder that are wanted, and folders that are to be entered with their states."""
    state = folder.state
    try:
        found = _named(folder.path, rule.names(state))
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: an embedded NUL
        return
    except OSError as error:
        yield _too_long(error, folder.path)
        return
    found.sort(key=lambda one: os.fsencode(one[0]))
    for name, path, link in found:
        if name.endswith("/"):
            yield from _inner(folder, name[:-1], path, link, rule, follower)
        elif (takes := rule.takes(state, name)) or (link and rule.enters(state, name, link)):
            yield from _told(path, takes, rule.link if link else "")


def _inner(
    folder: _Folder, name: str, path: str, link: bool, rule: _Rule, follower: Follower | None
) -> Iterator[Stat | _Folder]:
    """A folder in a folder, if it is to be entered; a link that is not followed may be told instead."""
    if follower and (link or folder.real) and rule.enters(folder.state, name, False):
        real = os.path.realpath(path) if link else f"{folder.real}/{name}"
        if follower.enters(path, real, link):
            yield _Folder(path, rule.enters(folder.state, name, False), real)
            return
        if not link:
            return  # it is read by another path
    if state := rule.enters(folder.state, name, link):
        yield _Folder(path, state)
    elif link and rule.link:
        yield Stat(f"{path}/", 0, rule.link)


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


def _named(folder: str, names: list[str] | None) -> list[tuple[str, str, bool]]:
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
                inside = entry.is_dir(follow_symlinks=False) or _leads_to_folder(entry)
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
