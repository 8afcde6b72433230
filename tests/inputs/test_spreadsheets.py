"""Tables as spreadsheets write them: quotes, blanks, blank records, `sep=`, line ends of old Macs, lists in cells."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from folders import put
from hypothesis import given, settings
from hypothesis import strategies as st
from laws import texts
from opening import tried

from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms.core.records import Block, Dialect, Extent, OpenBlock
from transforms.dataset.receipts import BlockKeys
from transforms.examples.image_cells import names_in
from transforms.inputs.cells.csv_quotes import merged_lines, quotes_balance, without_blanks
from transforms.inputs.cells.csv_record_ends import RecordEnds

ASK = ("--prompt", "What is it?", "--answer", "{label}", "--verify", "none")


def answers(blocks: list[OpenBlock]) -> list[str]:
    return [texts({"contents": e.contents})[1] for opened in blocks for e in opened.examples]


def warned(blocks: list[OpenBlock]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for opened in blocks:
        for code, (count, _) in opened.warnings.counts.items():
            counts[code] = counts.get(code, 0) + count
    return counts


def told(blocks: list[OpenBlock]) -> tuple[list[str], int, dict[str, int]]:
    return answers(blocks), sum(len(opened.rejections) for opened in blocks), warned(blocks)


@pytest.mark.parametrize(
    "name, data, labels, counts",
    [
        ("blank.csv", "image,label\n1.jpg,a\n,\n , \n2.jpg,b\n\n,,,\n", ["a", "b"], {"blank_records": 3}),
        ("blank_top.csv", ",,\n,,\nimage,label,x\n1.jpg,a,\n", ["a"], {"blank_records": 2}),
        ("blank_quoted.tsv", 'image\tlabel\n""\t""\n1.jpg\ta\n', ["a"], {"blank_records": 1}),
        ("blanks.csv", 'image,label\n1.jpg, "a red, car"\n2.jpg,  "b"\n', ["a red, car", "b"], {}),
        ("blanks_first.csv", '"image", "label"\n "1.jpg","a, ""b"""\n', ['a, "b"'], {}),
        ("stripped.csv", "image,label\n 1.jpg ,\u00a0a b \n", ["a b"], {}),
        ("sep.csv", "sep=;\r\nimage;label\r\n1.jpg;a,b\r\n", ["a,b"], {}),
        ("sep_mark.csv", "\ufeffSEP=|\nimage|label\n1.jpg|a;b\n", ["a;b"], {}),
        ("sep_quoted.csv", '"sep=\t"\nimage\tlabel\n1.jpg\ta\n', ["a"], {}),
        ("cr.csv", "image,label\r1.jpg,a\r2.jpg,b\r", ["a", "b"], {}),
        ("cr_sep.csv", 'sep=;\rimage;label\r1.jpg;"a;b"\r2.jpg;c', ["a;b", "c"], {}),
        ("cr.tsv", "image\tlabel\r\r1.jpg\ta\r", ["a"], {}),
    ],
)
def test_what_spreadsheets_write_is_read(
    tmp_path: Path, name: str, data: str, labels: list[str], counts: dict[str, int]
) -> None:
    assert told(tried(put(tmp_path / name, data.encode()), *ASK)) == (labels, 0, counts)


def test_blanks_are_kept_if_asked_for(tmp_path: Path) -> None:
    source = put(tmp_path / "t.csv", b'image,label\n 1.jpg, "a, b " \n2.jpg, c \n')
    assert answers(tried(source, *ASK, "--keep_blanks")) == ["a, b  ", " c "]
    assert answers(tried(source, *ASK)) == ["a, b", "c"]


def test_an_export_with_hundreds_of_blank_records_loses_nothing(tmp_path: Path) -> None:
    rows = [f"{n}.jpg;größe {n},5" for n in range(300)]
    data = "\r\n".join(["sep=;", "bild;label", *rows, *[";"] * 400]).encode("cp1252")
    flags = (*ASK, "--image_column", "bild", "--encoding", "cp1252")
    for size in ("1024", "1500", "262144"):
        blocks = tried(put(tmp_path / "t.csv", data), *flags, "--block_bytes", size)
        assert told(blocks) == ([f"größe {n},5" for n in range(300)], 0, {"blank_records": 400}), size


# Quotes

MERGED = 'image,label\n1.jpg,"a 5\n2.jpg,b\n3.jpg,c\n4.jpg,"d\n5.jpg,e\n'


