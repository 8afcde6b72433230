"""Read image headers from the first bytes of a file.

bytes -> Header; rejects: empty_image, not_an_image, truncated_image, undecodable.

Written without Pillow, which cannot parse WebP or AVIF from a head. Every input is hostile: whatever the bytes, the
outcome is a Header, NeedMore or an ImageError, after work that is linear in the head.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from typing import Literal

from transforms.core import rare
from transforms.core.reasons import ImageError
from transforms.core.records import Header
from transforms.core.structure import MAX_PARTS, boxes, broken, ends_well, gif_blocks, primary_item, walk

__all__ = ["FAR", "NeedMore", "ends_well", "parse", "sniff", "walk"]

Order = Literal["little", "big"]

FAR = 1 << 20  # bytes: a TIFF directory or HEIF meta box that ends beyond is not fetched, the size stays unknown

_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0\x08\0\0\0", "tiff"),  # BigTIFF
    (b"MM\0+\0\x08\0\0", "tiff"),
    (b"\0\0\x01\0", "ico"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),  # bare codestream
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\xff\x0a", "jxl"),
)
# ISO/IEC 23008-12 annex B (HEIF, HEVC) and the AV1 Image File Format: brands of stills and of sequences.
_HEIC_SEQUENCES = frozenset((b"hevc", b"hevx", b"hevm", b"hevs"))
_HEIC = _HEIC_SEQUENCES | {b"heic", b"heix", b"heim", b"heis"}
_AVIF = frozenset((b"avif", b"avis"))
_HEIF = frozenset((b"mif1", b"msf1", b"mif2", b"miaf"))
_SEQUENCES = _HEIC_SEQUENCES | {b"msf1", b"avis"}
_BMP_HEADERS = frozenset((12, 16, 40, 52, 56, 64, 108, 124))  # sizes of the known DIB headers, bytes
_LOOKS = (
    (b"%PDF", "a PDF"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a zip archive"),
    (b"%!PS", "PostScript"),
    (b"ID3", "MP3 audio"),
    (b"OggS", "Ogg media"),
    (b"\x1aE\xdf\xa3", "a Matroska or WebM video"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
)
_TEXT = bytes({*range(32, 127), *b"\t\n\r\f", *range(128, 256)})
_UNKNOWN_SIZE = frozenset(("tiff", "heic", "heif", "avif"))  # their parsers refuse zeros themselves
_MARKER = re.compile(rb"\xff[^\x00\xff]")
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD8)))  # JPEG markers that stand alone: TEM, RST0-7
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0-15 without DHT, JPG, DAC
_VALUE_SIZES = {1: 1, 3: 2, 4: 4, 16: 8}  # TIFF field type -> bytes: BYTE, SHORT, LONG, LONG8
_WANTED = frozenset((_WIDTH := 256, _LENGTH := 257, _ORIENTATION := 274))  # TIFF 6.0 tags
_be32 = struct.Struct(">I").unpack_from
_png_chunk = struct.Struct(">I4s").unpack_from
_riff_chunk = struct.Struct("<4sI").unpack_from
_IFD_TAGS = {(o, n): struct.Struct(f"{c}H{n - 2}x") for o, c in (("little", "<"), ("big", ">")) for n in (12, 20)}


class NeedMore(Exception):
    """The head ends before the header does, and the file goes on.

    Attributes:
        need: Bytes counted from the start of the file to call again with: more than the head had and at most the file's
            size. It asks for at least twice the head, so that a hostile header costs log(size) reads.
    """

    def __init__(self, need: int) -> None:
        super().__init__(f"the first {need} bytes are needed")
        self.need = need


def sniff(head: bytes) -> str:
    """The type that the first bytes announce, one of Header's types, or "" if none.

    >>> sniff(bytes.fromhex("ffd8ffe0"))
    'jpeg'
    """
    for magic, type_ in _SIGNATURES:
        if head.startswith(magic):
            return type_
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and (len(head) < 18 or int.from_bytes(head[14:18], "little") in _BMP_HEADERS):
        return "bmp"
    return "svg" if _is_svg(head) else rare.sniff(head)


def parse(head: bytes, size: int) -> Header:
    """Type, stored size in pixels, orientation and frames of an image file.

    Width and height are 0 where they are unknown: jp2, jxl, svg, and TIFF or HEIF whose directory ends beyond FAR. A
    later EXIF chunk (PNG after IDAT, WebP beyond the head), EXIF as text and XMP are not consulted: orientation is then 1.

    Args:
        head: The first bytes of the file; 64 KiB settle nearly all.
        size: Bytes of the whole file.

    Raises:
        NeedMore: The header goes on behind the head.
        ImageError: `empty_image`, `not_an_image`, `truncated_image` (it would go on behind `size`), `undecodable`.

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
            _require(head, size, min(size, 32))
        raise ImageError("not_an_image", f"looks like {_looks_like(head)}")
    parser = _PARSERS.get(type_)
    if parser is None:
        return Header(type_, 0, 0)
    header = parser(head, size, type_)
    if (header.width < 1 or header.height < 1) and type_ not in _UNKNOWN_SIZE:
        raise broken(f"{type_} of {header.width} x {header.height} pixels")
    return header


