"""Files beside images that say something of them, told by names alone: an image -> its sidecar, a sidecar -> whether it has an image.

    a.json, a.txt                        of a.jpg, and of a.png
    a.jpg.json, a.jpg.txt                of a.jpg
    a.jpg.supplemental-metadata.json     of a.jpg, as Google Takeout writes it; cut off at any letter of the long word
    a.jpg(1).json                        of a(1).jpg, also with the long word before the number
    46 letters.json                      of an image whose longer name begins so: Takeout cuts what stands before .json there

Of several that an image has the first in this order counts. Those of the last two kinds may lie far from it in the order of names, so
each such name costs a request or two.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from transforms.core.media_types import has_image_ending
from transforms.storage import exists, store_for
from transforms.storage.api import NotAFile, NotFound, Stat

ENDINGS = (".json", ".txt")  # the first counts before the second
_LONG_WORD, _CUT = (
    ".supplemental-metadata",
    46,
)  # what Takeout puts behind a name, and the letters of both that it keeps
_CUT_WORD = re.compile(rf"(.+)\.(s[a-z-]{{0,{len(_LONG_WORD) - 2}}})")
_NUMBERED = re.compile(r"(.+)(\(\d+\))")
_NEXT = 5  # names behind that of a sidecar, among which its image is looked for


def sidecars_apart(names: Iterable[tuple[Stat, str]]) -> Iterator[tuple[Stat, str]]:
    """Names in order, each with the kind that it is left out as or "" -> the same; a .json file beside its image is a "sidecar".

    Where .json files of a folder hold rows, those beside images are none of them.
    """
    for _, group in itertools.groupby(names, lambda one: stem_of(one[0].uri)):
        some = list(group)
        images = [file.uri for file, _ in some if has_image_ending(file.uri)]
        bases = {*images, *map(_base, images)}
        for file, kind in some:
            beside = not kind and bases and is_sidecar(file.uri) and _base(file.uri) in bases
            yield file, "sidecar" if beside else kind


def stem_of(uri: str) -> str:
    """A file's name up to its first dot: whatever belongs together has this in common, and is listed side by side."""
    folder, slash, name = uri.rpartition("/")
    return folder + slash + name.partition(".")[0]


def is_sidecar(uri: str) -> bool:
    return uri.lower().endswith(ENDINGS)


class SidecarIndex:
    """The sidecars among some files of one folder, to be asked for by image.

    Args:
      all_of_them: there are no others, so that storage is asked for none.
    """

    def __init__(self, files: Iterable[Stat], all_of_them: bool = False) -> None:
        self._all_of_them = all_of_them
        self._by_base: dict[str, list[Stat]] = {}
        self._by_cut_word: dict[str, Stat] = {}
        self._left: dict[str, Stat] = {}  # that no image has asked for
        for file in files:
            base = _base(file.uri)
            self._left[file.uri] = file
            self._by_base.setdefault(base, []).append(file)
            self._by_base[base].sort(key=lambda one: one.uri.lower().endswith(ENDINGS[1]))
            cut = _CUT_WORD.fullmatch(base)
            if cut and _LONG_WORD.startswith(f".{cut[2]}") and file.uri.lower().endswith(ENDINGS[0]):
                self._by_cut_word.setdefault(cut[1], file)

    def __len__(self) -> int:
        return sum(map(len, self._by_base.values()))

    def of_image(self, uri: str) -> Stat | None:
        """The sidecar of an image, if it has one; a request is made only for names that are looked for elsewhere."""
        beside = [*self._by_base.get(uri.rpartition(".")[0], ()), *self._by_base.get(uri, ())]
        if cut := self._by_cut_word.get(uri):
            beside.append(cut)
        for file in beside:
            self._left.pop(file.uri, None)
        return beside[0] if beside else next(filter(None, map(self._stat, _takeout_names(uri))), None)

    def without_image(self) -> list[Stat]:
        """The sidecars that no image has asked for, nor would: those of images that lie elsewhere are not among them."""
        return [file for file in self._left.values() if not _has_image_elsewhere(file.uri)]

    def _stat(self, uri: str) -> Stat | None:
        beside = self._by_base.get(_base(uri))
        if beside:
            self._left.pop(beside[0].uri, None)
            return beside[0]
        if self._all_of_them:
            return None
        try:
            return store_for(uri).stat(uri)
        except (NotAFile, NotFound):
            return None


def _base(uri: str) -> str:
    """A sidecar's name without its ending."""
    return uri[: uri.rfind(".")]


def _takeout_names(image: str) -> list[str]:
    """Names of sidecars that Takeout gives to images with a number behind their names, or with long ones."""
    folder, slash, name = image.rpartition("/")
    stem, dot, ending = name.rpartition(".")
    numbered = _NUMBERED.fullmatch(stem)
    number = numbered[2] if numbered else ""
    if numbered:
        name = numbered[1] + dot + ending
    elif len(name) <= _CUT:
        return []
    bases = dict.fromkeys((name[:_CUT], (name + _LONG_WORD)[:_CUT]))
    return [f"{folder}{slash}{base}{number}{ENDINGS[0]}" for base in bases]


def _has_image_elsewhere(sidecar: str) -> bool:
    """Whether a sidecar is one of Takeout's whose image does not lie beside it in the order of names."""
    folder, slash, base = _base(sidecar).rpartition("/")
    if numbered := _NUMBERED.fullmatch(base):
        cut = _CUT_WORD.fullmatch(numbered[1])
        name = cut[1] if cut and _LONG_WORD.startswith(f".{cut[2]}") else numbered[1]
        stem, dot, ending = name.rpartition(".")
        return has_image_ending(name) and exists(f"{folder}{slash}{stem}{numbered[2]}{dot}{ending}")
    if len(base) != _CUT:
        return False
    beginning = f"{folder}{slash}{base}"
    following = store_for(sidecar).list(folder, deep=False, start=beginning, page=_NEXT)
    return any(file.uri.startswith(beginning) and has_image_ending(file.uri) for file in islice(following, _NEXT))
