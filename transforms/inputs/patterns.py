"""What patterns match: a file, glob or folder -> the files that it names, in order. What they become is decided in cutting.py."""

from __future__ import annotations

import contextlib
import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import chain, islice

from transforms.core.places import inside
from transforms.core.records import NO_LINKS, Input, Links
from transforms.inputs.linked_folders import FollowedLinks
from transforms.inputs.metadata_files import is_metadata
from transforms.inputs.name_kinds import LINK, unread_place
from transforms.inputs.name_ranges import sampled_names
from transforms.inputs.registry import DEFAULT, IMAGES, MEANINGS
from transforms.storage import abilities, store_for
from transforms.storage.api import Stat, join_uri
from transforms.storage.globs import compiled
from transforms.storage.local_walk import below, globbed

_REQUESTS = 20  # for names of an object store's folder, before the work
_MANY = 10_000  # names of a local folder
_WILD = re.compile(r"[*?\[]")


def static_folder(pattern: str) -> str:
    """The deepest folder that holds everything a pattern can match (`a/b/*.jsonl` -> `a/b`)."""
    if is_folder(pattern):
        return pattern  # whatever letters its name has
    wild = _WILD.search(pattern) if is_glob(pattern) else None
    return posixpath.dirname(pattern[: wild.start()] if wild else pattern)


def is_folder(pattern: str) -> bool:
    return pattern.endswith("/") or (abilities(pattern).has_paths and os.path.isdir(pattern))


def is_glob(pattern: str) -> bool:
    """Whether a pattern stands for other names than its own; what is there locally under just that name is meant."""
    return bool(_WILD.search(pattern)) and not (abilities(pattern).has_paths and os.path.lexists(pattern))


def list_pattern(pattern: str, without: Collection[str] = (), links: Links = NO_LINKS) -> Iterator[Stat]:
    """Files that a pattern gives: those of `list_names` that are neither a system's, nor hidden, nor links to folders."""
    for file, place in list_names(pattern, without=without, links=links):
        if not place and file.generation != LINK:
            yield file


def list_names(
    pattern: str, start: str = "", end: str = "", without: Collection[str] = (), links: Links = NO_LINKS
) -> Iterator[tuple[Stat, str]]:
    """Names that a pattern matches, in the order of full names as bytes, each with why its place is not read ("": it is).

    Between `start` and `end` alone, where names are cut (name_ranges.py). A file is itself; a glob matches as a shell does (`**` any
    folders); a folder gives every name below it. A local folder with too long a path is told as a name with a slash at its end, and
    so is a link to nothing, or to a folder that is not read by this path, with LINK for its version.

    Args:
      without: folders whose files a folder or glob does not give.
      links: which links to folders are followed; of a glob, by `**` (another part follows those that it matches).
    """
    if not is_folder(pattern) and not is_glob(pattern):
        yield store_for(pattern).stat(pattern), ""
        return
    place_of = _unread_places(pattern)
    for file in _all_names(pattern, start, end, without, links):
        yield file, place_of(file.uri)


def _all_names(pattern: str, start: str, end: str, without: Collection[str], links: Links) -> Iterator[Stat]:
    if abilities(pattern).has_paths:
        folder = static_folder(pattern).rstrip("/") if is_folder(pattern) else static_folder(pattern)
        follower = FollowedLinks(links, folder, without) if links.readable else None
        yield from (
            below(folder, True, without, LINK, follower)
            if is_folder(pattern)
            else globbed(folder, pattern, without, follower)
        )
        return
    listed = store_for(pattern).list(static_folder(pattern).rstrip("/"), start=start, end=end, without=without)
    matches = None if is_folder(pattern) else compiled(pattern).fullmatch
    yield from (file for file in listed if matches is None or matches(file.uri))


def _unread_places(pattern: str) -> Callable[[str], str]:
    """Tells why a name that a folder or glob matches is not read, by where it lies below that; "" if it may be read."""
    root = len(static_folder(pattern).rstrip("/"))
    folder = pattern.endswith("/") or not is_glob(pattern)
    spelled = "" if folder else pattern[root:]
    return lambda uri: unread_place(uri[root:].lstrip("/"), spelled, hidden=folder)


def matches(pattern: str, uri: str, row_format: str = DEFAULT.name, json: bool = False) -> bool:
    """Whether a pattern names a file, as a test of strings; what they stand for is not looked at."""
    if not pattern.endswith("/") and is_glob(pattern):
        return compiled(pattern).fullmatch(uri) is not None and not _unread_places(pattern)(uri)
    folder = pattern.rstrip("/")
    return uri == pattern or (
        inside(uri, folder) and is_dataset(uri, row_format, json) and not unread_place(uri[len(folder) :].lstrip("/"))
    )


