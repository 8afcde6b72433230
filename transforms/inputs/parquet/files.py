"""Open Parquet files of storage: their footers, read once a process, and how much memory their rows may take.

What a footer says of sizes is believed; what a dictionary holds is looked at, since 50 KB of it can stand for gigabytes of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from transforms.core.reasons import RowError
from transforms.core.records import Extent
from transforms.inputs.parquet.footer_depth import schema_depth
from transforms.inputs.parquet.row_sizes import Labels, is_binary, is_texts
from transforms.inputs.parquet.schema import class_names, holds_bytes
from transforms.storage.ranged_file import RangedFile

DAMAGE = (pa.ArrowException, OSError, EOFError, UnicodeDecodeError)  # the last of names of columns
_MOST_FOOTER = 64 << 20  # bytes; parsed, a footer takes some twenty times as much
_SMALL_FOOTER = 1 << 20
_MOST_LEVELS = 500  # of a schema, columns that are not used included: Arrow goes down into them on the stack
# Rows of a file, at most: each 4,096 cost a block. A file of few bytes may well repeat a row a million times; beyond that, columns
# of images and texts take a byte for a few rows, where runs of one value take one for hundreds.
_MANY_ROWS, _ROWS_A_BYTE = 1_000_000, 16
IN_PIECES: dict[str, Any] = {
    "buffer_size": 1 << 20,
    "pre_buffer": False,
}  # options for columns of which not all is wanted at once


@dataclass(frozen=True)
class _Leaf:
    """A column of values below a column of the schema."""

    index: int
    path: str
    texts: bool  # values of any length
    width: int  # of values of one length, which a dictionary can repeat


@dataclass(frozen=True)
class Footer:
    metadata: pq.FileMetaData
    ends: list[int]  # rows up to the end of each row group

    @cached_property
    def schema(self) -> pa.Schema:
        """Raises RowError (corrupt_parquet)."""
        try:
            schema = self.metadata.schema.to_arrow_schema()
            str(schema.names)  # which are decoded here
            return schema
        except DAMAGE as error:
            raise damaged(error) from None

    @cached_property
    def classes(self) -> dict[str, Labels]:
        """Names of the classes of columns.

        Raises:
          RowError: corrupt_parquet.
        """
        return class_names(self.schema.metadata or {})

    @cached_property
    def _leaves(self) -> list[_Leaf]:
        found = []
        for index in range(self.metadata.num_columns):
            leaf = self.metadata.schema.column(index)
            fixed = leaf.length if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY" else 0
            found.append(_Leaf(index, leaf.path, leaf.physical_type == "BYTE_ARRAY", fixed))
        return found

    def leaves(self, columns: Iterable[str]) -> list[_Leaf]:
        starts = tuple(f"{name}." for name in columns)
        return [leaf for leaf in self._leaves if f"{leaf.path}.".startswith(starts)]

    def bulky(self, columns: Iterable[str], images: Iterable[str]) -> frozenset[str]:
        """The columns that hold the bytes of images."""
        wanted = set(images)
        return frozenset(name for name in columns if name in wanted and holds_bytes(self.schema.field(name).type))

    def only_names(self, column: str) -> bool:
        """Whether a column of images holds no bytes in any row, by what the footer counts."""
        numbers = [
            leaf.index for leaf in self._leaves if leaf.path.startswith(f"{column}.") and leaf.path.endswith("bytes")
        ]
        groups = range(self.metadata.num_row_groups)
        chunks = [self.metadata.row_group(group).column(number) for group in groups for number in numbers]
        return bool(numbers) and all(
            chunk.statistics is not None and chunk.statistics.null_count == chunk.num_values for chunk in chunks
        )

    def dictionaries(self, groups: Iterable[int], columns: Sequence[str]) -> list[str]:
        """Columns of texts that some of the row groups hold by a dictionary. Of nested ones Arrow cannot keep it."""
        leaves = [leaf for leaf in self.leaves(columns) if leaf.texts and leaf.path in columns]
        if not leaves:
            return []
        rows = [self.metadata.row_group(number) for number in groups]
        return [leaf.path for leaf in leaves if any(row.column(leaf.index).has_dictionary_page for row in rows)]


def footer_of(extent: Extent) -> Footer:
    """The footer of a Parquet file, read once a process.

    Raises:
      RowError: corrupt_parquet.
    """
    file = extent.uri, extent.generation, extent.size
    try:
        return _small_footer(*file) if _footer_bytes(*file) <= _SMALL_FOOTER else _large_footer(*file)
    except DAMAGE as error:
        raise damaged(error) from None


@lru_cache(maxsize=64)
def _footer_bytes(uri: str, generation: str, size: int) -> int:
    tail = RangedFile(uri, generation, size)
    tail.seek(max(size - 8, 0))
    length = int.from_bytes(tail.read(8)[:4], "little")
    if length > _MOST_FOOTER and length < size:
        raise RowError("corrupt_parquet", f"its footer has {length:,} bytes; at most {_MOST_FOOTER:,} are read")
    return length


def _footer(uri: str, generation: str, size: int) -> Footer:
    file = RangedFile(uri, generation, size)
    file.seek(max(size - 8 - _footer_bytes(uri, generation, size), 0))
    data = file.read()
    levels = schema_depth(data)
    if not levels and data.endswith(b"PAR1"):
        raise damaged(EOFError("its footer does not begin with a schema"))
    if levels > _MOST_LEVELS:
        raise RowError("too_deep", f"its schema nests {levels:,} levels deep; at most {_MOST_LEVELS} are read")
    metadata = pq.read_metadata(pa.BufferReader(b"PAR1" + data))
    rows = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    ends, most = list(accumulate(rows)), max(_MANY_ROWS, _ROWS_A_BYTE * size)
    if rows and (min(rows) < 0 or ends[-1] > most):
        raise RowError(
            "corrupt_parquet", f"its row groups claim {ends[-1]:,} rows in {size:,} bytes; at most {most:,} are read"
        )
    return Footer(metadata, ends)


_small_footer = lru_cache(maxsize=8)(_footer)
_large_footer = lru_cache(maxsize=1)(_footer)


def open_parquet(extent: Extent, **options: Any) -> pq.ParquetFile:
    """A Parquet file.

    Args:
      options: of pq.ParquetFile.

    Raises:
      RowError: corrupt_parquet.
    """
    footer = footer_of(extent)
    try:
        return pq.ParquetFile(
            RangedFile(extent.uri, extent.generation, extent.size), metadata=footer.metadata, **options
        )
    except DAMAGE as error:
        raise damaged(error) from None


def damaged(error: BaseException) -> RowError:
    said = str(error).strip().splitlines()
    return RowError("corrupt_parquet", f"it cannot be read as Parquet: {(said or [type(error).__name__])[0][:200]}")


def row_bytes(extent: Extent, number: int, columns: Sequence[str], enough: int, kept: Sequence[str] = ()) -> int:
    """Bytes that a row of a row group takes in memory: on average, and with the longest value of each dictionary.

    Args:
      enough: bytes up to which it need not be exact; for more, the dictionaries are read.
      kept: columns whose dictionaries are kept, so that they take no more than they do in the file.

    Raises:
      RowError: corrupt_parquet.
    """
    footer = footer_of(extent)
    group = footer.metadata.row_group(number)
    rows, usual, repeated, paths = max(group.num_rows, 1), 0, 0, list[str]()
    for leaf in footer.leaves(columns):
        chunk = group.column(leaf.index)
        values = max(chunk.num_values // rows, 1)
        usual += chunk.total_uncompressed_size // rows + leaf.width * values
        if leaf.texts and chunk.has_dictionary_page and leaf.path not in kept:
            repeated += chunk.total_uncompressed_size * values
            paths.append(leaf.path)
    if usual + repeated <= enough or not paths:
        return usual + repeated
    try:
        file = open_parquet(extent, read_dictionary=paths, **IN_PIECES)
        batch = next(file.iter_batches(batch_size=1, row_groups=[number], columns=paths), None)
    except pa.ArrowNotImplementedError:  # a nested column, in more than one piece
        return usual + repeated
    except DAMAGE as error:
        raise damaged(error) from None
    most: int = max(group.column(leaf.index).num_values for leaf in footer.leaves(paths)) // rows
    longest = sum(map(_longest, batch.columns)) if batch else 0
    return int(usual + max(most, 1) * longest)


def _longest(column: pa.Array) -> int:
    """Bytes of the longest texts in the dictionaries of a column."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        words = column.dictionary
        known = is_texts(words.type) or is_binary(words.type)
        return int(pc.max(pc.binary_length(words)).as_py() or 0) if known else 0
    if pa.types.is_struct(kind):
        return sum(_longest(column.field(index)) for index in range(kind.num_fields))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        return _longest(column.values)
    return 0
