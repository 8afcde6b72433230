"""Assign splits: OpenBlock -> OpenBlock whose examples know their split; rejects: unknown_split."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.core.reasons import RowError
from transforms.core.records import OpenBlock
from transforms.core.splits import Splits, group_hash, split_word
from transforms.examples import reject


@dataclass(kw_only=True)
class AssignSplits(beam.PTransform):
    """By the example's id, or by a column's value (`split_by`), or as a column says (`split_column`)."""

    splits: Splits
    seed: bytes
    split_by: str = ""
    split_column: str = ""

    def expand(self, blocks: beam.PCollection[OpenBlock]) -> beam.PCollection[OpenBlock]:
        return blocks | "Assign" >> beam.Map(
            assign_splits, self.splits, self.seed, self.split_by, self.split_column
        ).with_output_types(OpenBlock)


def assign_splits(opened: OpenBlock, splits: Splits, seed: bytes, split_by: str, split_column: str) -> OpenBlock:
    kept = []
    for example in opened.examples:
        number = example.id
        if split_by:
            if example.columns.get(split_by) is None:
                opened.counters["split_group_missing"] += 1
            else:
                number = group_hash(example.columns[split_by], seed)
        try:
            named = split_word(example.columns.get(split_column)) if split_column else None
        except RowError as error:
            reject(opened, example, error, "assign")
            continue
        example.split = named or splits.assign(number)
        kept.append(example)
    opened.examples = kept
    return opened
