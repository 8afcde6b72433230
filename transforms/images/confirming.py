"""Look once more at lines and images that are said to be equal: candidates of hashes -> findings with their images, or none.

Rows are read again for what they name, and images that have one identity but different addresses are read whole and compared. Both are
bounded, whatever a dataset holds: what is beyond is told as unconfirmed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any

from transforms.core.reasons import ImageError
from transforms.core.records import Block, ImageFacts, OpenBlock
from transforms.dataset.findings.report import LineNumbers
from transforms.dataset.findings.tally import Finding, FindingTally, Place, first_findings
from transforms.examples.splits import NAMES
from transforms.images.inspection import Inspector
from transforms.images.orders import read_image
from transforms.images.sources import resolve_images
from transforms.inputs.lines import read_rows
from transforms.inputs.registry import DEFAULT
from transforms.inputs.rows import build_examples
from transforms.storage.api import StorageError, Unavailable
from transforms.storage.parallel import overlapped

_LEAK, _DUPLICATE, _CONFLICT, _COMMON = (
    "image_in_two_splits",
    "duplicate_example",
    "conflicting_answers",
    "common_image",
)
_PAIRED = {
    _LEAK: "the same as in",
    _DUPLICATE: "the same as",
    _CONFLICT: "answered otherwise in",
}  # and how each tells of the other line
MOST_BLOCKS = 500  # of rows that are read again
MOST_IMAGES, MOST_BYTES = 1000, 200_000_000  # that are read whole
_AT_ONCE = 32  # of them
MOST_LEAKS = 6  # that are told with both of their images

_Line = tuple[str, int, int]  # file, start of the extent, line in it


@dataclass(frozen=True)
class _Named:
    """What a line names: its images as written, and as they are resolved."""

    written: tuple[str, ...]
    sources: tuple[str, ...]


class _Digests:
    """Digests of images that are read whole, as far as the bounds allow."""

    def __init__(self, sources: Iterable[str], inspector: Inspector) -> None:
        wanted = list(dict.fromkeys(sources))[:MOST_IMAGES]
        self._known: dict[str, bytes] = {}
        read_bytes = 0
        for start in range(0, len(wanted), _AT_ONCE):
            some = wanted[start : start + _AT_ONCE]
            read = partial(_digest, readable=inspector.places.readable)
            for source, (digest, size) in zip(some, overlapped(read, some, inspector.threads)):
                self._known[source] = digest
                read_bytes += size
            if read_bytes >= MOST_BYTES:
                break

    def are_equal(self, pairs: Iterable[tuple[str, str]]) -> bool | None:
        """Whether images are equal in pairs; None: that is not known of all, and none is known to differ."""
        known = True
        for one, other in pairs:
            if one == other:
                continue
            digests = self._known.get(one, b""), self._known.get(other, b"")
            if not all(digests):
                known = False
            elif digests[0] != digests[1]:
                return False
        return True if known else None


def _digest(source: str, readable: tuple[str, ...]) -> tuple[bytes, int]:
    """The digest of an image's bytes, and how many they are; b"" if they cannot be read any more."""
    try:
        data = read_image(ImageFacts(source), readable)
    except Unavailable:
        raise
    except (StorageError, ImageError):
        return b"", 0
    return blake2b(data, digest_size=16).digest(), len(data)


def confirm(tally: FindingTally, inspector: Inspector, max_line_bytes: int) -> list[dict[str, Any]]:
    """Give findings across rows their images and details, and take out those whose images are not the same after all.

    Returns:
      Some of the leaks that are left, each of another image: {"here", "there"}, as `_leaked_image` has them.
    """
    for code in (_COMMON, *_PAIRED):
        if code in tally.findings:
            tally.findings[code] = first_findings(tally.findings[code])
    named, numbers = _read_lines(tally, inspector, max_line_bytes), LineNumbers(tally)
    paired = {code: [_pairs(code, one, named) for one in tally.findings.get(code, ())] for code in _PAIRED}
    unequal = (
        name
        for every in paired.values()
        for pairs in every
        for pair in pairs or ()
        if len({*pair}) > 1
        for name in pair
    )
    digests = _Digests(unequal, inspector)

    for code, every in paired.items():
        kept = []
        for finding, pairs in zip(tally.findings.get(code, ()), every):
            equal = None if pairs is None else digests.are_equal(pairs)
            if equal is not False:
                kept.append(_told(code, finding, named, numbers, confirmed=equal is True))
        if every:
            tally.counts[code] -= len(every) - len(kept)
            tally.findings[code] = kept

    common = tally.findings.get(_COMMON, [])
    for at, finding in enumerate(common):
        if line := named.get(_line_of(finding.place)):
            common[at] = finding._replace(image=line.written[finding.place.number])
    return _some_leaks(tally.findings.get(_LEAK, ()), named, numbers)


