"""Containers inside image files: their blocks, cheap end markers, and walks over whole files.

bytes -> nothing; rejects: truncated_image, undecodable.

A copy that broke off is the commonest damage of a data set. `ends_well` proves from the two ends of a file that it is
whole; where it cannot, `walk` settles it from all bytes without decoding a pixel. Work is linear in the data, whatever
the bytes: the worst files made for the purpose take some 0.15 s a megabyte.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

from transforms.core.reasons import ImageError
from transforms.images.headers.head import broken, short
from transforms.images.headers.jpeg_scans import jpeg_ends

_ILOC_MAX = 1 << 20  # bytes of an item location box: a real one holds some hundred items of some 16 bytes
MAX_PARTS = 65_536  # segments or boxes looked at in one header or container: real files hold some dozens

# EXIF orientations form a group: what is displayed when one more step follows. Index 0 is not used.
_THEN_ROTATED = (0, 8, 5, 6, 7, 4, 1, 2, 3)  # by 90 degrees anticlockwise
_THEN_MIRRORED = ((0, 4, 3, 2, 1, 8, 7, 6, 5), (0, 2, 1, 4, 3, 6, 5, 8, 7))  # [0] top-bottom, [1] left-right
_PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # length, name and CRC: always these 12 bytes

_be32 = struct.Struct(">I").unpack_from
_png_chunk = struct.Struct(">I4s").unpack_from
_riff_chunk = struct.Struct("<4sI").unpack_from


def boxes(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """ISO/IEC 14496-12 boxes of the container [start, end), as far as their headers lie in `data`.

    Yields (type, start of the body, end of the box as declared: it may lie behind `end`).

    Raises:
        ImageError: `undecodable`: a box smaller than its own header, or more than MAX_PARTS boxes.
    """
    readable = min(end, len(data))
    for _ in range(MAX_PARTS):
        if start + 8 > readable:
            return
        length, body = _be32(data, start)[0], start + 8
        if length == 1:
            if start + 16 > readable:
                return
            length, body = int.from_bytes(data[start + 8 : start + 16], "big"), start + 16
        elif length == 0:  # to the end of the container
            length = end - start
        if start + length < body:
            raise broken(f"a box of {length} bytes at byte {start}")
        yield data[start + 4 : start + 8], body, start + length
        start += length
    raise broken(f"more than {MAX_PARTS} boxes")


def _children(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Boxes that must lie in their container: if they overlapped, nested walks could take quadratic time."""
    for name, body, stop in boxes(data, start, end):
        if stop > end:
            raise broken(f"box {name!r} ends at byte {stop}, its container at {end}")
        yield name, body, stop


def gif_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """(introducer, offset) of each GIF block beginning in `data`, up to the trailer or a byte that introduces none.

    Source: GIF89a specification, sections 18 to 27. Zero bytes between blocks are skipped, as decoders do.
    """
    if len(data) < 13:
        return
    pos, end = 13 + _gif_colours(data[10]), len(data)
    while pos < end:
        kind = data[pos]
        if kind == 0:
            pos += 1
            continue
        yield kind, pos
        if kind == 0x2C:
            if pos + 10 > end:
                return
            pos += 11 + _gif_colours(data[pos + 9])
        elif kind == 0x21:
            pos += 2
        else:
            return
        while pos < end:  # sub-blocks, closed by an empty one
            length = data[pos]
            pos += length + 1
            if not length:
                break


def primary_item(data: bytes, start: int, end: int) -> tuple[int, int, int]:
    """(width, height, orientation) of the meta box's primary item, else of the largest item; zeros if there is none."""
    primary = -1
    properties: list[tuple[bytes, int]] = []
    associations: list[tuple[int, int]] = []
    for name, body, stop in _children(data, start, end):
        if name == b"pitm":
            primary = int.from_bytes(data[body + 4 : body + (8 if any(data[body : body + 1]) else 6)], "big")
        elif name == b"iprp":
            for inner, inner_body, inner_stop in _children(data, body, stop):
                if inner == b"ipco":
                    properties = [(kind, at) for kind, at, _ in _children(data, inner_body, inner_stop)]
                elif inner == b"ipma":
                    associations.append((inner_body, inner_stop))
    indices = [index for body, stop in associations for index in _associated(data, body, stop, primary)]
    width, height, orientation = _shape(data, [properties[i - 1] for i in indices if 0 < i <= len(properties)])
    if not width:
        sizes = [_ispe(data, at) for kind, at in properties if kind == b"ispe"]
        width, height = max(sizes, key=lambda pair: pair[0] * pair[1], default=(0, 0))
    return width, height, orientation


