"""Parquet files that other people made: cells without a value, and few bytes that stand for many."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import jpeg, put
from parquet_reading import MB, features, nested, read, write

from transforms.inputs.parquet import blocks as parquet
from transforms.inputs.parquet import values
from transforms.inputs.parquet.row_sizes import row_sizes, runs


def unchecked(*texts: bytes) -> pa.Array:
    """A column of texts that may be no UTF-8."""
    whole = pa.array(texts, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(texts), whole.buffers())


UNUSABLE = {
    "no UTF-8": (unchecked(b"good", b"\xff\xfe", b"more"), "UnicodeDecodeError", ["good", "more"]),
    "no UTF-8 in a list": (pa.ListArray.from_arrays([0, 1, 2, 3], unchecked(b"a", b"\xff", b"b")), "UnicodeDecodeError",
                           [["a"], ["b"]]),
    "a far time": (pa.array([1, 2**62, 0], pa.timestamp("us")), "OverflowError",
                   ["1970-01-01T00:00:00.000001", "1970-01-01T00:00:00"]),
    "a far day": (pa.array([1, 2**31 - 1, 0], pa.date32()), "OverflowError", ["1970-01-02", "1970-01-01"]),
    "a long time": (pa.array([1, 2**62, 0], pa.duration("s")), "OverflowError", ["0:00:01", "0:00:00"]),
    "a far time in a struct": (pa.array([{"t": 1}, {"t": 2**62}, None], pa.struct([("t", pa.timestamp("us"))])), "OverflowError",
                               [{"t": "1970-01-01T00:00:00.000001"}, None]),
}  # fmt: skip


@pytest.mark.parametrize("case", UNUSABLE)
@pytest.mark.parametrize("times", [1, 3000])  # read by range, and as slices that travel
def test_a_cell_without_a_value_costs_its_row_alone(tmp_path: Path, case: str, times: int) -> None:
    column, said, good = UNUSABLE[case]
    column = pa.concat_arrays([column] * times)
    found = read(write(tmp_path / "t.parquet", column, [f"{n}.png" * 9 for n in range(3 * times)]))
    assert [row["label"] for _, row in sorted(found.rows.items())] == good * times
    assert set(found.rows) == {number for number in range(3 * times) if number % 3 != 1}
    assert set(found.rejected) == set(range(1, 3 * times, 3))
    reason, detail = found.rejected[1]
    assert reason == "bad_record" and detail.startswith(f"the column 'label' holds no usable value: {said}")


def test_rows_of_an_unknown_time_zone_are_rejected_each(tmp_path: Path) -> None:
    found = read(write(tmp_path / "t.parquet", pa.array([1, 2], pa.timestamp("us", tz="Mars/Base"))))
    assert not found.rows and {reason for reason, _ in found.rejected.values()} == {"bad_record"}


def test_nanoseconds_are_read_as_the_microseconds_they_lie_in(tmp_path: Path) -> None:
    kinds = {
        "at": pa.timestamp("ns"), "zone": pa.timestamp("ns", tz="UTC"), "time": pa.time64("ns"), "took": pa.duration("ns"),
    }  # fmt: skip
    columns: dict[str, Any] = {name: pa.array([1_234_567_891, 2_000, None], kind) for name, kind in kinds.items()}
    columns["list"] = pa.array([[1_001], [], None], pa.list_(pa.timestamp("ns")))
    columns["map"] = pa.array([[("k", 1_001)], [], None], pa.map_(pa.string(), pa.timestamp("ns")))
    table = pa.table({"image": ["a.png"] * 3, **columns})
    pq.write_table(table, tmp_path / "ns.parquet")
    coarse = [
        table["image"],
        *(table[name].cast(kind, safe=False) for name, kind in zip(columns, (
            pa.timestamp("us"), pa.timestamp("us", tz="UTC"), pa.time64("us"), pa.duration("us"),
            pa.list_(pa.timestamp("us")), pa.map_(pa.string(), pa.timestamp("us")),
        ))),
    ]  # fmt: skip
    pq.write_table(pa.table(coarse, names=table.column_names), tmp_path / "us.parquet")
    found = [read(tmp_path / name, *table.column_names) for name in ("ns.parquet", "us.parquet")]
    assert found[0].rows == found[1].rows and len(found[0].rows) == 3
    assert found[0].rows[0] == {
        "image": "a.png", "at": "1970-01-01T00:00:01.234567", "zone": "1970-01-01T00:00:01.234567+00:00",
        "time": "00:00:01.234567", "took": "0:00:01.234567", "list": ["1970-01-01T00:00:00.000001"],
        "map": {"k": "1970-01-01T00:00:00.000001"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrap, kind_of", [(lambda v: [v], pa.list_), (lambda v: {"a": v}, lambda k: pa.struct([("a", k)]))]
)
def test_types_that_nest_deeper_than_100_levels_are_refused(tmp_path: Path, wrap: Any, kind_of: Any) -> None:
    path = tmp_path / "t.parquet"
    assert len(read(write(path, nested(99, wrap, kind_of), store_schema=False)).rows) == 2
    found = read(write(path, nested(100, wrap, kind_of), store_schema=False))
    assert not found.rows
    assert list(found.rejected.values()) == [("too_deep", "the column 'label' nests deeper than 100 levels")]


@pytest.mark.parametrize(
    "names",
    ["[" * 100_000 + "]" * 100_000, f'["ok", {"[" * 300 + "]" * 300}]', r'["\ud800"]', "[1, 2]", "9" * 5000, "[" + "9" * 30 + "]"],
    ids=["deep", "lists", "surrogate", "numbers", "huge number", "large number"],
)  # fmt: skip
def test_names_of_classes_that_are_no_texts_are_left_out(tmp_path: Path, names: str) -> None:
    found = read(write(tmp_path / "t.parquet", [0, 1], metadata=features(names)))
    assert [row["label"] for row in found.rows.values()] == [0, 1]


@pytest.mark.parametrize(
    "label, told",
    [
        (pa.array([b"a", b"\xff"]), ["a", None]),
        (pa.array([1, 2], pa.decimal128(9, 2)), ["1.00", "2.00"]),
        (pa.array([1, 0], pa.date32()), ["1970-01-02", "1970-01-01"]),
        (pa.array([0, 1], pa.uint8()), ["cat", 1]),
    ],
)
def test_only_integers_stand_for_names_of_classes(tmp_path: Path, label: pa.Array, told: list[Any]) -> None:
    found = read(write(tmp_path / "t.parquet", label, metadata=features('["cat"]')))
    assert [row["label"] for row in found.rows.values()] == told


def test_no_image_of_a_row_is_staged_that_is_not_used(tmp_path: Path) -> None:
    staged = list[bytes]()
    path = write(tmp_path / "t.parquet", unchecked(b"a", b"\xff"), [b"one", b"two"])
    found = read(path, stage=lambda data: (staged.append(data) or "/s", "c"))
    assert staged == [b"one"] and list(found.rejected) == [1]


def test_rejected_cells_leave_a_sealed_folder(run: Callable[..., laws.Folder], tmp_path: Path) -> None:
    put(tmp_path / "i.jpg", jpeg())
    path = write(tmp_path / "t.parquet", pa.array([1, 2**62, 3], pa.timestamp("us")), ["i.jpg"] * 3)
    found = run(path, "--prompt", "q", "--answer", "{label}", "--splits", "train=1", "--max_rejected_fraction", "1")
    assert [(r["reason"], r["line"], r["offset"]) for r in laws.rejections(found)] == [("bad_record", 2, 1)]
    assert [row["source_line"] for row in found["examples.parquet"]] == [1, 3]


@pytest.mark.parametrize("rows, raw", [(5, False), (6000, True)])
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_a_row_over_max_line_bytes_is_rejected(tmp_path: Path, rows: int, raw: bool, use_dictionary: bool) -> None:
    labels = ["x" * 100 + str(number) for number in range(rows)]
    labels[1], labels[3] = "y" * (10_000 - len("a.png")), "y" * (10_001 - len("a.png"))
    found = read(write(tmp_path / "t.parquet", labels, use_dictionary=use_dictionary), longest=10_000)
    assert {block.raw is not None for block in found.blocks} == {raw}
    assert found.rejected == {3: ("line_too_long", "the row has 10,001 bytes of text; at most 10,000 are read")}
    assert {number: row["label"] for number, row in found.rows.items()} == {
        n: v for n, v in enumerate(labels) if n != 3
    }


def test_the_name_of_a_class_counts_in_each_row(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", [0, 1, 1, 7, -1], metadata=features(json.dumps(["cat", "x" * 2000])))
    found = read(path, longest=1024)
    assert {number: row["label"] for number, row in found.rows.items()} == {0: "cat", 3: 7, 4: None}
    assert {number: reason for number, (reason, _) in found.rejected.items()} == {
        1: "line_too_long",
        2: "line_too_long",
    }


def test_a_text_of_a_dictionary_is_not_repeated_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4,096 rows of one text of 100 KB: 400 MB of Arrow, were each row to have its own."""
    monkeypatch.setattr(parquet, "_MOST_TEXT", 20 * MB)
    indices = pa.array([0] * 4096, pa.int32())
    text = "x" * 100_000
    path = write(
        tmp_path / "t.parquet", pa.DictionaryArray.from_arrays(indices, [text]), compression="zstd", store_schema=False
    )
    seen = list[int]()
    real = values.columns_of

    def watched(*given: Any) -> Any:
        seen.append(pa.total_allocated_bytes())
        return real(*given)

    monkeypatch.setattr(parquet, "columns_of", watched)
    before = pa.total_allocated_bytes()
    found = read(path)
    assert max(seen) - before < 32 * MB
    assert len(found.rows) == 2 * (8 * MB // 100_005) and sorted(found.rows | found.rejected) == list(range(4096))
    assert {(reason, detail) for reason, detail in found.rejected.values()} == {
        ("line_too_long", f"the rows of its block have more than {20 * MB:,} bytes of text: write smaller row groups")
    }


@pytest.mark.parametrize("use_dictionary", [True, False])
def test_texts_that_unpack_to_much_are_decoded_some_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use_dictionary: bool
) -> None:
    monkeypatch.setattr(parquet, "_TEXT_BYTES", MB)
    path = write(tmp_path / "t.parquet", ["x" * (MB // 2)] * 40, compression="zstd", use_dictionary=use_dictionary)
    (block,) = read(path).blocks
    sizes = [len(batch) for batch in parquet._batches(block, frozenset())]
    assert sum(sizes) == 40 and (max(sizes) == 40 if use_dictionary else max(sizes) <= 2)


def test_images_are_decoded_as_few_at_a_time_as_they_are_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_IMAGE_BYTES", 1 << 18)
    for number, (size, use_dictionary, most) in enumerate(
        (
            (1 << 16, False, 3),
            (1 << 16, True, 3),
            (1 << 19, False, 1),
            (1 << 19, True, 1),
            (1000, False, 16),
            (1000, True, 16),
        )
    ):
        path = write(
            tmp_path / f"{number}.parquet",
            ["x"] * 20,
            [b"i" * size] * 20,
            compression="zstd",
            use_dictionary=use_dictionary,
        )
        found = read(path)
        assert [row["image"]["path"] for row in found.rows.values()] == [f"/staged/{size}"] * 20
        sizes = [len(batch) for batch in parquet._batches(found.blocks[0], frozenset(["image"]))]
        assert sum(sizes) == 20 and max(sizes) == most, (size, use_dictionary)


def test_an_image_that_is_too_large_costs_its_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transforms.inputs.parquet.values._LARGEST_CELL", 1000)
    found = read(write(tmp_path / "t.parquet", ["a", "b", "c"], [b"i" * 1000, b"i" * 1001, None]))
    assert set(found.rows) == {0, 2}
    said = "the images in the column 'image' have 1,001 bytes; at most 1,000 are read"
    assert found.rejected == {1: ("line_too_long", said)}


def test_long_texts_that_repeat_travel_once(tmp_path: Path) -> None:
    path = write(tmp_path / "t.parquet", ["x" * 20_000] * 8192, [f"{n:012}.png" * 20 for n in range(8192)])
    found = read(path)
    assert len(found.rows) == 8192 and all(block.raw for block in found.blocks)
    assert max(len(block.raw or b"") for block in found.blocks) < 4 * MB


def test_sizes_of_rows_are_those_of_their_texts() -> None:
    texts = ["", "é", None, "abc"]
    assert row_sizes(pa.array(texts)).to_pylist() == [0, 2, 0, 3]
    assert row_sizes(pa.array(texts).dictionary_encode()).to_pylist() == [0, 2, 0, 3]
    assert row_sizes(pa.array([b"ab", None]), files=False).to_pylist() == [0, 0]
    lists = pa.array([["abc", "d"], None, [], [None]])
    assert row_sizes(lists).to_pylist() == [10, 0, 0, 3]
    assert row_sizes(lists.slice(1)).to_pylist() == [0, 0, 3]
    assert row_sizes(pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int32(), 2)).slice(1)).to_pylist() == [14, 14]
    assert row_sizes(pa.array([{"k": "abc"}, {"k": "d"}]).slice(1)).to_pylist() == [2 + 4 + 1]
    assert row_sizes(pa.array([[("k", "abc")], []], pa.map_(pa.string(), pa.string()))).to_pylist()[1] == 0
    assert row_sizes(pa.nulls(2)).to_pylist() == [4, 4]
    assert row_sizes(pa.array([["abc"], []], pa.list_(pa.string_view()))).to_pylist() == [6, 0]


def test_rows_are_cut_into_runs() -> None:
    cut = lambda sizes, longest, piece: list(runs(pa.array(sizes, pa.int64()), longest, piece))  # noqa: E731
    assert cut([], 9, 9) == [] and cut([1, 2], 9, 9) == [(0, 2, 3)]
    assert cut([5, 5, 5, 1], 9, 9) == [(0, 1, 5), (1, 2, 5), (2, 4, 6)]
    assert cut([1, 20, 20, 1, 1], 9, 9) == [(0, 1, 1), (1, 2, 20), (2, 3, 20), (3, 5, 2)]
    assert cut([9, 20], 30, 9) == [(0, 1, 9), (1, 2, 20)]
