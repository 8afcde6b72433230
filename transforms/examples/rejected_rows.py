"""The lines of rejected.jsonl: Rejection -> bytes, each of which can be read as an input again (inputs/rows.py)."""

from __future__ import annotations

import base64
import io
import posixpath
import re
from functools import lru_cache

from transforms.core import jsonl
from transforms.core.reasons import REASONS, RowError, owner
from transforms.core.records import Record, Rejection

REJECTED = "rejected/1"  # the mark of a line of rejected.jsonl
folder_of = lru_cache(maxsize=64)(posixpath.dirname)  # of a file: what its relative paths start from
_CUT_ROW = 4096  # bytes of an unusable row that are kept; a longer one is cut and located instead
_CUT_TEXT = 2000  # characters of a detail or URI


def rejected_line(rejection: Rejection, row_format: str = "gemini") -> bytes:
    """A line of rejected.jsonl, itself a valid input; `line` still counts from the block's extent.

    A row that is JSON stands in it byte for byte (ASCII-escaped); a record as its columns; another as base64, or if it is long
    only by its place.
    """
    row = rejection.row
    body: dict[str, object] = {
        "tuneset": REJECTED,
        "source": row.source,
        "offset": row.offset,
        "line": row.line,
        "stage": REASONS[rejection.reason].stage,
        "reason": rejection.reason,
        "class": owner(rejection.reason),
        "detail": _told(rejection.detail),
        "image": _told(rejection.image),
        "base": rejection.base,
        "format": row.format if isinstance(row, Record) else row_format,
    }
    if row.transformed:
        body["transformed"] = True  # a replay leaves it as it is
    if rejection.split:
        body["split"] = rejection.split
    if isinstance(row, Record) and not row.raw:
        return jsonl.dumps(body | {"row": row.columns}) + b"\n"
    try:
        jsonl.loads(row.raw)
        return jsonl.dumps(body)[:-1] + b',"row":' + jsonl.escape(row.raw) + b"}\n"
    except RowError:
        if 0 < len(row.raw) <= _CUT_ROW:
            body["row_base64"] = base64.b64encode(row.raw).decode()
        return jsonl.dumps(body) + b"\n"


def _told(text: str) -> str:
    """A text of any length, which may name a file whose name is not UTF-8, as JSON can hold it."""
    return text[:_CUT_TEXT].encode(errors="backslashreplace").decode()


_LINE = re.compile(rb'("source":(?:"(?:[^"\\]|\\.)*"),"offset":\d+,"line":)(\d+)')


def number_rejected(part: bytes, before: dict[str, int]) -> list[bytes]:
    r"""The lines of a rejected part, which end at `\n` alone, with their line counted from the start of the file.

    Args:
      before: source -> lines of it that stand before the block.
    """
    numbered = []
    for line in io.BytesIO(part):
        found = _LINE.search(line)
        assert found, "a rejected part holds a line that rejected_line did not write"
        source = jsonl.loads(b"{" + found[1].partition(b',"offset"')[0] + b"}")["source"]
        numbered.append(line[: found.start(2)] + b"%d" % (int(found[2]) + before[source]) + line[found.end(2) :])
    return numbered
