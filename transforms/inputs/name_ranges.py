"""Cut the names of a large folder into ranges that many workers list at once: folder -> (start, end) pairs that cover it, in order.

Cloud Storage tells names in order, a thousand a request, from wherever one asks, but not how many there are. So the names are felt
along as a tree of their letters: which letters follow a beginning takes one small request each. What fits a page is not cut.
A cut never parts names that are equal up to their first dot, since an image and its sidecars belong together.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from transforms.storage import abilities
from transforms.storage.api import Stat, Store

RANGES = 64  # as many as are aimed at
PAGE = 1000  # names
_REQUESTS = 600  # at most, to find the cuts
_THREADS = 16
_PASSED_OVER = 100  # names a request where many small folders may have to be passed over before one that counts
_LAST = chr(0x10FFFF)
_SAMPLED = 12  # names a request, where a few of each kind are wanted
_WORD = re.compile(
    r"[^\W\d_]{3,}"
)  # what names of one kind begin with; one or two letters may be a number's, in hexadecimal

Range = tuple[str, str]  # URIs: names from the first on, up to but without the second; "": no bound
EVERYTHING: Range = ("", "")


def cut_names(store: Store, folder: str, without: Collection[str] = ()) -> list[Range]:
    """Ranges of the names below a folder; one that holds everything if that is little, or not in Cloud Storage.

    Args:
      without: folders whose names do not count: the cuts, and with them the blocks, are the same if there are none.
    """
    if not abilities(folder).lists_ranges:
        return [EVERYTHING]
    feeler = _PrefixProbe(store, folder, without)
    level = [folder.rstrip("/") + "/"]
    done: list[str] = []  # beginnings that are not cut any further
    with ThreadPoolExecutor(_THREADS) as pool:
        while level and len(level) + len(done) < RANGES and feeler.left > 0:
            large = list(pool.map(feeler.is_large, level))
            done += [beginning for beginning, cut in zip(level, large) if not cut]
            found = list(pool.map(feeler.longer, [beginning for beginning, cut in zip(level, large) if cut]))
            level = [longer for some in found for longer in some]
    cuts = sorted({*level, *done})[1:]
    return list(zip(["", *cuts], [*cuts, ""]))


class _PrefixProbe:
    """Asks for names, and counts how often."""

    def __init__(self, store: Store, folder: str, without: Collection[str]) -> None:
        self._store, self._folder, self._without, self.left = store, folder, without, _REQUESTS
        self._step = _PASSED_OVER if without else 1

    def is_large(self, beginning: str) -> bool:
        """Whether a page of names or more begin so, and a cut among them would part nothing that belongs together."""
        if "." in beginning.rpartition("/")[2]:
            return False
        return sum(1 for _ in islice(self._names(beginning, after(beginning), PAGE), PAGE)) == PAGE

    def longer(self, beginning: str) -> list[str]:
        """The beginnings that are one letter longer and have names."""
        found, start, end = [], beginning, after(beginning)
        while name := next(self._names(start, end, self._step), ""):
            if len(name) == len(beginning):  # a name that is itself a beginning
                start = name + "\0"
                continue
            found.append(name[: len(beginning) + 1])
            start = after(found[-1])
            if self.left <= 0 or (end and start >= end):
                break
        return found or [beginning]

    def _names(self, start: str, end: str, page: int) -> Iterator[str]:
        self.left -= 1
        found = self._store.list(self._folder, start=start, end=end, page=page, without=self._without)
        return (one.uri for one in found)


def sampled_names(
    store: Store, folder: str, requests: int, *, deep: bool, page: int = _SAMPLED, without: Collection[str] = ()
) -> Iterator[list[Stat]]:
    """Some names below a folder (`deep`) or directly in it, a list for each request.

    After a page, names of the same folder that begin with the same word are passed over: 10,000 shards of train hide no test, and
    100,000 pictures no table behind them.
    """
    start = ""
    for _ in range(requests):
        files = list(islice(store.list(folder, deep=deep, start=start, page=page, without=without), page))
        yield files
        if len(files) < page:
            return
        beginning, _, name = files[-1].uri.rpartition("/")
        word = _WORD.match(name)
        start = after(f"{beginning}/{(word and word[0]) or name[:1]}")


def after(beginning: str) -> str:
    """The first text after all those that begin so; "" if there is none."""
    letter = beginning[-1]
    if letter == _LAST:
        return after(beginning[:-1]) if beginning[:-1] else ""
    following = ord(letter) + 1
    return beginning[:-1] + chr(0xE000 if following == 0xD800 else following)
