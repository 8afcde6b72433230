"""Tables as input: CSV in every form that people have it, TSV, JSON lines; what is detected, refused, rejected and replayed."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import assert_equal_folders, jpeg, png, put, write_lines
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import counters, lines, rejections, texts, uris
from opening import tried

from beam_jobs.commands.prepare import prepare
from transforms.inputs.cells.csv_record_ends import RecordEnds, cut_records

ASK = ("--prompt", "What is {id}?", "--answer", "{label}", "--splits", "train=1")
Run = Callable[..., laws.Folder]


@pytest.fixture
def told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a job that is refused with exit status 2 -> what it says, in which the folder of the test is `.`."""

    def job(source: str | Path, *argv: str, where: str = "out") -> str:
        assert prepare(["--input", str(source), "--output", str(tmp_path / where), *argv]) == 2
        assert not (tmp_path / where).exists()
        return capfd.readouterr().err.replace(str(tmp_path), ".").strip()

    return job


def text_of(rows: Sequence[Sequence[Any]], **dialect: Any) -> str:
    out = io.StringIO()
    csv.writer(out, **dialect).writerows(rows)
    return out.getvalue()


def world(folder: Path) -> None:
    for number in range(4):
        put(folder / f"img/{number}.jpg", jpeg(seed=number))


def answers(found: laws.Folder) -> list[str]:
    return [line["contents"][1]["parts"][0]["text"] for line in lines(found)]


def prompts(found: laws.Folder) -> list[str]:
    return [texts(line)[0] for line in lines(found)]


# Where records end

CELLS = st.lists(st.sampled_from(["a", '"', '""', ",", "\n", "\r\n", '"a"', '"x\n"']), max_size=16).map("".join)


def record_ends(text: str) -> list[int]:
    """As the csv module has it."""
    reader = csv.reader(io.StringIO(text, newline="\n"))
    ends = [0]
    for line in io.StringIO(text, newline="\n"):
        ends.append(ends[-1] + len(line.encode()))
    return [ends[reader.line_num] for _ in reader]


@settings(max_examples=400)
@given(CELLS, st.integers(1, 9))
def test_records_end_where_the_csv_module_says_however_they_are_fed(text: str, step: int) -> None:
    data, scan = text.encode(), RecordEnds(",")
    ends = [int(end) for at in range(0, len(data), step) for end in scan.feed(data[at : at + step])]
    if data and ends[-1:] != [len(data)]:
        ends.append(len(data))
    assert ends == record_ends(text)


@settings(max_examples=400)
@given(CELLS, st.integers(1, 5), st.integers(1, 8), st.sampled_from([3, 6, 100]))
def test_ranges_hold_whole_records_and_long_ones_stand_alone(text: str, step: int, block: int, longest: int) -> None:
    data, ends, position = text.encode(), [0, *record_ends(text)], 0
    for found in cut_records((data[at : at + step] for at in range(0, len(data), step)), ",", block, longest):
        assert found.start == position < found.end and found.end in ends
        position, raw = found.end, data[found.start : found.end]
        if found.data:
            assert found.data == raw
        else:
            assert len(raw) > longest and ends.index(found.end) == ends.index(found.start) + 1
            assert found.lines == raw.count(b"\n") + (not raw.endswith(b"\n"))
    assert position == len(data)


# CSV as jobs read it


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


# What is wrong with rows


def test_bad_records_cost_themselves_and_can_be_found(run: Run, tmp_path: Path) -> None:
    world(tmp_path)
    data = (
        b"id,image,label\n"
        b"1,img/0.jpg\n"  # too few
        b"2,img/0.jpg,x,y\n"  # too many
        b"3,img/0.jpg,\xff\n"  # another encoding
        b"4,img/0.jpg,a\rb\n"  # a lone carriage return
        b"5,img/0.jpg,\n"  # no answer
        b'6,img/1.jpg,"good\nrow"\n'
        b'7,img/0.jpg,"never closed\n'
    )
    found = run(put(tmp_path / "t.csv", data), *ASK, "--encoding", "utf-8", "--max_rejected_fraction", "1")
    assert answers(found) == ["good\nrow"]
    assert [(r["line"], r["offset"], r["reason"]) for r in rejections(found)] == [
        (line, data.index(b"%d,img" % number), reason)
        for number, line, reason in [
            (1, 2, "bad_record"), (2, 3, "bad_record"), (3, 4, "not_utf8"), (4, 5, "bad_record"), (5, 6, "empty_answer"),
            (7, 9, "bad_record"),
        ]
    ]  # fmt: skip
    first, *_, blank, last = rejections(found)
    assert first["detail"] == "the record has 2 cells, the header 3"
    assert base64.b64decode(first["row_base64"]) == b"1,img/0.jpg" and first["format"] == "table"
    assert blank["row"] == {"id": "5", "image": "img/0.jpg", "label": ""}
    assert "not closed before the file ends" in last["detail"]


