"""HEIF files that are made by hand, box by box."""

from __future__ import annotations

import struct


def box(name: bytes, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return struct.pack(">I", len(body) + 8) + name + body


def full(name: bytes, *bodies: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(name, struct.pack(">I", version << 24 | flags), *bodies)


def ispe(width: int, height: int) -> bytes:
    return full(b"ispe", struct.pack(">II", width, height))


def irot(steps: int) -> bytes:
    return box(b"irot", bytes([steps]))


def clap(width: tuple[int, int], height: tuple[int, int]) -> bytes:
    return box(b"clap", struct.pack(">8I", *width, *height, 0, 1, 0, 1))


def imir(axis: int) -> bytes:
    return box(b"imir", bytes([axis]))


THUMBNAIL = ispe(160, 120)
PIXELS = bytes(range(256)) * 2


def heic(
    *properties: bytes,
    major: bytes = b"heic",
    brands: bytes = b"mif1heic",
    wide: bool = False,
    primary: int | None = 7,
    before_meta: bytes = b"",
    method: int = 0,
    between: bytes = b"",
) -> bytes:
    """A HEIF of a thumbnail (item 3, property 1) and a primary item 7 with the given properties, and 512 bytes of data.

    `wide` takes the longer of every variant: 32-bit ids, 15-bit property indices, iloc version 2 with 64-bit fields.
    """

    def indices(*numbers: int) -> bytes:
        packed = b"".join(struct.pack(">H", 0x8000 | n) if wide else bytes([0x80 | n]) for n in numbers)
        return bytes([len(numbers)]) + packed

    item = ">I" if wide else ">H"
    ipma = struct.pack(">I", 2) + struct.pack(item, 3) + indices(1)
    ipma += struct.pack(item, 7) + indices(*range(2, 2 + len(properties)))
    pitm = b"" if primary is None else full(b"pitm", struct.pack(item, primary), version=int(wide))
    ftyp = box(b"ftyp", major, b"\0\0\0\0", brands)
    offset = 0
    for _ in range(2):  # once to learn the length, once with the offset that follows from it
        if wide:
            iloc = b"\x88\x80" + struct.pack(">IIHHQHQQ", 1, 7, method, 0, offset, 1, 0, len(PIXELS))
        else:
            iloc = b"\x44\x00" + struct.pack(">HHHHII", 1, 7, 0, 1, offset, len(PIXELS))
        meta = full(
            b"meta",
            full(b"hdlr", b"\0\0\0\0pict" + bytes(13)),
            pitm,
            full(b"iloc", iloc, version=2 * wide),
            box(b"iprp", box(b"ipco", THUMBNAIL, *properties), full(b"ipma", ipma, version=int(wide), flags=int(wide))),
            box(b"idat", PIXELS) if method == 1 else b"",
        )
        offset = 0 if method == 1 else len(ftyp + before_meta + meta + between) + 8
    return ftyp + before_meta + meta + between + (b"" if method == 1 else box(b"mdat", PIXELS))
