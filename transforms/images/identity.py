"""Tell equal images by what was read of them anyway: an answer of storage and some bytes -> a text that is equal for equal images.

Two images with one identity are equal as far as that can be told without reading them whole.
"""

from __future__ import annotations

from hashlib import blake2b

from transforms.images.fit.embedded_facts import without_facts
from transforms.storage.api import Stat, crc32c

CHECKSUM = "checksum"  # CRC32C and size, where storage tells them with the first bytes
HEAD_AND_TAIL = "head_and_tail"  # size, first and last bytes
ADDRESS = "address"  # the URI alone: no image is looked at
IDENTITIES = {
    CHECKSUM: "CRC32C and size, as storage tells them",
    HEAD_AND_TAIL: "size, first 16 KiB and last 4 KiB",
    ADDRESS: "the URI alone",
}
REWRITTEN_HEAD = 64 << 10  # bytes of a rewritten image
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
    # As strong as the other, and ten times as fast as a digest, which would cost a tenth of the look.
    return f"{found.size} {crc32c(head[:_HEAD])} {crc32c(tail[-_TAIL:])}"


def identity_of_rewritten(head: bytes, size: int) -> str:
    """The identity of an image that was rewritten, but for what it says of its source: equal pictures may have several.

    Args:
      head: its first REWRITTEN_HEAD bytes, or all. size: of the whole.
    """
    picture, facts_size = without_facts(head[:REWRITTEN_HEAD])
    return f"rewritten {size - facts_size} {blake2b(picture, digest_size=16).hexdigest()}"
