"""What decides the split of an example under --split_by image: the smallest of its images, or of all that hang together with them.

Images are told by 64-bit hashes of their identities. The smallest hash of a group is its label; a split is chosen by a hash of the
label, afresh: the smallest of many hashes is small, and the small ones are validation's.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from hashlib import blake2b

from transforms.core.records import Example, ImageFacts
from transforms.examples.splits import hash64

BY_IMAGE = "image"  # a value of --split_by
NO_IMAGE = (1 << 64) - 1  # the label of an example without images, whose split is chosen by its id


def image_hashes(example: Example, facts: Mapping[str, ImageFacts], rejects: bool) -> set[int]:
    """A hash of each distinct image of an example that can be used.

    Args:
      facts: of its sources; where there are none, images are told by their URIs.
      rejects: one unusable image rejects the example, which then joins nothing.
    """
    hashes = {hash_of_source(source, facts) for source in example.sources}
    if None in hashes and rejects:
        return set()
    return {one for one in hashes if one is not None}


def hash_of_source(source: str, facts: Mapping[str, ImageFacts]) -> int | None:
    """The hash of an image, which equal images have in common; None if it cannot be used."""
    fact = facts.get(source)
    if fact is None:
        return image_hash(source)
    return None if fact.reason else image_hash(fact.identity)


def image_hash(identity: str) -> int:
    return int.from_bytes(image_digest(identity), "big")


def image_digest(identity: str) -> bytes:
    """The hash of an image as 8 bytes, the highest first."""
    return blake2b(identity.encode(), digest_size=8).digest()


def pack_labels(labels: Sequence[int]) -> bytes:
    return struct.pack(f"<{len(labels)}Q", *labels)


def unpack_labels(packed: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(packed) // 8}Q", packed)


def group_number(label: int, seed: bytes) -> int | None:
    """The number that chooses the split of a group, as an example's id does otherwise; None for NO_IMAGE.

    Args:
      label: the smallest hash of the group's images.
      seed: at most 64 bytes.
    """
    return None if label == NO_IMAGE else hash64(label.to_bytes(8, "big"), seed)
