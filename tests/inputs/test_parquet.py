"""Parquet as input: every type of column, image bytes staged by content, row groups at any block size, damage."""

from __future__ import annotations

import datetime
import decimal
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import bmp, jpeg, png, put
from laws import counters, lines, rejections, texts, uris

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from transforms.dataset.sharing import add_user
from transforms.dataset.sweep import unnamed_images

ASK = ("--prompt", "What is {id}?", "--answer", "{label}", "--splits", "train=1")
Run = Callable[..., laws.Folder]


def write(path: Path, columns: dict[str, Any], **options: Any) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)
    return str(path)


def asked(found: laws.Folder) -> list[list[str]]:
    return [texts(line) for line in lines(found)]


def test_values_of_every_type_are_json(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "i.jpg", jpeg())
    day = datetime.datetime(2024, 5, 6, 7, 8)
    columns: dict[str, Any] = {
        "image": ["i.jpg", "i.jpg"],
        "n": pa.array([1, None]),
        "f": pa.array([1.5, float("nan")]),
        "b": [True, None],
        "d": pa.array(["x", None]).dictionary_encode(),
        "l": [["a", "b"], []],
        "nested": [[{"k": [1, 2]}], None],
        "s": [{"a": {"b": "deep"}}, {"a": None}],
        "ts": pa.array([day, None]),
        "day": pa.array([day.date(), None]),
        "dec": pa.array([decimal.Decimal("1.50"), None]),
        "m": pa.array([[("k", 1.5)], None], pa.map_(pa.string(), pa.float64())),
        "bin": pa.array([b"text", b"\xff"]),
    }
    names = list(columns)[1:]
    answer = "{" + ",".join([*names, "s.a.b", "nested.0.k"]) + "|object}"
    found = run(write(tmp_path / "t.parquet", columns), "--prompt", "x", "--answer", answer, "--splits", "train=1")
    assert [json.loads(answer) for _, answer in asked(found)] == [
        {"n": 1, "f": 1.5, "b": True, "d": "x", "l": ["a", "b"], "nested": [{"k": [1, 2]}], "s": {"a": {"b": "deep"}},
         "ts": "2024-05-06T07:08:00", "day": "2024-05-06", "dec": "1.50", "m": {"k": 1.5}, "bin": "text",
         "s.a.b": "deep", "nested.0.k": [1, 2]},
        {"n": None, "f": None, "b": None, "d": None, "l": [], "nested": None, "s": {"a": None}, "ts": None, "day": None,
         "dec": None, "m": None, "bin": None, "s.a.b": None, "nested.0.k": None},
    ]  # fmt: skip


def test_row_groups_are_the_same_dataset_at_any_block_size(run: Run, tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / f"{number}.jpg", jpeg(seed=number))
    columns = {
        "id": list(range(1000)),
        "image": [f"{number % 3}.jpg" for number in range(1000)],
        "label": [f"label {number} " + "x" * (number % 50) for number in range(1000)],
    }
    whole = run(write(tmp_path / "a.parquet", columns), *ASK)
    assert [question for question, _ in asked(whole)] == [f"What is {number}?" for number in range(1000)]
    assert [r["source_line"] for r in whole["examples.parquet"]] == list(range(1, 1001))
    for number, (group, block) in enumerate(((1000, 1024), (1000, 4096), (7, 262144), (7, 1024), (130, 8192))):
        (tmp_path / "a.parquet").unlink()
        source = write(tmp_path / "a.parquet", columns, row_group_size=group)
        other = run(source, *ASK, "--block_bytes", str(block), output=f"o{number}")
        assert other["train.jsonl"] == whole["train.jsonl"]
        assert other["examples.parquet"] == whole["examples.parquet"]


def image_columns() -> dict[str, list[Any]]:
    return {
        "id": [1, 2, 3, 4, 5, 6],
        "image": [
            {"bytes": jpeg(seed=1), "path": "one.jpg"},
            {"bytes": png(seed=2), "path": None},
            {"bytes": None, "path": "beside.jpg"},
            {"bytes": jpeg(seed=1), "path": "again.jpg"},
            {"bytes": b"no image", "path": "bad.jpg"},
            None,
        ],
        "label": list("abcdef"),
    }


def test_image_bytes_are_staged_by_content(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "in/beside.jpg", jpeg(seed=3))
    source = write(tmp_path / "in/t.parquet", image_columns(), row_group_size=2)
    found = run(source, *ASK, "--max_rejected_fraction", "1")
    first, second, third, fourth = (uris(line)[0] for line in lines(found))
    assert first == fourth and first.startswith(f"{tmp_path}/out/images/") and first.endswith(".jpg")
    assert Path(first).read_bytes() == jpeg(seed=1) and Path(second).read_bytes() == png(seed=2)
    assert second.endswith(".png") and third == f"{tmp_path}/in/beside.jpg"
    assert [(r["reason"], r["row"]["id"]) for r in rejections(found)] == [("not_an_image", 5), ("no_image", 6)]
    assert counters(found)["images_untouched"] == 4 and counters(found)["images_type_corrected"] == 0
    other = run(source, *ASK, "--max_rejected_fraction", "1", output="elsewhere")
    ids = [[r["id"] for r in folder["examples.parquet"]] for folder in (found, other)]
    assert ids[0] == ids[1] and len(set(ids[0])) == 4  # by content, not by where it was put


