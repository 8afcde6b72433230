"""What is wrong with tables: records that cost themselves and can be replayed, and what is refused at the door."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from folders import jpeg, png, put, write_lines
from laws import lines, rejections, texts
from table_rows import ASK, Run, answers, text_of, world

from beam_jobs.commands.prepare import prepare


@pytest.fixture
def told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run a job that is refused with exit status 2 -> what it says, in which the folder of the test is `.`."""

    def job(source: str | Path, *argv: str, where: str = "out") -> str:
        assert prepare(["--input", str(source), "--output", str(tmp_path / where), *argv]) == 2
        assert not (tmp_path / where).exists()
        return capfd.readouterr().err.replace(str(tmp_path), ".").strip()

    return job


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
    assert (
        "finds no file to read (of a folder: *.jsonl, text also with .gz, .bz2, .xz or .zst; t.csv is none of them)"
        in told(folder, "--input_format", "gemini", where="b")
    )
