"""Tell equal images by what was read of them anyway: an answer of storage and some bytes -> a text that is equal for equal images.

Two images with one identity are equal as far as that can be told without reading them whole.
"""

from __future__ import annotations

from hashlib import blake2b

from transforms.storage.api import Stat

CHECKSUM = "checksum"  # CRC32C and size, where storage tells them with the first bytes
HEAD_AND_TAIL = "head_and_tail"  # size, first and last bytes
ADDRESS = "address"  # the URI alone: no image is looked at
IDENTITIES = {
    CHECKSUM: "CRC32C and size, as storage tells them",
    HEAD_AND_TAIL: "size, first 16 KiB and last 4 KiB",
    ADDRESS: "the URI alone",
}
_HEAD, _TAIL = 16 << 10, 4 << 10  # bytes; no more than is read of any image, however it is looked at


def identity_of(found: Stat, head: bytes, tail: bytes, kind: str) -> str:
    """The identity of an image that was looked at; "" if none is wanted.

    Args:
      head: its first bytes, at least 16 KiB if it has so many.
      tail: its last bytes, at least 4 KiB if it has so many; b"" if nobody read them.
      kind: CHECKSUM, which becomes HEAD_AND_TAIL where storage tells none; HEAD_AND_TAIL; or "".
    """
    if not kind:
        return ""
    if kind == CHECKSUM and found.crc32c:
        return f"{found.size} {found.crc32c}"
    digest = blake2b(head[:_HEAD], digest_size=16)
    digest.update(tail[-_TAIL:])
    return f"{found.size} {digest.hexdigest()}"
