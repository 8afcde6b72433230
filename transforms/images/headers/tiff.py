"""Pages of a TIFF: bytes -> its directories, and which of them is the picture. Rejects: camera_raw, truncated_image, undecodable.

The first directory of a file need not be its picture: cameras and slide scanners put a thumbnail there. What is said of a page
counts (NewSubfileType, SubIFDs, page numbers), and where nothing is said its size.

Sources: TIFF 6.0 section 2, BigTIFF, Adobe's TIFF Technical Note 1 (SubIFDs), TIFF/EP (CFA) and the DNG specification.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from transforms.core.reasons import ImageError
from transforms.images.headers import bounds
from transforms.images.headers.exif import LENGTH, ORIENTATION, WIDTH, Order, entries_of
from transforms.images.headers.head import broken, reach, require

_KIND, _OLD_KIND, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PAGE_NUMBER = 254, 255, 258, 259, 262, 277, 297
_SUB_DIRECTORIES, _SAMPLE_FORMAT, _CFA_DIMENSIONS, _CFA_PATTERN, _DNG_VERSION = 330, 339, 33421, 33422, 50706
_WANTED = frozenset((
    WIDTH, LENGTH, ORIENTATION, _KIND, _OLD_KIND, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PAGE_NUMBER,
    _SUB_DIRECTORIES, _SAMPLE_FORMAT, _CFA_DIMENSIONS, _CFA_PATTERN, _DNG_VERSION,
))  # fmt: skip
_REDUCED, _ONE_OF_MANY, _MASK = 1, 2, 4  # bits of NewSubfileType
_OLD_REDUCED, _OLD_ONE_OF_MANY = 2, 3  # values of SubfileType
_YCBCR = 6
_RAW_PHOTOMETRICS = {32803, 34892}  # colour filter array, linear raw
_RAW_COMPRESSIONS = {32767, 32770, 32772, 34713, 65535}  # Sony, Samsung, Samsung, Nikon, Pentax
_SAMPLE_FORMATS = {2: " with a sign", 3: " of floating point", 5: " of complex numbers", 6: " of complex numbers"}
_FORMS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # field types: BYTE, SHORT, LONG, IFD, LONG8, IFD8
_MAX_ENTRIES = 1 << 21  # of all directories: overlapping ones would take quadratic time
_MAX_VALUES = 65_536  # of one field

Tags = dict[int, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Page:
    """One directory that has a size."""

    at: int  # its first byte
    tags: Tags

    @property
    def width(self) -> int:
        return self.first(WIDTH)

    @property
    def height(self) -> int:
        return self.first(LENGTH)

    @property
    def orientation(self) -> int:
        told = self.first(ORIENTATION, 1)
        return told if 1 <= told <= 8 else 1

    @property
    def full(self) -> bool:
        """Whether it is a picture at its full resolution: neither a smaller copy nor a mask."""
        return not self.first(_KIND) & (_REDUCED | _MASK) and self.first(_OLD_KIND) != _OLD_REDUCED

    @property
    def numbered(self) -> bool:
        """Whether it says that it is one of the pages of a document."""
        one_of_many = self.first(_KIND) & _ONE_OF_MANY or self.first(_OLD_KIND) == _OLD_ONE_OF_MANY
        return bool(one_of_many) or _PAGE_NUMBER in self.tags

    @property
    def is_raw(self) -> bool:
        """Whether it holds what a camera's sensor saw, or stands in a file that does."""
        tags = self.tags
        return (
            any(tag in tags for tag in (_DNG_VERSION, _CFA_DIMENSIONS, _CFA_PATTERN))
            or self.first(_PHOTOMETRIC) in _RAW_PHOTOMETRICS
            or self.first(_COMPRESSION) in _RAW_COMPRESSIONS
        )

    @property
    def bands(self) -> int:
        return self.first(_SAMPLES, 1)

    @property
    def least_bytes(self) -> int:
        """The fewest bytes that could hold its pixels; 0: there is no such bound."""
        bits = self.tags.get(_BITS, () if self.bands > 1 else (1,))
        each = bits[:1] if self.first(_PHOTOMETRIC) == _YCBCR else bits  # colours may be of fewer samples
        return bounds.tiff_bytes(self.width, self.height, sum(each), self.first(_COMPRESSION, 1))

    def first(self, tag: int, default: int = 0) -> int:
        """The first value of a field."""
        return (self.tags.get(tag) or (default,))[0]

    def describe(self) -> str:
        """Its bands and their bits, for a person to read: '5 bands of 16 bits', '1 band of 64 bits of floating point'."""
        bits = "/".join(str(one) for one in dict.fromkeys(self.tags.get(_BITS, (1,))))
        kind = _SAMPLE_FORMATS.get(self.first(_SAMPLE_FORMAT), "")
        return f"{self.bands} band{'s' * (self.bands != 1)} of {bits} bit{'s' * (bits != '1')}{kind}"


