"""Read a block of a table: Block -> OpenBlock with Records; rejects: bad_record, not_utf8, line_too_long, corrupt_parquet, and
whole files.

A range of a CSV file holds whole records (csv_record_ends.py found where). A stretch that the csv module or the encoding stumbles
over is read again record by record, so that a bad one costs itself alone.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from transforms.core.reasons import RowError
from transforms.core.records import Block, Dialect, Extent, Fault, OpenBlock, Record, Rejection, Row
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.inputs.csv_dialect import BOM, HEAD, Wanted, dialect_of, lacks_answer
from transforms.inputs.csv_record_ends import RecordEnds
from transforms.inputs.formats.automl_boxes import read_grouped
from transforms.inputs.parquet.blocks import parquet_columns
from transforms.inputs.parquet.values import Stage
from transforms.inputs.registry import CONTAINERS, MEANINGS, CellsColumns
from transforms.storage import store_for


@dataclass(frozen=True)
class TableReader:
    """Reads blocks of CSV and Parquet files.

    wanted: what options say of the files. max_line_bytes: a longer record is rejected by its offset. images: columns whose bytes
    are images, which `stage` takes. answers: columns of the answer, which a file whose name says test (`names`) may lack: it is then
    left out.
    """

    wanted: Wanted
    max_line_bytes: int
    images: tuple[str, ...]
    stage: Stage
    answers: tuple[str, ...] = ()
    names: SplitNames = NO_NAMES

    def read(self, block: Block, key: Callable[[Block], str]) -> OpenBlock:
        opened = OpenBlock(block, key(block))
        for extent in block.extents:
            if block.fault:
                self._reject_file(opened, extent, block.fault, block.lines)
                continue
            if block.dialect and CONTAINERS[block.dialect.kind].is_columnar:
                self._read_parquet(opened, block)
                continue
            data = block.raw
            if data is None:
                data = store_for(extent.uri).read(extent.uri, extent.start, extent.end, extent.generation)[0]
            dialect = block.dialect
            if dialect and CONTAINERS[dialect.kind].is_gathered:
                read_grouped(opened, extent, data)
                continue
            if dialect is None:
                try:
                    dialect = dialect_of(extent.uri, data[:HEAD], self.wanted, block.format)
                except RowError as error:
                    self._reject_file(opened, extent, Fault(error.reason, error.detail), data.count(b"\n") + 1)
                    continue
            self.read_csv(opened, extent, data, dialect)
        opened.counters["examples_read"] = len(opened.rows) + len(opened.rejections)
        return opened

    def _reject_file(self, opened: OpenBlock, extent: Extent, fault: Fault, lines: int) -> None:
        """Reject all that an extent holds, unless it is of a test that was published without its answers."""
        if lacks_answer(fault.detail, self.answers) and self.names.of_file(extent.uri) == "test":
            opened.warnings.add("test_without_answers", extent.uri)
            opened.lines.append((extent.uri, max(lines, 1)))
        else:
            reject_extent(opened, extent, fault, lines)

    def _read_parquet(self, opened: OpenBlock, block: Block) -> None:
        extent, names = block.extents[0], block.dialect.names if block.dialect else ()
        number = extent.start
        try:
            for columns, faults in parquet_columns(block, self.images, self.stage, self.max_line_bytes):
                for index, values in enumerate(zip(*columns)):
                    line = number - extent.start + 1
                    if fault := faults and faults.get(index):
                        row = Row(extent.uri, number, line, b"")
                        opened.rejections.append(Rejection(row, fault.reason, fault.detail))
                    else:
                        record = Record(extent.uri, number, line, b"", dict(zip(names, values)), block.format)
                        opened.rows.append(record)
                    number += 1
            if number < extent.end:
                raise RowError("corrupt_parquet", "the file has fewer rows than its footer says")
        except RowError as error:
            bad = Row(extent.uri, number, number - extent.start + 1, b"")
            detail = f"{error.detail} (rows {number + 1:,} to {extent.end:,} are left out)"
            opened.rejections.append(Rejection(bad, error.reason, detail))
        opened.lines.append((extent.uri, extent.end - extent.start))

    def read_csv(self, opened: OpenBlock, extent: Extent, data: bytes, dialect: Dialect) -> None:
        """Take the records of an extent of whole records."""
        first = extent.start
        if first == 0 and data.startswith(BOM):
            data, first = data[len(BOM) :], len(BOM)
        scan = RecordEnds(dialect.delimiter, first)
        ends: list[int] = scan.feed(data).tolist()
        if data and (not ends or ends[-1] < first + len(data)):
            ends.append(first + len(data))
        records = _Records(opened, extent.uri, dialect, self.max_line_bytes)
        records.skip_first = extent.start == 0 and dialect.header
        if scan.inside_quotes and ends:  # the last record is no record
            begin = ends[-2] if len(ends) > 1 else first
            records.read(data[: begin - first], first, ends[:-1])
            row = Row(extent.uri, begin, records.lines + 1, data[begin - first :])
            detail = (
                f'a quote (") is opened in line {records.lines + 1} of this block and not closed before the file ends'
            )
            opened.rejections.append(Rejection(row, "bad_record", detail))
            records.lines += row.raw.count(b"\n") + (not row.raw.endswith(b"\n"))
        else:
            records.read(data, first, ends)
        opened.lines.append((extent.uri, records.lines))


def reject_extent(opened: OpenBlock, extent: Extent, fault: Fault, lines: int) -> None:
    """One rejection that stands for all that an extent holds."""
    opened.rejections.append(Rejection(Row(extent.uri, extent.start, 1, b""), fault.reason, fault.detail))
    opened.lines.append((extent.uri, max(lines, 1)))
    opened.counters["examples_read"] = len(opened.rows) + len(opened.rejections)


class _Records:
    """Takes the records of one extent; `lines` counts its physical lines so far."""

    def __init__(self, opened: OpenBlock, source: str, dialect: Dialect, longest: int) -> None:
        self._opened, self._source, self._dialect, self._longest = opened, source, dialect, longest
        self._format = opened.block.format
        self.lines, self.skip_first = 0, False

    def read(self, data: bytes, first: int, ends: list[int]) -> None:
        """Records of `data`, which begins at the offset `first` of the file and ends at the last of `ends`."""
        kept = len(self._opened.rows), len(self._opened.rejections), self.skip_first
        try:
            text = data.decode(self._dialect.encoding)
            self._take(
                csv.reader(io.StringIO(text, newline="\n"), delimiter=self._dialect.delimiter), data, first, ends
            )
            return
        except (UnicodeDecodeError, csv.Error):
            del self._opened.rows[kept[0] :], self._opened.rejections[kept[1] :]
            self.lines, self.skip_first = 0, kept[2]
        start = first
        for end in ends:
            raw, before = data[start - first : end - first], self.lines
            try:
                one = csv.reader(
                    io.StringIO(raw.decode(self._dialect.encoding), newline="\n"), delimiter=self._dialect.delimiter
                )
                self._take(one, raw, start, [end])
            except UnicodeDecodeError as error:
                detail = (
                    f"byte {error.start} (0x{raw[error.start]:02x}) is not {self._dialect.encoding}; if the whole file is "
                    "of another encoding, name it with --encoding"
                )
                self._reject(start, before, raw, "not_utf8", detail)
            except csv.Error as error:
                self._reject(start, before, raw, "bad_record", f"{error}".partition(" - ")[0])
            self.lines = before + raw.count(b"\n") + (not raw.endswith(b"\n"))
            start = end

    def _take(self, reader: Iterator[list[str]], data: bytes, first: int, ends: list[int]) -> None:
        source, format, names = self._source, self._format, self._dialect.names
        cells_columns = MEANINGS[format].cells
        width, longest, append = len(names), self._longest, self._opened.rows.append
        csv.field_size_limit(sys.maxsize)  # the bytes of a record are limited, not those of a cell
        start, before = first, self.lines
        for end, cells in zip(ends, reader, strict=True):
            line = self.lines + 1
            self.lines = before + reader.line_num  # type: ignore[attr-defined]
            if end - start > longest and len(data[start - first : end - first].rstrip(b"\r\n")) > longest:
                detail = f"the record is longer than {longest:,} bytes"
                self._reject(start, line - 1, b"", "line_too_long", detail)
            elif self.skip_first:
                self.skip_first = not cells  # a blank line is no header
            elif cells_columns:
                if any(cells):
                    self._by_cells(cells_columns, start, line, data[start - first : end - first], cells)
            elif len(cells) == width:
                if width > 1 or cells[0]:
                    append(Record(source, start, line, b"", dict(zip(names, cells)), format))
            elif cells:
                detail = f"the record has {len(cells)} cells, the header {width}"
                self._reject(start, line - 1, data[start - first : end - first].rstrip(b"\r\n"), "bad_record", detail)
            start = end

    def _by_cells(self, cells_columns: CellsColumns, start: int, line: int, raw: bytes, cells: list[str]) -> None:
        """A record without a header, whose cells tell what they are."""
        try:
            columns = cells_columns(cells)
        except RowError as error:
            self._reject(start, line - 1, raw.rstrip(b"\r\n"), error.reason, error.detail)
        else:
            self._opened.rows.append(Record(self._source, start, line, b"", columns, self._format))

    def _reject(self, start: int, lines: int, raw: bytes, reason: str, detail: str) -> None:
        self.skip_first = False  # if it was the header, the next record is a row all the same
        row = Row(self._source, start, lines + 1, raw)
        self._opened.rejections.append(Rejection(row, reason, detail))
