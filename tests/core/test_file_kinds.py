"""What a file is by its bytes: files as their own tools write them, texts that only begin like one, and texts that are none."""

from __future__ import annotations

import gzip
import io
import pickle
import sqlite3
import struct
import tarfile
import zipfile
from collections.abc import Callable

import fastavro
import google_crc32c
import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.feather
import pyarrow.orc
import pyarrow.parquet
import pytest

from transforms.core.file_kinds import LOOK, kind_of, no_rows

TABLE = pa.table({"image": ["a.jpg", "b.jpg"], "label": ["x", "y"]})


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    out = io.BytesIO()
    write(out)
    return out.getvalue()


def zipped(*members: tuple[str, str]) -> bytes:
    def write(out: io.BytesIO) -> None:
        with zipfile.ZipFile(out, "w") as archive:
            for name, text in members:
                archive.writestr(name, text)

    return written(write)


def tarred(form: int, mode: str = "w:") -> bytes:
    def write(out: io.BytesIO) -> None:
        with tarfile.open(fileobj=out, mode=mode, format=form) as archive:  # type: ignore[call-overload]
            member = tarfile.TarInfo("00000.jpg")
            member.size = 5
            archive.addfile(member, io.BytesIO(b"image"))

    return written(write)


def old_tar() -> bytes:
    """A tar of before POSIX: without its magic, which its sum then does not count."""
    data = bytearray(tarred(tarfile.USTAR_FORMAT))
    data[257:265] = bytes(8)
    data[148:156] = b"%06o\0 " % (sum(data[:148]) + 256 + sum(data[156:512]))
    return bytes(data)


def arrow_stream(out: io.BytesIO) -> None:
    with pa.ipc.new_stream(out, TABLE.schema) as writer:
        writer.write_table(TABLE)


def sqlite() -> bytes:
    database = sqlite3.connect(":memory:")
    database.execute("create table rows (image, label)")
    return bytes(database.serialize())


def workbook(out: io.BytesIO) -> None:
    book = openpyxl.Workbook()
    book.active.append(["image", "label"])
    book.active.append(["a.jpg", "x"])
    book.save(out)


def avro(out: io.BytesIO) -> None:
    schema = {"type": "record", "name": "row", "fields": [{"name": "image", "type": "string"}]}
    fastavro.writer(out, schema, [{"image": "a.jpg"}])


def tf_record(data: bytes) -> bytes:
    def masked(some: bytes) -> bytes:
        crc = google_crc32c.value(some)
        return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


ODS = zipped(("mimetype", "application/vnd.oasis.opendocument.spreadsheet"), ("content.xml", "<x/>"))
DENIED = b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code><Message>Access denied.</Message></Error>'


