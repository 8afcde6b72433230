"""What a report takes from a dataset's two tables, by columns and row groups: histograms, which examples to show, which images.

Reads end after MOST_ROWS rows of a table, and the report says so.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from beam_jobs.report.page.histograms import Histogram, of_bytes, of_pixels, of_shapes, of_tokens
from transforms.core.limits import Profile
from transforms.storage import store_for
from transforms.storage.ranged_file import RangedFile

MOST_ROWS = 20_000_000
REWRITTEN = ("resized", "converted", "recompressed")
_EACH = 2  # rewritten images of a fate that are shown
_LEAKED = 1000  # rows of leaks: of a row that is there a thousand times there is no need to know all
_CHUNK = 1 << 16  # rows, of some 300 bytes in memory


@dataclass
class Tables:
    """What was taken from them.

    shown, leaked: rows of examples.parquet. rewritten: rows of images.parquet.
    """

    histograms: list[Histogram]
    shown: list[dict[str, Any]] = field(default_factory=list)
    leaked: list[dict[str, Any]] = field(default_factory=list)
    rewritten: list[dict[str, Any]] = field(default_factory=list)
    whole: bool = True  # no row was left out for being beyond MOST_ROWS


def read_tables(
    folder: str,
    names: Sequence[str],
    profile: Profile,
    limits: tuple[int, int],
    wanted: dict[str, int],
    ids: Collection[str],
) -> Tables:
    """Read the tables of a sealed dataset.

    Args:
      names: of the dataset's files.
      limits: bytes and pixels that an image may have.
      wanted: how many examples of each split are shown.
      ids: of the examples of leaks.

    Raises:
      StorageError.
    """
    size, pixels, shape = of_bytes(limits[0]), of_pixels(limits[1]), of_shapes()
    tokens = of_tokens(profile.max_tokens)
    tables = Tables([size, pixels, shape, tokens])
    best: dict[str, pa.Table] = {}
    for rows in _rows(folder, names, "examples", _OF_EXAMPLES, tables):
        tokens.add(rows["tokens"].to_numpy())
        if ids:
            tables.leaked += rows.filter(pc.is_in(rows["id"], pa.array(ids))).slice(0, _LEAKED).to_pylist()
        for split, number in wanted.items():
            best[split] = _smallest_ranks(rows.filter(pc.equal(rows["split"], split)), best.get(split), number)
    tables.shown = [row for split in wanted if split in best for row in best[split].to_pylist()]

    largest: dict[str, pa.Table] = {}
    for rows in _rows(folder, names, "images", _OF_IMAGES, tables):
        seen = rows.filter(pc.greater(rows["width"], 0))
        references = seen["references"].to_numpy()
        width, height = (seen[name].to_numpy().astype(np.float64) for name in ("width", "height"))
        size.add(seen["bytes"].to_numpy(), references)
        pixels.add(width * height, references)
        shape.add(width / np.maximum(height, 1), references)
        for fate in REWRITTEN:
            some = rows.drop_columns(["references"]).filter(pc.equal(rows["fate"], fate))  # those are of a block alone
            largest[fate] = _largest(some, largest.get(fate))
    tables.rewritten = [row for fate in REWRITTEN if fate in largest for row in largest[fate].to_pylist()]
    return tables


_OF_EXAMPLES = ("split", "file", "line", "byte_offset", "bytes", "id", "piece", "images", "tokens")
_OF_IMAGES = (
    *("source", "fate", "references", "bytes", "type", "width", "height", "output", "output_bytes", "quality", "scale"),
)


def _rows(folder: str, names: Sequence[str], stem: str, columns: Sequence[str], tables: Tables) -> Iterator[pa.Table]:
    """Columns of a table, some row groups at a time."""
    read = 0
    for name in sorted(name for name in names if name.startswith(stem) and name.endswith(".parquet")):
        uri = f"{folder}/{name}"
        found = store_for(uri).stat(uri)
        file = pq.ParquetFile(RangedFile(uri, found.generation, found.size))
        for batch in file.iter_batches(_CHUNK, columns=list(columns)):
            if read >= MOST_ROWS:
                tables.whole = False
                return
            read += batch.num_rows
            yield pa.Table.from_batches([batch])


def _smallest_ranks(rows: pa.Table, before: pa.Table | None, number: int) -> pa.Table:
    """The rows whose ids have the smallest `rank` (examples/splits.py), in that order: as hexadecimal text it is the id with its
    halves swapped. Pieces of one example follow each other."""
    first, second = (pc.utf8_slice_codeunits(rows["id"], start, start + 8) for start in (0, 8))
    rows = rows.append_column("rank", pc.binary_join_element_wise(second, first, ""))
    rows = pa.concat_tables([before, rows]) if before else rows
    order = [("rank", "ascending"), ("file", "ascending"), ("line", "ascending")]
    return rows.take(pc.select_k_unstable(rows, number, order)) if rows.num_rows else rows


def _largest(rows: pa.Table, before: pa.Table | None) -> pa.Table:
    """The rows of the largest sources, each source once."""
    rows = pa.concat_tables([before, rows]) if before else rows
    order = rows.sort_by([("bytes", "descending"), ("source", "ascending")])
    sources = order["source"].to_pylist()[: 1 << 12]
    first = list({source: i for i, source in reversed(list(enumerate(sources)))}.values())
    return order.take(pa.array(sorted(first)[:_EACH], pa.int64()))
