"""Tables as input: CSV in every form that people have it, TSV, JSON lines; what is detected, and the datasets made of them."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import assert_equal_folders, jpeg, put, write_lines
from laws import counters, lines, rejections, texts, uris
from opening import tried
from table_rows import ASK, Run, answers, text_of, world

from beam_jobs.commands.prepare import prepare


def prompts(found: laws.Folder) -> list[str]:
    return [texts(line)[0] for line in lines(found)]


def big_table(count: int) -> list[list[Any]]:
    """A header and rows, of which every third holds line ends, quotes, delimiters, or letters beyond ASCII."""
    odd = ['two\nlines, "quoted"', "\r\n", "é\u2028ü", '"', "a,b;c\td", " spaced ", 'x" y']
    rows: list[list[Any]] = [["id", "image", "label", "note"]]
    for number in range(count):
        note = odd[number // 3 % len(odd)] if number % 3 == 0 else f"note {number}"
        rows.append([number, f"img/{number % 4}.jpg", f"label {number % 7}", note * (number % 9)])
    return rows


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
def test_csv_with_line_ends_in_cells_is_the_same_at_any_block_size(run: Run, tmp_path: Path, quoting: int) -> None:
    world(tmp_path)
    rows = big_table(400)
    source = put(tmp_path / "t.csv", text_of(rows, quoting=quoting).encode())
    ask = ("--prompt", "{id}: {note}", "--answer", "{label}", "--splits", "train=1", "--keep_blanks")
    whole = run(source, *ask, output="whole")
    assert prompts(whole) == [f"{row[0]}: {row[3]}" for row in rows[1:]]
    assert answers(whole) == [row[2] for row in rows[1:]]
    for size in ("1024", "3000"):
        other = run(source, *ask, "--block_bytes", size, output=size)
        for part in ("train.jsonl", "examples.parquet"):
            assert whole[part] == other[part], size
    packed = put(tmp_path / "t.csv.gz", gzip.compress(text_of(rows, quoting=quoting).encode()))
    assert run(packed, *ask, "--block_bytes", "1024", output="gz")["train.jsonl"] == whole["train.jsonl"]


def test_a_byte_order_mark_before_a_quote_does_not_shift_records(tmp_path: Path) -> None:
    rows = [["id", "image", "label"], *([f"{n}\n{n}", "img/0.jpg", "x"] for n in range(300))]
    world(tmp_path)
    source = put(tmp_path / "t.csv", b"\xef\xbb\xbf" + text_of(rows, quoting=csv.QUOTE_ALL).encode())
    blocks = tried(source, *ASK, "--block_bytes", "1024")
    assert len(blocks) > 5 and sum(len(opened.examples) for opened in blocks) == 300


def test_a_header_of_many_columns_takes_no_time(tmp_path: Path) -> None:
    names = ["id", "image", "label", *["x"] * 30_000]
    source = put(tmp_path / "t.csv", f"{','.join(names)}\n1,i.jpg,y{',' * 30_000}\n".encode())
    (opened,) = tried(source, *ASK, "--verify", "none")
    assert len(opened.examples) == 1


def test_a_row_says_where_it_stands(run: Run, tmp_path: Path) -> None:
    world(tmp_path)
    data = text_of([["id", "image", "label"], ["a\nb", "img/0.jpg", "x"], ["c", "img/1.jpg", "y"]]).encode()
    source = put(tmp_path / "t.csv", data)
    places = [(r["source"], r["source_line"], r["source_offset"]) for r in run(source, *ASK)["examples.parquet"]]
    assert places == [(source, 2, data.index(b'"a')), (source, 4, data.index(b"c,"))]


@pytest.mark.parametrize(
    "name, data, flags",
    [
        ("comma.csv", b"id,image,label\r\n7,img/0.jpg,cat\r\n", ()),
        ("bom.csv", b"\xef\xbb\xbfid,image,label\n7,img/0.jpg,cat\n", ()),
        ("quoted_bom.csv", b'\xef\xbb\xbf"id",image,label\n7,img/0.jpg,cat\n', ()),
        ("semicolon.csv", b"id;image;label\n7;img/0.jpg;cat\n", ()),
        ("pipe.csv", b"id|image|label\n7|img/0.jpg|cat", ()),
        ("tab.tsv", b"id\timage\tlabel\n7\timg/0.jpg\tcat\n", ()),
        ("odd.csv", b"id#image#label\n7#img/0.jpg#cat\n", ("--delimiter", "#")),
        ("tab.csv", b"id\timage\tlabel\n7\timg/0.jpg\tcat\n", ("--delimiter", "tab")),
        ("blank.csv", b"id,image,label\n\n7,img/0.jpg,cat\n\r\n\n", ()),
        ("padded.csv", b" id , image,label \n7,img/0.jpg,cat\n", ()),
        ("more.csv", b"id,x,image,x,,label\n7,1,img/0.jpg,2,3,cat\n", ()),
        ("photo.csv", b"label,id,photo\ncat,7,img/0.jpg\n", ()),
        ("anything.csv", b"label,id,foo\ncat,7,img/0.jpg\n", ()),
        ("two.csv", b"image,label,id,foo\nimg/nope.jpg,cat,7,img/0.jpg\n", ("--image_column", "foo")),
        ("noname", b"id,image,label\n7,img/0.jpg,cat\n", ()),
        ("t.jsonl", b'{"id":7,"image":"img/0.jpg","label":"cat"}\n', ()),
        ("nested.jsonl", b'{"id":7,"a":{"b":["img/0.jpg"]},"label":"cat"}\n', ("--image_column", "a.b")),
        ("bytes_path.jsonl", b'{"id":7,"image":{"bytes":null,"path":"img/0.jpg"},"label":"cat"}\n', ()),
    ],
)
def test_a_table_in_any_form_is_the_same_dataset(
    tmp_path: Path, name: str, data: bytes, flags: tuple[str, ...]
) -> None:
    world(tmp_path)
    (opened,) = tried(put(tmp_path / name, data), *ASK, *flags)
    (example,) = opened.examples
    assert (texts({"contents": example.contents}), example.sources) == (
        ["What is 7?", "cat"],
        [f"{tmp_path}/img/0.jpg"],
    )
    assert (opened.counters["examples_read"], opened.block.format, opened.rejections) == (1, "table", [])


def test_without_a_header_columns_are_numbers(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    world(tmp_path)
    source = put(tmp_path / "t.csv", b"img/0.jpg,cat\nimg/1.jpg,dog\n")
    found = run(source, "--prompt", "Which animal?", "--answer", "{2}", "--splits", "train=1")
    assert (answers(found), counters(found)["examples_read"]) == (["cat", "dog"], 2)
    assert "no header (--header)" in capfd.readouterr().out
    forced = run(
        source, "--prompt", "Which?", "--answer", "{cat}", "--header", "yes", "--splits", "train=1", output="b"
    )
    assert answers(forced) == ["dog"]
    numbers = put(tmp_path / "n.csv", b"1,2\nimg/0.jpg,cat\n")
    flags = ("--header", "no", "--image_column", "1", "--max_rejected_fraction", "1")
    headed = run(numbers, "--prompt", "Which?", "--answer", "{2}", *flags, output="c")
    assert counters(headed)["examples_read"] == 2


def test_what_was_detected_is_said_with_the_options_that_override_it(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    world(tmp_path)
    source = put(tmp_path / "t.csv", b"id;photo;label\n7;img/0.jpg;cat\n")
    run(source, *ASK)
    assert capfd.readouterr().out.splitlines()[0].replace(str(tmp_path), ".") == (
        "./t.csv: a table (--input_format) in CSV; delimiter ';' (--delimiter), a header (--header), utf-8 (--encoding); "
        "images in 'photo' (--image_column)"
    )


def test_several_images_stand_in_the_order_of_the_columns(run: Run, tmp_path: Path) -> None:
    world(tmp_path)
    rows = [
        {"id": 1, "front": "img/0.jpg", "more": ["img/1.jpg", None, "img/2.jpg"], "label": "a"},
        {"id": 2, "front": None, "more": ["img/3.jpg"], "label": "b"},
        {"id": 3, "front": "", "more": [], "label": "c"},
        {"id": 4, "front": 7, "more": [], "label": "d"},
    ]
    source = write_lines(tmp_path / "t.jsonl", rows)
    found = run(source, *ASK, "--image_column", "front, more", "--max_rejected_fraction", "1")
    assert [[uri[-5:] for uri in uris(line)] for line in lines(found)] == [["0.jpg", "1.jpg", "2.jpg"], ["3.jpg"]]
    assert [(r["reason"], r["row"]["id"]) for r in rejections(found)] == [("no_image", 3), ("bad_image_value", 4)]
    cells = put(
        tmp_path / "t.csv", text_of([["id", "image", "label"], [1, '["img/0.jpg", "img/1.jpg"]', "a"]]).encode()
    )
    assert [len(uris(line)) for line in lines(run(cells, *ASK, output="cells"))] == [2]


def test_answers_of_a_catalogue_are_json(run: Run, tmp_path: Path) -> None:
    world(tmp_path)
    row = {"image": "img/0.jpg", "brand": "Acmé", "sizes": [38, 39.5], "made": {"in": "Bonn"}, "colour": None}
    source = write_lines(tmp_path / "t.jsonl", [row])
    found = run(
        source, "--prompt", "Attributes {{as JSON}}", "--system", "You know {brand}.", "--splits", "train=1",
        "--answer", "{brand,sizes,made.in,colour|object}",
    )  # fmt: skip
    (line,) = lines(found)
    assert json.loads(line["contents"][1]["parts"][0]["text"]) == {
        "brand": "Acmé", "sizes": [38, 39.5], "made.in": "Bonn", "colour": None,
    }  # fmt: skip
    assert texts(line)[0] == "Attributes {as JSON}"
    assert line["systemInstruction"] == {"role": "system", "parts": [{"text": "You know Acmé."}]}


def test_splits_come_from_columns_and_paths(run: Run, tmp_path: Path) -> None:
    for number, split in enumerate(("train", "Validation", "test")):
        put(tmp_path / f"in/{split}/cat/{number}.jpg", jpeg(seed=number))
    rows = [["image", "label"], *([f"{s}/cat/{n}.jpg", "cat"] for n, s in enumerate(("train", "Validation", "test")))]
    source = put(tmp_path / "in/t.csv", text_of(rows).encode())
    found = run(source, "--prompt", "{path.stem}", "--answer", "{path.parent}", "--split_column", "path.1")
    assert found["manifest.json"]["splits"] == {"train": 1, "validation": 1, "test": 1}
    assert [texts(lines(found, split)[0]) for split in ("train", "validation", "test")] == [
        ["0", "cat"], ["1", "cat"], ["2", "cat"],
    ]  # fmt: skip
    grouped = run(source, "--prompt", "{path}", "--answer", "{label}", "--split_by", "path.2", output="by")
    assert sorted(grouped["manifest.json"]["splits"].values()) == [0, 3]
    assert counters(grouped)["split_group_missing"] == 0


def test_the_id_of_a_row_is_that_of_the_same_row_in_geminis_format(run: Run, tmp_path: Path) -> None:
    world(tmp_path)
    source = put(tmp_path / "t.csv", b"id,image,label\n7,img/0.jpg,cat\n")
    image = {"fileData": {"mimeType": "image/jpeg", "fileUri": "img/0.jpg"}}
    turns = [("user", [image, {"text": "What is 7?"}]), ("model", [{"text": "cat"}])]
    rows = write_lines(tmp_path / "g.jsonl", [{"contents": [{"role": r, "parts": parts} for r, parts in turns]}])
    table, gemini = run(source, *ASK, output="t"), run(rows, "--splits", "train=1", output="g")
    assert [r["id"] for r in table["examples.parquet"]] == [r["id"] for r in gemini["examples.parquet"]]
    assert table["train.jsonl"] == gemini["train.jsonl"]


def test_inputs_of_several_formats_go_together(run: Run, tmp_path: Path) -> None:
    world(tmp_path)
    gemini = write_lines(tmp_path / "a.jsonl", [{"contents": [
        {"role": "user", "parts": [{"text": "hello"}]}, {"role": "model", "parts": [{"text": "world"}]}]}])  # fmt: skip
    table = put(tmp_path / "b.csv", b"id,image,label\n7,img/0.jpg,cat\n")
    more = write_lines(tmp_path / "c.jsonl", [{"id": 8, "image": "img/1.jpg", "label": "dog"}])
    found = run(f"{gemini},{table},{more}", *ASK)
    assert found["manifest.json"]["formats"] == ["gemini", "table", "table"]
    assert [(r["source"], r["source_line"]) for r in found["examples.parquet"]] == [(gemini, 1), (table, 2), (more, 1)]
    assert answers(found) == ["world", "cat", "dog"]


def test_a_folder_of_tables_is_read_whole_and_packed(run: Run, tmp_path: Path) -> None:
    for number in range(30):
        put(tmp_path / f"in/{number:02}.{'tsv' if number % 2 else 'csv'}", b"id,image,label\n1,i.jpg,x\n".replace(
            b",", b"\t" if number % 2 else b","))  # fmt: skip
    put(tmp_path / "in/zz.jsonl", b'{"id":1,"image":"i.jpg","label":"x"}\n')
    put(tmp_path / "in/i.jpg", jpeg())
    found = run(tmp_path / "in", *ASK)
    count = counters(found)
    assert (count["examples_read"], count["files_read"], count["files_skipped"]) == (31, 31, 1)


def test_many_workers_and_small_blocks_give_the_same_folder(tmp_path: Path) -> None:
    world(tmp_path)
    source = put(tmp_path / "t.csv", text_of(big_table(200)).encode())
    folders = []
    for extra in (
        (),
        ("--block_bytes", "1024", "--direct_num_workers", "2", "--direct_running_mode", "multi_threading"),
    ):
        assert prepare(["--input", source, "--output", f"{tmp_path}/out", "--overwrite", *ASK, *extra]) == 0
        folders.append(laws.sealed(tmp_path / "out"))
    assert_equal_folders(*folders, same_blocks=False)


def test_folders_tell_columns_as_hive_does(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "i.jpg", jpeg())
    image = str(tmp_path / "i.jpg")
    for value in ("cat", "red%20dog", "__HIVE_DEFAULT_PARTITION__"):
        folder = tmp_path / f"in/label={value}"
        put(folder / "a.csv", f"image,n\n{image},1\n".encode())
        write_lines(folder / "b.jsonl", [{"image": image, "n": 2}])
        pq.write_table(pa.table({"image": [image], "n": [3]}), folder / "part-0.parquet")
    flags = ("--prompt", "{n}", "--answer", "{label}", "--allow_prefix", str(tmp_path), "--max_rejected_fraction", "1")
    found = run(tmp_path / "in", *flags, "--splits", "train=1")
    assert sorted(texts(line) for line in lines(found)) == [[n, label] for n in "123" for label in ("cat", "red dog")]
    assert [(one["reason"], one["row"]["label"]) for one in rejections(found)] == [("empty_answer", None)] * 3
    assert len(lines(run(tmp_path / "in/*/*.parquet", *flags, "--splits", "train=1", output="globbed"))) == 2
