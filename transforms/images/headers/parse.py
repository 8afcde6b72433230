"""Read image headers from the first bytes of a file.

bytes -> Header; rejects: empty_image, not_an_image, camera_raw, truncated_image, undecodable.

Written without Pillow, which cannot parse WebP or AVIF from a head. Every input is hostile: whatever the bytes, the
outcome is a Header, NeedMore or an ImageError, after work that is linear in the head.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable

from transforms.core.reasons import ImageError
from transforms.core.records import Header
from transforms.images.headers import bounds, rare, tiff
from transforms.images.headers.exif import exif_orientation
from transforms.images.headers.head import FAR, NeedMore, broken, reach, require
from transforms.images.headers.signatures import SEQUENCES, looks_like, raw_format, sniff
from transforms.images.headers.structure import MAX_PARTS, boxes, gif_blocks, primary_item

__all__ = ["FAR", "NeedMore", "parse"]

_UNKNOWN_SIZE = frozenset(("tiff", "heic", "heif", "avif"))  # their parsers refuse zeros themselves
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD8)))  # JPEG markers that stand alone: TEM, RST0-7
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-15 without DHT, JPG, DAC
_HUFFMAN = frozenset(range(0xC0, 0xC4))  # SOF0-3; arithmetic coding may take under a bit a block
_PLAIN_BMP = (bytes(4), b"\3\0\0\0", b"\6\0\0\0")  # BI_RGB, and with masks of its colours
_be32 = struct.Struct(">I").unpack_from
_png_chunk = struct.Struct(">I4s").unpack_from
_riff_chunk = struct.Struct("<4sI").unpack_from


def parse(head: bytes, size: int) -> Header:
    """Type, stored size in pixels, orientation and frames of an image file.

    Width and height are 0 where they are unknown: jp2, jxl, svg, and TIFF or HEIF whose directory ends beyond FAR. A
    later EXIF chunk (PNG after IDAT, WebP beyond the head), EXIF as text and XMP are not consulted: orientation is then 1.

    Args:
        head: The first bytes of the file; 64 KiB settle nearly all.
        size: Bytes of the whole file.

    Raises:
        NeedMore: The header goes on behind the head.
        ImageError: `empty_image`, `not_an_image`, `camera_raw`, `truncated_image` (it would go on behind `size`), `undecodable`.

    >>> parse(b"GIF89a" + bytes([40, 0, 30, 0, 0, 0, 0]), 5000)
    Header(type='gif', width=40, height=30, orientation=1, frames=1)
    """
    if len(head) > size:
        head = head[: max(size, 0)]
    type_ = sniff(head)
    if not type_:
        if not head and size <= 0:
            raise ImageError("empty_image", "0 bytes")
        if len(head) < 32 and len(head) < size:
            require(head, size, min(size, 32))
        if raw := raw_format(head):
            raise tiff.camera_raw(raw)
        raise ImageError("not_an_image", f"looks like {looks_like(head)}")
    parser = _PARSERS.get(type_)
    if parser is None:
        return Header(type_, 0, 0)
    header = parser(head, size, type_)
    if (header.width < 1 or header.height < 1) and type_ not in _UNKNOWN_SIZE:
        raise broken(f"{type_} of {header.width} x {header.height} pixels")
    if max(header.width, header.height, header.frames) >> 31:  # more than images.parquet holds, or decoders take
        raise broken(f"{type_} of {header.width} x {header.height} pixels and {header.frames} frames: 2^31 or more")
    return header


def _jpeg(head: bytes, size: int, type_: str) -> Header:
    """ITU-T T.81 annex B: marker segments up to the frame header; the orientation of the first Exif APP1 before it."""
    orientation, pos, end = 0, 2, len(head)
    for _ in range(MAX_PARTS):
        if pos + 10 > end:  # the least a frame header takes, and one must come
            require(head, size, pos + 10)
        marker = head[pos + 1]
        if head[pos] != 0xFF or marker == 0xFF or marker == 0:  # fill bytes or junk: decoders skip them
            found = _MARKER.search(head, pos)
            if found is None:
                require(head, size, end + 1)
            else:
                pos = found.start()
            continue
        if marker in _NO_LENGTH:
            pos += 2
            continue
        length = head[pos + 2] << 8 | head[pos + 3]
        if marker in _FRAMES:
            components = head[pos + 9]
            if not components or length != 8 + 3 * components:
                raise broken(f"JPEG frame header of {length} bytes for {components} components")
            height, width = head[pos + 5] << 8 | head[pos + 6], head[pos + 7] << 8 | head[pos + 8]
            least = 0
            if marker in _HUFFMAN and pos + 10 + 3 * components <= end:
                least = bounds.jpeg_bytes(width, height, head[pos + 11 : pos + 10 + 3 * components : 3])
            return Header(type_, width, height, orientation or 1, least_bytes=least)
        if length < 2 or marker < 0xC0 or 0xD8 <= marker <= 0xDA:
            raise broken(f"JPEG marker {marker:02X} of {length} bytes at byte {pos}, before a frame header")
        if marker == 0xE1 and not orientation and head.startswith(b"Exif\0", pos + 4):
            orientation = exif_orientation(head, pos + 10, min(pos + 2 + length, end))
        pos += 2 + length
    raise broken(f"more than {MAX_PARTS} JPEG segments before a frame header")


def _png(head: bytes, size: int, type_: str) -> Header:
    """PNG third edition, section 11: IHDR, then acTL and eXIf among the chunks before IDAT that lie in the head."""
    require(head, size, 33)
    length, name, width, height = struct.unpack_from(">I4sII", head, 8)
    if length != 13 or name != b"IHDR":
        raise broken(f"PNG begins with chunk {name!r} of {length} bytes")
    if zlib.crc32(head[12:29]) != _be32(head, 29)[0]:
        raise broken("PNG header does not match its CRC")
    orientation, frames, pos, end = 1, 1, 33, len(head)
    for _ in range(MAX_PARTS):
        if pos + 8 > end:
            break
        length, name = _png_chunk(head, pos)
        if name == b"IDAT":
            break
        body, pos = pos + 8, pos + 12 + length
        if pos > end:
            break
        if name == b"eXIf":
            orientation = exif_orientation(head, body, body + length)
        elif name == b"acTL" and length == 8:
            frames = _be32(head, body)[0] or 1
    least = bounds.png_bytes(width, height, head[24], head[25], head[28] == 1)
    return Header(type_, width, height, orientation, frames, least)


def _webp(head: bytes, size: int, type_: str) -> Header:
    """RFC 9649 (container, VP8L) and RFC 6386 section 9.1 (VP8)."""
    require(head, size, 25)
    name = head[12:16]
    if name == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        if head[20] != 0x2F or bits >> 29:
            raise broken("VP8L without its signature")
        return Header(type_, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    require(head, size, 30)
    if name == b"VP8 ":
        if head[20] & 1 or head[23:26] != b"\x9d\x01\x2a":
            raise broken("VP8 does not begin with a key frame")
        width, height = struct.unpack_from("<HH", head, 26)
        return Header(type_, width & 0x3FFF, height & 0x3FFF)
    if name != b"VP8X":
        raise broken(f"WebP begins with chunk {name!r}")
    width, height = int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if width * height >> 32:
        raise broken(f"WebP canvas of {width} x {height} pixels: over 2^32")
    return Header(type_, width, height, _webp_orientation(head), 0 if head[20] & 2 else 1)


def _webp_orientation(head: bytes) -> int:
    pos = 12
    for _ in range(MAX_PARTS):
        if pos + 8 > len(head):
            break
        name, length = _riff_chunk(head, pos)
        body, pos = pos + 8, pos + 8 + length + (length & 1)
        if name == b"EXIF" and body + length <= len(head):
            return exif_orientation(head, body, body + length)
    return 1


def _gif(head: bytes, size: int, type_: str) -> Header:
    """Logical screen, enlarged as decoders do if the first frame reaches out of it; frames as far as the head tells."""
    require(head, size, 13)
    width, height = struct.unpack_from("<HH", head, 6)
    frames, loops, least = 0, False, 0
    for kind, pos in gif_blocks(head):
        if kind == 0x2C:
            frames += 1
            if frames > 1:
                return Header(type_, width, height, frames=0, least_bytes=least)
            if pos + 10 <= len(head):
                x, y, w, h = struct.unpack_from("<HHHH", head, pos + 1)
                width, height, least = max(width, x + w), max(height, y + h), bounds.gif_bytes(w, h)
        elif kind == 0x3B:
            loops = False  # one frame, whatever an extension announced
        elif head[pos + 1 : pos + 14] == b"\xff\x0bNETSCAPE2.0":
            loops = True
    return Header(type_, width, height, frames=0 if loops else 1, least_bytes=least)


def _bmp(head: bytes, size: int, type_: str) -> Header:
    """BITMAPCOREHEADER (12 bytes) has 16-bit sizes, all later headers 32-bit ones; a negative height means top-down."""
    require(head, size, 26)
    old, least = head[14] == 12, 0
    width, height = struct.unpack_from("<HH" if old else "<ii", head, 18)
    if old:
        least = bounds.bmp_bytes(width, height, head[24])
    elif head[14] >= 40 and head[30:34] in _PLAIN_BMP:
        least = bounds.bmp_bytes(width, abs(height), head[28])
    return Header(type_, width, abs(height), least_bytes=least)


def _tiff(head: bytes, size: int, type_: str) -> Header:
    """The page that is the picture (tiff.py). Where not every page was reached, only a picture at full resolution is believed."""
    pages = tiff.pages_of(head, size)
    if not pages.listed or not (pages.complete or pages.main.full):
        return Header(type_, 0, 0, frames=1 if not pages.listed else 0)
    page, frames = pages.main, len(pages.full) if pages.complete else 0
    return Header(type_, page.width, page.height, page.orientation, frames, page.least_bytes)


def _ico(head: bytes, size: int, type_: str) -> Header:
    """The entry of the largest area; a size of 0 stands for 256."""
    require(head, size, 6)
    count = int.from_bytes(head[4:6], "little")
    if not count:
        raise broken("ICO without an entry")
    require(head, size, 6 + 16 * count)
    sizes = ((head[at] or 256, head[at + 1] or 256) for at in range(6, 6 + 16 * count, 16))
    return Header(type_, *max(sizes, key=lambda pair: pair[0] * pair[1]))


def _rare(head: bytes, size: int, type_: str) -> Header:
    require(head, size, rare.HEAD)
    return Header(type_, *rare.size(type_, head))


def _isobmff(head: bytes, size: int, type_: str) -> Header:
    """ISO/IEC 23008-12: size and transforms of the primary item, from the first top-level meta box."""
    ftyp = _be32(head, 0)[0]
    if not 16 <= ftyp <= 4096:
        raise broken(f"ftyp box of {ftyp} bytes")
    require(head, size, ftyp)  # with all its brands, or the type is not sure
    sequence, after = head[8:12] in SEQUENCES, 0
    found: tuple[int, int, int] | None = None
    for name, body, stop in boxes(head, 0, size):
        after = stop
        if name == b"moov":
            sequence = True
        elif name == b"meta" and found is None:
            if not reach(head, size, stop):
                return Header(type_, 0, 0, frames=0 if sequence else 1)
            found = primary_item(head, body + 4, stop)
    if found is None:
        # Raises, unless the next box, which may be the meta box, is too far away to be fetched.
        reach(head, size, after + (16 if after + 8 <= len(head) else 8))
        return Header(type_, 0, 0, frames=0 if sequence else 1)
    width, height, orientation = found
    if not width or not height:
        raise broken(f"{type_} of {width} x {height} pixels")
    return Header(type_, width, height, orientation, 0 if sequence else 1)


_PARSERS: dict[str, Callable[[bytes, int, str], Header]] = {
    "jpeg": _jpeg,
    "png": _png,
    "webp": _webp,
    "gif": _gif,
    "bmp": _bmp,
    "tiff": _tiff,
    "ico": _ico,
    "heic": _isobmff,
    "heif": _isobmff,
    "avif": _isobmff,
    **dict.fromkeys(rare.RARE, _rare),
}