@pytest.mark.parametrize(
    "data, labels, rejected, counts",
    [
        (MERGED, 2, 0, {"records_merged": 3}),
        (MERGED + MERGED.partition("\n")[2], 4, 0, {"records_merged": 6}),
        ('image,label\n1.jpg,"a\n2.jpg,b\n3.jpg,"c, d"\n', 0, 1, {"records_merged": 2}),
        ('image,label\n1.jpg,"a\n2.jpg,b\n3.jpg,c\n', 0, 1, {"records_merged": 2}),
        (
            'image,label\n1.jpg,"one\ntwo, three\nfour, five"\n',
            1,
            0,
            {},
        ),  # text: none of its lines begins with an image
        ('image,label\n1.jpg,"one\r\n\r\ntwo"\n', 1, 0, {}),
        ('id,label\n1,"one\n2,two"\n', 0, 2, {"records_merged": 1}),
    ],
)
def test_lines_that_a_quote_swallows_are_counted(
    tmp_path: Path, data: str, labels: int, rejected: int, counts: dict[str, int]
) -> None:
    flags = (*ASK, "--image_column", "image") if data.startswith("image") else (*ASK, "--image_column", "id")
    blocks = tried(put(tmp_path / "t.csv", data.encode()), *flags)
    assert warned(blocks) == counts
    if data.startswith("image"):
        assert (len(answers(blocks)), sum(len(opened.rejections) for opened in blocks)) == (labels, rejected)


def tsv(count: int, last: str) -> bytes:
    rows = [f'{n}.jpg\tsaid "{n}"' if n % 2 else f"{n}.jpg\t{n}" for n in range(count)]
    return "\n".join(["image\tlabel", *rows, last]).encode()


