"""Where the records of a CSV end: as the csv module has it, however the bytes are fed."""

from __future__ import annotations

import csv
import io

from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.inputs.cells.csv_record_ends import RecordEnds, cut_records

CELLS = st.lists(st.sampled_from(["a", '"', '""', ",", "\n", "\r\n", '"a"', '"x\n"']), max_size=16).map("".join)


def record_ends(text: str) -> list[int]:
    """As the csv module has it."""
    reader = csv.reader(io.StringIO(text, newline="\n"))
    ends = [0]
    for line in io.StringIO(text, newline="\n"):
        ends.append(ends[-1] + len(line.encode()))
    return [ends[reader.line_num] for _ in reader]


@settings(max_examples=400)
@given(CELLS, st.integers(1, 9))
def test_records_end_where_the_csv_module_says_however_they_are_fed(text: str, step: int) -> None:
    data, scan = text.encode(), RecordEnds(",")
    ends = [int(end) for at in range(0, len(data), step) for end in scan.feed(data[at : at + step])]
    if data and ends[-1:] != [len(data)]:
        ends.append(len(data))
    assert ends == record_ends(text)


@settings(max_examples=400)
@given(CELLS, st.integers(1, 5), st.integers(1, 8), st.sampled_from([3, 6, 100]))
def test_ranges_hold_whole_records_and_long_ones_stand_alone(text: str, step: int, block: int, longest: int) -> None:
    data, ends, position = text.encode(), [0, *record_ends(text)], 0
    for found in cut_records((data[at : at + step] for at in range(0, len(data), step)), ",", block, longest):
        assert found.start == position < found.end and found.end in ends
        position, raw = found.end, data[found.start : found.end]
        if found.data:
            assert found.data == raw
        else:
            assert len(raw) > longest and ends.index(found.end) == ends.index(found.start) + 1
            assert found.lines == raw.count(b"\n") + (not raw.endswith(b"\n"))
    assert position == len(data)
