"""What an image of a folder is as a row: its path below the folder, and what stands in the file beside it. Extents -> Records."""

from __future__ import annotations

import posixpath
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import Record


def image_record(uri: str, base: str, sidecar: Any = None) -> Record:
    """The row of one image.

    Args:
        base: the folder that was given; the path is told from there.
        sidecar: text, or the value of a JSON file; None without one.
    """
    path = uri[len(base) + 1 :]
    if base.startswith("gs://") and (path.startswith("/") or posixpath.normpath(path) != path):
        path = uri  # an object's name is literal, also with `//` in it; a path that is told from a folder is not
    columns: dict[str, Any] = {"image": path}
    if "/" not in uri[len(base) :].lstrip("/"):  # its class is then the folder that was given
        columns["path.parent"] = posixpath.basename(base)
    if sidecar is not None:
        columns["sidecar"] = sidecar
    return Record(uri, 0, 1, b"", columns, "folder", base)


def sidecar_value(uri: str, data: bytes) -> Any:
    """What a sidecar says: the text of a .txt without white space around it, the value of a .json.

    Raises:
        RowError: bad_sidecar.
    """
    try:
        if not uri.lower().endswith(".json"):
            return data.decode("utf-8-sig").strip()
        return jsonl.loads(b'{"sidecar":' + data.removeprefix(b"\xef\xbb\xbf") + b"}")["sidecar"]
    except UnicodeDecodeError as error:
        raise RowError("bad_sidecar", f"{uri}: byte {error.start} is not UTF-8") from None
    except RowError as error:
        raise RowError("bad_sidecar", f"{uri}: {error.detail}") from None