def _jpeg(head: bytes, size: int, type_: str) -> Header:
    """ITU-T T.81 annex B: marker segments up to the frame header; the orientation of the first Exif APP1 before it."""
    orientation, pos, end = 0, 2, len(head)
    for _ in range(MAX_PARTS):
        if pos + 10 > end:  # the least a frame header takes, and one must come
            _require(head, size, pos + 10)
        marker = head[pos + 1]
        if head[pos] != 0xFF or marker == 0xFF or marker == 0:  # fill bytes or junk: decoders skip them
            found = _MARKER.search(head, pos)
            if found is None:
                _require(head, size, end + 1)
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
            return Header(type_, width, height, orientation or 1)
        if length < 2 or marker < 0xC0 or 0xD8 <= marker <= 0xDA:
            raise broken(f"JPEG marker {marker:02X} of {length} bytes at byte {pos}, before a frame header")
        if marker == 0xE1 and not orientation and head.startswith(b"Exif\0", pos + 4):
            orientation = _exif_orientation(head, pos + 10, min(pos + 2 + length, end))
        pos += 2 + length
    raise broken(f"more than {MAX_PARTS} JPEG segments before a frame header")


def _png(head: bytes, size: int, type_: str) -> Header:
    """PNG third edition, section 11: IHDR, then acTL and eXIf among the chunks before IDAT that lie in the head."""
    _require(head, size, 33)
    length, name, width, height = struct.unpack_from(">I4sII", head, 8)
    if length != 13 or name != b"IHDR":
        raise broken(f"PNG begins with chunk {name!r} of {length} bytes")
    if zlib.crc32(head[12:29]) != _be32(head, 29)[0]:
        raise broken("PNG header does not match its CRC")
    if width >> 31 or height >> 31:
        raise broken(f"PNG of {width} x {height} pixels")
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
            orientation = _exif_orientation(head, body, body + length)
        elif name == b"acTL" and length == 8:
            frames = _be32(head, body)[0] or 1
    return Header(type_, width, height, orientation, frames)


