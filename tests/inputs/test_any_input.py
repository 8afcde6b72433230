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
from collections.abc import Callable
from pathlib import Path

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import picture, put, read_folder, row

from beam_jobs.commands.prepare import prepare

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
