"""Image types by the endings of file names."""

from __future__ import annotations

IMAGE_TYPES = {
    "jpg": "jpeg", "jpeg": "jpeg", "jpe": "jpeg", "jfif": "jpeg", "png": "png", "webp": "webp", "heic": "heic",
    "heif": "heif", "gif": "gif", "bmp": "bmp", "tif": "tiff", "tiff": "tiff", "ico": "x-icon", "avif": "avif",
    "jp2": "jp2",
}  # fmt: skip