def _shape(data: bytes, properties: list[tuple[bytes, int]]) -> tuple[int, int, int]:
    """(width, height, orientation) by an item's properties, (kind, offset of its body) in the order in which they apply."""
    width = height = 0
    orientation = 1
    for kind, at in properties:
        if kind == b"ispe":
            width, height = _ispe(data, at)
        elif kind == b"clap":
            width, height = _clap(data, at, width, height)
        elif kind == b"irot":
            for _ in range(int.from_bytes(data[at : at + 1], "big") & 3):
                orientation = _THEN_ROTATED[orientation]
        elif kind == b"imir":
            orientation = _THEN_MIRRORED[int.from_bytes(data[at : at + 1], "big") & 1][orientation]
    return width, height, orientation


def _ispe(data: bytes, body: int) -> tuple[int, int]:
    return int.from_bytes(data[body + 4 : body + 8], "big"), int.from_bytes(data[body + 8 : body + 12], "big")


def _clap(data: bytes, body: int, width: int, height: int) -> tuple[int, int]:
    """The clean aperture, where it is what an encoder padded (less than a block of 64): a deeper crop is decoded whole
    first, and the size is what memory is counted by."""
    wide, by, high, down = (int.from_bytes(data[at : at + 4], "big") for at in range(body, body + 16, 4))
    if not by or not down:
        return width, height
    clean = round(wide / by), round(high / down)
    return clean if 0 <= width - clean[0] < 64 and 0 <= height - clean[1] < 64 and min(clean) > 0 else (width, height)


def _associated(data: bytes, body: int, stop: int, item: int) -> list[int]:
    """1-based indices of the properties that an ipma box gives to an item, in the order in which they apply."""
    if body + 8 > stop:
        return []
    id_size, step = (4 if data[body] else 2), (2 if data[body + 3] & 1 else 1)
    pos = body + 8
    for _ in range(_be32(data, body + 4)[0]):
        at = pos + id_size + 1
        if at > stop:
            break
        last = at + data[at - 1] * step
        if int.from_bytes(data[pos : pos + id_size], "big") == item:
            mask = 0x7FFF if step == 2 else 0x7F  # the first bit says "essential"
            return [int.from_bytes(data[p : p + step], "big") & mask for p in range(at, last, step)]
        pos = last
    return []


def ends_well(image_type: str, tail: bytes, head: bytes, size: int) -> bool:
    """Whether the two ends of a file prove that it is whole. False only means that they do not: `walk` settles it.

    A file cut short is not taken for a whole one. WebP, BMP, HEIC, HEIF and AVIF declare lengths. The end marker of a
    JPEG cannot stand inside compressed data, nor that of a PNG but by a chance of 2^-96; a GIF's two bytes do at one
    cut in 65,536. A JPEG cut behind its EXIF thumbnail has an end marker, but no header that `parse` would accept.
    TIFF, ICO, JPEG 2000, JPEG XL, PSD and SVG are never proved.

    Args:
        type: Of the Header.
        tail: The last bytes of the file, 64 KiB or less; may overlap the head.
        head: The first bytes of the file.
        size: Bytes of the whole file.

    >>> ends_well("jpeg", bytes.fromhex("3f0fffd9"), b"", 4096), ends_well("jpeg", bytes.fromhex("3f0f"), b"", 4094)
    (True, False)
    """
    if image_type == "jpeg":  # some cameras pad the file after the end of image
        return tail.rstrip(b"\0\xff").endswith(b"\xff\xd9")
    if image_type == "png":
        return tail.endswith(_PNG_END)
    if image_type == "webp":
        length = 8 + int.from_bytes(head[4:8], "little")
        return head[8:12] == b"WEBP" and (size == length or (length & 1 == 1 and size == length + 1))
    if image_type == "gif":  # a data block always precedes the trailer, and an empty sub-block closes it
        return tail.endswith(b"\0;")
    if image_type == "bmp":
        return 26 <= int.from_bytes(head[2:6], "little") <= size
    if image_type in _ISO:
        return _iso_ends_well(head, size)
    return False


def walk(data: bytes, image_type: str) -> None:
    """Follow a whole file's structure to its end; bytes behind the end (motion photos, MPO, padding) are fine.

    JPEG to the first image's EOI, PNG with CRCs to IEND, WebP through its chunks, GIF to its trailer, HEIC, HEIF and
    AVIF through the boxes and the extents that the first meta box locates (a sequence's tracks are not followed).
    Nothing is checked of other types.

    Args:
        data: The whole file.
        type: Of the Header.

    Raises:
        ImageError: `truncated_image` if the end is missing, `undecodable` if the structure is broken.

    >>> walk(bytes.fromhex("ffd8 ffda0002 3fff00 ffd9") + b"motion photo", "jpeg")
    """
    walker = _WALKERS.get(image_type)
    if walker:
        walker(data)


def _iso_ends_well(head: bytes, size: int) -> bool:
    """A box of declared length ends the file (length 0 means "to the end", which proves nothing)."""
    whole = False
    try:
        for _, body, stop in boxes(head, 0, size):
            whole = stop == size and _be32(head, body - 8)[0] != 0
    except ImageError:
        return False
    return whole


