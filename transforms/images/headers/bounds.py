"""The fewest bytes that could hold so many pixels, by arithmetic on what a header says.

A file that is shorter was cut off, or never was what its header says: a bomb. Each bound is one that no encoder can beat, and it is
held against the whole file, so that no sound picture is refused. WebP, HEIC, AVIF and run lengths know no such bound.

    deflate     a symbol of at least two bits stands for at most 258 bytes: 1,032 bytes for one
    LZW of GIF  a code of 12 bits stands for at most 4,096 pixels, and shorter codes for fewer a bit: 8,192 pixels for 3 bytes
    Huffman     a JPEG spends at least one bit on a block of 8 x 8 samples
    none        rows of BMP and TIFF as they are
"""

from __future__ import annotations

from functools import lru_cache

_DEFLATE = 1032  # bytes that one byte of deflate may become (RFC 1951)
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # x y dx dy


def deflated(size: int) -> int:
    """The fewest bytes of deflate that become `size`.

    >>> deflated(1032), deflated(1033)
    (1, 2)
    """
    return -(-size // _DEFLATE)


def png_bytes(width: int, height: int, depth: int, colour: int, interlaced: bool) -> int:
    """Of a PNG: every row has a byte of its filter; 0 for a colour type that there is not.

    >>> png_bytes(1031 * 8, 2, 1, 0, False), png_bytes(1031 * 8 + 1, 2, 1, 0, False)
    (2, 3)
    """
    bits = depth * _PNG_CHANNELS.get(colour, 0)
    if not bits:
        return 0
    passes = [(width, height)]
    if interlaced:
        passes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _ADAM7]
    return deflated(sum(high * (1 + _packed(wide * bits)) for wide, high in passes if wide > 0 and high > 0))


def bmp_bytes(width: int, height: int, bits: int) -> int:
    """Of a BMP without compression, whose rows are padded to 4 bytes; some writers leave that out of the last one.

    >>> bmp_bytes(5, 3, 8)
    21
    """
    return (_packed(width * bits) + 3 & ~3) * (height - 1) + _packed(width * bits)


def gif_bytes(width: int, height: int) -> int:
    """Of a GIF's frame.

    >>> gif_bytes(8192, 1), gif_bytes(8193, 1)
    (3, 4)
    """
    return -(-width * height * 3 // 8192)


@lru_cache(maxsize=4096)  # a data set holds few sizes
def jpeg_bytes(width: int, height: int, factors: bytes) -> int:
    """Of a JPEG coded by Huffman.

    Args:
        factors: of each component a byte, as its frame header tells them: how often it is sampled across (upper half) and
            down. If one is 0 there is no bound: 0.

    >>> jpeg_bytes(64, 8, b"\\x11"), jpeg_bytes(65, 8, b"\\x11"), jpeg_bytes(64, 8, b"\\x22\\x11\\x11")
    (1, 2, 2)
    """
    components = [(both >> 4, both & 15) for both in factors]
    if not all(across and down for across, down in components):
        return 0
    most_across, most_down = (max(one) for one in zip(*components))
    blocks = sum(
        -(-width * across // (8 * most_across)) * -(-height * down // (8 * most_down)) for across, down in components
    )
    return _packed(blocks)


def tiff_bytes(width: int, height: int, bits: int, compression: int) -> int:
    """Of a TIFF's page with so many bits a pixel; 0 if its compression has no bound.

    >>> tiff_bytes(10, 3, 12, 1), tiff_bytes(10, 1032, 8, 8), tiff_bytes(10, 1032, 8, 5)
    (45, 10, 0)
    """
    size = height * _packed(width * bits)
    if compression == 1:
        return size
    return deflated(size) if compression in (8, 32946) else 0


def _packed(bits: int) -> int:
    """Bytes that hold so many bits."""
    return -(-bits // 8)
