"""Image types by the endings of file names."""

from __future__ import annotations

import re
from urllib.parse import unquote

IMAGE_TYPES = {
    "jpg": "jpeg", "jpeg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "png": "png", "webp": "webp", "heic": "heic",
    "heif": "heif", "gif": "gif", "bmp": "bmp", "tif": "tiff", "tiff": "tiff", "ico": "x-icon", "avif": "avif",
    "jp2": "jp2",
}  # fmt: skip

_ENDING = re.compile(rf".+\.(?:{'|'.join(IMAGE_TYPES)})", re.IGNORECASE)


_WEB = re.compile(r"https?://[^/?#]*/?(?P<path>[^?#]*)", re.IGNORECASE)


def named_by(uri: str) -> str:
    """What names an image and tells its type: of a URL its path, unescaped, since a query may be anything; of others all of it.

    >>> named_by("https://example.com/cats/my%20cat.jpg?w=200"), named_by("gs://b/a.jpg"), named_by("a.jpg?w=1")
    ('cats/my cat.jpg', 'gs://b/a.jpg', 'a.jpg?w=1')
    """
    match = _WEB.match(uri) if uri[:1] in "hH" else None
    return unquote(match["path"]) if match else uri


def type_by_name(uri: str) -> str:
    """The type that the ending of an image's name tells; most without one are JPEG.

    >>> type_by_name("https://example.com/a.PNG?format=webp"), type_by_name("gs://b/a")
    ('png', 'jpeg')
    """
    name = named_by(uri)
    ending = name[name.rfind(".") + 1 :]
    return IMAGE_TYPES.get(ending) or IMAGE_TYPES.get(ending.lower(), "jpeg")


def has_image_ending(name: str) -> bool:
    """Whether a name ends as those of images do.

    >>> has_image_ending("a/B.JPG"), has_image_ending("jpg")
    (True, False)
    """
    return len(name) < 2048 and _ENDING.fullmatch(name) is not None
