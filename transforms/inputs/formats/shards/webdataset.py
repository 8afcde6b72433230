"""WebDataset's tar shards: members with one base name are a row -> a line of JSON, whose images are places in the tar.

`a/0001.jpg`, `a/0001.txt` and `a/0001.json` are one row, whose `__key__` is a/0001: columns by ending, `{txt}`, `{cls}`,
`{json.caption}`; images are in `image`. The tar is gone through once and nothing is extracted: an image is read by its range when its
row is, and staged. img2dataset writes such shards too.
"""

from __future__ import annotations

import io
import posixpath
import tarfile
from collections.abc import Iterator
from typing import IO, Any, cast

from transforms.core import jsonl
from transforms.core.file_kinds import LOOK, kind_of
from transforms.core.media_types import has_image_ending
from transforms.core.reasons import RowError
from transforms.core.records import Extent, OpenBlock
from transforms.inputs.formats.boxes import FAULT
from transforms.inputs.formats.inline_images import Stage
from transforms.inputs.formats.shards.staging import stage_rows, staged_range
from transforms.storage.packings import Damaged
from transforms.storage.ranged_file import RangedFile

_MAGIC = slice(257, 262)  # of a tar's first bytes
_READ = 4 << 20  # bytes of the tar read at a time
_MOST_TEXT = 1 << 20  # bytes of a member that is no image
_MOST_MEMBERS = 1000  # of a row
_TEXTS = ("txt", "cls", "text", "caption", "json", "id", "index", "cls2")
IMAGES = "image"  # the column of a row's images: [place, size, name] each


def lines_of(extent: Extent) -> Iterator[bytes]:
    """The rows of a tar, as lines of JSON.

    Raises:
        Damaged: corrupt_packing, the tar is damaged or ends early; the rows before were given.
    """
    file = cast(IO[bytes], io.BufferedReader(RangedFile(extent.uri, extent.generation, extent.size), _READ))
    row: dict[str, Any] = {}
    head = file.read(LOOK)
    if head[_MAGIC] != b"ustar" and (kind := kind_of(head)):
        raise Damaged(f"it is {kind}", "not_rows")
    file.seek(0)
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # it keeps all that it has seen
                if member.isdir():
                    continue
                key, ending = _parted(member.name)
                if row and row["__key__"] != key:
                    yield _line(row)
                    row = {}
                row = row or {"__key__": key, IMAGES: []}
                if member.offset_data + member.size > extent.size:
                    raise Damaged("the tar ends before its last member does", "corrupt_packing")
                _take(row, member, ending, file)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError) as error:
        if not isinstance(error, Damaged):
            error = Damaged(f"the tar is damaged: {error}", "corrupt_packing")
        raise error from None
    if row:
        yield _line(row)


def _parted(name: str) -> tuple[str, str]:
    """The key of a member, and its ending in small letters.

    >>> _parted("./a.b/0001.seg.PNG")
    ('a.b/0001', 'seg.png')
    """
    folder, _, base = name.removeprefix("./").rpartition("/")
    stem, _, ending = base.partition(".")
    return f"{folder}/{stem}" if folder else stem, ending.lower()


def _line(row: dict[str, Any]) -> bytes:
    answer = next((row[name] for name in ("txt", "text", "caption", "cls") if row.get(name) not in (None, "")), None)
    if answer is None and isinstance(row.get("json"), dict):
        answer = row["json"].get("caption")
    return jsonl.dumps(row | ({"answer": answer} if "answer" not in row else {})) + b"\n"


def _take(row: dict[str, Any], member: tarfile.TarInfo, ending: str, file: IO[bytes]) -> None:
    """Add a member to its row; what cannot be is the row's fault."""
    if not member.isfile() or ".." in member.name.split("/") or member.name.startswith("/"):
        row[FAULT] = ["bad_record", f"{member.name[:200]!r} is a link, a device, or named by a path that leads out"]
    elif has_image_ending(f"x.{ending}"):
        if len(row[IMAGES]) < _MOST_MEMBERS:
            row[IMAGES].append([member.offset_data, member.size, member.name])
    elif ending in _TEXTS or ending.endswith((".txt", ".json")):
        if member.size > _MOST_TEXT:
            row[FAULT] = [
                "bad_record",
                f"{member.name[:200]!r} has {member.size:,} bytes, at most {_MOST_TEXT:,} are read",
            ]
            return
        at = file.tell()
        file.seek(member.offset_data)
        data = file.read(member.size)
        file.seek(at)
        try:
            row[ending] = _value(ending, data)
        except RowError as error:
            row[FAULT] = ["bad_record", f"{member.name[:200]!r}: {error.detail}"]


def _value(ending: str, data: bytes) -> Any:
    if ending.endswith("json"):
        return jsonl.loads(b'{"value":' + data.removeprefix(b"\xef\xbb\xbf") + b"}")["value"]
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise RowError("bad_record", f"byte {error.start} is not UTF-8") from None


def stage_images(opened: OpenBlock, stage: Stage) -> OpenBlock:
    """The rows of a block with their images staged: each becomes its place and the digest of its bytes.

    Args:
        stage: takes the bytes of an image -> (where it is now, the name of its content).
    """

    def staged(columns: dict[str, Any], uri: str) -> dict[str, Any]:
        return columns | {IMAGES: [_staged(uri, opened, place, stage) for place in columns[IMAGES]]}

    return stage_rows(opened, staged)


def _staged(uri: str, opened: OpenBlock, place: list[Any], stage: Stage) -> dict[str, str]:
    start, size, name = place
    path, content = staged_range(uri, opened, (start, size), stage, name[:200])
    return {"path": path, "content": content, "name": posixpath.basename(name)}
