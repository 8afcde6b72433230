"""The first bytes of a file, of which more can be asked for: what every parser of headers stands on. Rejects: truncated_image."""

from __future__ import annotations

from transforms.core.reasons import ImageError

FAR = 1 << 20  # bytes: a TIFF directory or HEIF meta box that ends beyond is not fetched, the size stays unknown


def broken(detail: str) -> ImageError:
    """The error for bytes that no decoder should accept."""
    return ImageError("undecodable", detail)


def short(detail: str) -> ImageError:
    """The error for a file that ends before its image does."""
    return ImageError("truncated_image", detail)


class NeedMore(Exception):
    """The head ends before the header does, and the file goes on.

    Attributes:
        need: Bytes counted from the start of the file to call again with: more than the head had and at most the file's
            size. It asks for at least twice the head, so that a hostile header costs log(size) reads.
    """

    def __init__(self, need: int) -> None:
        super().__init__(f"the first {need} bytes are needed")
        self.need = need


def require(head: bytes, size: int, need: int) -> None:
    """Return if the head holds `need` bytes; else ask for them, or find that the file is too short.

    Raises:
        NeedMore: The file has them.
        ImageError: `truncated_image`: it has not.
    """
    if need > len(head):
        if need > size:
            raise ImageError("truncated_image", f"the header needs {need} bytes, the file has {size}")
        raise NeedMore(min(size, max(need, 2 * len(head))))


def reach(head: bytes, size: int, need: int) -> bool:
    """`require`, but False where that many bytes are too far away to be fetched."""
    if len(head) < need <= size and need > FAR:
        return False
    require(head, size, need)
    return True
