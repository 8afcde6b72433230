"""Rows of .gz files: whole, of several members, damaged, and made to cost memory or time."""

from __future__ import annotations

import functools
import gzip
import itertools
import tracemalloc
import zlib
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from memory_store import LONGEST, TEXTS, cut_all, expected, read_all, store_of

from transforms.core.records import Extent
from transforms.inputs import compressed_rows
from transforms.storage import compressed_members

pytestmark = pytest.mark.usefixtures("no_stores_left")


@settings(max_examples=300)
@given(
    data=TEXTS,
    members=st.lists(st.integers(0, 60), max_size=3),
    block_bytes=st.integers(1, 40),
    longest=st.integers(1, 20),
    chunk=st.integers(1, 64),
)
@example(data=b"01234\rrest", members=[], block_bytes=4, longest=5, chunk=64)
@example(data=b"\xff\xfea\0\n\0b\0\n\0c\0\n\0", members=[], block_bytes=3, longest=5, chunk=4)
def test_a_gz_of_any_members_gives_the_lines_of_its_text(
    data: bytes, members: list[int], block_bytes: int, longest: int, chunk: int
) -> None:
    cuts = [0, *sorted(min(m, len(data)) for m in members), len(data)]
    packed = b"".join(gzip.compress(data[a:b]) for a, b in itertools.pairwise(cuts))
    uri = "mem://in/a.jsonl.gz"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressed_rows, "decompressed", functools.partial(compressed_members.decompressed, chunk=chunk))
        assert read_all({uri: packed}, block_bytes, longest) == expected(uri, data, longest)


def test_blocks_of_a_gz_hold_whole_lines_of_about_the_block_size() -> None:
    data = b"".join(b"%06d\n" % n for n in range(5000))
    store_of({"mem://in/a.JSONL.GZ": gzip.compress(data)})
    blocks = cut_all("mem://in/", 1000, LONGEST)
    assert b"".join(b.raw or b"" for b in blocks) == data
    assert all(b.raw is not None and b.raw.endswith(b"\n") and len(b.raw) <= 1000 for b in blocks)
    assert [b.order[2] for b in blocks] == [sum(len(p.raw or b"") for p in blocks[:k]) for k in range(len(blocks))]


def noise_lines(count: int) -> list[bytes]:
    """Lines that hardly compress, so that a cut of the file is a cut of the text."""
    return [b"%d %s" % (n, zlib.adler32(b"%d" % n).to_bytes(4, "big").hex().encode() * 3) for n in range(count)]


