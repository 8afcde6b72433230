"""What a file is by its first bytes, where it is neither rows nor an image that is read: bytes -> FileKind, with what to do about it.

Names are not asked, since they are what is wrong. Magic numbers are those of the formats' own documents, or of file(1).
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

LOOK = 4096  # bytes of a file that are looked at: more tell no more, and fewer may tell something else


@dataclass(frozen=True, slots=True)
class FileKind:
    """name: with its article. advice: what to do, as an imperative; "" if nothing helps."""

    name: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.name}: {self.advice}" if self.advice else self.name


_EXTRACT = "extract it, and name the folder that comes of it"
_DECOMPRESS = "decompress it; rows are read in .gz, .bz2, .xz and .zst"
_ROWS = "write its rows as Parquet, CSV or JSON lines"
_SHEET = "save its sheet as CSV (UTF-8)"
_EXPORT = "export the table as CSV or JSON lines"
_ARRAYS = "write what it holds as images, and their labels as CSV or JSON lines"
_FRAMES = "export the frames that are wanted as images"
_RENAME = "give it the ending of an image, and name its folder"
_FETCH = "it was saved in place of the file; download that again"
_PAGE_ADVICE = "a page, perhaps of an error or a login, was saved in place of the file; download that again"

# (place, bytes, kind)
_MAGIC: tuple[tuple[int, bytes, FileKind], ...] = (
    (0, b"7z\xbc\xaf\x27\x1c", FileKind("a 7z archive", _EXTRACT)),
    (0, b"Rar!\x1a\x07", FileKind("a RAR archive", _EXTRACT)),
    (0, b"MSCF\0\0\0\0", FileKind("a CAB archive", _EXTRACT)),
    (0, b"!<arch>\n", FileKind("an ar archive", _EXTRACT)),
    (0, b"PK\x05\x06", FileKind("a zip archive without a file")),
    (0, b"PK\x07\x08", FileKind("a part of a zip archive", _EXTRACT)),
    (0, b"\x1f\x8b\x08", FileKind("gzip", _DECOMPRESS)),
    (0, b"BZh91AY&SY", FileKind("bzip2", _DECOMPRESS)),
    (0, b"\xfd7zXZ\0", FileKind("xz", _DECOMPRESS)),
    (0, b"\x28\xb5\x2f\xfd", FileKind("Zstandard", _DECOMPRESS)),
    (0, b"\x04\x22\x4d\x18", FileKind("LZ4", _DECOMPRESS)),
    (0, b"\xff\x06\0\0sNaPpY", FileKind("Snappy", _DECOMPRESS)),
    (0, b"LZIP\1", FileKind("lzip", _DECOMPRESS)),
    (0, b"\x1f\x9d", FileKind("compress (.Z)", _DECOMPRESS)),
    (0, b"PAR1\x15", FileKind("Parquet", "give it the ending .parquet; --input_format table reads it")),
    (0, b"ARROW1\0\0", FileKind("an Arrow or Feather file", _ROWS)),
    (0, b"FEA1\0", FileKind("a Feather file", _ROWS)),
    (0, b"Obj\1", FileKind("an Avro file", _ROWS)),
    (0, b"SQLite format 3\0", FileKind("an SQLite database", _EXPORT)),
    (4, b"Standard Jet DB\0", FileKind("an Access database", _EXPORT)),
    (4, b"Standard ACE DB\0", FileKind("an Access database", _EXPORT)),
    (16, b"\xde\xc0\xef\xbe", FileKind("an LMDB database", _ARRAYS)),
    (0, b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file", _ARRAYS)),
    (0, b"MATLAB 5.0 MAT-file", FileKind("a MATLAB file", _ARRAYS)),
    (0, b"\x93NUMPY", FileKind("a NumPy array", _ARRAYS)),
    (0, b"\x0a\x23\xd7\xce", FileKind("MXNet's RecordIO", _ARRAYS)),
    (0, b"RDX2\n", FileKind("R's data", _EXPORT)),
    (0, b"RDX3\n", FileKind("R's data", _EXPORT)),
    (0, b"X\n\0\0\0", FileKind("R's data", _EXPORT)),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", FileKind("an old Office file (.xls, .doc)", _SHEET)),
    (0, b"{\\rtf", FileKind("a Rich Text document", "save it as plain text, CSV or JSON lines")),
    (0, b"%PDF", FileKind("a PDF", "export its pages as images, or its table as CSV")),
    (0, b"%!PS", FileKind("PostScript", "export its pages as images")),
    (0, b"OggS\0", FileKind("Ogg media")),
    (0, b"ID3\2", FileKind("MP3 audio")),
    (0, b"ID3\3", FileKind("MP3 audio")),
    (0, b"ID3\4", FileKind("MP3 audio")),
    (0, b"\x1aE\xdf\xa3", FileKind("a Matroska or WebM video", _FRAMES)),
    (0, b"\0\5\x16\7", FileKind("what macOS keeps beside a file (._NAME)", "take the file itself, which has the name without ._")),
    (0, b"version https://git-lfs", FileKind("a Git LFS pointer, not the file itself", "git lfs pull fetches it")),
    (0, b"/annex/objects/", FileKind("a git-annex pointer, not the file itself", "git annex get fetches it")),
    (0, b"\xff\xd8\xff", FileKind("a JPEG image", _RENAME)),
    (0, b"\x89PNG\r\n\x1a\n", FileKind("a PNG image", _RENAME)),
    (0, b"GIF87a", FileKind("a GIF image", _RENAME)),
    (0, b"GIF89a", FileKind("a GIF image", _RENAME)),
    (0, b"II*\0", FileKind("a TIFF image", _RENAME)),
    (0, b"MM\0*", FileKind("a TIFF image", _RENAME)),
)  # fmt: skip
_OFFICE = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/")  # first members of Office's zip files
_PICKLE = re.compile(rb"\x80[\2-\5][(\[\]{}c\x8c\x95K]")
_OCTAL = re.compile(rb" *[0-7]+[ \0]+")
_TITLE = re.compile(rb"<title[^>]*>\s*([^<]{1,80})", re.IGNORECASE)
_CODE = re.compile(rb"<Code>\s*(\w{1,40})", re.IGNORECASE)
_PAGE = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
_CONTROL = bytes({*range(9), *range(14, 32)} - {0x1B})  # bytes that no text holds, but for an escape
_ODD = 20  # one control byte among so many is too much for text


def kind_of(head: bytes) -> FileKind | None:
    """What a file is, by its first LOOK bytes; None: nothing that is known here, or rows or an image for all these tell.

    >>> str(kind_of(b"7z\\xbc\\xaf\\x27\\x1c")), kind_of(b"image,label")
    ('a 7z archive: extract it, and name the folder that comes of it', None)
    """
    head = head[:LOOK]
    for place, magic, kind in _MAGIC:
        if head.startswith(magic, place):
            return kind
    for tell in (_zip, _web_page, _iso_media, _columnar, _tar, _tf_record):
        if kind_or_none := tell(head):
            return kind_or_none
    return FileKind("a Python pickle", _ROWS) if _PICKLE.match(head) else None


def no_rows(head: bytes) -> FileKind | None:
    """What a file is that holds no rows as text, by its first LOOK bytes; None: it may hold some. Parquet is told before.

    >>> str(no_rows("id,image".encode("utf-16-le"))), no_rows(b"id,image")
    ('UTF-16 without a mark: save it as UTF-8', None)
    """
    head = head[:LOOK]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and not head.startswith(b"\xff\xfe\0\0"):
        return None  # a mark of UTF-16 has a reason of its own
    if kind := kind_of(head):
        return kind
    if head and not head.strip(b"\0"):
        return FileKind("nothing but zero bytes", "copy or download it again")
    if b"\0" in head[:16] and len(head) > 1 and (not any(head[1:16:2]) or not any(head[:16:2])):
        return FileKind("UTF-16 without a mark", "save it as UTF-8")
    control = len(head) - len(head.translate(None, _CONTROL))
    if b"\0" in head[:16] or (control * _ODD > len(head) and not _is_utf8(head)):
        return FileKind(f"no text, and nothing known: its first bytes are {head[:8].hex(' ')}")
    return None


def _is_utf8(head: bytes) -> bool:
    """Whether some bytes are UTF-8, but for a letter that their end cuts off."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3 and len(head) == LOOK
    return True


