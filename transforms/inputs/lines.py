"""Read a block's rows: Block -> OpenBlock; rejects: utf16, line_too_long, corrupt_gzip.

A line belongs to the block in which its first byte lies. A range seeks its first line only inside itself, so one 50 MB line
is not read by each of the blocks it passes through; the end of a block's last line is read on for, up to the longest line allowed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from transforms.core.reasons import RowError
from transforms.core.records import Block, Extent, Fault, OpenBlock, Rejection, Row
from transforms.core.warning_codes import WARNINGS
from transforms.examples.prompt_templates import asks_for
from transforms.inputs.cells.csv_dialect import HEAD
from transforms.inputs.cells.csv_table import TableReader, leave_out, reject_extent
from transforms.inputs.compressed_rows import AROUND_LINE, SMALL_FILE, UTF16
from transforms.inputs.file_rows import read_file_rows
from transforms.inputs.folder import read_folder
from transforms.inputs.json_array import as_lines
from transforms.inputs.registry import CONTAINERS, MEANINGS
from transforms.inputs.survey.not_rows import fault_of_lines
from transforms.storage import store_for
from transforms.storage.compressed_members import whole_text
from transforms.storage.packings import Damaged

CodeOf = Callable[[str, bytes], str]
_READ_ON, _READ_MOST = 1 << 14, 1 << 20  # bytes asked for, first and at most, to find the end of a block's last line


def read_block(block: Block, key: Callable[[Block], str], tables: TableReader) -> OpenBlock:
    """The rows of a block, by whoever reads its format."""
    meaning = MEANINGS[block.format]
    if meaning.only_lines or (block.dialect and CONTAINERS[block.dialect.kind].is_lines):
        longest = meaning.longest_line(tables.max_line_bytes)
        opened = read_rows(block, key, longest, partial(tables.code_of_left_out, meaning))
        stage = CONTAINERS[block.dialect.kind].stage if block.dialect else meaning.stage
        return stage(opened, tables.stage) if stage else opened
    if meaning.file_columns:
        return read_file_rows(block, key, meaning.file_columns, tables.max_line_bytes)
    if meaning.of_files:
        return read_folder(block, key, tables.max_line_bytes, asks_for(tables.wanted.columns, "metadata"))
    return tables.read(block, key)


def read_rows(
    block: Block, key: Callable[[Block], str], max_line_bytes: int, code_of_left_out: CodeOf = lambda uri, head: ""
) -> OpenBlock:
    """The lines of a block.

    Args:
      code_of_left_out: a file and its first HEAD bytes -> the code of the warning why it is not read, "" if it is.
    """
    opened = OpenBlock(block, key(block))
    if block.fault and block.fault.reason in WARNINGS:
        leave_out(opened, block.extents[0], block.fault.reason, 1)
        return opened
    for extent in block.extents:
        if block.raw is not None:
            data, first = block.raw, extent.start
        else:
            data, first = _read_extent(extent, max_line_bytes)
            try:
                data = whole_text(extent, data, SMALL_FILE)
                whole = (extent.start, extent.end) == (0, extent.size)
                if whole and (fault := fault_of_lines(data)):
                    reject_extent(opened, extent, fault, 1)
                    continue
                if whole and (code := code_of_left_out(extent.uri, data[:HEAD])):
                    leave_out(opened, extent, code, data.count(b"\n"))
                    continue
                if extent.start == 0:
                    data = _lines_of(opened, extent, data)
            except RowError as error:
                reject_extent(opened, extent, Fault(error.reason, error.detail), 1)
                continue
        _cut_lines(opened, extent, data, first, max_line_bytes)
    if block.fault:
        extent, number = block.extents[-1], opened.lines[-1][1]
        number += not block.raw or block.raw.endswith(b"\n")  # else the last line is the damaged one
        opened.rejections.append(
            Rejection(Row(extent.uri, extent.end, number, b""), block.fault.reason, block.fault.detail)
        )
    opened.counters["examples_read"] = len(opened.rows) + len(opened.rejections)
    return opened


def _lines_of(opened: OpenBlock, extent: Extent, data: bytes) -> bytes:
    """The text of a whole small file as lines; an array that does not end is rejected behind its items."""
    lines = bytearray()
    try:
        for piece in as_lines([data]):
            lines += piece
    except Damaged as error:
        row = Row(extent.uri, extent.end, lines.count(b"\n") + 1, b"")
        opened.rejections.append(Rejection(row, error.reason, str(error)))
    return bytes(lines)


def _read_extent(extent: Extent, max_line_bytes: int) -> tuple[bytes, int]:
    """The bytes of the lines that begin in an extent, and the offset of the first of them."""
    store = store_for(extent.uri)
    before = 1 if extent.start else 0  # the byte before tells whether a line begins right at the start
    data, _ = store.read(extent.uri, extent.start - before, extent.end, extent.generation)
    first = extent.start
    if before:
        cut = data.find(b"\n") + 1
        if not cut or extent.start - 1 + cut >= extent.end:
            return b"", extent.end
        data, first = data[cut:], extent.start - 1 + cut
    chunks, end = [data], extent.end
    room = max_line_bytes + AROUND_LINE - (len(data) - data.rfind(b"\n") - 1)
    step = _READ_ON
    while end < extent.size and not chunks[-1].endswith(b"\n") and room > 0:
        more, _ = store.read(extent.uri, end, min(end + min(step, room), extent.size), extent.generation)
        cut = more.find(b"\n") + 1
        chunks.append(more[:cut] if cut else more)
        end += len(more)
        room -= len(more)
        step = min(4 * step, _READ_MOST)
        if cut:
            break
    return b"".join(chunks), first


def _cut_lines(opened: OpenBlock, extent: Extent, data: bytes, first: int, max_line_bytes: int) -> None:
    source = extent.uri
    if first == 0:
        if data.startswith(b"\xef\xbb\xbf"):
            data, first = data[3:], 3
        elif data.startswith(UTF16):
            row = Row(source, 0, 1, b"")
            detail = "the file begins with a UTF-16 byte order mark; expected UTF-8"
            opened.rejections.append(Rejection(row, "utf16", detail))
            opened.lines.append((source, 1))
            return
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()  # the text ends with a line end, or is empty
    append, position, has_returns = opened.rows.append, first, b"\r" in data
    for number, line in enumerate(lines, 1):
        raw = line[:-1] if has_returns and line.endswith(b"\r") else line
        if len(raw) > max_line_bytes:
            detail = f"the line is longer than {max_line_bytes:,} bytes"
            opened.rejections.append(Rejection(Row(source, position, number, b""), "line_too_long", detail))
        elif raw and not raw.isspace():
            append(Row(source, position, number, raw))
        position += len(line) + 1
    opened.lines.append((source, len(lines)))
