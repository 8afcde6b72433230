"""Read a block of a table: Block -> OpenBlock with Records; rejects: bad_record, not_utf8, line_too_long, corrupt_parquet, and
whole files.

A range of a CSV file holds whole records (csv_record_ends.py found where). A stretch that the csv module or the encoding stumbles
over is read again record by record, so that a bad one costs itself alone. An all-empty record is a blank line, counted; lines that
a quoted cell swallowed are counted too.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from transforms.core.reasons import RowError
from transforms.core.records import Block, Dialect, Extent, Fault, OpenBlock, Record, Rejection, Row
from transforms.core.warning_codes import WARNINGS
from transforms.inputs.cells.csv_dialect import (
    HEAD,
    Wanted,
    dialect_of,
    has_text,
    preamble_bytes,
    with_newlines,
)
from transforms.inputs.cells.csv_quotes import merged_lines, quotes_balance, without_blanks
from transforms.inputs.cells.csv_record_ends import RecordEnds
from transforms.inputs.compressed_rows import AROUND_LINE, SMALL_FILE
from transforms.inputs.formats.automl_boxes import read_grouped
from transforms.inputs.formats.json_files import LEFT_OUT, fault_of_json
from transforms.inputs.formats.unanswered import ANSWERED, Unanswered
from transforms.inputs.parquet.blocks import parquet_columns
from transforms.inputs.parquet.values import Stage
from transforms.inputs.registry import CONTAINERS, MEANINGS, Meaning
from transforms.inputs.survey.not_rows import check_text
from transforms.storage import store_for
from transforms.storage.compressed_members import whole_text


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
    unanswered: Unanswered = ANSWERED

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
                try:
                    data = whole_text(extent, data, SMALL_FILE)
                except RowError as error:
                    reject_extent(opened, extent, Fault(error.reason, error.detail), 1)
                    continue
            dialect = block.dialect
            if dialect and CONTAINERS[dialect.kind].is_gathered:
                read_grouped(opened, extent, data)
                continue
            if dialect is None:
                try:
                    check_text(extent.uri, data)
                    dialect = dialect_of(extent.uri, data[:HEAD], self.wanted, block.format)
                except RowError as error:
                    self._reject_file(opened, extent, Fault(error.reason, error.detail), data.count(b"\n") + 1)
                    continue
            if dialect.carriage_returns:
                data = with_newlines(data)
            if block.raw is None and (extent.start, extent.end) == (0, extent.size):
                dialect = self.with_quotes_of([data], dialect)
            self.read_csv(opened, extent, data, dialect)
        opened.counters["examples_read"] = len(opened.rows) + len(opened.rejections)
        return opened

    def _reject_file(self, opened: OpenBlock, extent: Extent, fault: Fault, lines: int) -> None:
        """Reject all that an extent holds, unless it holds no row, or is of a test that was published without its answers."""
        if self.unanswered.is_meant(extent.uri, fault.detail):
            leave_out(opened, extent, "test_without_answers", lines)
        elif fault.reason in WARNINGS:
            leave_out(opened, extent, fault.reason, lines)
        else:
            reject_extent(opened, extent, fault, lines)

    def code_of_left_out(self, meaning: Meaning, uri: str, head: bytes) -> str:
        """The code of a file of JSON that is left out; "" of one that is read.

        Args:
          head: the first HEAD bytes of the file, or all of them.
        """
        if fault_of_json(uri, head, meaning, self.wanted.columns):
            return LEFT_OUT
        return "test_without_answers" if self.unanswered.fault_of_lines(uri, head) else ""

    def with_quotes_of(self, chunks: Iterable[bytes], dialect: Dialect) -> Dialect:
        """The dialect of a whole file: in a TSV whose quotes do not balance, a quote is a letter."""
        if dialect.delimiter != "\t" or not dialect.names:
            return dialect
        longest = self.max_line_bytes + AROUND_LINE
        return replace(dialect, quoted=quotes_balance(chunks, "\t", len(dialect.names), longest))

    def _read_parquet(self, opened: OpenBlock, block: Block) -> None:
        extent, names = block.extents[0], block.dialect.names if block.dialect else ()
        number, images = extent.start, MEANINGS[block.format].image_columns or self.images
        try:
            for columns, faults in parquet_columns(block, images, self.stage, self.max_line_bytes):
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
        records = _Records(opened, extent.uri, dialect, self.max_line_bytes, self.wanted.keep_blanks)
        first = extent.start
        if first == 0:
            first = preamble_bytes(data)
            records.lines, data = data.count(b"\n", 0, first), data[first:]
            records.skip_first = dialect.header
            if not dialect.quoted:
                opened.warnings.add("tsv_unquoted", extent.uri)
        scan = RecordEnds(dialect.delimiter, first, dialect.quoted)
        ends: list[int] = scan.feed(data).tolist()
        if data and (not ends or ends[-1] < first + len(data)):
            ends.append(first + len(data))
        records.skips_blanks = scan.skips_blanks
        if scan.inside_quotes and ends:  # the last record is no record
            begin = ends[-2] if len(ends) > 1 else first
            records.read(data[: begin - first], first, ends[:-1])
            row = Row(extent.uri, begin, records.lines + 1, data[begin - first :])
            detail = (
                f'a quote (") is opened in line {records.lines + 1} of this block and not closed before the file ends'
            )
            opened.rejections.append(Rejection(row, "bad_record", detail))
            records.count_merged(row.raw, begin)
            records.lines += row.raw.count(b"\n") + (not row.raw.endswith(b"\n"))
        else:
            records.read(data, first, ends)
        records.count_warnings()
        opened.lines.append((extent.uri, records.lines))


def leave_out(opened: OpenBlock, extent: Extent, code: str, lines: int) -> None:
    """Count a file that is left out, with the code of the warning that says why."""
    opened.warnings.add(code, extent.uri)
    opened.lines.append((extent.uri, max(lines, 1)))


def reject_extent(opened: OpenBlock, extent: Extent, fault: Fault, lines: int) -> None:
    """One rejection that stands for all that an extent holds."""
    opened.rejections.append(Rejection(Row(extent.uri, extent.start, 1, b""), fault.reason, fault.detail))
    opened.lines.append((extent.uri, max(lines, 1)))
    opened.counters["examples_read"] = len(opened.rows) + len(opened.rejections)


@dataclass(slots=True)
class _Records:
    """Takes the records of one extent; `lines` counts its physical lines so far."""

    opened: OpenBlock
    source: str
    dialect: Dialect
    longest: int  # bytes of a record
    keep_blanks: bool
    skips_blanks: bool = False  # whether there are blanks between delimiters and quotes
    lines: int = 0
    skip_first: bool = False  # whether the next record that is not blank is the header
    blank: int = 0  # records without any text
    merged: dict[int, int] = field(default_factory=dict)  # lines that a record swallowed, by its offset

    def count_warnings(self) -> None:
        """Add what looked wrong to the block's warnings."""
        if self.blank:
            self.opened.warnings.add("blank_records", self.source, self.blank)
        for start, lines in self.merged.items():
            self.opened.warnings.add("records_merged", f"{self.source}, byte {start:,}", lines)

    def count_merged(self, raw: bytes, start: int) -> None:
        """Note the lines that a record of several lines may have swallowed."""
        width = len(self.dialect.names)
        if lines := merged_lines(raw.decode(self.dialect.encoding, "replace"), self.dialect.delimiter, width):
            self.merged[start] = lines

    def read(self, data: bytes, first: int, ends: list[int]) -> None:
        """Records of `data`, which begins at the offset `first` of the file and ends at the last of `ends`."""
        kept = len(self.opened.rows), len(self.opened.rejections)
        begun = self.lines, self.skip_first
        try:
            self._take(self._reader(data), data, first, ends)
            return
        except (UnicodeDecodeError, csv.Error):
            del self.opened.rows[kept[0] :], self.opened.rejections[kept[1] :]
            self.lines, self.skip_first = begun
            self.blank, self.merged = 0, {}
        start = first
        for end in ends:
            raw, before = data[start - first : end - first], self.lines
            try:
                self._take(self._reader(raw), raw, start, [end])
            except UnicodeDecodeError as error:
                detail = (
                    f"byte {error.start} (0x{raw[error.start]:02x}) is not {self.dialect.encoding}; if the whole file is "
                    "of another encoding, name it with --encoding"
                )
                self._reject(start, before, raw, "not_utf8", detail)
            except csv.Error as error:
                self._reject(start, before, raw, "bad_record", f"{error}".partition(" - ")[0])
            self.lines = before + raw.count(b"\n") + (not raw.endswith(b"\n"))
            start = end

    def _reader(self, data: bytes) -> Iterator[list[str]]:
        text, delimiter = data.decode(self.dialect.encoding), self.dialect.delimiter
        if not self.dialect.quoted:
            return csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter, quoting=csv.QUOTE_NONE)
        text = without_blanks(text, delimiter) if self.skips_blanks else text
        return csv.reader(io.StringIO(text, newline="\n"), delimiter=delimiter)

    def _take(self, reader: Iterator[list[str]], data: bytes, first: int, ends: list[int]) -> None:
        source, row_format, names = self.source, self.opened.block.format, self.dialect.names
        meaning = MEANINGS[row_format]
        cells_columns, from_row = meaning.cells, meaning.object if meaning.by_header else None
        width, longest, append = len(names), self.longest, self.opened.rows.append
        strip, counts_merged = not self.keep_blanks, self.dialect.quoted and not cells_columns
        csv.field_size_limit(sys.maxsize)  # the bytes of a record are limited, not those of a cell
        start, before = first, self.lines
        for end, cells in zip(ends, reader, strict=True):
            line = self.lines + 1
            self.lines = before + reader.line_num  # type: ignore[attr-defined]
            if self.lines > line and counts_merged:
                self.count_merged(data[start - first : end - first], start)
            if strip:
                cells = [*map(str.strip, cells)]
            if end - start > longest and len(data[start - first : end - first].rstrip(b"\r\n")) > longest:
                detail = f"the record is longer than {longest:,} bytes"
                self._reject(start, line - 1, b"", "line_too_long", detail)
            elif self.skip_first:
                self.skip_first = not has_text(cells)  # a blank line is no header
                self.blank += self.skip_first and len(cells) > 1
            elif not (cells and (cells[0] if strip else cells[0].strip())) and not has_text(cells):
                self.blank += len(cells) > 1
            elif cells_columns:
                self._take_made(start, line, data[start - first : end - first], partial(cells_columns, cells))
            elif len(cells) == width and from_row:
                columns = dict(zip(names, cells))
                self._take_made(start, line, data[start - first : end - first], partial(from_row, columns))
            elif len(cells) == width:
                append(Record(source, start, line, b"", dict(zip(names, cells)), row_format))
            else:
                detail = f"the record has {len(cells)} cells, the header {width}"
                self._reject(start, line - 1, data[start - first : end - first].rstrip(b"\r\n"), "bad_record", detail)
            start = end

    def _take_made(self, start: int, line: int, raw: bytes, make: Callable[[], dict[str, Any]]) -> None:
        """A record whose columns its format makes."""
        try:
            columns = make()
        except RowError as error:
            self._reject(start, line - 1, raw.rstrip(b"\r\n"), error.reason, error.detail)
        else:
            self.opened.rows.append(Record(self.source, start, line, b"", columns, self.opened.block.format))

    def _reject(self, start: int, lines: int, raw: bytes, reason: str, detail: str) -> None:
        self.skip_first = False  # if it was the header, the next record is a row all the same
        row = Row(self.source, start, lines + 1, raw)
        self.opened.rejections.append(Rejection(row, reason, detail))
