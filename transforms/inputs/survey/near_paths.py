"""Second thoughts about an image that is not there: where a file lies that its row may mean, and what to do so that it is found.

Names are told from another folder, come from another machine (`C:\\Users\\...`, `/data/upload/...`), lack their ending, or have other
letters. It is for the launcher, which tells a person: no job reads what is found here. Only images are named, and what is asked of
storage is bounded.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

from transforms.core.media_types import has_image_ending
from transforms.core.places import inside
from transforms.core.reasons import ImageError
from transforms.examples.image_cells import is_image_template
from transforms.inputs.registry import MEANINGS
from transforms.inputs.survey.links import readable_here
from transforms.storage import abilities, exists, store_for
from transforms.storage.api import Forbidden, NotAFile, NotFound, Refused
from transforms.storage.places import Places, normalise
from transforms.storage.spellings import other_spellings, path_tails

THOUGHTS = 10  # failures of an input, or of a run, that are thought about
_REQUESTS = 18  # of an input in an object store
_LOCAL = 100  # times as many of a local one, where each costs microseconds
_NAMES, _FOLDERS, _PARENTS = 1000, 20, 2  # of a folder; folders beside each other; levels above
_MOST_PARTS = 8  # of a path, from its end
_IS_THERE = " is there: "
_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/])")
_PLAIN_COLUMN = re.compile(r'[^{}|,"]+')
_NOT_THERE = (Forbidden, NotAFile, NotFound, Refused)


@dataclass(frozen=True)
class Named:
    """An image as a row names it."""

    written: str
    base: str  # folder that relative paths are told from
    column: str = ""  # that holds it, if that is all that names it

    @property
    def is_path(self) -> bool:
        """Whether it may mean another file; a URI means what it says."""
        return abilities(self.written).has_paths


def column_of(row_format: str, image_column: Sequence[str]) -> str:
    """The column that holds the images of rows of a format, if it is a single one; else "".

    Args:
      image_column: the option.
    """
    single = MEANINGS[row_format].own_columns and len(image_column) == 1 and not is_image_template(image_column[0])
    return image_column[0] if single else ""


@dataclass
class Thinker:
    """Thinks about images as long as requests are left.

    readable: where images may be read. root: of --image_root.
    """

    readable: tuple[str, ...]
    local: bool
    root: str = ""
    left: int = field(init=False)

    def __post_init__(self) -> None:
        self.left = _REQUESTS * (_LOCAL if self.local else 1)

    def is_found(self, named: Named) -> bool:
        """Whether an image is there, by its name, another spelling of it or in the root; True if no request is left to tell.

        So is every image of a server of other people: none is asked for before the work.
        """
        if abilities(named.written).foreign:
            return True
        places = Places(self.readable)
        names = [(name, named.base) for name in (named.written, *other_spellings(named.written))]
        if self.root:
            names += [(tail, self.root) for tail in path_tails(named.written)]
        for name, base in names:
            if self.left <= 0:
                return True
            try:
                source = places.resolve(name, base)
            except ImageError:
                continue
            if self._is_there(source):
                return True
        return False

    def advice(self, named: Named) -> str:
        """Where a file lies that an image which is not there may mean, and what to do; "" if none was found."""
        if not named.is_path:
            return ""
        path = next((one for one in self._places(named) if has_image_ending(one)), "")
        return f"{path}{_IS_THERE}{self._what_to_do(named, path)}" if path else ""

    def advices(self, missing: Iterable[Named]) -> list[tuple[Named, str]]:
        """What to do about some images that are not there: of those that the same kind of advice helps, the first."""
        kinds: dict[str, tuple[Named, str]] = {}
        for named in missing:
            if told := self.advice(named):
                kinds.setdefault(told.partition(_IS_THERE)[2].partition(" ")[0], (named, told))
        return list(kinds.values())

    def _places(self, named: Named) -> Iterator[str]:
        """Files that a name may mean, the likelier ones first."""
        name, base = _DRIVE.sub("", named.written.replace("\\", "/")), named.base.rstrip("/")
        relative = not name.startswith("/")
        parts = [part for part in name.split("/") if part not in ("", ".")][-_MOST_PARTS:]
        if not parts or ".." in parts:
            return
        tails = ["/".join(parts[at:]) for at in range(len(parts))]
        folders = [base]
        if relative and abilities(base).has_paths:
            folders += [os.getcwd(), *_above(base)]
        wanted = [f"{folder}/{tails[0]}" for folder in folders] + [f"{base}/{tail}" for tail in tails[1:]]
        if not relative and abilities(base).has_paths:
            wanted.insert(0, name)
        yield from filter(self._is_there, dict.fromkeys(wanted))
        if not has_image_ending(name):
            yield from self._with_ending(f"{base}/{tails[0]}")
        for below in self._folders_in(base)[:_FOLDERS]:
            for tail in dict.fromkeys((tails[0], tails[-1])):
                path = f"{below}/{tail}"
                yield from [path] if self._is_there(path) else ()
                yield from () if has_image_ending(name) else self._with_ending(path)
        yield from self._in_other_letters(base, parts)

    def _what_to_do(self, named: Named, path: str) -> str:
        """What makes a row find a file."""
        written, base = named.written, named.base.rstrip("/")
        allow = ""
        if not any(inside(path, folder) for folder in self.readable):
            readable = readable_here(self.readable) if self.local else self.readable
            allow = f"--allow_prefix {','.join((*readable, posixpath.dirname(path)))}"
        if path == _normal(written, base):
            return f"{allow} lets it be read" if allow else "run again"
        ending = "" if path.endswith(written) else posixpath.splitext(path)[1]
        if named.column and path.endswith(f"{written}{ending}"):
            start = path[: len(path) - len(written) - len(ending)].removeprefix(f"{base}/")
            place = named.column if _PLAIN_COLUMN.fullmatch(named.column) else f'"{named.column}"'
            return f"--image_column '{start}{{{place}}}{ending}'{f' {allow}' if allow else ''}"
        slashed = written.replace("\\", "/")
        tail = posixpath.relpath(path, base) if inside(path, base) else path
        if tail.lower() == slashed.lower().removeprefix("./"):
            return "upper and lower case differ: write the names as the files have them"
        ends = (path[: -len(end) - 1] for end in path_tails(written) if "/" in slashed and path.endswith(f"/{end}"))
        if root := next((folder for folder in ends if inside(folder, base)), ""):
            return f"--image_root {root} finds it{f', with {allow}' if allow else ''}"
        return f"write {tail}{f', and add {allow}' if allow else ''}"

    def _in_other_letters(self, base: str, parts: Sequence[str]) -> Iterator[str]:
        """The file of this path in other letters, folder by folder."""
        folder = base
        for part in parts[:-1]:
            names = [posixpath.basename(one) for one in self._folders_in(folder)]
            same = part if part in names else next((one for one in names if one.lower() == part.lower()), "")
            if not same:
                return
            folder = f"{folder}/{same}"
        for path in self._files_in(folder):
            if path[len(folder) + 1 :].lower() == parts[-1].lower():
                yield path
                return

    def _with_ending(self, path: str) -> Iterator[str]:
        """The images of this name and some ending."""
        folder = posixpath.dirname(path)
        yield from (one for one in self._files_in(folder, f"{path}.") if posixpath.splitext(one)[0] == path)

    def _is_there(self, uri: str) -> bool:
        if self.left <= 0:
            return False
        self.left -= 1
        try:
            if abilities(uri).has_paths:
                return exists(uri)
            # A listing asks for no image, so that what the job itself asks for each can be told.
            names = store_for(uri).list(posixpath.dirname(uri), start=uri, end=f"{uri}\0", page=1)
            return any(file.uri == uri for file in names)
        except _NOT_THERE:
            return False

    def _files_in(self, folder: str, start: str = "") -> list[str]:
        """Files directly in a folder whose names begin so, as far as one request tells them."""
        if self.left <= 0:
            return []
        self.left -= 1
        end = f"{start[:-1]}/" if start else ""  # the character after the dot
        try:
            return [
                file.uri for file in islice(store_for(folder).list(folder, deep=False, start=start, end=end), _NAMES)
            ]
        except _NOT_THERE:
            return []

    def _folders_in(self, folder: str) -> list[str]:
        if self.left <= 0:
            return []
        self.left -= 1
        try:
            return list(next(store_for(folder).folders(folder), ((), False))[0])[:_NAMES]
        except _NOT_THERE:
            return []


def _above(base: str) -> list[str]:
    """The folders above one, up to some levels."""
    folders = [base]
    for _ in range(_PARENTS):
        folders.append(posixpath.dirname(folders[-1]))
    return [folder for folder in folders[1:] if folder != "/"]


def _normal(written: str, base: str) -> str:
    try:
        return normalise(written, base)
    except ImageError:
        return ""