def gives(one_input: Input, uri: str) -> bool:
    """Whether an input names a file and does not leave it out, as a test of strings."""
    left_out = any(inside(uri, folder) for folder in one_input.left_out)
    return not left_out and matches(one_input.pattern, uri, one_input.format, one_input.json)


def is_dataset(uri: str, row_format: str = DEFAULT.name, json: bool = False) -> bool:
    """Whether a folder that is read in a format gives this file; `json`: where .json files of it were found to hold rows."""
    return uri.lower().endswith(suffixes_of(row_format, json))


def suffixes_of(row_format: str, json: bool) -> tuple[str, ...]:
    """Endings of the files that a folder gives."""
    meaning = MEANINGS[row_format]
    return meaning.suffixes + meaning.unsure_suffixes if json else meaning.suffixes


def first_files(
    pattern: str,
    formats: Collection[str],
    without: Collection[str],
    enough: Callable[[dict[str, Stat]], bool],
    links: Links = NO_LINKS,
) -> dict[str, Stat]:
    """The first file of each format that a pattern gives, by format in the order they were found.

    Of a large folder some names of each kind are looked at, and all only if none of them is of these formats.

    Args:
      formats: that are looked for; a file counts for the first that gives it.
      without: folders that are left out.
      enough: what was found -> whether to stop looking.
      links: as list_names takes them.
    """
    folder, found = is_folder(pattern), dict[str, Stat]()
    for file in _some_names(pattern, without, links) if folder else ():
        if row_format := _format_of(file.uri, formats):
            found.setdefault(row_format, file)
        if enough(found):
            break
    for file in list_pattern(pattern, without, links) if not found else ():
        row_format = _format_of(file.uri, formats)
        if row_format or not folder:
            found.setdefault(row_format, file)
            break
    return found


def _some_names(folder: str, without: Collection[str], links: Links) -> Iterator[Stat]:
    """As many names of a folder as are looked at before the work, in order; those that are not read are not among them."""
    if abilities(folder).has_paths:
        yield from islice(list_pattern(folder, without, links), _MANY)
        return
    root, place_of = folder.rstrip("/"), _unread_places(folder)
    for files in sampled_names(store_for(folder), root, _REQUESTS, deep=True, without=without):
        yield from (file for file in files if not place_of(file.uri))


def rows_on_top(folder: str, formats: Collection[str]) -> dict[str, Stat]:
    """The first file of rows of each format directly in a folder, whatever images sort before it; metadata files do not count.

    Args:
      formats: as first_files takes them, but none of images.
    """
    root, names = folder.rstrip("/"), list[str]()
    rows: dict[str, Stat] = {}
    files: Iterable[Stat]
    if abilities(folder).has_paths:
        with contextlib.suppress(OSError):  # a listing of all names says what is wrong with the folder
            names = [f"{root}/{name}" for name in sorted(os.listdir(folder), key=os.fsencode)]
        wanted = (name for name in names if _format_of(name, formats) and os.path.isfile(name))
        files = (store_for(folder).stat(name) for name in wanted)
    else:
        files = chain.from_iterable(sampled_names(store_for(folder), root, _REQUESTS, deep=False))
    for file in files:
        row_format = _format_of(file.uri, formats)
        if row_format and not is_metadata(file.uri) and not unread_place(file.uri[len(root) :].lstrip("/")):
            rows.setdefault(row_format, file)
    return rows


def _format_of(uri: str, formats: Collection[str]) -> str:
    """The first of some formats that is told by this ending, else ""."""
    return next((row_format for row_format in formats if is_dataset(uri, row_format)), "")


def first_image(pattern: str, without: Collection[str], links: Links, most: int) -> str:
    """The first image that a folder gives, among some names; "" if there is none."""
    names = islice(list_pattern(pattern, without, links), most)
    return next((file.uri for file in names if is_dataset(file.uri, IMAGES.name)), "")


def absolute(pattern: str) -> str:
    """One spelling on every worker: gs:// as it is, local ones absolute."""
    if pattern.startswith("file://"):
        pattern = pattern[len("file://") :].removeprefix("localhost")
    if not abilities(pattern).has_paths:
        return pattern
    path = os.path.abspath(os.path.expanduser(pattern))
    return join_uri(path, "") if pattern.endswith("/") and os.path.isdir(path) else path