def test_bytes_in_columns_of_other_forms(run: Run, tmp_path: Path) -> None:
    columns = {
        "id": [1],
        "front": pa.array([jpeg(seed=1)]),
        "more": [[{"bytes": png(seed=2), "path": None}, {"bytes": jpeg(seed=3), "path": None}]],
        "label": ["x"],
    }
    source = write(tmp_path / "t.parquet", columns)
    (line,) = lines(run(source, *ASK, "--image_column", "front,more"))
    assert [Path(uri).read_bytes() for uri in uris(line)] == [jpeg(seed=1), png(seed=2), jpeg(seed=3)]
    assert len(uris(lines(run(source, *ASK, output="told"))[0])) == 1  # the first column that holds bytes


def test_staged_images_are_fitted_like_any_other(run: Run, tmp_path: Path) -> None:
    columns = {"id": [1], "image": [{"bytes": bmp(), "path": None}], "label": ["x"]}
    found = run(write(tmp_path / "t.parquet", columns), *ASK)
    (line,) = lines(found)
    assert counters(found)["images_converted"] == 1 and uris(line)[0].endswith((".png", ".jpg"))
    (row,) = found["images.parquet"]
    assert row["source"].endswith(".bmp") and row["output"] == uris(line)[0]


def test_staged_images_are_published_below_the_prefix(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "in/beside.jpg", jpeg(seed=3))
    source = write(tmp_path / "in/t.parquet", image_columns())
    found = run(source, *ASK, "--max_rejected_fraction", "1", "--uri_prefix", "gs://data/set")
    names = [uris(line)[0].removeprefix("gs://data/set/images/") for line in lines(found)]
    images = [found[f"images/{name[:2]}/{name}"] for name in names]
    assert images == [jpeg(seed=1), png(seed=2), jpeg(seed=3), jpeg(seed=1)]
    assert found["upload-images.txt"].split() == sorted(f"{name[:2]}/{name}".encode() for name in set(names))


def test_a_rejected_row_with_bytes_is_replayed(run: Run, tmp_path: Path) -> None:
    columns = {"id": [1, 2], "image": [{"bytes": jpeg(seed=n), "path": None} for n in (1, 2)], "label": ["x", None]}
    source = write(tmp_path / "t.parquet", columns)
    found = run(source, *ASK)
    (lost,) = rejections(found)
    assert lost["reason"] == "empty_answer" and lost["row"]["image"]["path"].startswith(f"{tmp_path}/out/images/")
    again = run(
        tmp_path / "out/rejected.jsonl", "--prompt", "{id}", "--answer", "mended", "--image_column", "image",
        "--splits", "train=1", "--allow_prefix", str(tmp_path), output="again",
    )  # fmt: skip
    assert Path(uris(lines(again)[0])[0]).read_bytes() == jpeg(seed=2)


@pytest.mark.parametrize("verify", ["structure", "none"])
def test_a_sweep_leaves_what_lines_and_rejected_rows_name(
    run: Run, tmp_path: Path, verify: str, capfd: pytest.CaptureFixture[str]
) -> None:
    columns = {"id": [1, 2], "image": [{"bytes": jpeg(seed=n), "path": None} for n in (1, 2)], "label": ["x", None]}
    found = run(write(tmp_path / "t.parquet", columns), *ASK, "--verify", verify)
    stale = put(tmp_path / "out/images/ab" / f"{'ab' * 16}.jpg", b"left by other options")
    named = {file["name"] for file in found["manifest.json"]["files"]}
    assert unnamed_images(f"{tmp_path}/out", named, 0) == [stale]
    add_user(f"{tmp_path}/out/images", f"{tmp_path}/out")
    capfd.readouterr()
    shared = ["--image_folder", f"{tmp_path}/out/images", "--datasets", f"{tmp_path}/out", "--min_age_hours", "0"]
    assert main(["sweep", *shared]) == 0
    assert capfd.readouterr().out.split() == [stale]


def test_staging_into_a_bucket(bucket: str, tmp_path: Path) -> None:
    from transforms.storage import store_for

    columns = {"id": [1, 2], "image": [{"bytes": jpeg(seed=n), "path": None} for n in (1, 1)], "label": ["x", "y"]}
    source = write(tmp_path / "t.parquet", columns)
    assert prepare(["--input", source, "--output", f"{bucket}/out", *ASK]) == 0
    data = store_for(bucket).read(f"{bucket}/out/train.jsonl")[0]
    (uri,) = {uri for line in data.splitlines() for uri in uris(json.loads(line))}
    assert uri.startswith(f"{bucket}/out/images/") and store_for(uri).read(uri)[0] == jpeg(seed=1)


