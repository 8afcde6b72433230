"""Image types by the endings of file names."""

from __future__ import annotations

import re

IMAGE_TYPES = {
    "jpg": "jpeg", "jpeg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "png": "png", "webp": "webp", "heic": "heic",
    "heif": "heif", "gif": "gif", "bmp": "bmp", "tif": "tiff", "tiff": "tiff", "ico": "x-icon", "avif": "avif",
    "jp2": "jp2",
}  # fmt: skip

_ENDING = re.compile(rf".+\.(?:{'|'.join(IMAGE_TYPES)})", re.IGNORECASE)


def has_image_ending(name: str) -> bool:
    """Whether a name ends as those of images do.

    >>> has_image_ending("a/B.JPG"), has_image_ending("jpg")
    (True, False)
    """
    return len(name) < 2048 and _ENDING.fullmatch(name) is not None