def test_a_record_over_max_line_bytes_is_rejected_by_its_place(run: Run, tmp_path: Path) -> None:
    world(tmp_path)
    long = '"' + "two\nlines " * 1000 + '"'
    head, fits = "id,image,label\n", "1,img/0.jpg," + "x" * (2000 - len("1,img/0.jpg,"))
    data = f"{head}{fits}\n2,img/0.jpg,{'x' * 2000}\n3,img/0.jpg,{long}\n4,img/1.jpg,last\n".encode()
    source = put(tmp_path / "t.csv", data)
    folders = []
    for number, size in enumerate(("1024", "262144")):
        found = run(source, *ASK, "--max_line_bytes", "2000", "--block_bytes", size, "--max_rejected_fraction", "1",
                    output=str(number))  # fmt: skip
        assert [r["source_line"] for r in found["examples.parquet"]] == [2, 1005]
        assert [(r["line"], r["offset"], r["reason"]) for r in rejections(found)] == [
            (3, data.index(b"2,img"), "line_too_long"), (4, data.index(b"3,img"), "line_too_long"),
        ]  # fmt: skip
        folders.append(found["train.jsonl"])
    assert folders[0] == folders[1]


def test_a_later_file_without_the_columns_is_one_rejection(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "in/i.jpg", jpeg())
    put(tmp_path / "in/a.csv", b"id,image,label\n1,i.jpg,x\n")
    put(tmp_path / "in/b.csv", b"id,picture,label\n1,i.jpg,x\n2,i.jpg,x\n")
    put(tmp_path / "in/c.csv", "id,image,label\n".encode("utf-16"))
    found = run(tmp_path / "in", *ASK, "--max_rejected_fraction", "1")
    assert [(r["source"][-5:], r["line"], r["reason"]) for r in rejections(found)] == [
        ("b.csv", 1, "missing_column"), ("c.csv", 1, "utf16"),
    ]  # fmt: skip
    assert "there is no column 'image'; the header names 'id', 'picture', 'label'" in rejections(found)[0]["detail"]


@pytest.mark.parametrize("cut", [-20, -9])
def test_a_damaged_gz_gives_the_records_before_the_damage(run: Run, tmp_path: Path, cut: int) -> None:
    put(tmp_path / "img/0.jpg", jpeg())
    data = b"id,image,label\n" + b"".join(b'%d,img/0.jpg,"a\nb"\n' % number for number in range(500))
    found = run(put(tmp_path / "t.csv.gz", gzip.compress(data)[:cut]), *ASK, "--block_bytes", "1024")
    (damaged,) = rejections(found)
    assert damaged["reason"] == "corrupt_gzip"
    assert set(answers(found)) == {"a\nb"} and 0 < len(answers(found)) <= 500


def test_a_rejected_row_of_a_table_is_replayed_into_the_same_dataset(run: Run, tmp_path: Path) -> None:
    rows = [["id", "image", "label"], *([n, f"img/{n}.png", f"l{n}"] for n in range(6))]
    source = put(tmp_path / "in/t.csv", text_of(rows).encode())
    for number in range(6):
        if number % 2:
            put(tmp_path / f"in/img/{number}.png", png(seed=number))
    ask = ("--prompt", "{id}", "--answer", "{label}", "--splits", "train=0.5,validation=0.5")
    first = run(source, *ask, "--max_rejected_fraction", "1", output="first")
    assert [r["reason"] for r in rejections(first)] == ["image_not_found"] * 3
    for number in (0, 2):
        put(tmp_path / f"in/img/{number}.png", png(seed=number))
    allow = ("--allow_prefix", f"{tmp_path}/in")
    second = run(tmp_path / "first/rejected.jsonl", *ask, *allow, "--image_column", "image",
                 "--max_rejected_fraction", "1", output="second")  # fmt: skip
    (left,) = rejections(second)
    assert (left["format"], left["row"], left["base"]) == (
        "table", {"id": "4", "image": "img/4.png", "label": "l4"}, f"{tmp_path}/in",
    )  # fmt: skip
    put(tmp_path / "in/img/4.png", png(seed=4))
    third = run(tmp_path / "second/rejected.jsonl", *ask, *allow, "--image_column", "image", output="third")
    whole = run(source, *ask, output="whole")
    for split in ("train.jsonl", "validation.jsonl"):
        parts = first[split] + second[split] + third[split]
        assert sorted(parts.splitlines()) == sorted(whole[split].splitlines())


def test_rejected_rows_of_a_table_need_their_templates_again(run: Run, tmp_path: Path) -> None:
    source = put(tmp_path / "t.csv", b"id,image,label\n1,nope.jpg,x\n2,i.jpg,y\n")
    put(tmp_path / "i.jpg", jpeg())
    run(source, *ASK, "--max_rejected_fraction", "1", output="first")
    gemini = {"contents": [{"role": r, "parts": [{"text": "x"}]} for r in ("user", "model")]}
    (tmp_path / "first/rejected.jsonl").open("ab").write(json.dumps(gemini).encode())
    again = run(tmp_path / "first/rejected.jsonl", "--max_rejected_fraction", "1", output="second")
    (left,) = rejections(again)
    assert (left["reason"], left["detail"]) == (
        "other_format", "the row is of a table: replay it with its --prompt and --answer",
    )  # fmt: skip


