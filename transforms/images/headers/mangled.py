"""What befell an image whose bytes are no image any more: first bytes -> what was done to it, and how it is got back.

PNG's signature was made to show what transfers do to bytes: its first has the eighth bit set, and after its name stand CR LF, Ctrl-Z
and LF. What happened to other images is told where it leaves as clear a trace.
"""

from __future__ import annotations

import re

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_REPLACED = b"\xef\xbf\xbd"  # U+FFFD, which stands for what is no UTF-8
_JFIF = re.compile(rb"(?:JFIF|Exif)\0")
_TEXT_MODE = (
    "by a transfer or a checkout in text mode: copy it again as binary (of git: *.png binary in .gitattributes)"
)
_AS_TEXT = "it was read as text and written again, by which bytes were lost: copy it again as binary"

# First bytes, and what they tell.
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\n\x1a\n", f"a PNG whose CR LF became LF, {_TEXT_MODE}"),
    (b"\x89PNG\n\n\x1a", f"a PNG whose CR became LF, {_TEXT_MODE}"),
    (b"\x89PNG\r\x1a", f"a PNG whose LF were dropped, {_TEXT_MODE}"),
    (b"\x89PNG\r\r\x1a\r", f"a PNG whose LF became CR, {_TEXT_MODE}"),
    (b"\x89PNG\r\r\n\x1a", f"a PNG whose LF became CR LF, {_TEXT_MODE}"),
    (b"\x89PNG\r\n\x1a\r\n", f"a PNG whose LF became CR LF, {_TEXT_MODE}"),
    (b"\tPNG\r\n\x1a\n", "a PNG of which a transfer of 7 bits kept no eighth: copy it again as binary"),
    (b"\x7fX\x7f", "a JPEG of which a transfer of 7 bits kept no eighth: copy it again as binary"),
    (_REPLACED + b"PNG", f"a PNG: {_AS_TEXT}"),
    (b"?PNG\r\n", f"a PNG: {_AS_TEXT}"),
    (b"PNG\r\n\x1a\n", "a PNG without its first byte: copy it again"),
    (b"\xd8\xff\xe0\0\x10JFIF", "a JPEG without its first byte: copy it again"),
    (b"\xc2\x89PNG\r\n", "a PNG that was read as Latin-1 and written as UTF-8: iconv -f UTF-8 -t LATIN1 gives it back"),
    (b"\xe2\x80\xb0PNG\r\n", f"a PNG that was read as Windows-1252 and written as UTF-8: {_AS_TEXT}"),
    (b"\xc3\xbf\xc3\x98\xc3\xbf", f"a JPEG that was read as Latin-1 and written as UTF-8: {_AS_TEXT}"),
    (b"/9j/", "a JPEG in base64: decode it"),
    (b"iVBORw0KGgo", "a PNG in base64: decode it"),
    (b"R0lGODdh", "a GIF in base64: decode it"),
    (b"R0lGODlh", "a GIF in base64: decode it"),
    (b"UklGR", "a WebP in base64: decode it"),
    (b"data:image/", "an image in a data URL: decode what follows its comma"),
    (b"ffd8ff", "a JPEG in hexadecimal digits: decode it"),
    (b"89504e47", "a PNG in hexadecimal digits: decode it"),
    (rb"b'\xff\xd8", "a JPEG as Python prints bytes: write the bytes themselves"),
    (rb"b'\x89PNG", "a PNG as Python prints bytes: write the bytes themselves"),
    (b"\x89PNG", "a PNG whose signature is damaged: copy it again as binary"),
    (b"\xff\xd8", "a JPEG that is damaged at its third byte, or ends before it: copy it again"),
)
_SIGNATURES = ((_JPEG, "a JPEG"), (_PNG, "a PNG"), (b"GIF87a", "a GIF"), (b"GIF89a", "a GIF"))
_BEFORE = 16  # bytes of any kind that may stand before an image that is told
_TEXT_BEFORE = 1024  # bytes of text, as the headers of a mail or of HTTP
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1f\x80-\xff]")


def damage_of(head: bytes) -> str:
    """What befell an image, by its first bytes; "" if they do not tell.

    >>> damage_of(b"\\n\\xff\\xd8\\xff\\xe0")
    'a JPEG behind 1 byte that is not its own (0a): cut it off'
    """
    if cut := _cut_by_control_z(head):
        return cut
    for start, told in _STARTS:
        if head.startswith(start):
            return told
    return _wide(head) or _replaced(head) or _behind(head)


def _cut_by_control_z(head: bytes) -> str:
    """A file that a system ended at PNG's Ctrl-Z."""
    ended = len(head) >= 4 and head in (_PNG[:4], _PNG[:5], _PNG[:6], _PNG[:7])
    return f"a PNG that ends at its Ctrl-Z, {_TEXT_MODE}" if ended else ""


def _wide(head: bytes) -> str:
    """Bytes as letters of UTF-16, as PowerShell writes what is directed into a file."""
    if head.startswith(b"\xff\xfe") and (b"P\0N\0G\0" in head[:16] or b"J\0F\0I\0F\0" in head[:64]):
        return f"an image in letters of UTF-16, as PowerShell's > writes: {_AS_TEXT}"
    return ""


def _replaced(head: bytes) -> str:
    """A JPEG whose bytes above 127 became question marks, or the sign that stands for them in UTF-8."""
    for sign in (_REPLACED, b"?"):
        if head.startswith(3 * sign) and _JFIF.search(head, 0, 24):
            return f"a JPEG: {_AS_TEXT}"
    return ""


def _behind(head: bytes) -> str:
    """An image that something stands before: a line end, a mark of UTF-8, headers."""
    places = [(place, name) for magic, name in _SIGNATURES if (place := head.find(magic, 0, _TEXT_BEFORE + 8)) > 0]
    place, name = min(places, default=(0, ""))
    if not place or (place > _BEFORE and _BINARY.search(head, 0, place)):
        return ""
    if place > _BEFORE:
        return f"{name} behind {place:,} bytes of text: cut them off"
    some, end = head[:place], "it off" if place == 1 else "them off"
    what = "byte that is" if place == 1 else "bytes that are"
    return f"{name} behind {place} {what} not its own ({some.hex(' ')}): cut {end}"