@pytest.mark.parametrize(
    "data, said",
    [
        (tarred(tarfile.USTAR_FORMAT), "a tar archive: extract it"), (tarred(tarfile.GNU_FORMAT), "a tar archive: "),
        (tarred(tarfile.PAX_FORMAT), "a tar archive: "), (old_tar(), "a tar archive: "),
        (tarred(tarfile.GNU_FORMAT, "w:gz"), "gzip: decompress it"), (zipped(("a/1.jpg", "x")), "a zip archive: extract it"),
        (zipped(), "a zip archive without a file"), (b"7z\xbc\xaf\x27\x1c\0\4", "a 7z archive: extract it"),
        (b"Rar!\x1a\7\1\0", "a RAR archive: extract it"), (written(workbook), "an Office file, as an Excel workbook (.xlsx): "),
        (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504), "an old Office file (.xls, .doc): save its sheet as CSV"),
        (ODS, "an OpenDocument spreadsheet (.ods): save its sheet as CSV"), (zipped(("archive/data.pkl", "")), "a PyTorch file: "),
        (written(lambda out: pa.feather.write_feather(TABLE, out)), "an Arrow or Feather file: write its rows as Parquet"),
        (b"FEA1\0\0\0\0", "a Feather file: write its rows as Parquet"),
        (written(arrow_stream), "an Arrow stream, as datasets save it: write its rows as Parquet"),
        (written(lambda out: pa.orc.write_table(TABLE, out)), "an ORC file: write its rows as Parquet"),
        (written(lambda out: pa.parquet.write_table(TABLE, out)), "Parquet: give it the ending .parquet"),
        (written(avro), "an Avro file: write its rows as Parquet"), (tf_record(b"\n\x0bsome bytes"), "a TFRecord file: write what"),
        (sqlite(), "an SQLite database: export the table"), (b"\x89HDF\r\n\x1a\n\0", "an HDF5 file: write what it holds"),
        (written(lambda out: np.save(out, np.zeros((2, 3)))), "a NumPy array: write"),
        (written(lambda out: np.savez(out, a=np.zeros(3))), "NumPy arrays (.npz): write"),
        *((pickle.dumps([{"image": "a.jpg"}], protocol), "a Python pickle: write its rows") for protocol in (2, 3, 4, 5)),
        (b"%PDF-1.7\n", "a PDF: export its pages"), (b"\x1aE\xdf\xa3", "a Matroska or WebM video: export the frames"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "MP4 or another ISO media file, brand b'isom': export"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n", "a Git LFS pointer, not the file itself: git lfs pull"),
        (b"\n <!DOCTYPE HTML><html><head><title>\n Sign  in</title>", "HTML, titled 'Sign in': a page, perhaps of an error"),
        (DENIED, "XML, an answer of a storage service that says 'AccessDenied': it was saved in place"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n\r\nimage,label\n", "an answer of HTTP with its headers: save its body"),
        (b"\xff\xd8\xff\xe0", "a JPEG image: give it the ending"), (b"RIFF\0\0\0\0WEBPVP8 ", "a WebP image: "),
    ],
)  # fmt: skip
def test_a_file_is_told_by_its_bytes(data: bytes, said: str) -> None:
    assert str(kind_of(data)).startswith(said)
    assert no_rows(data) == kind_of(data)


@pytest.mark.parametrize(
    "data, said",
    [
        (bytes(5000), "nothing but zero bytes: copy"),
        ("image,label\n".encode("utf-16-le"), "UTF-16 without a mark: save it as UTF-8"),
        ("image,label\n".encode("utf-16-be"), "UTF-16 without a mark: save it as UTF-8"),
        (b"\x7fELF\2\1\1\0" + bytes(8) + b"\3\0\x3e\0", "no text, and nothing known: its first bytes are 7f 45 4c 46"),
        (np.random.default_rng(1).bytes(5000), "no text, and nothing known: its first bytes are "),
    ],
)
def test_what_is_no_text_holds_no_rows(data: bytes, said: str) -> None:
    assert kind_of(data) is None and str(no_rows(data)).startswith(said)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\n", b"image,label\na.jpg,x\n", b'{"contents": []}\n', b"[1]\n", b"ORC,image\n1,a.jpg\n", b"FEA1,FEA2,image\n",
        "Bild;Größe\n".encode("cp1252"), "図,値\n".encode("shift-jis"), b"PAR1,image\n", b"PK,image\n", b"ID3,image\n",
        b"GIF8,image\n", b"id,image,WEBP\n", b"RIFF,image,WEBP\n", b"<image>,<label>\na.jpg,x\n", b"http/,image\n",
        b"a" * 257 + b"ustar\n", b"0" * 512 + b"\n", b"\xff\xfea\0", b"x,y\n\x1b[1mbold\x1b[0m\n",
        b"id\t" + b"\x07bell\n" * 3 + "ä".encode() * 40,
    ],
)  # fmt: skip
def test_text_may_hold_rows_whatever_it_begins_with(data: bytes) -> None:
    assert no_rows(data) is None


def test_only_the_first_bytes_are_looked_at() -> None:
    text = b"image,label\n" * LOOK
    assert no_rows(text[:LOOK] + bytes(LOOK)) is None
    assert no_rows(gzip.compress(text)) == no_rows(gzip.compress(text)[:LOOK])
    for zeros, holds_none in ((LOOK - 1, False), (LOOK, True), (LOOK + 1, True)):
        assert (str(no_rows(bytes(zeros) + b"\n" * 9)).startswith("nothing but zero")) is holds_none
