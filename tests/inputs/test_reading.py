"""Cutting and reading: every line of every file once, under its own offset and number, however it is cut.

The judge is a splitter that reads a file as one piece of bytes; the code under test sees it only through a store that counts.
"""

from __future__ import annotations

import gzip

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from memory_store import LONGEST, TEXTS, Fault, cut_all, expected, read_all, read_blocks, store_of

from transforms.inputs.json_array import spans_lines
from transforms.inputs.lines import read_rows
from transforms.inputs.packing import pack_files
from transforms.storage.api import Changed, Stat
from transforms.storage.packings import packing_of_bytes

pytestmark = pytest.mark.usefixtures("no_stores_left")


@settings(max_examples=600)
@given(data=TEXTS, block_bytes=st.integers(1, 40), longest=st.integers(1, 20))
@example(data=b"\xef\xbb\xbfa\nb", block_bytes=1, longest=5)
@example(data=b"\xff\xfea\0\n\0b\0\n\0", block_bytes=3, longest=5)
@example(data=b"01234\r56789\n", block_bytes=5, longest=5)
@example(data=b"01234\r\n56789\r", block_bytes=5, longest=5)
def test_a_file_cut_anywhere_gives_the_lines_of_the_whole_file(data: bytes, block_bytes: int, longest: int) -> None:
    assume(not (packing_of_bytes(data) or spans_lines(data)))
    assert read_all({"mem://in/a.jsonl": data}, block_bytes, longest) == expected("mem://in/a.jsonl", data, longest)


@settings(max_examples=200)
@given(files=st.lists(TEXTS, min_size=1, max_size=12), block_bytes=st.integers(1, 120))
def test_many_files_give_the_lines_of_each_in_the_order_of_names(files: list[bytes], block_bytes: int) -> None:
    assume(not any(packing_of_bytes(file) or spans_lines(file) for file in files))
    objects = {f"mem://in/{number:03}.jsonl": data for number, data in enumerate(files)}
    wanted = [expected(uri, data) for uri, data in objects.items()]
    found = read_all(objects, block_bytes)
    assert found == ([r for rows, _ in wanted for r in rows], [f for _, faults in wanted for f in faults])


def test_small_files_share_blocks_up_to_their_bytes() -> None:
    objects = {f"mem://in/{number:03}.jsonl": b"x" * 99 + b"\n" for number in range(100)}
    store_of(objects)
    blocks = cut_all("mem://in/", 1000, LONGEST)
    assert [extent.uri for block in blocks for extent in block.extents] == list(objects)
    assert all(sum(extent.size for extent in block.extents) <= 1000 for block in blocks)
    assert len(blocks) < 30
    # One more file at the front moves only the blocks up to the next cut that a name decides.
    before = {block.extents for block in blocks}
    store_of({"mem://in/0.jsonl": b"x" * 99 + b"\n", **objects})
    after = {block.extents for block in cut_all("mem://in/", 1000, LONGEST)}
    assert len(before & after) > len(before) // 3


@pytest.mark.parametrize("size, blocks", [(999, 1), (1000, 1), (1001, 2), (2000, 2), (2001, 3)])
def test_a_file_over_the_block_size_is_cut_into_ranges(size: int, blocks: int) -> None:
    store_of({"mem://in/a.jsonl": b"x" * size})
    cut = cut_all("mem://in/", 1000, LONGEST)
    assert [(b.extents[0].start, b.extents[0].end) for b in cut] == [
        (k * 1000, min(size, (k + 1) * 1000)) for k in range(blocks)
    ]
    assert [b.order[2] for b in cut] == [k * 1000 for k in range(blocks)]


# One long line


def long_line_reads(long: int, block_bytes: int, longest: int) -> tuple[int, int, list[Fault]]:
    """Read 1,000 short lines, one of `long` bytes and 1,000 short ones -> (bytes of the file, bytes read, faults)."""
    data = b"short\n" * 1000 + b"z" * long + b"\n" + b"short\n" * 1000
    store = store_of({"mem://in/a.jsonl": data})
    found = read_blocks(cut_all("mem://in/", block_bytes, longest), longest)
    assert found == expected("mem://in/a.jsonl", data, longest)
    return len(data), sum(given for _, _, given in store.reads), found[1]


def test_a_long_line_is_read_once_and_not_by_every_block_in_it() -> None:
    """50 MB in blocks of 256 KB, scaled down by ten: 195 blocks lie within the line."""
    size, read, faults = long_line_reads(5_000_000, block_bytes=25_600, longest=16_000_000)
    # Each block reads its own range and the byte before; the one that owns the line reads on, a megabyte at a time.
    assert not faults and read < size + 5_000_000 + 1_100_000


def test_a_line_over_the_limit_is_not_read_on_beyond_it() -> None:
    size, read, faults = long_line_reads(5_000_000, block_bytes=25_600, longest=100_000)
    assert faults == [("mem://in/a.jsonl", 1001, 6000, "line_too_long")]
    assert read < size + 200_000


def test_the_end_of_a_block_is_not_looked_for_far_away() -> None:
    """Every block ends inside a line: finding its end must not cost a second block."""
    store = store_of({"mem://in/a.jsonl": b"x" * 700 + b"\n"})
    store.objects["mem://in/a.jsonl"] *= 3000
    blocks = cut_all("mem://in/", 262_144, LONGEST)
    assert len(read_blocks(blocks)[0]) == 3000
    assert sum(given for _, _, given in store.reads) < 1.1 * 701 * 3000


@pytest.mark.parametrize("over, reason", [(-1, None), (0, None), (1, "line_too_long")])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_the_longest_line_is_one_of_exactly_max_line_bytes(
    over: int, reason: str | None, end: bytes, name: str
) -> None:
    line = b"y" * (5000 + over)
    data = line + end
    packed = gzip.compress(data) if name.endswith(".gz") else data
    for block_bytes in (100, 5000, 1 << 20):
        lines, faults = read_all({f"mem://in/{name}": packed}, block_bytes, 5000)
        wanted = [] if reason else [(f"mem://in/{name}", 1, 0, line)]
        assert (lines, [f[3] for f in faults]) == (wanted, [reason] if reason else [])


def test_a_large_utf16_file_is_one_rejection_and_hardly_read() -> None:
    data = "\ufeff" + '{"a": "é"}\n' * 50_000
    for encoding in ("utf-16-le", "utf-16-be"):
        store = store_of({"mem://in/a.jsonl": data.encode(encoding)})
        found = read_blocks(cut_all("mem://in/", 4096, LONGEST))
        assert found == ([], [("mem://in/a.jsonl", 1, 0, "utf16")])
        assert sum(given for _, _, given in store.reads) < 300_000


def test_a_file_that_changed_after_listing_stops_the_block() -> None:
    store_of({"mem://in/a.jsonl": b"a\n"})
    (block,) = pack_files(0, [Stat("mem://in/a.jsonl", 2, "0")], 100)
    with pytest.raises(Changed):
        read_rows(block, lambda _: "key", LONGEST)
