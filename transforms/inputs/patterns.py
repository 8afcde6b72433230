"""What patterns match: a file, glob or folder -> the files that it names, in order. What they become is decided in cutting.py."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Collection, Iterator

from transforms.core.places import inside
from transforms.core.records import Input
from transforms.inputs.registry import DEFAULT, MEANINGS
from transforms.storage import store_for
from transforms.storage.api import Stat, is_local, join_uri
from transforms.storage.globs import compiled
from transforms.storage.local_walk import globbed

_WILD = re.compile(r"[*?\[]")


def static_folder(pattern: str) -> str:
    """The deepest folder that holds everything a pattern can match (`a/b/*.jsonl` -> `a/b`)."""
    if is_folder(pattern):
        return pattern  # whatever letters its name has
    wild = _WILD.search(pattern) if is_glob(pattern) else None
    return posixpath.dirname(pattern[: wild.start()] if wild else pattern)


def is_folder(pattern: str) -> bool:
    return pattern.endswith("/") or (is_local(pattern) and os.path.isdir(pattern))


def is_glob(pattern: str) -> bool:
    """Whether a pattern stands for other names than its own; what is there locally under just that name is meant."""
    return bool(_WILD.search(pattern)) and not (is_local(pattern) and os.path.lexists(pattern))


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def list_pattern(pattern: str, start: str = "", end: str = "", without: Collection[str] = ()) -> Iterator[Stat]:
    """Files that a pattern matches, in the order of full names as bytes.

    Between `start` and `end` alone, where names are cut (name_ranges.py). A file is itself; a glob matches as a shell does (`**` any
    folders); a folder gives every file below it. A local folder with too long a path is told as a name with a slash at its end.

    Args:
      without: folders whose files a folder or glob does not give.
    """
    if is_folder(pattern):
        folder = pattern.rstrip("/")
        for found in store_for(pattern).list(folder, start=start, end=end, without=without):
            if not _hidden(found.uri[len(folder) :].lstrip("/")):
                yield found
    elif not is_glob(pattern):
        yield store_for(pattern).stat(pattern)
    elif is_local(pattern):
        yield from globbed(static_folder(pattern), pattern, without)
    else:
        matches = compiled(pattern).fullmatch
        for found in store_for(pattern).list(static_folder(pattern), start=start, end=end, without=without):
            if matches(found.uri):
                yield found


def matches(pattern: str, uri: str, format: str = DEFAULT.name) -> bool:
    """Whether a pattern names a file, as a test of strings; what they stand for is not looked at."""
    if not pattern.endswith("/") and is_glob(pattern):
        return compiled(pattern).fullmatch(uri) is not None
    folder = pattern.rstrip("/")
    return uri == pattern or (
        inside(uri, folder) and is_dataset(uri, format) and not _hidden(uri[len(folder) :].lstrip("/"))
    )


def gives(input: Input, uri: str) -> bool:
    """Whether an input names a file and does not leave it out, as a test of strings."""
    left_out = any(inside(uri, folder) for folder in input.left_out)
    return not left_out and matches(input.pattern, uri, input.format)


def is_dataset(uri: str, format: str = DEFAULT.name) -> bool:
    """Whether a folder that is read in a format gives this file."""
    return uri.lower().endswith(MEANINGS[format].suffixes)


def first_files(
    pattern: str, formats: Collection[str], without: Collection[str], enough: Callable[[dict[str, Stat], int], bool]
) -> dict[str, Stat]:
    """The first file of each format that a pattern gives, by format in the order they were found.

    Args:
      formats: that are looked for; a file counts for the first that gives it.
      without: folders that are left out.
      enough: what was found and the number of files seen -> whether to stop looking.
    """
    found: dict[str, Stat] = {}
    for number, file in enumerate(list_pattern(pattern, without=without)):
        for format in formats:
            if is_dataset(file.uri, format):
                found.setdefault(format, file)
                break
        else:
            if not is_folder(pattern):
                found.setdefault("", file)
        if enough(found, number):
            break
    return found


def absolute(pattern: str) -> str:
    """One spelling on every worker: gs:// as it is, local ones absolute."""
    if pattern.startswith("file://"):
        pattern = pattern[len("file://") :].removeprefix("localhost")
    if not is_local(pattern):
        return pattern
    path = os.path.abspath(os.path.expanduser(pattern))
    return join_uri(path, "") if pattern.endswith("/") and os.path.isdir(path) else path
