"""Look at a file, or at the first names of a folder, in one small request: what is not there, or may not be read, tells nothing."""

from __future__ import annotations

from itertools import islice

from transforms.core.file_kinds import LOOK
from transforms.storage import store_for
from transforms.storage.api import Changed, Forbidden, NotAFile, NotFound, Refused, Stat

NOT_THERE = (Changed, Forbidden, NotAFile, NotFound, Refused)  # if it matters, the job says what is wrong
_NAMES = 50  # files of a folder that are looked at


def head_of(file: Stat) -> bytes:
    """The first bytes of a file; none if it is gone, or may not be read."""
    try:
        return store_for(file.uri).read(file.uri, 0, LOOK, file.generation)[0]
    except NOT_THERE:
        return b""


def names_in(folder: str, most: int = _NAMES) -> list[Stat]:
    """The first files right in a folder."""
    try:
        return list(islice(store_for(folder).list(folder, deep=False, page=most), most))
    except NOT_THERE:
        return []


def stat_of(uri: str) -> Stat | None:
    """What is known of a file; None if it is not there."""
    try:
        return store_for(uri).stat(uri)
    except NOT_THERE:
        return None


def folders_in(folder: str) -> list[str]:
    """The first folders right in a folder."""
    try:
        return [name.rstrip("/") for some, _ in islice(store_for(folder).folders(folder), 1) for name in some]
    except NOT_THERE:
        return []