@dataclass(frozen=True, slots=True)
class Pages:
    """What could be told of a file's pages.

    listed: in the order of the file, each followed by its SubIFDs. complete: no page is missing.
    """

    listed: list[Page] = field(default_factory=list)
    complete: bool = True

    @property
    def full(self) -> list[Page]:
        """The pages that are pictures of their own; of smaller copies alone, all."""
        return [page for page in self.listed if page.full] or self.listed

    @property
    def main(self) -> Page:
        """The picture: the largest page, the first of equals; of a document, its first page."""
        full = self.full
        return full[0] if full[0].numbered else max(full, key=lambda page: page.width * page.height)


def pages_of(head: bytes, size: int) -> Pages:
    """The pages of a TIFF as far as they can be reached. A whole file is its own head.

    Raises:
        NeedMore: a directory lies behind the head.
        ImageError: `camera_raw`; `truncated_image`: a directory lies behind the file's end; `undecodable`: no page has a size.
    """
    walk = _Walk(head, size)
    listed = list(walk.pages())
    for page in listed:
        if page.is_raw or head[8:10] == b"CR" or head[8:12] == b"IIII":
            name = (
                "DNG"
                if _DNG_VERSION in page.tags
                else "CR2"
                if head[8:10] == b"CR"
                else "a TIFF of a camera's sensor data"
            )
            raise camera_raw(name)
    if not listed and walk.complete:
        raise broken("TIFF whose pages have no size: 0 x 0 pixels")
    return Pages(listed, walk.complete)


def camera_raw(name: str) -> ImageError:
    """The error for a camera's raw data."""
    return ImageError(
        "camera_raw", f"{name}: export it as JPEG, PNG or TIFF of 8 bits with the camera's program or a raw converter"
    )


def with_first_page(data: bytes, page: Page) -> bytes:
    """The file as if `page` were its first one: decoders look at no other."""
    order, big = _order(data), _is_big(data)
    at, width = (8, 8) if big else (4, 4)
    if int.from_bytes(data[at : at + width], order) == page.at:
        return data
    return b"".join((data[:at], page.at.to_bytes(width, order), memoryview(data)[at + width :]))


class _Walk:
    """Follows the chain of directories, and the SubIFDs of each."""

    def __init__(self, head: bytes, size: int) -> None:
        self.head, self.size, self.order, self.complete = head, size, _order(head), True
        self.big = _is_big(head)
        # Bytes of: an offset, the directory's count of entries, an entry.
        self.word, self.counter, self.entry = (8, 8, 20) if self.big else (4, 2, 12)
        self.entries = 0

    def pages(self) -> Iterator[Page]:
        require(self.head, self.size, 2 * self.word)
        at, seen = self._offset(self.word), set[int]()
        while at and at not in seen:
            seen.add(at)
            directory = self._directory(at)
            if directory is None:
                self.complete = False
                return
            tags, at_next = directory
            yield from self._page(at, tags)
            for inner in tags.get(_SUB_DIRECTORIES, ()):
                # One that lies outside of the file was left behind by an editor, and is none.
                if inner and inner not in seen and inner + self.counter <= self.size:
                    seen.add(inner)
                    below = self._directory(inner)
                    if below is None:
                        self.complete = False
                    else:
                        yield from self._page(inner, below[0])
            at = at_next

    def _page(self, at: int, tags: Tags) -> Iterator[Page]:
        page = Page(at, tags)
        if page.width and page.height:
            yield page

    def _offset(self, at: int) -> int:
        return int.from_bytes(self.head[at : at + self.word], self.order)

    def _directory(self, at: int) -> tuple[Tags, int] | None:
        """(the wanted fields, where the next directory begins); None: it is too far away."""
        entries = at + self.counter
        if not reach(self.head, self.size, entries):
            return None
        count = int.from_bytes(self.head[at:entries], self.order)
        self.entries += count
        if not 0 < count <= 0xFFFF or self.entries > _MAX_ENTRIES:
            raise broken(f"TIFF directory of {count} entries")
        end = entries + count * self.entry
        if not reach(self.head, self.size, end + self.word):
            return None
        wanted = entries_of(self.head, entries, count, self.order, self.entry, _WANTED)
        return {tag: self._values(tag, place) for tag, place in wanted}, self._offset(end)

    def _values(self, tag: int, at: int) -> tuple[int, ...]:
        """The whole numbers of a field; none if it holds others, or they cannot be reached."""
        kind, count_at = int.from_bytes(self.head[at + 2 : at + 4], self.order), at + 4
        count = int.from_bytes(self.head[count_at : count_at + self.word], self.order)
        form = _FORMS.get(kind, "")
        if not form or not count <= _MAX_VALUES:
            return ()
        length, place = count * struct.calcsize(f"<{form}"), count_at + self.word
        if length > self.word:
            place = self._offset(place)
            if (
                tag == _SUB_DIRECTORIES
                and place + length <= self.size
                and not reach(self.head, self.size, place + length)
            ):
                self.complete = False
            if place + length > len(self.head):
                return ()
        return struct.unpack_from(f"{'<' if self.order == 'little' else '>'}{count}{form}", self.head, place)


def _order(head: bytes) -> Order:
    return "little" if head[:1] == b"I" else "big"


def _is_big(head: bytes) -> bool:
    return 43 in head[2:4]
