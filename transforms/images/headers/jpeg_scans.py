"""Segments and scans of a whole JPEG: whether it ends, and whether its scans are all there. Rejects: truncated_image, undecodable."""

from __future__ import annotations

import re
from collections.abc import Iterator

from transforms.images.headers.head import broken, short

# A JPEG marker that means something inside a scan: not a stuffed zero, RST0-7, fill bytes or a reserved code.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd8-\xfe]")


def jpeg_ends(data: bytes) -> bool:
    """Whether a JPEG's scans are followed by an end of image.

    Raises:
        ImageError: `undecodable` if the structure is broken, `truncated_image` if another JPEG begins before it.
    """
    scanned = False
    for marker, pos in _segments(data):
        if marker == 0xD9:
            if scanned:
                return True
            raise broken("JPEG ends before its first scan")
        if marker == 0xD8:
            raise short(f"another JPEG begins at byte {pos - 2}, before the first one ends")
        scanned = scanned or marker == 0xDA
    return False


def scans_complete(data: bytes) -> bool:
    """Whether the scans of a JPEG, where each begins, come to all bits of all coefficients of all components.

    A progressive JPEG that was cut between two scans decodes without a word, and is blurred.
    """
    components, done = 0, set[tuple[int, int]]()
    for marker, pos in _segments(data):
        segment = data[pos + 2 : pos + int.from_bytes(data[pos : pos + 2], "big")]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC) and len(segment) > 5:
            components = segment[5]
        elif marker == 0xDA and segment and len(segment) >= 4 + 2 * segment[0]:
            first, last, low_bits = segment[1 + 2 * segment[0] :][:3]
            if not low_bits & 15:  # down to the last bit
                done |= {
                    (name, at) for name in segment[1 : 1 + 2 * segment[0] : 2] for at in range(first, min(last, 63) + 1)
                }
    return components > 0 and len(done) == 64 * components


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """(marker, offset of its length) of the segments up to a JPEG's end of image; those of another JPEG end it too."""
    pos = 2
    while found := _MARKER.search(data, pos):
        marker, pos = data[found.end() - 1], found.end()
        yield marker, pos
        if marker in (0xD8, 0xD9):
            return
        length = int.from_bytes(data[pos : pos + 2], "big")
        if length < 2 and pos + 2 <= len(data):
            raise broken(f"JPEG marker {marker:02X} of {length} bytes at byte {pos - 2}")
        pos += length
