"""What the rows of a block mean: OpenBlock -> OpenBlock with examples; rejects by the rules.

A row of Gemini's is held against gemini_rules; another is a Record, of which its meaning (registry.py) makes an example; and a line
of rejected.jsonl is the row that it holds, whose relative paths start from where it first stood.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from transforms.core import jsonl
from transforms.core.places import FolderSet
from transforms.core.reasons import ImageError, RowError
from transforms.core.records import Example, ImageGroups, OpenBlock, Record, Rejection, Row
from transforms.examples.gemini_rules import parse_example
from transforms.examples.image_groups import group_number, unpack_labels
from transforms.examples.recipe import Recipe
from transforms.examples.rejected_rows import REJECTED, folder_of
from transforms.examples.splits import NAMES as SPLITS
from transforms.examples.splits import rank
from transforms.inputs.formats.row_rules import RowRules
from transforms.inputs.hive_columns import hive_columns
from transforms.inputs.registry import DEFAULT, MEANINGS, Meaning
from transforms.inputs.row_function import DistinctIds, RowFunction, transformed
from transforms.storage.places import normalise


def record_of(row: Row, row_format: str, obj: dict[str, Any] | None = None) -> Record:
    """A line of JSON as a row of another meaning than Gemini's.

    Args:
        obj: the line, if it is parsed already.

    Raises:
        RowError: as jsonl.loads, or as automl.object_columns.
    """
    obj = jsonl.loads(row.raw) if obj is None else obj
    meaning = MEANINGS[row_format]
    if meaning.object and meaning.tells(obj):
        raw, obj = b"", meaning.object(obj)
    else:
        raw = row.raw
    return Record(row.source, row.offset, row.line, raw, obj, row_format, transformed=row.transformed)


def unwrap(row: Row) -> tuple[Row, str]:
    """The row a line of rejected.jsonl holds, and the folder its relative paths start from; another row as it is.

    A row that was rejected again while being replayed is unwrapped to the innermost one, whose base counts.

    Raises:
        RowError: not_an_object, when the line only locates its row; or a fault of the line, but not of the row it holds.
    """
    base, obj = folder_of(row.source), jsonl.loads(row.raw)
    while obj.get("tuneset") == REJECTED:
        if isinstance(obj.get("base"), str):
            base = obj["base"]
        inner, encoded = obj.get("row"), obj.get("row_base64")
        if isinstance(inner, dict):
            raw = jsonl.dumps(inner)
        elif isinstance(encoded, str):
            try:
                raw = base64.b64decode(encoded, validate=True)
            except (binascii.Error, ValueError):
                raise RowError("not_an_object", "row_base64 of the rejected line is not base64") from None
        elif inner is None:
            raise RowError("not_an_object", "the row was cut when it was rejected: take it from its source and offset")
        else:
            raise RowError("not_an_object", "the row of the rejected line is not an object")
        row_format = obj.get("format")
        meaning = (MEANINGS.get(row_format) if isinstance(row_format, str) else None) or DEFAULT
        row = Row(row.source, row.offset, row.line, raw, transformed=obj.get("transformed") is True)
        try:
            obj = jsonl.loads(raw)
        except RowError:
            if meaning.by_templates:
                raise RowError(
                    "bad_record", f"it could not be read as a row of a {row_format}: mend it where it stands"
                ) from None
            break  # to be rejected again, as itself
        if meaning.example:
            return record_of(row, meaning.name, obj), base
    return row, base


def build_examples(
    opened: OpenBlock,
    seed: bytes,
    check_types: tuple[str, ...] | None,
    sample_below: int,
    recipe: Recipe | None = None,
    part_resolution: bool = False,
    function: RowFunction | None = None,
) -> OpenBlock:
    """The rows of a block as examples, or as rejections.

    Args:
        seed, check_types, recipe, part_resolution: as RowRules has them.
        sample_below: examples of a higher rank are left out.
        function: makes rows of the block's, if a person has one.
    """
    rules = RowRules(seed, check_types, recipe, part_resolution, opened.warnings)
    counters, examples = opened.counters, opened.examples
    everything, images = sample_below >= 1 << 64, 0
    meaning, moved_to, nearer = MEANINGS[opened.block.format], opened.block.base, opened.block.nearer
    ids, folders_tell = DistinctIds(), meaning.own_columns
    for row in transformed(opened, function, _reject, folders_tell=folders_tell):
        try:
            if not meaning.by_templates:
                example = _example_of(row, rules, meaning)
            else:
                row = row if isinstance(row, Record) else record_of(row, meaning.name)
                assert recipe and meaning.example, "rows of a table and no recipe"
                if folders_tell and "=" in row.source and (told := hive_columns(row.source)):
                    row = replace(row, columns={**told, **row.columns}, raw=b"")
                if moved_to and not row.base:
                    row = recipe.rebased(row, folder_of(row.source), moved_to)
                base = row.base or folder_of(row.source)
                example = meaning.example(row, base, rules)
                if nearer:
                    check_nearest(example, base, nearer)
        except RowError as error:
            _reject(opened, row, error)
            continue
        if row.transformed:
            ids.settle(example)
        images += len(example.images)
        if everything or rank(example.id) < sample_below:
            examples.append(example)
        else:
            counters["examples_used"] += 1
            counters["examples_sampled_out"] += 1
            counters["images_unused"] += len(example.images)
    counters["images_seen"] += images
    opened.rows = []
    if opened.block.groups:
        _take_groups(opened, opened.block.groups, seed)
    return opened


def _reject(opened: OpenBlock, row: Row, error: RowError) -> None:
    """Put a row aside; a replayed one as itself, not as the line it came in."""
    base = getattr(row, "base", "") or folder_of(row.source)
    with contextlib.suppress(RowError):
        row, base = unwrap(row)
    opened.rejections.append(Rejection(row, error.reason, error.detail, error.image, base))


def _take_groups(opened: OpenBlock, groups: ImageGroups, seed: bytes) -> None:
    """Give every example the number of its group: the same examples were built when the block was looked at."""
    for example, label in zip(opened.examples, unpack_labels(groups.labels), strict=True):
        example.group = group_number(label, seed)
        if label in groups.large:
            opened.warnings.add("image_group_large", example.row.source)


def check_nearest(example: Example, base: str, nearer: Collection[str]) -> None:
    """Raises RowError (nearer_metadata) for an image in a folder whose own metadata file speaks for it."""
    folders = FolderSet(nearer)
    for image in example.images:
        with contextlib.suppress(ImageError):  # told when images are looked at
            if folder := folders.holding(normalise(image["fileUri"], base)):
                raise RowError("nearer_metadata", f"{folder} has a metadata file of its own", image["fileUri"])


def example_of(row: Row, *, seed: bytes, check_types: Collection[str] | None, recipe: Recipe | None = None) -> Example:
    """A line of Gemini's as an example; or a line of rejected.jsonl, whose row is taken out of it.

    Args:
        seed, check_types: as gemini_rules.parse_example takes them.
        recipe: makes examples of a rejected row of a table or folder.

    Raises:
        RowError: with one reason of stage read or rules.
    """
    return _example_of(row, RowRules(seed, check_types, recipe), DEFAULT)


def _example_of(row: Row, rules: RowRules, meaning: Meaning) -> Example:
    if isinstance(row, Record) and meaning.example:  # of a file that has columns
        return meaning.example(row, row.base or folder_of(row.source), rules)
    parsed = jsonl.loads_canonical(row.raw)
    if "tuneset" not in parsed[0]:
        if not meaning.example:
            return parse_example(row, seed=rules.seed, check_types=rules.check_types, parsed=parsed)
        return meaning.example(record_of(row, meaning.name, parsed[0]), folder_of(row.source), rules)
    split = parsed[0].get("split")
    row, base = unwrap(row)
    if isinstance(row, Record):
        make = MEANINGS[row.format].example
        assert make, "Gemini's rows are no records"
        example = make(row, base, rules)
    else:
        example = parse_example(row, seed=rules.seed, check_types=rules.check_types, base=base)
    example.split = split if isinstance(split, str) and split in SPLITS else ""
    return example
