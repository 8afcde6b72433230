"""A JPEG whose end is missing: used where every row of its pixels is there. bytes -> bytes; rejects: truncated_image.

The last bytes of a file get lost, or are overwritten by padding, where disks are copied or recovered. The decoder cannot be asked
whether it had all it wanted, for it fills what is missing with grey. So it is asked whether more would have changed the picture:
whatever follows, the pixels must be the same; and with other bytes in place of the last ones they must not be. Every row is then
what the file says.
"""

from __future__ import annotations

import io
from hashlib import blake2b

from PIL import Image

from transforms.core.reasons import ImageError
from transforms.images.headers.jpeg_scans import jpeg_ends, scans_complete

_END = b"\xff\xd9"
_PADDING = b"\0\xff"
# What may follow: in the usual tables of codes neither begins with an end of block, or with no code at all.
_OTHERS = (b"\x55" * 4096, b"\x99" * 4096)
_LAST = 16  # bytes that the picture must depend on
_TAIL = 4096
_STRIP = 128  # rows


def with_end(jpeg: bytes) -> bytes:
    """The file as it is if it has an end of image, else with one.

    Raises:
        ImageError: truncated_image: it breaks off before its last row.
        What Pillow raises of a picture that it cannot decode.
    """
    if jpeg[-_TAIL:].rstrip(_PADDING).endswith(_END) or jpeg_ends(jpeg):
        return jpeg
    if scans_complete(jpeg):
        end = len(jpeg.rstrip(_PADDING))
        own = 2 if jpeg[end : end + 2] == b"\xff\0" else 1
        # Zeros at the end are padding, or the picture's own last codes: all of them, the last byte, or none.
        for candidate in dict.fromkeys((jpeg.rstrip(b"\xff"), jpeg[:end], jpeg[: end + own])):
            if not candidate.endswith(b"\xff") and _decides_every_row(candidate):
                return candidate + _END
    raise ImageError(
        "truncated_image", f"JPEG of {len(jpeg)} bytes without an end of image, and without all of its rows"
    )


def _decides_every_row(jpeg: bytes) -> bool:
    picture = _pixels(jpeg + _END)
    if any(picture != _pixels(jpeg + more + _END) for more in _OTHERS):
        return False
    try:
        return picture != _pixels(jpeg[:-_LAST] + _OTHERS[0] + _END)
    except OSError:  # without its last bytes it is none
        return True


def _pixels(jpeg: bytes) -> bytes:
    """A digest of the decoded pixels, made strip by strip: a second whole picture is not held."""
    digest = blake2b()
    with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
        image.load()
        for top in range(0, image.height, _STRIP):
            digest.update(image.crop((0, top, image.width, min(top + _STRIP, image.height))).tobytes())
    return digest.digest()
