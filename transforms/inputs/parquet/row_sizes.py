"""How long the rows of Arrow columns are, told before a cell becomes a Python object: a few bytes may stand for gigabytes.

A text of a dictionary counts in each row that names it, for each of them becomes an object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

# Names of classes: of the numbers of a column or of the items of its lists, or of fields of the structs in it.
Labels = list[str] | dict[str, "Labels"]
Names = Mapping[str, Labels]  # by column

PIECE = 8 << 20  # bytes of text that become Python objects together
_ITEM = 3  # bytes that JSON needs for an item of a list or a field of an object beside its value
_OTHER = 4  # bytes of a value without a width, as of null


def is_texts(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def row_sizes(column: pa.Array, files: bool = True) -> pa.Array:
    """Bytes of each row (int64): texts and bytes as they are, nested values at least as long as their JSON.

    Args:
        files: whether bytes that are no text count.
    """
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return row_sizes(column.storage, files)
    if pa.types.is_dictionary(kind):
        return pc.fill_null(pc.take(row_sizes(column.dictionary, files), column.indices), 0)
    if is_texts(kind) or is_binary(kind):
        if is_binary(kind) and not files:
            return _each(0, len(column))
        if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):  # whose lengths Arrow does not tell
            column = column.cast(pa.large_binary())
        return pc.fill_null(pc.cast(pc.binary_length(column), pa.int64()), 0)
    if pa.types.is_struct(kind):
        total = _each(2, len(column))
        for index in range(kind.num_fields):
            name = len(kind.field(index).name.encode()) + _ITEM
            total = pc.add(total, pc.add(row_sizes(column.field(index), files), name))
        return total
    if is_listed(kind):
        return _sums(column, lambda items: pc.add(row_sizes(items, files), _ITEM))
    try:
        width = max(kind.bit_width // 8, 1)
    except ValueError:
        width = _OTHER
    return _each(width, len(column))


def _each(size: int, rows: int) -> pa.Array:
    return pa.repeat(pa.scalar(size, pa.int64()), rows)


def is_listed(kind: pa.DataType) -> bool:
    """Whether values of a type are lists of some kind, or maps."""
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists or pa.types.is_map(kind))


def _sums(column: pa.Array, sizes_of: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Of each list of a column the sizes of its items."""
    if not len(column):
        return _each(0, 0)
    if pa.types.is_fixed_size_list(column.type):
        width, start = column.type.list_size, column.offset * column.type.list_size
        offsets = pa.array([start + width * row for row in range(len(column) + 1)], pa.int64())
    else:
        offsets = pc.cast(column.offsets, pa.int64())
    first = offsets[0].as_py()
    items = sizes_of(column.values.slice(first, offsets[-1].as_py() - first))
    before = pa.concat_arrays([_each(0, 1), pc.cumulative_sum(items)])
    at = pc.take(before, pc.subtract(offsets, first))
    return pc.subtract(at.slice(1), at.slice(0, len(at) - 1))


def label_sizes(column: pa.Array, labels: Labels) -> pa.Array:
    """Bytes of the names that the integers of a column stand for, at whatever depth they lie in it."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return label_sizes(column.storage, labels)
    if is_listed(kind) and not pa.types.is_map(kind):
        return _sums(column, lambda items: label_sizes(items, labels))
    if isinstance(labels, dict):
        total = _each(0, len(column))
        for name in labels.keys() & ({field.name for field in kind} if pa.types.is_struct(kind) else set()):
            total = pc.add(total, label_sizes(column.field(kind.get_field_index(name)), labels[name]))
        return total
    return name_sizes(column, labels) if has_classes(kind) else _each(0, len(column))


def has_classes(kind: pa.DataType) -> bool:
    """Whether values of a type may stand for names of classes."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def name_sizes(column: pa.Array, names: list[str]) -> pa.Array:
    """Bytes of the names that a column of integers stands for."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    numbers = pc.cast(column, pa.int64(), safe=False)
    known = pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, len(names)))
    lengths = pa.array([len(name.encode()) for name in names], pa.int64())
    return pc.fill_null(pc.take(lengths, pc.if_else(known, numbers, None)), 0)


def runs(sizes: pa.Array, longest: int, piece: int) -> Iterator[tuple[int, int, int]]:
    """(first row, row behind the last, bytes) of runs of rows: at most `piece` bytes each, but for single rows; a row that is longer
    than `longest` stands alone.
    """
    total = pc.sum(sizes).as_py() or 0
    if total <= min(longest, piece):
        if len(sizes):
            yield 0, len(sizes), total
        return
    start = held = 0
    for row, size in enumerate(sizes.to_pylist()):
        if row > start and (size > longest or held + size > piece):
            yield start, row, held
            start = row
            held = 0
        held += size
        if size > longest:
            yield row, row + 1, size
            start, held = row + 1, 0
    if len(sizes) > start:
        yield start, len(sizes), held