def _webp(head: bytes, size: int, type_: str) -> Header:
    """RFC 9649 (container, VP8L) and RFC 6386 section 9.1 (VP8)."""
    _require(head, size, 25)
    name = head[12:16]
    if name == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        if head[20] != 0x2F or bits >> 29:
            raise broken("VP8L without its signature")
        return Header(type_, (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    _require(head, size, 30)
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
            return _exif_orientation(head, body, body + length)
    return 1


def _gif(head: bytes, size: int, type_: str) -> Header:
    """Logical screen, enlarged as decoders do if the first frame reaches out of it; frames as far as the head tells."""
    _require(head, size, 13)
    width, height = struct.unpack_from("<HH", head, 6)
    frames, loops = 0, False
    for kind, pos in gif_blocks(head):
        if kind == 0x2C:
            frames += 1
            if frames > 1:
                return Header(type_, width, height, frames=0)
            if pos + 10 <= len(head):
                x, y, w, h = struct.unpack_from("<HHHH", head, pos + 1)
                width, height = max(width, x + w), max(height, y + h)
        elif kind == 0x3B:
            loops = False  # one frame, whatever an extension announced
        elif head[pos + 1 : pos + 14] == b"\xff\x0bNETSCAPE2.0":
            loops = True
    return Header(type_, width, height, frames=0 if loops else 1)


def _bmp(head: bytes, size: int, type_: str) -> Header:
    """BITMAPCOREHEADER (12 bytes) has 16-bit sizes, all later headers 32-bit ones; a negative height means top-down."""
    _require(head, size, 26)
    width, height = struct.unpack_from("<HH" if head[14] == 12 else "<ii", head, 18)
    return Header(type_, width, abs(height))


def _tiff(head: bytes, size: int, type_: str) -> Header:
    """TIFF 6.0 section 2 and BigTIFF: the first directory; a second one means more frames."""
    order: Order = "little" if head[:1] == b"I" else "big"
    big = 43 in head[2:4]
    # bytes of: an offset, the directory's count of entries, an entry
    word, counter, entry = (8, 8, 20) if big else (4, 2, 12)
    _require(head, size, 2 * word)
    first = int.from_bytes(head[word : 2 * word], order)
    entries = first + counter
    if not _reach(head, size, entries):
        return Header(type_, 0, 0)
    count = int.from_bytes(head[first:entries], order)
    if not 0 < count <= 0xFFFF:
        raise broken(f"TIFF directory of {count} entries")
    end = entries + count * entry
    if not _reach(head, size, end + word):
        return Header(type_, 0, 0)
    tags = _ifd(head, entries, count, order, entry)
    width, height, orientation = tags.get(_WIDTH, 0), tags.get(_LENGTH, 0), tags.get(_ORIENTATION, 1)
    if not width or not height:
        raise broken(f"TIFF of {width} x {height} pixels")
    more = any(head[end : end + word])
    return Header(type_, width, height, orientation if 1 <= orientation <= 8 else 1, 0 if more else 1)


def _ico(head: bytes, size: int, type_: str) -> Header:
    """The entry of the largest area; a size of 0 stands for 256."""
    _require(head, size, 6)
    count = int.from_bytes(head[4:6], "little")
    if not count:
        raise broken("ICO without an entry")
    _require(head, size, 6 + 16 * count)
    sizes = ((head[at] or 256, head[at + 1] or 256) for at in range(6, 6 + 16 * count, 16))
    return Header(type_, *max(sizes, key=lambda pair: pair[0] * pair[1]))


def _rare(head: bytes, size: int, type_: str) -> Header:
    _require(head, size, rare.HEAD)
    return Header(type_, *rare.size(type_, head))


def _isobmff(head: bytes, size: int, type_: str) -> Header:
    """ISO/IEC 23008-12: size and transforms of the primary item, from the first top-level meta box."""
    ftyp = _be32(head, 0)[0]
    if not 16 <= ftyp <= 4096:
        raise broken(f"ftyp box of {ftyp} bytes")
    _require(head, size, ftyp)  # with all its brands, or the type is not sure
    sequence, after = head[8:12] in _SEQUENCES, 0
    found: tuple[int, int, int] | None = None
    for name, body, stop in boxes(head, 0, size):
        after = stop
        if name == b"moov":
            sequence = True
        elif name == b"meta" and found is None:
            if not _reach(head, size, stop):
                return Header(type_, 0, 0, frames=0 if sequence else 1)
            found = primary_item(head, body + 4, stop)
    if found is None:
        # Raises, unless the next box, which may be the meta box, is too far away to be fetched.
        _reach(head, size, after + (16 if after + 8 <= len(head) else 8))
        return Header(type_, 0, 0, frames=0 if sequence else 1)
    width, height, orientation = found
    if not width or not height:
        raise broken(f"{type_} of {width} x {height} pixels")
    return Header(type_, width, height, orientation, 0 if sequence else 1)


def _exif_orientation(data: bytes, start: int, end: int) -> int:
    """EXIF orientation in the TIFF structure data[start:end]; 1 if it holds none. Only its first directory is read."""
    if data.startswith(b"Exif\0\0", start):  # JPEG's prefix: many writers of PNG and WebP keep it
        start += 6
    magic = data[start : start + 4]
    if end - start < 8 or magic not in (b"II*\0", b"MM\0*"):
        return 1
    order: Order = "little" if magic == b"II*\0" else "big"
    entries = start + int.from_bytes(data[start + 4 : start + 8], order) + 2
    count = min(int.from_bytes(data[entries - 2 : entries], order), (end - entries) // 12)
    orientation = _ifd(data, entries, count, order, 12).get(_ORIENTATION, 1)
    return orientation if 1 <= orientation <= 8 else 1


def _ifd(data: bytes, start: int, count: int, order: Order, entry: int) -> dict[int, int]:
    """The wanted tags among `count` directory entries of `entry` bytes (12, or 20 in BigTIFF), as integers."""
    tags: dict[int, int] = {}
    if count < 1:
        return tags
    for i, (tag,) in enumerate(_IFD_TAGS[order, entry].iter_unpack(data[start : start + count * entry])):
        if tag in _WANTED:
            at = start + i * entry
            value = at + (8 if entry == 12 else 12)
            width = _VALUE_SIZES.get(int.from_bytes(data[at + 2 : at + 4], order), 0)
            tags[tag] = int.from_bytes(data[value : value + width], order)
    return tags


def _require(head: bytes, size: int, need: int) -> None:
    """Return if the head holds `need` bytes; else ask for them, or find that the file is too short."""
    if need > len(head):
        if need > size:
            raise ImageError("truncated_image", f"the header needs {need} bytes, the file has {size}")
        raise NeedMore(min(size, max(need, 2 * len(head))))


def _reach(head: bytes, size: int, need: int) -> bool:
    """_require, but False where that many bytes are too far away to be fetched."""
    if len(head) < need <= size and need > FAR:
        return False
    _require(head, size, need)
    return True


def _sniff_brands(head: bytes) -> str:
    major, end = head[8:12], min(int.from_bytes(head[:4], "big"), len(head), 4096)
    if major in _AVIF:
        return "avif"
    if major in _HEIC:
        return "heic"
    if major not in _HEIF:
        return ""
    for at in range(16, end, 4):  # compatible brands say what is coded in the generic container
        if head[at : at + 4] in _AVIF:
            return "avif"
        if head[at : at + 4] in _HEIC:
            return "heic"
    return "heif"


def _is_svg(head: bytes) -> bool:
    text = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<?xml", b"<!--", b"<!doctype svg")):
        return b"<svg" in text and b"<html" not in text
    return text.startswith(b"<svg")


def _looks_like(head: bytes) -> str:
    """What bytes that are no image seem to be, for a person to read."""
    for magic, name in _LOOKS:
        if head.startswith(magic):
            return name
    if head[4:8] == b"ftyp":
        return f"MP4 or another ISO media file, brand {head[8:12]!r}"
    if head.startswith(b"RIFF"):
        return f"a RIFF file of form {head[8:12]!r}"
    sample = head[:512]
    if not sample.strip(b"\0"):
        return "nothing but zero bytes"
    text = sample.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")):
        return "HTML"
    if text.startswith(b"<"):
        return "XML or HTML"
    if (
        not sample.translate(None, _TEXT) and sample.decode("utf-8", "replace").count("\ufffd") <= 1
    ):  # 1: cut at the end
        return "JSON" if text.startswith((b"{", b"[")) else "text"
    return f"nothing known, first bytes {sample[:8].hex(' ')}"


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
