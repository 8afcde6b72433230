"""Lines of rejected.jsonl as input: the row that such a line holds, and where its relative paths start from."""

from __future__ import annotations

import base64
import binascii
import posixpath
from functools import lru_cache

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import FORMATS, Row
from transforms.core.tables import record_of

REJECTED = "rejected/1"  # the mark of a line of rejected.jsonl
folder_of = lru_cache(maxsize=64)(posixpath.dirname)  # of a file: what its relative paths start from


def unwrap(row: Row) -> tuple[Row, str]:
    """The row a line of rejected.jsonl holds, and the folder its relative paths start from; another row as it is.

    A row that was rejected again while being replayed is unwrapped to the innermost one, whose base counts.

    Raises:
        RowError: not_an_object, when the line only locates its row; or a fault of the line, but not of the row it holds.
    """
    base, obj = folder_of(row.source), jsonl.loads(row.raw)
    while obj.get("tuneset") == REJECTED:
        if isinstance(obj.get("base"), str):
            base = obj["base"]
        inner, encoded = obj.get("row"), obj.get("row_base64")
        if isinstance(inner, dict):
            raw = jsonl.dumps(inner)
        elif isinstance(encoded, str):
            try:
                raw = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise RowError("not_an_object", "row_base64 of the rejected line is not base64") from None
        elif inner is None:
            raise RowError("not_an_object", "the row was cut when it was rejected: take it from its source and offset")
        else:
            raise RowError("not_an_object", "the row of the rejected line is not an object")
        format = obj.get("format")
        row = Row(row.source, row.offset, row.line, raw)
        try:
            obj = jsonl.loads(raw)
        except RowError:
            if format in FORMATS[1:]:
                raise RowError(
                    "bad_record", f"it could not be read as a row of a {format}: mend it where it stands"
                ) from None
            break  # to be rejected again, as itself
        if format in FORMATS[1:]:
            return record_of(row, format, obj), base
    return row, base