def _walk_jpeg(data: bytes) -> None:
    if not jpeg_ends(data):
        raise short(f"JPEG of {len(data)} bytes without an end of image")


def _walk_png(data: bytes) -> None:
    view, pos, pixels = memoryview(data), 8, False
    while pos + 12 <= len(data):
        length, name = _png_chunk(data, pos)
        end = pos + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[pos + 4 : end - 4]) != _be32(data, end - 4)[0]:
            raise broken(f"PNG chunk {name!r} at byte {pos} does not match its CRC")
        if name == b"IEND":
            if pixels:
                return
            raise broken("PNG without IDAT")
        pixels = pixels or name == b"IDAT"
        pos = end
    raise short(f"PNG of {len(data)} bytes breaks off in the chunk at byte {pos}")


def _walk_webp(data: bytes) -> None:
    end = 8 + int.from_bytes(data[4:8], "little")
    if end > len(data):
        raise short(f"WebP of {len(data)} bytes declares {end}")
    pos, pixels = 12, False
    while pos + 8 <= end:
        name, length = _riff_chunk(data, pos)
        if pos + 8 + length > end:
            raise broken(f"WebP chunk {name!r} at byte {pos} reaches out of the file")
        pixels = pixels or name in (b"VP8 ", b"VP8L", b"ANMF")
        pos += 8 + length + (length & 1)
    if not pixels:
        raise broken("WebP without an image chunk")


def _walk_gif(data: bytes) -> None:
    pixels = False
    for kind, pos in gif_blocks(data):
        if kind == 0x3B:
            if pixels:
                return
            raise broken("GIF without an image")
        if kind not in (0x21, 0x2C):
            raise broken(f"GIF block {kind:02X} at byte {pos}")
        pixels = pixels or kind == 0x2C
    raise short(f"GIF of {len(data)} bytes without a trailer")


def _walk_iso(data: bytes) -> None:
    size, after, meta, movie = len(data), 0, False, False
    for name, body, stop in boxes(data, 0, size):
        if stop > size:
            raise short(f"box {name!r} ends at byte {stop} of {size}")
        if name == b"meta" and not meta:
            meta = True
            _walk_meta(data, body + 4, stop)
        movie = movie or name == b"moov"
        after = stop
    if after != size:
        raise short(f"the box at byte {after} of {size} breaks off")
    if not meta and not movie:
        raise short("neither a meta nor a moov box")


def _walk_meta(data: bytes, start: int, end: int) -> None:
    inner, iloc = 0, (0, 0)  # bytes of the idat box; where the first iloc box lies
    for name, body, stop in _children(data, start, end):
        if name == b"idat":
            inner = stop - body
        elif name == b"iloc" and not iloc[1]:
            iloc = (body, stop)
    if iloc[1]:
        for method, extent in _extents(data, *iloc):
            limit = inner if method else len(data)
            if method < 2 and extent > limit:
                raise short(f"an item's data end at byte {extent} of {limit}")


def _extents(data: bytes, body: int, stop: int) -> Iterator[tuple[int, int]]:
    """(construction method, end) of the extents an iloc box names: ISO/IEC 14496-12 section 8.11.3.

    Method 0 counts from the start of the file, 1 from the start of idat, 2 from another item. Data in other files is
    left out.
    """
    if stop - body > _ILOC_MAX:
        raise broken(f"iloc box of {stop - body} bytes")
    cursor = body

    def take(width: int) -> int:
        nonlocal cursor
        cursor += width
        if cursor > stop:
            raise broken("iloc reaches out of its box")
        return int.from_bytes(data[cursor - width : cursor], "big")

    version, _, widths = take(1), take(3), take(2)
    offset_width, length_width, base_width = widths >> 12, widths >> 8 & 15, widths >> 4 & 15
    index_width = widths & 15 if version in (1, 2) else 0
    if version > 2 or not {offset_width, length_width, base_width, index_width} <= {0, 4, 8}:
        raise broken(f"iloc of version {version} with fields {widths:04x}")
    for _ in range(take(4 if version == 2 else 2)):
        take(4 if version == 2 else 2)  # item id
        method = take(2) & 15 if version else 0
        elsewhere, base, count = take(2), take(base_width), take(2)
        if not offset_width + length_width + index_width:
            count = min(count, 1)  # extents of no bytes are all alike
        for _ in range(count):
            take(index_width)
            end = base + take(offset_width) + take(length_width)
            if not elsewhere:
                yield method, end


def _gif_colours(flags: int) -> int:
    """Bytes of the colour table that a packed field announces."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


_ISO = frozenset(("heic", "heif", "avif"))
_WALKERS: dict[str, Callable[[bytes], None]] = {
    "jpeg": _walk_jpeg,
    "png": _walk_png,
    "webp": _walk_webp,
    "gif": _walk_gif,
    **dict.fromkeys(_ISO, _walk_iso),
}
