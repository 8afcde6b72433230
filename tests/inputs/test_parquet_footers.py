"""What the footers of Parquet files claim: schemas without end, sizes, names, row groups."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from parquet_reading import MB, extent_of, features, nested, read, write

from transforms.core.reasons import RowError
from transforms.core.records import Block, Dialect
from transforms.inputs.parquet import blocks as parquet
from transforms.inputs.parquet import files
from transforms.inputs.parquet.footer_depth import schema_depth
from transforms.inputs.parquet.schema import class_names


def element(name: bytes, children: int = 0) -> bytes:
    """An element of a schema, in Thrift's compact protocol: a group, or an optional column of bytes."""
    kind = b"" if children else b"\x15\x0c"
    repetition = b"\x35\x02" if children else b"\x25\x02"
    return (
        kind
        + repetition
        + b"\x18"
        + bytes([len(name)])
        + name
        + (b"\x15" + bytes([2 * children]) if children else b"")
        + b"\0"
    )


def deep(path: Path, levels: int) -> Path:
    """A file without rows whose schema has so many levels."""
    elements = [element(b"schema", 2), element(b"image"), *[element(b"a", 1)] * (levels - 2), element(b"label")]
    size, number = len(elements), b""
    while size > 127:
        size, number = size >> 7, number + bytes([size & 127 | 128])
    data = b"\x15\x02\x19\xfc" + number + bytes([size]) + b"".join(elements) + b"\x16\0\x19\x0c\0"
    path.write_bytes(b"PAR1" + data + struct.pack("<I", len(data)) + b"PAR1")
    return path


def test_a_schema_without_end_is_refused_before_arrow_goes_down_into_it(tmp_path: Path) -> None:
    """100,000 levels would end the process."""
    found = read(deep(tmp_path / "t.parquet", 100_000))
    assert list(found.rejected.values()) == [("too_deep", "its schema nests 100,000 levels deep; at most 500 are read")]
    assert files.footer_of(extent_of(deep(tmp_path / "u.parquet", 500))).ends == []


def test_depths_of_schemas_are_those_that_arrow_reads(tmp_path: Path) -> None:
    for depth in range(1, 20):
        kind_of = pa.list_ if depth % 2 else lambda kind: pa.struct([("a", kind), ("b", pa.int8())])
        column = nested(depth, (lambda v: [v]) if depth % 2 else lambda v: {"a": v, "b": 1}, kind_of)
        data = write(tmp_path / "t.parquet", column, metadata={"k": "v"}).read_bytes()
        deepest = max(pq.read_schema(tmp_path / "t.parquet").names and [
            path.count(".") for path in (c.path for c in pq.read_metadata(tmp_path / "t.parquet").schema)
        ])  # fmt: skip
        length = int.from_bytes(data[-8:-4], "little")
        assert schema_depth(data[-8 - length :]) == deepest + 2
    assert schema_depth(b"") == schema_depth(b"PAR1") == schema_depth(b"\xff" * 100) == 0


def test_a_footer_over_64_mib_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    with open(path, "wb") as file:  # a hole
        file.write(b"PAR1")
        file.seek(65 * MB)
        file.write(struct.pack("<I", 64 * MB + 1) + b"PAR1")
    monkeypatch.setattr(pq, "read_metadata", lambda file: pytest.fail("it was read"))
    found = read(path)
    assert list(found.rejected.values()) == [
        ("corrupt_parquet", "its footer has 67,108,865 bytes; at most 67,108,864 are read")
    ]


@pytest.mark.parametrize("name", ["zzlabel", "zzfield", "zzother"])
def test_names_of_columns_in_no_utf8_are_one_rejection(tmp_path: Path, name: str) -> None:
    table = pa.table({"image": ["a.png"], "zzother": [1], "label": [{"zzfield": 1}], "zzlabel": [1]})
    pq.write_table(table, tmp_path / "t.parquet", compression="none", store_schema=False)
    data = (tmp_path / "t.parquet").read_bytes()
    (tmp_path / "t.parquet").write_bytes(data.replace(name.encode(), b"\xff" + name[1:].encode()))
    found = read(tmp_path / "t.parquet")
    assert [reason for reason, _ in found.rejected.values()] == ["corrupt_parquet"] and not found.rows


def test_of_large_footers_one_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files._large_footer.cache_info().maxsize == 1
    monkeypatch.setattr(files, "_SMALL_FOOTER", 0)
    before = files._small_footer.cache_info()
    read(write(tmp_path / "t.parquet", ["x"]))
    assert files._small_footer.cache_info() == before


def test_more_rows_than_bytes_can_hold_are_one_rejection(tmp_path: Path) -> None:
    rows = 1_000_001
    path = write(tmp_path / "t.parquet", pa.nulls(rows, pa.string()), pa.nulls(rows, pa.string()), compression="zstd")
    found = read(path)
    assert path.stat().st_size * 16 < rows
    ((reason, detail),) = found.rejected.values()
    assert reason == "corrupt_parquet" and detail.startswith("its row groups claim 1,000,001 rows in ")


def test_metadata_does_not_travel_and_names_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = features('["cat", "dog"]') | {"other": "x" * 100_000}
    images = [f"{n:012}.png" * 20 for n in range(3000)]
    parsed = list[int]()
    monkeypatch.setattr(files, "class_names", lambda told: parsed.append(1) or class_names(told))
    found = read(write(tmp_path / "t.parquet", [n % 2 for n in range(3000)], images, metadata))
    assert [row["label"] for _, row in sorted(found.rows.items())] == ["cat", "dog"] * 1500
    plain = read(write(tmp_path / "p.parquet", [n % 2 for n in range(3000)], images))
    assert len(found.blocks) > 2 and len(parsed) == 2  # one for each file
    assert [len(b.raw or b"") for b in found.blocks] == [len(b.raw or b"") for b in plain.blocks]


def test_metadata_that_is_too_long_to_be_parsed_is_refused() -> None:
    with pytest.raises(RowError, match="its huggingface metadata has 16,777,217 bytes"):
        class_names({b"huggingface": b" " * (16 * MB + 1)})


def test_a_block_finds_its_row_groups_without_a_walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "t.parquet", [str(n) for n in range(300)], row_group_size=1)
    extent, dialect = extent_of(path), Dialect("parquet", names=("image", "label"))
    parts = [replace(extent, start=number, end=number + 1) for number in range(300)]
    blocks = [Block((0, b"f", part.start), (part,), "table", dialect=dialect) for part in parts]
    metadata = files.footer_of(blocks[0].extents[0])
    asked = list[int]()

    class Counted:
        def row_group(self, number: int) -> Any:
            asked.append(number)
            return metadata.metadata.row_group(number)

        def __getattr__(self, name: str) -> Any:
            return getattr(metadata.metadata, name)

    counted = files.Footer(Counted(), metadata.ends)  # type: ignore[arg-type]
    monkeypatch.setattr(parquet, "footer_of", lambda extent: counted)
    for number in (0, 150, 299):
        asked.clear()
        (batch,) = parquet._batches(blocks[number], frozenset())
        assert batch.column("label").to_pylist() == [str(number)] and set(asked) == {number}
