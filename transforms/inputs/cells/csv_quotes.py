"""What quotes of CSV hide: blanks before them, lines that they swallow, and whether those of a file balance.

RFC 4180 lets a quoted cell hold line ends, so one quote too many turns the lines up to the next one into a single cell, and no reader
complains. A TSV is mostly written without quoting at all, where a quote is a letter.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from functools import lru_cache

from transforms.inputs.cells.csv_record_ends import RecordEnds, cut_records
from transforms.inputs.image_names import is_image_name


def without_blanks(text: str, delimiter: str) -> str:
    """Text of whole records without the blanks that stand between a delimiter, or a record's start, and a quote.

    >>> without_blanks('a.jpg, "a red, car",  b\\n', ",")
    'a.jpg,"a red, car",  b\\n'
    """
    return _quoted_cells(delimiter).sub(r"\1\2", text)


@lru_cache
def _quoted_cells(delimiter: str) -> re.Pattern[str]:
    """Each whole quoted cell, so that what looks like one inside it is not found."""
    return re.compile(rf'(^|[{re.escape(delimiter)}\n]) *("[^"]*(?:""[^"]*)*"?)')


def merged_lines(record: str, delimiter: str, width: int) -> int:
    """How many lines of one record would have been records themselves, were it not for a quote: all but a tenth of them, or 0.

    Such a line has `width` cells, and an image's name wherever the record's own first line has one.
    """
    first, *lines = (line for line in record.splitlines() if line.strip())
    if width < 2 or not lines:
        return 0

    # Most cells of several lines are plain texts, which have too few delimiters for a record.
    possible = [line for line in lines if line.count(delimiter) >= width - 1]
    if len(possible) * 10 < len(lines) * 9:
        return 0
    images = [at for at, cell in enumerate(_cells(first, delimiter)) if at < width and is_image_name(cell)]
    records = (cells for line in possible if len(cells := _cells(line, delimiter)) == width)
    alike = sum(all(is_image_name(cells[at]) for at in images) for cells in records)
    return alike if alike * 10 >= len(lines) * 9 else 0


def _cells(line: str, delimiter: str) -> list[str]:
    return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])


def quotes_balance(chunks: Iterable[bytes], delimiter: str, width: int, longest: int) -> bool:
    """Whether the quotes of a whole file are those of quoted cells, each closed at its cell's end, none of which swallows records.

    Args:
      chunks: the file from its start. width: cells of its header. longest: bytes a record may have.
    """
    mark = re.escape(delimiter.encode())
    # A quoted cell that is closed and ends right there, give or take blanks.
    cells = re.compile(rb'(?:^|(?<=[%s\n])) *"[^"]*(?:""[^"]*)*("?) *(?=([^%s\r\n]?))' % (mark, mark))
    for some in cut_records(chunks, delimiter, _PIECE, longest):
        if not some.data:
            if some.lines > 1:
                return False
            continue
        if b'"' not in some.data:
            continue
        if any(not cell[1] or cell[2] for cell in cells.finditer(some.data)):
            return False
        start = 0
        for end in (*RecordEnds(delimiter).feed(some.data).tolist(), len(some.data)):
            record = some.data[start:end]
            start = end
            if record.count(b"\n", 0, -1) and merged_lines(record.decode("latin-1"), delimiter, width):
                return False
    return True


_PIECE = 1 << 18  # bytes of records that are looked at together
