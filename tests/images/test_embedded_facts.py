"""Facts that a rewritten picture carries in itself."""

from __future__ import annotations

import io
import zlib
from typing import Any

import pytest
from fit_pictures import BOTH, RGB, quarters
from hypothesis import given, settings
from hypothesis import strategies as st
from image_bytes import saved
from PIL import Image

from transforms.images.fit.embedded_facts import embed_facts, read_facts

FACTS = st.dictionaries(
    st.text(max_size=8),
    st.one_of(st.text(max_size=20), st.integers(), st.floats(allow_nan=False, allow_infinity=False)),
)
CARRIERS = {"jpeg": saved(quarters("RGB", RGB), "JPEG"), "png": saved(quarters("RGB", RGB), "PNG")}


@settings(max_examples=60)
@given(facts=FACTS, type_=st.sampled_from(BOTH))
def test_facts_come_back_and_leave_the_pixels(facts: dict[str, Any], type_: str) -> None:
    data = embed_facts(CARRIERS[type_], type_, facts)
    assert data[:4] == CARRIERS[type_][:4]  # a JPEG's APP0 comes first
    assert read_facts(data) == facts
    assert read_facts(data[: len(data) - len(CARRIERS[type_]) + 40]) == facts
    with Image.open(io.BytesIO(data)) as image, Image.open(io.BytesIO(CARRIERS[type_])) as bare:
        assert image.tobytes() == bare.tobytes()


@settings(max_examples=150)
@given(st.data())
def test_odd_bytes_have_no_facts(data: st.DataObject) -> None:
    type_ = data.draw(st.sampled_from(BOTH))
    sound = embed_facts(CARRIERS[type_], type_, {"a": 1})
    head = bytearray(sound)
    at = data.draw(st.integers(0, sound.index(b'{"a":1}') + 6))
    head[at] ^= data.draw(st.integers(1, 255))
    found = read_facts(bytes(head))
    if type_ == "png":  # every byte is covered by a checksum
        assert found is None
    else:
        assert found is None or set(map(type, found.values())) <= {str, int, float}
    assert read_facts(bytes(head[:at])) is None
    assert read_facts(data.draw(st.binary(max_size=60))) is None


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 30_000, b'{"a":' * 6_000, b'{"a":NaN}', b'{"a":1e999}', b'{"a":true}', b'{"a":null}', b'{"a":[1]}',
        b'{"a":1,"a":2}', b'{"a": 1}', b'{"b":1,"a":2}', b"[1]", b"1", b"", b'{"a":"\xff"}', b'{"a":' + b"9" * 5_000 + b"}",
        b'{"a":"' + b"x" * 32_768 + b'"}',
    ],
)  # fmt: skip
def test_only_canonical_facts_are_read(text: bytes) -> None:
    comment = b"\xff\xfe" + (10 + len(text)).to_bytes(2, "big") + b"tuneset " + text
    body = b"tEXttuneset\0" + text
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    assert read_facts(b"\xff\xd8" + comment) is None
    assert read_facts(CARRIERS["png"][:33] + chunk) is None


def test_facts_without_app0_are_read_and_too_many_are_refused() -> None:
    assert read_facts(embed_facts(b"\xff\xd8\xff\xdb", "jpeg", {"a": "b"})) == {"a": "b"}
    for type_ in BOTH:
        assert read_facts(CARRIERS[type_]) is None
        longest = {"source": "x" * (32_768 - len('{"source":""}'))}
        assert read_facts(embed_facts(CARRIERS[type_], type_, longest)[:65_536]) == longest
        with pytest.raises(ValueError, match="32769 bytes"):
            embed_facts(CARRIERS[type_], type_, {"source": longest["source"] + "x"})
