"""Image types that are no web images: netpbm, Photoshop, QOI, SGI, DDS, PCX, Sun. First bytes -> type, and size in pixels.

Beside the common types these are what Pillow decodes by itself, without another program, and what can be told from the first
bytes. They are rewritten, and counted. What has no signature (TGA), holds other files (ICNS, FPX) or calls for other
programs (EPS, WMF) is no image to Tuneset.
"""

from __future__ import annotations

import re
import struct

RARE = ("ppm", "psd", "qoi", "sgi", "dds", "pcx", "sun")
HEAD = 32  # bytes that settle all but netpbm's, which is text and may hold comments

_SIZES = {  # form, place, whether the height comes first
    "psd": (">II", 14, True),
    "qoi": (">II", 4, False),
    "sgi": (">HH", 6, False),
    "dds": ("<II", 12, True),
    "sun": (">II", 4, False),
}
_NETPBM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s")
_NETPBM_BEGIN = re.compile(rb"P[1-6]\s(?:\s|#[^\n]*\n)*\d|P[1-6]\s#")
_NETPBM_MOST = 4096  # bytes of a header that are looked at


def sniff(head: bytes) -> str:
    """One of RARE, or ""."""
    if head.startswith(b"8BPS\0"):
        return "psd"
    if head.startswith(b"qoif"):
        return "qoi"
    if head.startswith(b"DDS \x7c\0\0\0"):
        return "dds"
    if head[:2] == b"\x01\xda" and head[2:3] in (b"\0", b"\1") and head[3:4] in (b"\1", b"\2"):
        return "sgi"
    if head.startswith(b"\x59\xa6\x6a\x95"):
        return "sun"
    if (
        head[:1] == b"\n"
        and head[1:2] in (b"\0", b"\2", b"\3", b"\5")
        and head[2:3] == b"\1"
        and head[3:4] in b"\1\2\4\x08"
    ):
        return "pcx"
    return "ppm" if head[:1] == b"P" and _NETPBM_BEGIN.match(head, 0, _NETPBM_MOST) else ""


def size(image_type: str, head: bytes) -> tuple[int, int]:
    """Width and height that at least HEAD bytes of such a file tell; 0, 0 where they tell none.

    >>> size("ppm", b"P6 # a comment" + bytes([10]) + b"640 480 255 ")
    (640, 480)
    """
    if image_type == "ppm":
        found = _NETPBM.match(head, 0, _NETPBM_MOST)
        return (int(found[1]), int(found[2])) if found else (0, 0)
    if image_type == "pcx":
        left, top, right, bottom = struct.unpack_from("<4H", head, 4)
        return max(0, right - left + 1), max(0, bottom - top + 1)
    form, at, swapped = _SIZES[image_type]
    first, second = struct.unpack_from(form, head, at)
    return (second, first) if swapped else (first, second)
