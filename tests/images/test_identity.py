"""Equal images are told by what was read of them anyway."""

from __future__ import annotations

import pytest
from folders import encoded

from transforms.images.fit.embedded_facts import embed_facts
from transforms.images.identity import HEAD_AND_TAIL, identity_of, identity_of_rewritten
from transforms.storage.api import Stat


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_rewritten_image_is_the_same_whatever_its_source_is_called(kind: str) -> None:
    def rewritten(source: str, seed: int) -> str:
        data = embed_facts(encoded(kind.upper(), 300, 200, seed), kind, {"source": source})
        return identity_of_rewritten(data, len(data))

    assert rewritten("a", 1) == rewritten("another", 1) != rewritten("a", 2)


def test_bytes_of_the_head_the_tail_and_the_size_tell_images_apart() -> None:
    def identity(data: bytes) -> str:
        return identity_of(Stat("/a", len(data), "1"), data, data, HEAD_AND_TAIL)

    data = bytes(30_000)
    others = [b"\1" + data[1:], data[:-1] + b"\1", data + b"\0", data[: (16 << 10) - 1] + b"\1" + data[16 << 10 :]]
    assert len({identity(data), *map(identity, others)}) == 5
    between = data[: 16 << 10] + b"\1" + data[(16 << 10) + 1 :]  # what nobody reads
    assert identity(between) == identity(data)
