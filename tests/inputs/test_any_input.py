"""Whatever bytes its input holds, a job seals a dataset that obeys every law, or says in a paragraph that no row can be used."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import random
import tarfile
from base64 import b64encode
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laws
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import jpeg, picture, put, read_folder, row
from opening import tried

from beam_jobs.commands.prepare import prepare
from transforms.core.counters import broken_laws
from transforms.core.reasons import REASONS, WrongRequest
from transforms.examples.rejected_rows import rejected_line

FILES = range(200 if os.environ.get("TUNESET_LONG") == "1" else 12)
SEEDS = range(60 if os.environ.get("TUNESET_LONG") == "1" else 3)
# What a reader may take for something else than it is.
WORDS = (
    b"\r", b"\n", b"\r\n", b"\0", b'"', b"'", b"\\", b"\xff", b"\x85", b"\xe2\x80\xa8", b"\xef\xbb\xbf", b"\x1c", b"\\u0000",
    b"\\ud800", b"1e999", b"NaN", b"-0", b"9" * 400, b"true", b"null", b"[[[[", b"{", b"}", b",", b" " * 999, b"..", b"%2e%2e/",
    b"gs://", b"file://", b"/", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0",
)  # fmt: skip
OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("--on_bad_image", "drop_image"),
    ("--on_too_many_images", "reject", "--max_images", "3"),
    ("--shuffle_seed", "1"),
    ("--sample", "0.5"),
    ("--types", "png", "--effort", "best"),
    ("--max_image_bytes", "1024", "--oversize", "reject"),
)
ASKED = ("--prompt", "What is {note}?", "--answer", "{label}")


def harmed(draw: random.Random, data: bytes) -> bytes:
    """The bytes with a few of them changed, taken out, doubled or put in."""
    some = bytearray(data)
    for _ in range(draw.choice((1, 1, 2, 4, 8))):
        at = draw.randrange(len(some) or 1)
        kind = draw.randrange(6)
        if kind == 0:
            some[at : at + 1] = bytes([draw.randrange(256)])
        elif kind == 1:
            del some[at : at + draw.choice((1, 2, 8, 100))]
        elif kind == 2:
            word = draw.choice(WORDS)
            some[at : at + draw.choice((0, len(word)))] = word
        elif kind == 3:
            some[at:at] = some[draw.randrange(at + 1) :][:200]
        elif kind == 4 and draw.random() < 0.3:
            del some[at:]
        elif some:
            some[min(at, len(some) - 1)] ^= 1 << draw.randrange(8)
    return bytes(some)


def images(draw: random.Random, folder: Path, number: int) -> list[str]:
    """Files of every type that is read, most of them harmed -> their names."""
    sound = []
    for mode in ("RGB", "L", "P", "RGBA", "1", "CMYK", "I;16"):
        for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "ICO", "PPM", "SGI", "PCX", "JPEG2000", "QOI", "DDS"):
            out = io.BytesIO()
            try:
                picture(40, 30, seed=len(sound)).convert(mode).save(out, kind)
            except (OSError, ValueError):
                continue  # not this mode of this type
            sound.append((kind.lower(), out.getvalue()))
    names = []
    for at in range(number):
        kind, data = draw.choice(sound)
        names.append(f"{at:03}.{kind}")
        put(folder / names[-1], harmed(draw, data) if draw.random() < 0.7 else data)
    return names


def json_lines(draw: random.Random, names: list[str]) -> bytes:
    rows = (row(f"What is {n}?", draw.choices(names, k=draw.choice((1, 1, 2, 3, 20)))) for n in range(300))
    lines = (json.dumps(one).encode() for one in rows)
    return b"".join((harmed(draw, line) if draw.random() < 0.5 else line) + b"\n" for line in lines)


def values(draw: random.Random, names: list[str]) -> list[tuple[int, str, str, str]]:
    return [(n, draw.choice(names), draw.choice("abc"), 'x,"y"\nz' * (n % 7 == 0) + "n") for n in range(300)]


def write_jsonl(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    return ["--input", put(folder / "rows.jsonl", json_lines(draw, names))]


def write_gz(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    data = gzip.compress(json_lines(draw, names), mtime=0)
    return ["--input", put(folder / "rows.jsonl.gz", data + harmed(draw, data))]


def write_csv(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    out = io.StringIO()
    csv.writer(out).writerows([("id", "image", "label", "note"), *values(draw, names)])
    head, *lines = out.getvalue().encode().split(b"\n")
    lines = [harmed(draw, line) if draw.random() < 0.1 else line for line in lines]
    return ["--input", put(folder / "rows.csv", b"\n".join([head, *lines])), "--encoding", "utf-8", *ASKED]


def write_parquet(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    out = io.BytesIO()
    columns = dict(zip(("id", "image", "label", "note"), map(list, zip(*values(draw, names)))))
    pq.write_table(pa.table(columns), out, row_group_size=50)
    for number in range(20):
        put(folder / f"{number:02}.parquet", harmed(draw, out.getvalue()) if number else out.getvalue())
    return ["--input", f"{folder}/*.parquet", *ASKED]


def write_folder(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    for name in names[::2]:
        put(folder / f"{name.partition('.')[0]}.txt", harmed(draw, b"a label"))
    for name in names[::5]:
        put(folder / f"{name.partition('.')[0]}.json", harmed(draw, b'{"a": [1, {"b": null}]}'))
    return [
        "--input",
        str(folder),
        "--input_format",
        "folder",
        "--prompt",
        "What is {path.name}?",
        "--answer",
        "{sidecar}",
    ]


def write_automl(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    box = ",0.1,0.2,,,0.7,0.8,,"
    lines = [
        f"{draw.choice(('TRAIN', 'TEST', ''))},gs://bucket/{draw.choice(names)},{draw.choice('abc')}{box}".encode()
        for _ in range(300)
    ]
    lines = [harmed(draw, line) if draw.random() < 0.1 else line for line in lines]
    asked = ("--input_format", "automl", "--encoding", "utf-8", "--verify", "none")
    return ["--input", put(folder / "rows.csv", b"\n".join(lines)), "--prompt", "Find.", *asked]


def write_layout(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    """Folders of splits and classes, with metadata, links, what systems leave, odd endings and a dataset of ours below."""
    tops = draw.choice(
        (("train", "VALID", "test"), ("Training", "dev"), ("train2017", "val2017"), ("a", "b"), ("images", "x"))
    )
    by_metadata = draw.random() < 0.5
    told: dict[Path, list[tuple[str, ...]]] = {}
    for name in names:
        place = folder / draw.choice(tops) / draw.choice("xy")
        os.renames(folder / name, place / name)
        told.setdefault(place, [("file_name", "label", "note")]).append((name, draw.choice("abc"), "n"))
    for place, rows in told.items() if by_metadata else ():
        csv.writer(out := io.StringIO()).writerows(rows)
        put(place / "metadata.csv", out.getvalue().encode())

    top = folder / tops[0]
    for name in (
        "@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg",
        "._1.jpg",
        ".x/1.jpg",
        "Thumbs.db",
        "1.jpg_large",
        "1.jpg?w=1",
        "LICENSE",
    ):
        put(top / "x" / name, harmed(draw, b"left out"))
    put(folder / "old/manifest.json", b'{"dataset": {}, "run": {}, "tuneset": "manifest/1"}')
    put(folder / "old/train.jsonl", b"{}\n")
    os.symlink(top, folder / "linked")
    os.symlink("nowhere", folder / "dangling.jpg")
    os.symlink("..", top / "loop")
    templates = ASKED if by_metadata else ("--prompt", "What is it?")
    return ["--input", str(folder), *templates]


def write_sheet(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    """A table as spreadsheets and people write it."""
    delimiter = draw.choice(",;\t")
    line_end = draw.choice(("\n", "\r\n"))
    quotes = csv.QUOTE_MINIMAL if delimiter != "\t" else csv.QUOTE_NONE
    records: list[tuple[object, ...]] = [("id", "image", "label", "note")]
    for number, name, label, note in values(draw, names):
        several = draw.choice((name, f" {name} ", f"{name};{name}", f"['{name}', '{name}']"))
        clean = note.replace("\n", " ").replace("\t", " ")
        records += [(number, several if delimiter == "," else name, f" {label}", clean)]
        records += [("",) * 4] * (draw.random() < 0.2)
    out = io.StringIO()
    csv.writer(
        out, delimiter=delimiter, quoting=quotes, quotechar=None if quotes else '"', lineterminator=line_end
    ).writerows(records)
    text = (
        draw.choice(("", f"sep={delimiter}{line_end}"))
        + out.getvalue()
        + f"{delimiter * 3}{line_end}" * draw.choice((0, 400))
    )
    ending = "tsv" if delimiter == "\t" else "csv"
    return ["--input", put(folder / f"rows.{ending}", text.encode(draw.choice(("utf-8", "utf-8-sig")))), *ASKED]


def write_packed(draw: random.Random, folder: Path, names: list[str]) -> list[str]:
    """Rows as lines or as an array, in some packing, sound or harmed."""
    rows = [row(f"What is {n}?", draw.choices(names, k=2)) for n in range(300)]
    data = draw.choice((json.dumps(rows).encode(), json.dumps(rows, indent=2).encode(), json_lines(draw, names)))
    pack, ending = draw.choice(((bz2.compress, ".bz2"), (lzma.compress, ".xz"), (bytes, "")))
    packed = pack(data)
    return ["--input", put(folder / f"rows.jsonl{ending}", harmed(draw, packed) if draw.random() < 0.5 else packed)]


WRITERS = (
    write_jsonl, write_gz, write_csv, write_parquet, write_folder, write_automl, write_layout, write_sheet, write_packed,
)  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("write", WRITERS)
def test_a_job_ends_in_order(
    write: Callable[[random.Random, Path, list[str]], list[str]],
    seed: int,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    draw = random.Random(f"{write.__name__} {seed}")
    argv = ["--max_rejected_fraction", "1", "--block_bytes", draw.choice(("4096", "262144"))]
    argv += ("--verify", "decode", *draw.choice(OPTIONS)) if write is not write_automl else ()
    argv += write(draw, tmp_path / "in", images(draw, tmp_path / "in", 100))
    status = prepare([*argv, "--output", str(tmp_path / "out")])
    said = capfd.readouterr()
    if status:
        of_packing = status == 2 and write is write_packed  # a head that is no text, and what to do
        assert of_packing or (status, "rows can be used (" in said.err) == (1, True), said.err
    elif write in (write_gz, write_packed):  # from which the laws read no row
        laws.assert_ledger(read_folder(tmp_path / "out"))
    else:
        laws.sealed(tmp_path / "out")


def of_yolo(folder: Path) -> list[str]:
    put(folder / "images/train/2.jpg", jpeg())
    put(folder / "labels/train/1.txt", b"0 0.5 0.5 0.2 0.2\n1 0.1 0.1 0.3 0.1 0.3 0.6\n")
    put(folder / "data.yaml", b"path: .\ntrain: images/train\nval: [images/val]\nnames:\n  0: cat\n  1: dog\n")
    return ["data.yaml", "labels/train/1.txt"]


def of_coco(folder: Path) -> list[str]:
    told = {
        "images": [{"id": n, "file_name": f"images/train/{n}.jpg", "width": 64, "height": 48} for n in range(3)],
        "annotations": [{"id": n, "image_id": n, "category_id": 1, "bbox": [1, 2, 3.5, 4]} for n in range(3)],
        "categories": [{"id": 1, "name": "cat"}],
    }
    put(folder / "coco.json", json.dumps(told).encode())
    return ["coco.json"]


def of_voc(folder: Path) -> list[str]:
    box = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>"
    put(
        folder / "images/train/1.xml",
        f"<annotation><filename>1.jpg</filename><size><width>64</width><height>48</height></size><object><name>a</name>{box}"
        "</object></annotation>".encode(),
    )
    return ["images/train/1.xml"]


def of_vqa(folder: Path) -> list[str]:
    questions = [
        {"question_id": n, "image_id": n, "image": "images/train/1.jpg", "question": "Is it?"} for n in range(3)
    ]
    answers = [{"question_id": n, "multiple_choice_answer": "yes", "answers": [{"answer": "no"}]} for n in range(3)]
    put(folder / "v2_questions.json", json.dumps({"questions": questions}).encode())
    put(folder / "v2_annotations.json", json.dumps({"annotations": answers}).encode())
    return ["v2_questions.json", "v2_annotations.json"]


def of_tar(folder: Path) -> list[str]:
    with tarfile.open(fileobj=(made := io.BytesIO()), mode="w") as tar:
        for name, data in (("1.jpg", jpeg()), ("1.txt", b"a cat"), ("2.png", jpeg()), ("2.json", b'{"caption": "a"}')):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    put(folder / "0.tar", made.getvalue())
    return ["0.tar"]


def of_arrow(folder: Path) -> list[str]:
    table = pa.table({"image": pa.array([jpeg(seed=n) for n in range(4)]), "label": ["a", "b", None, "d"]})
    with pa.ipc.new_stream(sink := pa.BufferOutputStream(), table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    put(folder / "0.arrow", sink.getvalue().to_pybytes())
    return ["0.arrow"]


def of_excel(folder: Path) -> list[str]:
    book = openpyxl.Workbook()
    for cells in (("image", "label"), ("images/train/1.jpg", "a"), ("images/train/1.jpg", 7)):
        book.active.append(cells)
    book.save(made := io.BytesIO())
    put(folder / "0.xlsx", made.getvalue())
    return ["0.xlsx"]


def of_lines(*rows: dict[str, Any]) -> Callable[[Path], list[str]]:
    def write(folder: Path) -> list[str]:
        put(folder / "rows.jsonl", b"".join(json.dumps(one).encode() + b"\n" for one in rows))
        return ["rows.jsonl"]

    return write


PICTURE = "images/train/1.jpg"
TURNS = [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "A cat."}]
CELLS = [{"tokens": ["<b>", "a", "</b>"]}, {"tokens": []}]
TABLE = {
    "structure": {"tokens": ["<tr>", "<td>", "</td>", "<td", ' colspan="2"', ">", "</td>", "</tr>"]},
    "cells": CELLS,
}
BOX = {"x": 1, "y": 2, "width": 3, "height": 4, "rotation": 5, "rectanglelabels": ["a"]}
MARKS = [
    {"type": "choices", "from_name": "c", "to_name": "i", "value": {"choices": ["a", "b"]}},
    {
        "type": "rectanglelabels",
        "from_name": "r",
        "to_name": "i",
        "original_width": 64,
        "original_height": 48,
        "value": BOX,
    },
]
TASK = {"id": 1, "data": {"image": PICTURE}, "annotations": [{"result": MARKS}]}
INLINE = {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + b64encode(jpeg()).decode()}}
CHAT = [{"role": "user", "content": [INLINE]}, {"role": "assistant", "content": "a"}]
LOCATED = {"image": PICTURE, "prefix": "detect cat", "suffix": "<loc0001><loc0002><loc0100><loc0200> cat"}
LABELS = ("--answer", "{label}")
# What is written, the options that it is read by beside a prompt, and whether it takes one.
FORMATS: dict[str, tuple[Callable[[Path], list[str]], tuple[str, ...], bool]] = {
    "yolo": (of_yolo, (), True),
    "coco": (of_coco, (), True),
    "voc": (of_voc, (), True),
    "vqa": (of_vqa, (), True),
    "webdataset": (of_tar, (), True),
    "table in Arrow": (of_arrow, LABELS, True),
    "table in Excel": (of_excel, LABELS, True),
    "llava": (of_lines(*[{"image": PICTURE, "conversations": TURNS}] * 3), (), False),
    "openai": (of_lines(*[{"messages": CHAT}] * 3), (), False),
    "paligemma": (
        of_lines(*[LOCATED] * 3), (), False
    ),
    "pubtabnet": (of_lines(*[{"filename": "1.jpg", "split": "train", "html": TABLE}] * 3), (), True),
    "label_studio": (of_lines(*[TASK] * 3), (), True),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_a_harmed_file_of_a_format_is_read_or_refused(name: str, tmp_path: Path) -> None:
    write, asked, takes_prompt = FORMATS[name]
    for picture_name in (PICTURE, "train/1.jpg"):
        put(tmp_path / picture_name, jpeg())
    files = write(tmp_path)
    sound = {file: (tmp_path / file).read_bytes() for file in files}
    flags = (
        *("--prompt", "What?") * takes_prompt,
        *asked,
        "--input_format",
        name.partition(" ")[0],
        "--allow_prefix",
        str(tmp_path),
    )
    read = [block for block in tried(str(tmp_path / files[0]), *flags) if block.examples]
    assert read, "the sound file holds no example"
    for seed in FILES:
        draw = random.Random(f"{name} {seed}")
        for file, data in sound.items():
            put(tmp_path / file, harmed(draw, data) if draw.random() < 0.7 else data)
        try:
            blocks = tried(str(tmp_path / files[0]), *flags)
        except WrongRequest as error:
            assert str(error)
            continue
        counted = sum((block.counters for block in blocks), Counter[str]())
        assert not [law for law in broken_laws(counted) if law.startswith("examples_read")]
        for rejection in (rejection for block in blocks for rejection in block.rejections):
            assert rejection.reason in REASONS and rejection.detail
            json.loads(rejected_line(rejection))
