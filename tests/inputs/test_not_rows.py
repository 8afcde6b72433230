"""Files that are something else than their names say, as inputs: the first one ends the command, a later one is one rejection."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloud import Cloud
from folders import put
from opening import tried

from beam_jobs.options import OptionError

ASK = ("--prompt", "What?", "--answer", "{label}", "--verify", "none")
CSV = b"image,label\na.jpg,x\n"
LINES = b'{"image": "a.jpg", "label": "x"}\n'
PDF = b"%PDF-1.7\n" + b"1 0 obj, or so\n" * 1000
HTML = b"<!DOCTYPE html>\n<title>Sign in</title>\n"
PAGE = "it is HTML, titled 'Sign in': a page, perhaps of an error or a login, was saved in place of the file; download that again"
DOCUMENT = "it is a PDF: export its pages as images, or its table as CSV"
READ = "JSON lines, CSV or TSV in UTF-8, Parquet and images are read"


def tar() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"image": ["b.jpg"], "label": ["y"]}), out)
    return out.getvalue()


def told(source: str, *flags: str) -> tuple[int, list[tuple[str, int, str, str]]]:
    """-> (examples, rejections as file, line, reason, detail)."""
    blocks = tried(source, *flags)
    rejections = [one for opened in blocks for one in opened.rejections]
    rows = [(one.row.source.removeprefix(f"{source}/"), one.row.line, one.reason, one.detail) for one in rejections]
    return sum(len(opened.examples) for opened in blocks), rows


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "csv.gz", "tar", "", "bin"])
@pytest.mark.parametrize("data, said", [(PDF, DOCUMENT), (HTML, PAGE)])
def test_an_input_of_another_kind_ends_the_command(tmp_path: Path, ending: str, data: bytes, said: str) -> None:
    path = put(tmp_path / f"x.{ending}".rstrip("."), data)
    for flags in (ASK, (*ASK, "--input_format", "table")):
        with pytest.raises(OptionError) as error:
            tried(path, *flags)
        assert str(error.value) == f"{path}: {said} ({READ})"
    with pytest.raises(OptionError, match="Parquet and images are read"):
        tried(path, "--input_format", "gemini")


@pytest.mark.parametrize("name", ["a.dng", "IMG_1.CR3", "DSC.NEF"])
def test_a_memory_card_of_raw_files_is_told_what_to_export(tmp_path: Path, name: str) -> None:
    put(tmp_path / f"DCIM/{name}", b"II*\0" + bytes(500))
    with pytest.raises(OptionError, match=f"{name}: it is a camera's raw data: develop it, and export it as JPEG"):
        tried(f"{tmp_path}/DCIM/", "--prompt", "What?")


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_what_is_packed_is_told_and_not_how(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    for name in ("x.jsonl.gz", "x.tar.bz2", "x.tgz"):
        with pytest.raises(OptionError, match="it is a tar archive: extract it, and name the folder"):
            tried(put(tmp_path / name, pack(tar())), *ASK)
    with pytest.raises(OptionError, match="it is Parquet that is compressed, or called so"):
        tried(put(tmp_path / "x.parquet.gz", pack(parquet())), *ASK)
    with pytest.raises(OptionError, match="it is gzip: decompress it"):
        tried(put(tmp_path / "x.csv.gz", pack(gzip.compress(CSV))), *ASK)


@pytest.mark.parametrize("size", ["1024", "262144"])
def test_a_later_file_of_another_kind_is_one_rejection(tmp_path: Path, size: str) -> None:
    for name, data in (
        ("a.csv", CSV), ("b.csv", PDF), ("c.csv.gz", gzip.compress(PDF)), ("d.csv.gz", PDF), ("e.jsonl", PDF), ("f.jsonl.gz", PDF),
        ("g.jsonl", gzip.compress(PDF)), ("h.parquet", PDF), ("i.tsv", HTML), ("j.jsonl", LINES), ("k.parquet", parquet()),
    ):  # fmt: skip
        put(tmp_path / "in" / name, data)
    examples, rejections = told(str(tmp_path / "in"), *ASK, "--block_bytes", size)
    others = [
        ("b.csv", DOCUMENT),
        ("c.csv.gz", DOCUMENT),
        ("d.csv.gz", DOCUMENT),
        ("e.jsonl", DOCUMENT),
        ("f.jsonl.gz", DOCUMENT),
    ]
    others += [("g.jsonl", DOCUMENT), ("h.parquet", DOCUMENT), ("i.tsv", PAGE)]
    assert (examples, rejections) == (3, [(name, 1, "not_rows", said) for name, said in others])


@pytest.mark.parametrize("size", ["1024", "262144"])
def test_beside_rows_of_gemini_too(tmp_path: Path, size: str) -> None:
    row = b'{"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": [{"text": "a"}]}]}\n'
    for name, data in (
        ("a.jsonl", row),
        ("b.jsonl", PDF),
        ("c.jsonl.gz", gzip.compress(PDF)),
        ("d.jsonl", gzip.compress(PDF)),
    ):
        put(tmp_path / "in" / name, data)
    assert told(str(tmp_path / "in"), "--block_bytes", size) == (
        1,
        [(name, 1, "not_rows", DOCUMENT) for name in ("b.jsonl", "c.jsonl.gz", "d.jsonl")],
    )


def test_rows_under_another_rows_name_are_told(tmp_path: Path) -> None:
    for name, data, said in (
        ("x.csv", LINES, "it is JSON lines, and no CSV: give it the ending .jsonl"),
        ("x.tsv.gz", gzip.compress(LINES), "it is JSON lines, and no CSV: give it the ending .jsonl"),
        ("x.parquet", CSV, "it is text, and no Parquet: give it the ending .csv or .jsonl"),
    ):
        with pytest.raises(OptionError) as error:
            tried(put(tmp_path / name, data), *ASK)
        assert str(error.value) == f"{tmp_path / name}: {said} ({READ})"
    put(tmp_path / "in/a.csv", CSV)
    put(tmp_path / "in/b.csv", parquet())
    assert told(str(tmp_path / "in"), *ASK) == (
        1,
        [("b.csv", 1, "not_rows", "it is Parquet: give it the ending .parquet")],
    )


def test_a_folder_without_a_file_that_is_read_says_what_it_holds(tmp_path: Path, cloud: Cloud) -> None:
    for name in ("notes.xyz", "shards.tar"):
        put(tmp_path / "in" / name, tar() if name.endswith("tar") else b"some text")
        cloud.put(f"in/{name}", tar() if name.endswith("tar") else b"some text")
    for source in (str(tmp_path / "in"), f"{cloud.uri}/in/"):
        with pytest.raises(
            OptionError, match=r"; shards\.tar: it is a tar archive: extract it, and name the folder that comes of it"
        ):
            tried(source, *ASK)
