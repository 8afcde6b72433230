"""Images that are ranges of the file that their rows stand in: each is read when its row is, and staged by its content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transforms.core import jsonl
from transforms.core.reasons import RowError
from transforms.core.records import OpenBlock, Record, Rejection
from transforms.inputs.formats.inline_images import Stage
from transforms.storage import store_for

_MOST_IMAGE = 256 << 20


def stage_rows(opened: OpenBlock, staged: Callable[[dict[str, Any], str], dict[str, Any]]) -> OpenBlock:
    """The lines of a block as records whose images are staged.

    Args:
        staged: takes the columns of a line, and the URI of its file -> columns with the images' places. It raises RowError for a row
            that is to be rejected.
    """
    rows, opened.rows = opened.rows, []
    for row in rows:
        try:
            columns = staged(jsonl.loads(row.raw), row.source)
        except RowError as error:
            opened.rejections.append(Rejection(row, error.reason, error.detail))
        else:
            opened.rows.append(Record(row.source, row.offset, row.line, b"", columns, opened.block.format))
    return opened


def staged_range(
    uri: str, opened: OpenBlock, place: Sequence[int], stage: Stage, name: str = "an image"
) -> tuple[str, str]:
    """Stage an image that is a range of a block's file -> (where it is now, the name of its content).

    Args:
        place: its first byte, and its bytes.

    Raises:
        RowError: bad_record, it is too large.
    """
    start, size = place
    if size > _MOST_IMAGE:
        raise RowError("bad_record", f"{name!r} has {size:,} bytes, at most {_MOST_IMAGE:,} are read")
    return stage(store_for(uri).read(uri, start, start + size, opened.block.extents[0].generation)[0])
