"""Look once more at lines and images that are said to be equal: candidates of hashes -> findings with their images, or none.

Rows are read again for what they name, and images that have one identity but different addresses are read whole and compared. Both are
bounded, whatever a dataset holds: what is beyond is told as unconfirmed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import blake2b

from transforms.core.reasons import ImageError
from transforms.core.records import Block, ImageFacts, OpenBlock
from transforms.dataset.findings.report import LineNumbers
from transforms.dataset.findings.tally import Finding, FindingTally, Place
from transforms.images.inspection import Inspector
from transforms.images.orders import read_image
from transforms.images.sources import resolve_images
from transforms.inputs.lines import read_rows
from transforms.inputs.registry import DEFAULT
from transforms.inputs.rows import build_examples
from transforms.storage.api import StorageError, Unavailable

_LEAK, _DUPLICATE, _CONFLICT, _COMMON = (
    "image_in_two_splits",
    "duplicate_example",
    "conflicting_answers",
    "common_image",
)
_PAIRED = {_LEAK: "as", _DUPLICATE: "as", _CONFLICT: "otherwise in"}  # and how each tells of the other line
MOST_BLOCKS = 500  # of rows that are read again
MOST_IMAGES, MOST_BYTES = 200, 200_000_000  # that are read whole

_Line = tuple[str, int, int]  # file, start of the extent, line in it


@dataclass(frozen=True)
class _Named:
    """What a line names: its images as written, and as they are resolved."""

    written: tuple[str, ...]
    sources: tuple[str, ...]


@dataclass
class _Reader:
    """Reads images whole as far as the bounds allow, each once."""

    readable: tuple[str, ...]
    digests: dict[str, bytes] = field(default_factory=dict)  # by source; b"": it cannot be read
    read_bytes: int = 0

    def digest(self, source: str) -> bytes:
        """Of an image's bytes; b"" if that is not known."""
        if source in self.digests:
            return self.digests[source]
        if len(self.digests) >= MOST_IMAGES or self.read_bytes >= MOST_BYTES:
            return b""
        try:
            data = read_image(ImageFacts(source), self.readable)
            self.read_bytes += len(data)
            self.digests[source] = blake2b(data, digest_size=16).digest()
        except Unavailable:
            raise
        except (StorageError, ImageError):  # it was there when it was inspected
            self.digests[source] = b""
        return self.digests[source]

    def are_equal(self, pairs: Iterable[tuple[str, str]]) -> bool | None:
        """Whether images are equal in pairs; None: that is not known of all, and none is known to differ."""
        known = True
        for one, other in pairs:
            if one == other:
                continue
            digests = self.digest(one), self.digest(other)
            if not all(digests):
                known = False
            elif digests[0] != digests[1]:
                return False
        return True if known else None


def confirm(tally: FindingTally, inspector: Inspector, max_line_bytes: int) -> None:
    """Give findings across rows their images and details, and take out those whose images are not the same after all."""
    named = _read_lines(tally, inspector, max_line_bytes)
    numbers, reader = LineNumbers(tally), _Reader(inspector.places.readable)
    for code in _PAIRED:
        if code not in tally.findings:
            continue
        kept = []
        for finding in tally.findings[code]:
            told = _confirmed(code, finding, named, numbers, reader)
            if told:
                kept.append(told)
        tally.counts[code] -= len(tally.findings[code]) - len(kept)
        tally.findings[code] = kept

    common = tally.findings.get(_COMMON, [])
    for at, finding in enumerate(common):
        if line := named.get(_line_of(finding.place)):
            common[at] = finding._replace(image=line.written[finding.place.number])


def _confirmed(
    code: str, finding: Finding, named: dict[_Line, _Named], numbers: LineNumbers, reader: _Reader
) -> Finding | None:
    """A finding with its image and detail; None if its images differ."""
    place, other = finding.place, finding.other
    assert other, "a pair without its other"
    here, there = named.get(_line_of(place)), named.get(_line_of(other))
    image, equal = "", None
    if here and there:
        if code == _LEAK:
            image = here.written[place.number]
            equal = reader.are_equal([(here.sources[place.number], there.sources[other.number])])
        else:
            equal = reader.are_equal(zip(here.sources, there.sources, strict=True))
    if equal is False:
        return None
    detail = f"{_PAIRED[code]} {numbers.say(other)}"
    return finding._replace(image=image, detail=detail if equal else f"{detail} (unconfirmed)")


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
