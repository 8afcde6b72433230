"""Arrow streams, as Hugging Face's save_to_disk writes them: rows with their images staged, and damage that costs what follows it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from folders import jpeg, png, put
from opening import tried

from beam_jobs.options import OptionError
from transforms.core.records import Extent
from transforms.inputs.formats.shards.saved_dataset import is_arrow_stream, lines_of
from transforms.storage.packings import Damaged

FILE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
ASK = ("--prompt", "What?", "--answer", "{label}")
FEATURES = {"image": {"_type": "Image"}, "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}


def stream(columns: dict[str, Any], each: int = 2, **options: Any) -> bytes:
    """What pyarrow's writer makes, by which `datasets` 5 writes too: batches of `each` rows."""
    table = pa.table(columns)
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": FEATURES}})})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=each)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def pets(count: int = 5) -> dict[str, Any]:
    images = [{"bytes": jpeg(seed=n), "path": f"{n}.jpg"} for n in range(count)]
    return {"image": pa.array(images, FILE), "label": pa.array([n % 2 for n in range(count)])}


def rows_of(path: Path, data: bytes) -> list[dict[str, Any]]:
    uri = put(path, data)
    return [json.loads(line) for line in lines_of(Extent(uri, "", len(data), 0, 0, "arrow"))]


def test_a_saved_dataset_is_a_table_with_its_images_and_splits(tmp_path: Path) -> None:
    put(tmp_path / "in/dataset_dict.json", b'{"splits": ["train", "test"]}')
    for split, count in (("train", 5), ("test", 2)):
        put(tmp_path / f"in/{split}/data-00000-of-00001.arrow", stream(pets(count)))
        put(tmp_path / f"in/{split}/cache-0123456789abcdef.arrow", stream(pets(3)))  # of what was done to it
        put(tmp_path / f"in/{split}/state.json", b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}')
        put(tmp_path / f"in/{split}/dataset_info.json", json.dumps({"features": FEATURES}).encode())
    blocks = tried(str(tmp_path / "in"), *ASK, "--splits", "train=1")
    assert not any(block.rejections for block in blocks)
    told = [(example.split, example.contents[1]["parts"][0]["text"]) for block in blocks for example in block.examples]
    assert told == [("test", label) for label in ("cat", "dog")] + [
        ("train", label) for label in ("cat", "dog", "cat", "dog", "cat")
    ]
    sizes = [facts.size for block in blocks for facts in block.facts.values()]
    assert sizes == [len(jpeg(seed=n)) for n in (0, 1, *range(5))]


def test_values_are_those_of_parquet_and_images_are_places(tmp_path: Path) -> None:
    a, b = png(seed=1), png(seed=2)
    data = stream(
        {
            "image": pa.array([{"bytes": a, "path": None}, {"bytes": None, "path": "x.png"}, None], FILE),
            "images": pa.array([[{"bytes": b, "path": "b.png"}, {"bytes": a, "path": None}], None, []], pa.list_(FILE)),
            "raw": pa.array([b, None, b""], pa.large_binary()),
            "label": pa.array([1, 0, -1]),
            "when": pa.array([0, None, 1], pa.timestamp("s")),
            "size": pa.array([[640, 480], None, [1, 2]], pa.list_(pa.int32())),
        },
        each=3,
    )
    rows = rows_of(tmp_path / "a.arrow", data)

    def bytes_at(value: dict[str, Any]) -> bytes:
        start, size = value["bytes"]
        return data[start : start + size]

    assert (bytes_at(rows[0]["image"]), bytes_at(rows[0]["raw"]), bytes_at(rows[2]["raw"])) == (a, b, b"")
    assert [(bytes_at(one), one["path"]) for one in rows[0]["images"]] == [(b, "b.png"), (a, None)]
    assert rows[1]["image"] == {"bytes": None, "path": "x.png"} and rows[2]["image"] is None
    assert [row["label"] for row in rows] == ["dog", "cat", None]
    assert [row["when"] for row in rows] == ["1970-01-01T00:00:00", None, "1970-01-01T00:00:01"]
    assert [row["size"] for row in rows] == [[640, 480], None, [1, 2]]


@pytest.mark.parametrize(
    "data, said",
    [
        (stream({"label": pa.array(["a"]).dictionary_encode()}), "dictionaries"),
        (stream({"image": pa.array([b"x" * 999] * 9), "label": [1] * 9}, each=9, compression="zstd"), "compressed"),
        (b"ARROW1\0\0" + bytes(100), "an Arrow or Feather file"),
        (b"PK\x05\x06" + bytes(100), "a zip archive"),
        (b"", "no Arrow stream"),
    ],
)
def test_what_is_not_read_says_so(tmp_path: Path, data: bytes, said: str) -> None:
    with pytest.raises(Damaged, match=said):
        rows_of(tmp_path / "a.arrow", data)


def test_a_file_that_ends_early_gives_what_came_before(tmp_path: Path) -> None:
    data = stream(pets(6))
    put(tmp_path / "in/a.arrow", data[: len(data) * 3 // 4])
    (block,) = tried(str(tmp_path / "in/a.arrow"), *ASK)
    assert len(block.examples) == 4 and [r.reason for r in block.rejections] == ["corrupt_packing"]
    put(tmp_path / "in/b.arrow", data[:40])
    with pytest.raises(OptionError, match=r"b\.arrow"):
        tried(str(tmp_path / "in/b.arrow"), *ASK)


def test_nulls_that_take_no_bytes_are_counted(tmp_path: Path) -> None:
    schema = pa.schema([("label", pa.null())])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        writer.write_batch(pa.record_batch([pa.nulls(1 << 24)], schema))
    with pytest.raises(Damaged, match="claims 16,777,216 values"):
        rows_of(tmp_path / "a.arrow", sink.getvalue().to_pybytes())


def test_harmed_streams_are_damaged_or_read(tmp_path: Path) -> None:
    whole, draw = stream(pets(4)), random.Random(0)
    assert is_arrow_stream(whole)
    for _ in range(300):
        data = bytearray(whole)
        place = draw.choice((draw.randrange(900), draw.randrange(len(data))))
        data[place : place + draw.choice((1, 4, 8))] = draw.choice((b"\xff" * 8, bytes(8), draw.randbytes(8)))
        is_arrow_stream(bytes(data[:4096]))
        try:
            for row in rows_of(tmp_path / "a.arrow", bytes(data)):
                start, size = (row.get("image") or {}).get("bytes") or (0, 0)
                assert 0 <= start <= start + size <= len(data)
        except Damaged:
            pass