def test_names_of_classes_stand_for_their_numbers(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "i.jpg", jpeg())
    features = {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "image": {"_type": "Image"}}
    table = pa.table({"id": [1, 2, 3, 4], "image": ["i.jpg"] * 4, "label": [1, 0, -1, None]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "t.parquet")
    found = run(tmp_path / "t.parquet", *ASK, "--max_rejected_fraction", "1")
    assert [answer for _, answer in asked(found)] == ["dog", "cat"]
    assert [r["reason"] for r in rejections(found)] == ["empty_answer"] * 2


def test_names_of_classes_at_any_depth(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "i.jpg", jpeg())
    label = {"names": ["cat", "dog"], "_type": "ClassLabel"}
    box = {"kind": label, "area": {"dtype": "int64", "_type": "Value"}}
    features = {
        "many": {"feature": label, "_type": "Sequence"},
        "older": [label],
        "one": box,
        "structs": [box],
        "lists": {"feature": box, "_type": "Sequence"},  # stored as a struct of lists
    }
    columns = {
        "image": ["i.jpg"],
        "many": [[1, 0, -1]],
        "older": [[0]],
        "one": [{"kind": 1, "area": 1}],
        "structs": [[{"kind": 0, "area": 0}, {"kind": 1, "area": 1}]],
        "lists": [{"kind": [1, 9], "area": [1, 0]}],
    }
    table = pa.table(columns).replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, tmp_path / "t.parquet")
    found = run(tmp_path / "t.parquet", "--prompt", "x", "--answer", "{many,older,one,structs,lists|object}")
    (line,) = lines(found)
    assert json.loads(texts(line)[1]) == {
        "many": ["dog", "cat", None],
        "older": ["cat"],
        "one": {"kind": "dog", "area": 1},
        "structs": [{"kind": "cat", "area": 0}, {"kind": "dog", "area": 1}],
        "lists": {"kind": ["dog", 9], "area": [1, 0]},
    }


def test_what_is_damaged_is_one_rejection(run: Run, tmp_path: Path) -> None:
    columns = {"id": list(range(100)), "image": ["i.jpg"] * 100, "label": ["x"] * 100}
    put(tmp_path / "in/i.jpg", jpeg())
    write(tmp_path / "in/a.parquet", columns)
    write(tmp_path / "in/empty.parquet", {name: values[:0] for name, values in columns.items()},)  # fmt: skip
    good = Path(write(tmp_path / "in/b.parquet", columns, compression="none")).read_bytes()
    put(tmp_path / "in/b.parquet", good[:-20])  # no footer
    put(tmp_path / "in/c.parquet", good[:4] + b"\xff" * 300 + good[304:])  # broken pages
    put(tmp_path / "in/d.parquet", b"PAR1")
    write(tmp_path / "in/e.parquet", {"id": [1], "picture": ["i.jpg"], "label": ["x"]})
    found = run(tmp_path / "in", *ASK, "--max_rejected_fraction", "1")
    assert [(r["source"][-9:], r["line"], r["reason"]) for r in rejections(found)] == [
        ("b.parquet", 1, "corrupt_parquet"), ("c.parquet", 1, "corrupt_parquet"), ("d.parquet", 1, "corrupt_parquet"),
        ("e.parquet", 1, "missing_column"),
    ]  # fmt: skip
    assert "rows 1 to 100 are left out" in rejections(found)[1]["detail"]
    assert counters(found)["examples_used"] == 100


def test_a_column_that_is_named_twice_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arrays = [pa.array([1]), pa.array(["i.jpg"]), pa.array(["x"]), pa.array(["y"])]
    pq.write_table(pa.Table.from_arrays(arrays, names=["id", "image", "label", "label"]), tmp_path / "t.parquet")
    put(tmp_path / "i.jpg", jpeg())
    assert prepare(["--input", f"{tmp_path}/t.parquet", "--output", f"{tmp_path}/out", *ASK]) == 2
    assert "the file names the column 'label' twice: rename one of them" in capfd.readouterr().err


@pytest.mark.parametrize(
    "data, flags, said",
    [
        (b"PAR1 and no footer", ASK, "./t.parquet: it cannot be read as Parquet: "),
        (
            None,
            (*ASK, "--split_by", "group"),
            "./t.parquet: there is no column 'group'; the columns are 'id', 'image', 'label'",
        ),
        (None, (), "./t.parquet is a table with the columns 'id', 'image', 'label': --prompt is missing"),
    ],
)
def test_what_cannot_be_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], data: bytes | None, flags: tuple[str, ...], said: str
) -> None:
    source = str(tmp_path / "t.parquet")
    if data is None:
        write(tmp_path / "t.parquet", {"id": [1], "image": ["i.jpg"], "label": ["x"]})
    else:
        put(source, data)
    assert prepare(["--input", source, "--output", f"{tmp_path}/out", *flags]) == 2
    assert said in capfd.readouterr().err.replace(str(tmp_path), ".")
