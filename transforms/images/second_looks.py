"""Look once more for images that are not found: the file that has the same name in its other slash, Unicode or percent form.

Windows writes `images\\cat\\1.jpg` into tables, macOS decomposes the letters of names, and exports escape them (`a%20b.jpg`). Where
exactly one file answers to a name's other spellings, it is taken. Each spelling passes the check of what may be read as the name in
the row did, after it is unescaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from threading import Lock

from transforms.core.reasons import ImageError
from transforms.core.records import ImageFacts, OpenBlock
from transforms.images.image_root import IN_ROOT, is_in_root, look_in_root
from transforms.images.inspection import Inspector, look_at
from transforms.storage import abilities
from transforms.storage.spellings import other_spellings

RENAMED, ENDED = "images_renamed", "second_looks_ended"  # warnings; the first is a counter, too
MOST_LOOKS = 1000  # that find nothing, of one process: each costs requests, and a table of wrong names holds millions
_MISSING = "image_not_found"


class _Allowance:
    """How many more names of one process may be looked for in vain."""

    def __init__(self, most: int) -> None:
        self._left, self._lock = most, Lock()

    def take(self, wanted: int) -> int:
        """As many of some looks as are left."""
        with self._lock:
            taken = min(wanted, self._left)
            self._left -= taken
            return taken

    def give_back(self, number: int) -> None:
        """Looks that found their file, which had to be looked at in any case."""
        with self._lock:
            self._left += number


_allowance = _Allowance(MOST_LOOKS)


def look_again(opened: OpenBlock, inspector: Inspector) -> None:
    """Note under which other spelling the images of a block are found that were not, and the facts of what was found."""
    facts = opened.facts
    if inspector.places.root:
        look_in_root(opened, inspector)
    if not any(fact.reason == _MISSING for fact in facts.values()):
        return
    spellings = _spellings_of_missing(opened, inspector)
    while allowed := _allowance.take(len(spellings)):
        some = {source: spellings.pop(source) for source in list(spellings)[:allowed]}
        _allowance.give_back(_look_for(some, facts, inspector))
    for source in spellings:
        facts[source].unsought = True
        facts[source].detail += f"; it was not looked for in other spellings, as {MOST_LOOKS:,} others were in vain"


def _look_for(spellings: dict[str, list[str]], facts: dict[str, ImageFacts], inspector: Inspector) -> int:
    """Look at the other spellings of some sources, and note in `facts` which of them is taken -> how many were found."""
    unknown = dict.fromkeys(name for names in spellings.values() for name in names if name not in facts)
    looked = {fact.uri: fact for fact in look_at(list(unknown), inspector)[1]}
    known = {**looked, **facts}
    there = {name for name, fact in known.items() if fact.reason != _MISSING and not fact.respelled}
    answers = {source: [name for name in names if name in there] for source, names in spellings.items()}
    for source, names in answers.items():
        if len(names) == 1:
            facts[source] = ImageFacts(source, respelled=names[0])
            facts[names[0]] = known[names[0]]
        elif names:
            facts[source].detail += f"; several files have this name in other spellings: {', '.join(names)}"
    return sum(len(names) == 1 for names in answers.values())


def _spellings_of_missing(opened: OpenBlock, inspector: Inspector) -> dict[str, list[str]]:
    """Sources that were not found, in order, each with the other places that may be read and that its name may mean."""
    spellings: dict[str, list[str]] = {}
    for example in opened.examples:
        for image, source in zip(example.images, example.sources):
            # A server is asked for what its URL says, and not for what else it might have.
            if opened.facts[source].reason == _MISSING and source not in spellings and not abilities(source).foreign:
                resolved = dict.fromkeys(_resolved(other_spellings(image["fileUri"]), example.base, inspector))
                resolved.pop(source, None)
                spellings[source] = list(resolved)
    return {source: names for source, names in spellings.items() if names}


def _resolved(names: Iterable[str], base: str, inspector: Inspector) -> Iterator[str]:
    """The sources that names mean, but for those that may not be read."""
    for name in names:
        try:
            yield inspector.places.resolve(name, base)
        except ImageError:
            continue


def take_respelled(opened: OpenBlock, root: str = "") -> None:
    """Put what was found in place of what rows name, and count it, by the block's facts alone: each execution says the same.

    Args:
        root: of --image_root.
    """
    respelled = {source: fact.respelled for source, fact in opened.facts.items() if fact.respelled}
    unsought = {source for source, fact in opened.facts.items() if fact.unsought}
    if not respelled and not unsought:
        return
    for example in opened.examples:
        for image, source in zip(example.images, example.sources):
            if source in respelled and is_in_root(image["fileUri"], respelled[source], root):
                opened.counters[IN_ROOT] += 1
            elif source in respelled:
                opened.counters[RENAMED] += 1
                opened.warnings.add(RENAMED, source)
            elif source in unsought:
                opened.warnings.add(ENDED, source)
        example.sources = [respelled.get(source, source) for source in example.sources]