# What is refused at the door


@pytest.mark.parametrize(
    "data, flags, said",
    [
        (
            b"id,image,label\n1,i.jpg,x\n",
            (),
            "./t.csv is a table with the columns 'id', 'image', 'label': --prompt is missing. For example: "
            "--prompt 'What is this?' --answer '{label}'",
        ),
        (b"id,image,label\n1,i.jpg,x\n", ("--prompt", "x"), "--answer is missing"),
        (
            b"id,image,label\n1,i.jpg,x\n",
            ("--prompt", "x", "--answer", "{lable}"),
            "./t.csv: there is no column 'lable'; the header names 'id', 'image', 'label'",
        ),
        (b"id,image,label\n1,i.jpg,x\n", (*ASK, "--split_by", "group"), "there is no column 'group'"),
        (b"id,image,label\n1,i.jpg,x\n", (*ASK, "--image_column", "img"), "there is no column 'img'"),
        (b"id,image,label,id\n1,i.jpg,x,2\n", ASK, "the header names 'id' twice: rename one of them"),
        (b"id,thing,label\n1,x,y\n", ASK, "no column looks like one of images: name it with --image_column"),
        (
            b"id,image,label\n1,i.jpg,caf\xe9\n",
            ASK,
            "./t.csv: line 2: byte 0xe9 is not UTF-8; --encoding latin-1 or cp1252 (Windows) reads such files, and "
            "--encoding utf-8 rejects only the rows that hold such bytes",
        ),
        ("id,image,label\n".encode("utf-16"), ASK, "UTF-16 byte order mark"),
        (b'id,image,label\n1,"i.jpg', (*ASK, "--delimiter", "ab"), "--delimiter ab: expected one ASCII character"),
        (b"", ASK, "there is no row to tell the columns by: is the file empty"),
        (
            b"id,image,label\n",
            ("--prompt", "{", "--answer", "x"),
            "--prompt {: the place at character 1 needs the name",
        ),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_written(
    told: Callable[..., str], tmp_path: Path, data: bytes, flags: tuple[str, ...], said: str
) -> None:
    assert said in told(put(tmp_path / "t.csv", data), *flags)


def test_an_encoding_that_is_named_is_read(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "i.jpg", jpeg())
    source = put(tmp_path / "t.csv", b"id,image,label\n1,i.jpg,caf\xe9 \x80\n")
    assert answers(run(source, *ASK, "--encoding", "cp1252")) == ["café €"]
    assert answers(run(source, *ASK, "--encoding", "latin-1", output="latin")) == ["café \x80"]


@pytest.mark.parametrize(("start", "more"), [("", ""), ("\r\n\n", ""), ("", 1024 * "x")])
def test_a_header_that_cannot_be_read_costs_no_row(run: Run, tmp_path: Path, start: str, more: str) -> None:
    for number in range(3):
        put(tmp_path / f"in/{number}.jpg", jpeg(seed=number))
    text = f"{start}image,label,größe{more}\n0.jpg,FIRST,1\n1.jpg,SECOND,é\n2.jpg,THIRD,3\n"
    flags = ("--prompt", "?", "--answer", "{label}", "--image_column", "image", "--max_rejected_fraction", "1")
    found = {}
    for encoding in ("utf-8", "latin-1"):
        source = put(tmp_path / f"in/{encoding}.csv", text.encode(encoding))
        argv = ("--encoding", "utf-8", "--max_line_bytes", "1024", "--splits", "train=1")
        made = run(source, *flags, *argv, output=encoding)
        found[encoding] = (
            [texts(line)[-1] for line in lines(made)],
            [(r["reason"], r["line"]) for r in rejections(made)],
        )
    first = 1 + start.count("\n")
    assert found["utf-8"] == (["FIRST", "SECOND", "THIRD"], [("line_too_long", 1)] if more else [])
    assert found["latin-1"] == (["FIRST", "THIRD"], [("not_utf8", first), ("not_utf8", first + 2)])


def test_templates_for_geminis_rows_are_refused(told: Callable[..., str], tmp_path: Path) -> None:
    row = {"contents": [{"role": r, "parts": [{"text": "x"}]} for r in ("user", "model")]}
    assert "--prompt is for rows of tables" in told(write_lines(tmp_path / "a.jsonl", [row]), "--prompt", "x")


def test_the_format_may_be_named(run: Run, told: Callable[..., str], tmp_path: Path) -> None:
    put(tmp_path / "i.jpg", jpeg())
    rows = [{"id": 1, "image": "i.jpg", "label": "a", "contents": "of the box"}]
    source = write_lines(tmp_path / "t.jsonl", rows)
    assert answers(run(source, *ASK, "--input_format", "table")) == ["a"]
    folder = put(tmp_path / "in/t.csv", b"id,image,label\n").rpartition("/")[0]
    assert "finds no file to read (of a folder: *.jsonl, text also with .gz; t.csv is none of them)" in told(
        folder, "--input_format", "gemini", where="b"
    )


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
