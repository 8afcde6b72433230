"""What a window noted of its lines, put beside the rows of its table of examples again."""

from __future__ import annotations

import pyarrow as pa
import pytest

from transforms.arrivals.noted_lines import aligned
from transforms.dataset.findings.written import LINES


def noted(*rows: tuple[str, int, int, int]) -> pa.Table:
    """Notes of (source, offset, piece, id), each told from the others by its answer."""
    usual = dict.fromkeys(LINES.names, 0) | {"hashes": [], "over_tokens": False}
    told = [
        usual | {"source": source, "source_offset": offset, "piece": piece, "id": id_, "answer": offset * 10 + piece}
        for source, offset, piece, id_ in rows
    ]
    return pa.Table.from_pylist(told, pa.schema([("source", pa.string()), ("source_offset", pa.int64()), *LINES]))


def examples(*rows: tuple[str, int, int, int, int]) -> pa.Table:
    """A window's table of (source, offset, piece, id, tokens)."""
    columns = [list(column) for column in zip(*rows)] or [[]] * 5
    sources, offsets, pieces, ids, tokens = columns
    return pa.table(
        {
            "source": pa.array(sources, pa.string()).dictionary_encode(),
            "source_offset": pa.array(offsets, pa.int64()),
            "piece": pa.array(pieces, pa.int32()),
            "id": pa.array([f"{one:016x}" for one in ids], pa.string()),
            "tokens": pa.array(tokens, pa.int64()),
        }
    )


def test_notes_stand_in_the_order_of_lines_and_know_the_merged_models_limit() -> None:
    notes = noted(("b", 7, 1, 2**64 - 1), ("a", 0, 1, 5), ("a", 0, 2, 5), ("a", 9, 1, 5))
    lines = examples(("a", 9, 1, 5, 99), ("a", 0, 2, 5, 100), ("b", 7, 1, 2**64 - 1, 101), ("a", 0, 1, 5, 100))
    rows = aligned(notes, lines, max_tokens=100, folder="w")
    assert rows.schema == LINES
    assert rows["answer"].to_pylist() == [91, 2, 71, 1]
    assert rows["over_tokens"].to_pylist() == [False, False, True, False]


def test_no_lines() -> None:
    assert len(aligned(noted(), examples(), 1, "w")) == 0


@pytest.mark.parametrize("lines", [[], [("a", 0, 1, 6, 1)]])
def test_notes_of_other_lines_are_refused(lines: list[tuple[str, int, int, int, int]]) -> None:
    with pytest.raises(ValueError, match=r"^w/findings.parquet is of other lines"):
        aligned(noted(("a", 0, 1, 5)), examples(*lines), 1, "w")
