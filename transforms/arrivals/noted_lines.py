"""What the blocks of a window noted of its lines (dataset/findings/written.py), kept beside it, so that a merge finds what repeats.

A row of findings.parquet is what one block noted of one line, and where that line's row came from.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.core.arrow_stream import table
from transforms.core.records import Receipt
from transforms.dataset.findings.written import KIND, LINES
from transforms.storage.parallel import read_each

NOTED = "findings.parquet"  # in the folder of a pane
_NOTED = pa.schema([("source", pa.string()), ("source_offset", pa.int64()), *LINES])


def noted_lines(receipts: Sequence[Receipt]) -> pa.Table:
    """What all blocks of a window noted of their lines, a row for each.

    Args:
      receipts: of the blocks, in order.
    """
    tables = [_NOTED.empty_table()]
    for receipt in receipts:
        parts = {part.kind: part.name for part in receipt.parts}
        if KIND in parts:
            rows, notes = map(table, read_each([parts["examples"], parts[KIND]]))
            sources = pa.array([source for source, _ in receipt.lines], pa.string())
            columns = {"source": sources.take(rows["extent"].combine_chunks()), "source_offset": rows["row_offset"]}
            columns |= {name: notes[name] for name in LINES.names}
            tables.append(pa.table(columns, schema=_NOTED))
    return pa.concat_tables(tables).combine_chunks()


def aligned(noted: pa.Table, examples: pa.Table, max_tokens: int, folder: str) -> pa.Table:
    """Notes as a block has them, one for each row of a window's table of examples.

    Args:
      noted: the window's, of the same lines in any order.
      max_tokens: that a line of the merged dataset may have.
      folder: of the window, for whoever reads of a fault.

    Raises:
      ValueError: they are not of the same lines.
    """
    fault = f"{folder}/{NOTED} is of other lines than the window's examples.parquet: --findings none does without it."
    if len(noted) != len(examples):
        raise ValueError(fault)
    sources = pa.concat_arrays([noted["source"].combine_chunks(), _texts(examples["source"])]).dictionary_encode()
    numbers = sources.indices.to_numpy()
    ids = np.frombuffer(bytes.fromhex("".join(examples["id"].to_pylist())), ">u8").astype(np.uint64)
    theirs = _order(numbers[: len(noted)], noted["source_offset"], noted["piece"], noted["id"].to_numpy())
    ours = _order(numbers[len(noted) :], examples["source_offset"], examples["piece"], ids)
    place = np.empty(len(ours), np.int64)
    place[ours] = theirs
    rows = noted.take(pa.array(place)).select(LINES.names)
    if not np.array_equal(rows["id"].to_numpy(), ids):
        raise ValueError(fault)
    over = pc.greater(examples["tokens"], max_tokens)
    return rows.set_column(LINES.get_field_index("over_tokens"), "over_tokens", over).cast(LINES)


def _texts(column: pa.ChunkedArray) -> pa.Array:
    return column.cast(pa.string()).combine_chunks()


def _order(sources: np.ndarray, offsets: pa.ChunkedArray, pieces: pa.ChunkedArray, ids: np.ndarray) -> np.ndarray:
    """The order of lines by where their rows came from."""
    return np.lexsort((ids, pieces.to_numpy(), offsets.to_numpy(), sources))
