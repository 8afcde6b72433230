"""Read a block of small files each of which is a row: Block -> OpenBlock with Records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from transforms.core.reasons import RowError
from transforms.core.records import Block, OpenBlock, Record, Rejection, Row
from transforms.storage import store_for


def read_file_rows(
    block: Block, key: Callable[[Block], str], columns_of: Callable[[str, bytes], dict[str, Any]], most: int
) -> OpenBlock:
    """Args: columns_of: makes the columns of a file of its URI and bytes. most: bytes of a file."""
    opened = OpenBlock(block, key(block))
    for extent in block.extents:
        opened.lines.append((extent.uri, 1))
        data = b""
        try:
            if extent.size > most:
                raise RowError(
                    "line_too_long", f"the file has {extent.size:,} bytes, at most {most:,} are read (--max_line_bytes)"
                )
            data = store_for(extent.uri).read(extent.uri, 0, extent.size, extent.generation)[0]
            columns = columns_of(extent.uri, data)
        except RowError as error:
            opened.rejections.append(Rejection(Row(extent.uri, 0, 1, data), error.reason, error.detail))
        else:
            opened.rows.append(Record(extent.uri, 0, 1, b"", columns, block.format))
    opened.counters["examples_read"] = len(opened.rows) + len(opened.rejections)
    return opened