def _zip(head: bytes) -> FileKind | None:
    """Whose zip file it is, by the name of its first member."""
    if not head.startswith(b"PK\3\4"):
        return None
    first = head[30 : 30 + int.from_bytes(head[26:28], "little")]
    if first == b"mimetype" and b"opendocument.spreadsheet" in head[:128]:
        return FileKind("an OpenDocument spreadsheet (.ods)", _SHEET)
    if first.startswith(_OFFICE):
        return FileKind("an Office file, as an Excel workbook (.xlsx)", f"give it the ending .xlsx, or {_SHEET}")
    if first.endswith(b".npy"):
        return FileKind("NumPy arrays (.npz)", _ARRAYS)
    if first.endswith(b"/data.pkl"):
        return FileKind("a PyTorch file", _ARRAYS)
    return FileKind("a zip archive", _EXTRACT)


def _web_page(head: bytes) -> FileKind | None:
    """A page or an error, as servers send them in place of a file."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    start = text[:64].lower()
    if start.startswith(_PAGE):
        title = _TITLE.search(text)
        named = f", titled {_shown(title[1])}" if title else ""
        return FileKind(f"HTML{named}", _PAGE_ADVICE)
    if start.startswith((b"<?xml", b"<error>")):
        if b"<html" in text.lower():
            return FileKind("HTML", _PAGE_ADVICE)
        if code := _CODE.search(text):
            return FileKind(f"XML, an answer of a storage service that says {_shown(code[1])}", _FETCH)
        return FileKind("XML or HTML", "JSON lines, CSV and Parquet are read")
    if start.startswith(b"http/") and text[:16].partition(b" ")[0][5:6].isdigit():
        return FileKind("an answer of HTTP with its headers", "save its body alone")
    return None


def _iso_media(head: bytes) -> FileKind | None:
    brand = head[8:12]
    if head.startswith(b"RIFF") and brand == b"WEBP":
        return FileKind("a WebP image", _RENAME)
    if head[4:8] == b"ftyp":
        return FileKind(f"MP4 or another ISO media file, brand {brand!r}", _FRAMES)
    if head.startswith(b"RIFF") and head[8:11] in (b"WAV", b"AVI"):
        return FileKind(f"a RIFF file of form {brand!r}", _FRAMES if brand == b"AVI " else "")
    return None


def _columnar(head: bytes) -> FileKind | None:
    """ORC, whose mark is three letters that a header of CSV may begin with; and Arrow's stream, which datasets write."""
    if head.startswith(b"ORC") and head[3:16].translate(None, _CONTROL + bytes(range(127, 256))) != head[3:16]:
        return FileKind("an ORC file", _ROWS)
    if head.startswith(b"\xff\xff\xff\xff") and 0 < int.from_bytes(head[4:8], "little") < 1 << 24:
        return FileKind("an Arrow stream, as datasets save it", f"{_ROWS}, as by Dataset.to_parquet")
    return None


def _tar(head: bytes) -> FileKind | None:
    """A tar, also of before POSIX: the sum of the first header stands in it, in octal digits."""
    stated = head[148:156]
    if len(head) < 512 or not _OCTAL.fullmatch(stated):
        return None
    total = sum(head[:148]) + 8 * ord(" ") + sum(head[156:512])
    return FileKind("a tar archive", _EXTRACT) if int(stated.strip(b" \0"), 8) == total else None


def _tf_record(head: bytes) -> FileKind | None:
    """A TFRecord begins with a length and the masked CRC32C of that."""
    if len(head) < 12 or head[4:8] != bytes(4) or not any(head[:4]):
        return None
    crc = _crc32c(head[:8])
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return FileKind("a TFRecord file", _ARRAYS) if masked == struct.unpack("<I", head[8:12])[0] else None


def _crc32c(data: bytes) -> int:
    """Castagnoli's CRC of a few bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def _shown(text: bytes) -> str:
    return repr(" ".join(text.decode("utf-8", "replace").split()))