@pytest.mark.parametrize("block_bytes", [64, 4096])
def test_a_truncated_gz_gives_the_lines_before_the_cut_and_one_rejection(block_bytes: int) -> None:
    wanted = noise_lines(400)
    packed = gzip.compress(b"\n".join(wanted) + b"\n", mtime=0)
    lines, faults = read_all({"mem://in/a.jsonl.gz": packed[: len(packed) // 2]}, block_bytes)
    raws = [raw for _, _, _, raw in lines]
    assert len(raws) > 100 and raws[:-1] == wanted[: len(raws) - 1] and wanted[len(raws) - 1].startswith(raws[-1])
    text = b"\n".join(raws)
    assert faults == [("mem://in/a.jsonl.gz", len(raws), len(text), "corrupt_gzip")]


def test_a_gz_that_ends_before_its_checksum_keeps_all_its_lines() -> None:
    packed = gzip.compress(b"one\ntwo\n")
    lines, faults = read_all({"mem://in/a.jsonl.gz": packed[:-8]}, 100)
    assert [raw for *_, raw in lines] == [b"one", b"two"]
    assert faults == [("mem://in/a.jsonl.gz", 3, 8, "corrupt_gzip")]  # what is missing would have been line 3


@pytest.mark.parametrize("chunk", [100, 1 << 20])
def test_a_damaged_gz_gives_the_lines_before_the_damage(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        compressed_rows, "decompressed", functools.partial(compressed_members.decompressed, chunk=chunk)
    )
    wanted = noise_lines(400)
    good = gzip.compress(b"\n".join(wanted[:200]) + b"\n")
    bad = bytearray(gzip.compress(b"\n".join(wanted[200:]) + b"\n"))
    bad[-6] ^= 0xFF  # of the checksum: all bytes before it inflate
    lines, faults = read_all({"mem://in/a.jsonl.gz": good + bytes(bad)}, 1000)
    assert [raw for *_, raw in lines] == wanted
    assert [(line, reason) for _, line, _, reason in faults] == [(401, "corrupt_gzip")]


def test_what_is_no_gz_at_all_is_one_rejection_at_its_start() -> None:
    for data in (b"\0{}\n{}\n", b"", b"\x1f\x8b"):
        lines, faults = read_all({"mem://in/a.jsonl.gz": data}, 100)
        assert (lines, faults) == ([], [("mem://in/a.jsonl.gz", 1, 0, "corrupt_gzip")])


@pytest.mark.parametrize("chunk", [7, 1 << 20])
def test_a_gz_padded_with_zeros_as_tapes_do_is_whole(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        compressed_rows, "decompressed", functools.partial(compressed_members.decompressed, chunk=chunk)
    )
    found = read_all({"mem://in/a.jsonl.gz": gzip.compress(b"one\n") + b"\0" * 500}, 100)
    assert found == ([("mem://in/a.jsonl.gz", 1, 0, b"one")], [])


@pytest.mark.parametrize("text", [b"", b"x"])
def test_what_zlib_copies_at_the_end_of_a_member_does_not_grow_with_the_file(
    text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, real = list[Any](), zlib.decompressobj

    def noted(wbits: int) -> Any:
        made.append(real(wbits=wbits))
        return made[-1]

    monkeypatch.setattr(compressed_members, "zlib", SimpleNamespace(decompressobj=noted, error=zlib.error))
    packed = gzip.compress(text) * 3000
    store_of({"mem://in/a.gz": packed})
    assert b"".join(compressed_members.decompressed(Extent("mem://in/a.gz", "", len(packed), 0, 0))) == text * 3000
    assert compressed_members.unpacked(packed, 3000) == text * 3000
    assert len(made) == 6000 and max(len(one.unused_data) for one in made) < 512


def test_members_of_a_gz_do_not_make_a_long_line_be_searched_again() -> None:
    """That took half a minute."""
    packed = gzip.compress(b"x" * 8_000_000) + gzip.compress(b"x") * 50_000 + gzip.compress(b"") * 50_000
    lines, faults = read_all({"mem://in/a.jsonl.gz": packed + gzip.compress(b"\nlast")}, 4096, 16_000_000)
    assert [(line, offset, len(raw)) for _, line, offset, raw in lines] == [(1, 0, 8_050_000), (2, 8_050_001, 4)]
    assert faults == []


@settings(max_examples=150)
@given(st.lists(st.tuples(st.binary(max_size=40), st.integers(0, 3)), min_size=1, max_size=6), st.integers(1, 50))
def test_a_gz_in_memory_is_unpacked_as_python_does(members: list[tuple[bytes, int]], most: int) -> None:
    packed = b"".join(gzip.compress(data) + bytes(padding) for data, padding in members)
    text = gzip.decompress(packed)
    if len(text) > most:
        with pytest.raises(OverflowError):
            compressed_members.unpacked(packed, most)
    assert compressed_members.unpacked(packed, len(text)) == text
    with pytest.raises((EOFError, zlib.error)):
        compressed_members.unpacked(gzip.compress(text)[:-1], len(text))


def test_a_gz_bomb_of_one_line_is_rejected_in_little_memory() -> None:
    packed = gzip.compress(b"first\n" + b"z" * 60_000_000 + b"\nlast\n")
    tracemalloc.start()
    try:
        lines, faults = read_all({"mem://in/a.jsonl.gz": packed}, 4096, 100_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [(line, offset, raw) for _, line, offset, raw in lines] == [(1, 0, b"first"), (3, 60_000_007, b"last")]
    assert faults == [("mem://in/a.jsonl.gz", 2, 6, "line_too_long")]
    assert peak < 12_000_000