def _some_leaks(leaks: Iterable[Finding], named: Mapping[_Line, _Named], numbers: LineNumbers) -> list[dict[str, Any]]:
    told: dict[Place, dict[str, Any]] = {}  # by where each image is first
    for leak in leaks:
        places = {"here": leak.place, "there": leak.other or leak.place}
        if len(told) < MOST_LEAKS and all(_line_of(place) in named for place in places.values()):
            pair = {side: _leaked_image(place, named, numbers) for side, place in places.items()}
            told.setdefault(places["there"], pair)
    return list(told.values())


def _leaked_image(place: Place, named: Mapping[_Line, _Named], numbers: LineNumbers) -> dict[str, Any]:
    """Where an image is named, as it is written and as it is resolved."""
    line = named[_line_of(place)]
    written, source = line.written[place.number], line.sources[place.number]
    file, split = place.file, NAMES[place.split]
    return {"split": split, "file": file, "line": numbers.of(place), "image": written, "source": source}


def _pairs(code: str, finding: Finding, named: Mapping[_Line, _Named]) -> list[tuple[str, str]] | None:
    """The sources of images that a finding takes for equal; None if the lines were not read again."""
    place, other = finding.place, finding.other
    assert other, "a pair without its other"
    here, there = named.get(_line_of(place)), named.get(_line_of(other))
    if not (here and there):
        return None
    if code == _LEAK:
        return [(here.sources[place.number], there.sources[other.number])]
    return list(zip(here.sources, there.sources, strict=True))


def _told(code: str, finding: Finding, named: Mapping[_Line, _Named], numbers: LineNumbers, confirmed: bool) -> Finding:
    """A finding with its image and detail."""
    assert finding.other, "a pair without its other"
    line = named.get(_line_of(finding.place))
    image = line.written[finding.place.number] if line and code == _LEAK else ""
    detail = f"{_PAIRED[code]} {numbers.say(finding.other)}"
    return finding._replace(image=image, detail=detail if confirmed else f"{detail} (unconfirmed)")


def _line_of(place: Place) -> _Line:
    return place.file, place.start, place.line


def _read_lines(tally: FindingTally, inspector: Inspector, max_line_bytes: int) -> dict[_Line, _Named]:
    """What the lines name that findings across rows speak of, as far as the bound allows."""
    wanted: dict[tuple[str, int], set[int]] = {}
    for code in (_COMMON, *_PAIRED):
        for finding in tally.findings.get(code, ()):
            for place in (finding.place, finding.other or finding.place):
                wanted.setdefault((place.file, place.start), set()).add(place.line)

    named: dict[_Line, _Named] = {}
    for (uri, start), lines in list(wanted.items())[:MOST_BLOCKS]:
        extent = tally.extents[uri, start][0]
        if extent is None:
            continue
        block = Block((0, b"", start), (extent,), DEFAULT.name)
        opened = read_rows(block, lambda block: "", max_line_bytes)
        opened.rows = [row for row in opened.rows if row.line in lines]
        for example, line in _examples(opened, inspector):
            named[uri, start, line] = example
    return named


def _examples(opened: OpenBlock, inspector: Inspector) -> Iterable[tuple[_Named, int]]:
    build_examples(opened, b"", None, 1 << 64)
    resolve_images(opened, inspector)
    for example in opened.examples:
        written = tuple(image["fileUri"] for image in example.images)
        yield _Named(written, tuple(example.sources)), example.row.line
