"""Compressed files of rows: every packing, several members, damage, bombs, and names that say nothing or the wrong thing."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from folders import put
from laws import texts
from opening import tried

from transforms.core.records import OpenBlock
from transforms.storage.packings import Damaged, members


def zst(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zst,
}
OTHERS = ("bz2", "xz", "zst")
ASK = ("--prompt", "{id}", "--answer", "{label}", "--verify", "none", "--block_bytes", "1024")
ROWS = [f'{n},i.jpg,"a {n}\nb"' for n in range(300)]
CSV = "\n".join(["id,image,label", *ROWS, ""]).encode()
JSONL = b"".join(b'{"id":%d,"image":"i.jpg","label":"x"}\n' % n for n in range(300))


def rows_of(blocks: list[OpenBlock]) -> list[list[str]]:
    return [texts({"contents": e.contents}) for opened in blocks for e in opened.examples]


def faults(blocks: list[OpenBlock]) -> list[str]:
    return [rejection.reason for opened in blocks for rejection in opened.rejections]


@pytest.mark.parametrize("kind, data", [("csv", CSV), ("jsonl", JSONL), ("tsv", CSV.replace(b",", b"\t"))])
@pytest.mark.parametrize("packing", PACK)
def test_packed_rows_are_those_of_the_plain_file(tmp_path: Path, kind: str, data: bytes, packing: str) -> None:
    plain = rows_of(tried(put(tmp_path / f"t.{kind}", data), *ASK))
    assert len(plain) == 300
    pack, half = PACK[packing], len(data) // 2
    for name in (f"t.{kind}.{packing}", f"T.{kind.upper()}.{packing.upper()}", f"named.{kind}"):
        path = put(tmp_path / name, pack(data[:half]) + pack(data[half:]))
        blocks = tried(path, *ASK)
        assert (rows_of(blocks), faults(blocks)) == (plain, []), name


@pytest.mark.parametrize("packing", PACK)
def test_a_small_packed_file_without_its_ending_is_read(tmp_path: Path, packing: str) -> None:
    flags = ("--prompt", "{id}", "--answer", "{label}", "--verify", "none")
    for name in ("part-0", "rows.jsonl", "rows.csv"):
        data = CSV if name.endswith("csv") else JSONL
        blocks = tried(put(tmp_path / packing / name, PACK[packing](data)), *flags)
        assert (len(rows_of(blocks)), faults(blocks)) == (300, []), name


@pytest.mark.parametrize("packing", PACK)
def test_text_that_is_only_named_as_compressed_is_read(tmp_path: Path, packing: str) -> None:
    assert len(rows_of(tried(put(tmp_path / f"t.csv.{packing}", CSV), *ASK))) == 300
    assert len(rows_of(tried(put(tmp_path / f"t.jsonl.{packing}", JSONL), *ASK))) == 300
    other = PACK["gz" if packing != "gz" else "xz"]
    assert len(rows_of(tried(put(tmp_path / f"u.csv.{packing}", other(CSV)), *ASK))) == 300


@pytest.mark.parametrize("kind, data", [("csv", CSV), ("jsonl", JSONL)])
@pytest.mark.parametrize("packing", OTHERS)
def test_what_came_before_damage_is_used(tmp_path: Path, kind: str, data: bytes, packing: str) -> None:
    packed = PACK[packing](data) + PACK[packing](data)[:-9]
    blocks = tried(put(tmp_path / f"t.{kind}.{packing}", packed), *ASK)
    # Arrow keeps up to 1,024 bytes to itself.
    assert len(rows_of(blocks)) >= (240 if packing == "zst" else 300) and "corrupt_packing" in faults(blocks)


def pieces(data: bytes, packing: str, size: int = 1 << 20, most: int = 1 << 16) -> list[bytes]:
    return list(members((data[at : at + size] for at in range(0, len(data), size)), most, packing))


@pytest.mark.parametrize("packing", OTHERS)
def test_a_bomb_comes_in_small_pieces(packing: str) -> None:
    sizes = [len(piece) for piece in pieces(PACK[packing](bytes(1 << 24)), packing)]
    assert sum(sizes) == 1 << 24 and max(sizes) <= 1 << 16


@pytest.mark.parametrize("packing", OTHERS)
def test_many_small_members_are_one_text(packing: str) -> None:
    packed = PACK[packing](b"row\n") * 3000
    for size in (7, 1 << 20):
        assert b"".join(pieces(packed, packing, size)) == b"row\n" * 3000


@pytest.mark.parametrize("packing", OTHERS)
@pytest.mark.parametrize("change", [lambda data: b"", lambda data: data[:-1], lambda data: data + b"junk"])
def test_damage_is_told(packing: str, change: Callable[[bytes], bytes]) -> None:
    text = os.urandom(1000)
    with pytest.raises(Damaged):
        pieces(change(PACK[packing](text)), packing)
    assert b"".join(pieces(PACK[packing](text), packing, 1)) == text


@pytest.mark.parametrize("packing", PACK)
def test_a_small_file_without_its_ending_may_not_hold_too_much(
    tmp_path: Path, packing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("transforms.inputs.lines.SMALL_FILE", len(JSONL))
    flags = ("--prompt", "{id}", "--answer", "{label}", "--verify", "none")
    for extra, reasons in ((b"", []), (b" ", ["corrupt_gzip" if packing == "gz" else "corrupt_packing"])):
        path = put(tmp_path / "rows.jsonl", PACK[packing](JSONL + extra))
        assert faults(tried(path, *flags)) == reasons