@pytest.mark.parametrize(
    "last", ['x.jpg\t"Stop" sign', 'x.jpg\t"open', 'x.jpg\t"a\ny.jpg\tb"', 'x.jpg\t"12" screen\ny.jpg\t"b"']
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_tsv_whose_quotes_do_not_balance_is_read_without_quoting(tmp_path: Path, last: str, packed: bool) -> None:
    data = tsv(200, last)
    labels = [line.split("\t")[1] for line in data.decode().split("\n")[1:]]
    for size in ("1024", "2500", "262144"):
        if packed:
            source = put(tmp_path / "t.tsv.gz", gzip.compress(data))
        else:
            source = put(tmp_path / "t.tsv", data)
        assert told(tried(source, *ASK, "--block_bytes", size)) == (labels, 0, {"tsv_unquoted": 1}), size


def test_a_tsv_whose_quotes_balance_is_read_with_quoting(tmp_path: Path) -> None:
    data = tsv(200, 'x.jpg\t"two\nlines"\ny.jpg\t"a ""b""" ')
    for size in ("1024", "262144"):
        labels, rejected, counts = told(tried(put(tmp_path / "t.tsv", data), *ASK, "--block_bytes", size))
        assert (labels[-2:], len(labels), rejected, counts) == (["two\nlines", 'a "b"'], 202, 0, {})


def test_whether_quotes_are_letters_is_part_of_the_key() -> None:
    def key(quoted: bool) -> str:
        block = Block((0, b"", 0), (Extent("/t.tsv", "1", 9, 0, 9),), "table", dialect=Dialect("csv", quoted=quoted))
        return BlockKeys("")(block)

    assert key(True) != key(False)


CELLS = st.lists(st.sampled_from(["a", '"', '""', ",", "\n", " ", "  ", ' "', ', "']), max_size=16).map("".join)


@settings(max_examples=400)
@given(CELLS, st.integers(1, 9))
def test_blanks_before_quotes_are_skipped_however_text_is_fed(text: str, step: int) -> None:
    data, scan, ends = text.encode(), RecordEnds(","), [0]
    found = [int(end) for at in range(0, len(data), step) for end in scan.feed(data[at : at + step])]
    reader = csv.reader(io.StringIO(text, newline="\n"), skipinitialspace=True)
    for line in io.StringIO(text, newline="\n"):
        ends.append(ends[-1] + len(line.encode()))
    expected = [(ends[reader.line_num], cells) for cells in reader]
    if data and found[-1:] != [len(data)]:
        found.append(len(data))
    assert found == [end for end, _ in expected]
    cells = [[c.lstrip(" ") for c in row] for row in csv.reader(io.StringIO(without_blanks(text, ","), newline="\n"))]
    assert cells == [[c.lstrip(" ") for c in row] for _, row in expected]
    whole = RecordEnds(",")
    whole.feed(data)
    assert whole.skips_blanks or without_blanks(text, ",") == text


@pytest.mark.parametrize("others, merged", [(0, 9), (1, 9), (2, 0)])
def test_a_tenth_of_swallowed_lines_may_be_ragged(others: int, merged: int) -> None:
    record = 'a,"b\n' + "c,d\n" * 9 + "e\n" * others
    assert merged_lines(record, ",", 2) == merged
    assert merged_lines(record, ",", 1) == 0


def test_a_record_that_is_too_long_does_not_balance() -> None:
    assert not quotes_balance([b'a\tb\n1\t"' + b"x\n" * 100], "\t", 2, 64)
    assert quotes_balance([b"a\tb\n1\t" + b"x" * 100], "\t", 2, 64)


# Several images in a cell


@pytest.mark.parametrize(
    "text, names",
    [
        ("['a.jpg', \"b's.jpg\"]", ["a.jpg", "b's.jpg"]),
        ("['a.jpg'\n 'b.jpg']", ["a.jpg", "b.jpg"]),
        ("array(['a.jpg', None], dtype=object)", ["a.jpg"]),
        ("('a.jpg',)", ["a.jpg"]),
        (r"['it\'s.jpg']", ["it's.jpg"]),
        ('["a.jpg", "b.jpg"]', ["a.jpg", "b.jpg"]),
        ("[]", []),
        ("a.jpg;b.png;", ["a.jpg", "b.png"]),
        ("a.jpg|b.png", ["a.jpg", "b.png"]),
        ("a.jpg, b.png", ["a.jpg", "b.png"]),
        ("a.jpg\nb.png", ["a.jpg", "b.png"]),
        ("gs://b/x, gs://b/y", ["gs://b/x", "gs://b/y"]),
        ("Doe, John.jpg", ["Doe, John.jpg"]),
        ("gs://b/Doe, John.jpg", ["gs://b/Doe, John.jpg"]),
        ("a;b", ["a;b"]),
        ("a.jpg;b", ["a.jpg;b"]),
        ("[1] a.jpg", ["[1] a.jpg"]),
        ("(1).jpg", ["(1).jpg"]),
        ("['a.jpg'", ["['a.jpg'"]),
        ("['a.jpg' + 'b.jpg']", ["['a.jpg' + 'b.jpg']"]),
    ],
)
def test_a_cell_of_images(text: str, names: list[str]) -> None:
    assert names_in(f" {text} ") == names


@pytest.mark.parametrize(
    "text", ["['" + "a" * 10**6, "[" + "'a' " * 10**5, "[" + "'a'" + " " * 10**5 + "x]", "(" * 10**5]
)
def test_a_hostile_cell_takes_no_time(text: str) -> None:
    assert names_in(text) == [text.strip()]


def test_lists_in_cells_are_the_images_of_a_row(tmp_path: Path) -> None:
    rows = [["image", "label"], ["['1.jpg', '2.jpg']", "a"], ["3.jpg;4.jpg", "b"], ["Doe, John.jpg", "c"]]
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    blocks = tried(put(tmp_path / "t.csv", out.getvalue().encode()), *ASK)
    names = [[image["fileUri"] for image in e.images] for opened in blocks for e in opened.examples]
    assert names == [["1.jpg", "2.jpg"], ["3.jpg", "4.jpg"], ["Doe, John.jpg"]]


@pytest.mark.parametrize(
    "name, data",
    [
        ("t.csv", b"image,label,image_2\n1.jpg,a,\n2.jpg,b,3.jpg\n"),
        ("t.jsonl", b'{"image":"1.jpg","label":"a","image_2":"3.jpg"}\n'),
        ("t.tsv", b"image\tlabel\timage_2\n1.jpg\ta\tgs://b/3\n"),
    ],
)
def test_a_second_column_of_images_is_told(tmp_path: Path, name: str, data: bytes) -> None:
    def said(*flags: str) -> list[str]:
        argv = ["--input", put(tmp_path / name, data), "--output", str(tmp_path / "out"), *ASK, *flags]
        return [line for line in look_at_inputs(on_this_machine(parse(argv)))[1] if line.startswith("! images_unused")]

    (line,) = said()
    assert "(image_2)" in line
    assert said("--image_column", "image,image_2") == []
