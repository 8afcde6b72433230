"""Compare two nights: tonight's blocks and an earlier night's receipts -> which input files are new, changed, gone or the same.

Blocks that both nights have are compared by key alone. Of the few others the files are compared: tonight's as they are
listed, the earlier night's as its receipts tell them. Only counts and some names are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsIter, AsList

from transforms.core.output_names import WORK
from transforms.core.records import Block, Receipt
from transforms.dataset.receipts import BlockKeys, ReceiptStore, receipt_body
from transforms.steps.billing import billed
from transforms.storage import patiently, store_for
from transforms.storage.api import StorageError, Unavailable

NAMES = 1000  # of a kind that the manifest lists: the first in order
KINDS = ("new", "changed", "gone", "same")
DAMAGED = "damaged"


@dataclass(kw_only=True)
class CompareNights(beam.PTransform):
    """(tonight's blocks, tonight's receipts, damaged parts of the earlier night) -> one dict for the manifest's `run.night`.

    Args:
      night: the earlier one's receipts.
      key: names tonight's blocks.
    """

    night: ReceiptStore
    key: BlockKeys

    def expand(
        self, inputs: tuple[beam.PCollection[Block], beam.PCollection[Receipt], beam.PCollection[str]]
    ) -> beam.PCollection[dict]:
        blocks, receipts, damaged = inputs
        folders = [f"{number:02x}" for number in range(256)]
        before = (
            receipts.pipeline
            | "Folders of receipts" >> beam.Create(folders, reshuffle=False)
            | "Spread folders" >> beam.Reshuffle()
            | "Earlier keys"
            >> beam.FlatMap(billed(self.night.access, lambda folder: patiently(keys_below, self.night, folder)))
        )  # (key, None)
        tonight = blocks | "Tonight's files" >> beam.Map(lambda block: (self.key(block), files_of(block)))
        compared = (
            {"tonight": tonight, "before": before}
            | "By key" >> beam.CoGroupByKey()  # (key, {"tonight": [files], "before": [None]})
            | "One night's blocks"
            >> beam.FlatMap(billed(self.night.access, self._files)).with_outputs("same", main="either")
        )
        changes = (
            compared.either  # (uri, ("before" | "tonight", generation))
            | "By file" >> beam.GroupByKey()
            | "What became of it" >> beam.MapTuple(kind_of_change)  # (kind, uri)
        )
        same = compared.same | "Count the same" >> beam.CombineGlobally(sum)
        harm = damaged | "Damaged parts" >> beam.Map(lambda uri: (DAMAGED, uri))
        changes = (changes, harm) | "Changes and harm" >> beam.Flatten()
        counts = changes | "Kinds" >> beam.Keys() | "Count kinds" >> beam.combiners.Count.PerElement()
        names = (
            changes
            | "Kinds that are listed" >> beam.Filter(lambda change: change[0] != "same")
            | "First names" >> beam.combiners.Top.SmallestPerKey(NAMES)
        )
        reused = (
            receipts
            | "Reused or not" >> beam.Map(lambda receipt: "reused" if receipt.reused else "worked")
            | "Count blocks" >> beam.combiners.Count.PerElement()
        )
        return (
            receipts.pipeline
            | "One report" >> beam.Create([self.night.folder], reshuffle=False)
            | "Report" >> beam.Map(report, AsList(counts), AsIter(same), AsList(names), AsList(reused))
        )

    def _files(self, grouped: tuple[str, dict[str, Iterable[Any]]]) -> Iterator[Any]:
        key, nights = grouped
        tonight, before = list(nights["tonight"]), list(nights["before"])
        if tonight and before:
            yield beam.pvalue.TaggedOutput("same", len(tonight[0]))
        elif tonight:
            yield from ((uri, ("tonight", generation)) for uri, generation in tonight[0])
        else:
            yield from ((uri, ("before", generation)) for uri, generation in inputs_of(self.night, key))


def inputs_of(night: ReceiptStore, key: str) -> list[tuple[str, str]]:
    """(URI, generation) of the files that a receipt of an earlier night tells of; none if it is damaged, or gone."""
    path = night.path(key, "receipt")
    try:
        body = receipt_body(patiently(store_for(path).read, path)[0])
    except Unavailable:
        raise
    except StorageError:
        return []
    told = body.get("inputs") if body else None
    pairs = [one for one in told if isinstance(one, list) and len(one) == 2] if isinstance(told, list) else []
    return [(str(uri), str(generation)) for uri, generation in pairs]


def keys_below(night: ReceiptStore, folder: str) -> list[tuple[str, None]]:
    """The keys of an earlier night's receipts that begin with two hex digits."""
    found = store_for(night.folder).list(f"{night.folder}/{WORK}/{folder}")
    names = (one.uri.rpartition("/")[2] for one in found)
    return [(name.removesuffix(".receipt"), None) for name in names if name.endswith(".receipt")]


def files_of(block: Block) -> list[tuple[str, str]]:
    """(URI, generation) of the files that begin in a block: each file is told once."""
    return [(extent.uri, extent.generation) for extent in block.extents if extent.start == 0]


def kind_of_change(uri: str, seen: Iterable[tuple[str, str]]) -> tuple[str, str]:
    generations: dict[str, set[str]] = {"before": set(), "tonight": set()}
    for night, generation in seen:
        generations[night].add(generation)
    if not generations["before"]:
        return "new", uri
    if not generations["tonight"]:
        return "gone", uri
    return ("same" if generations["before"] == generations["tonight"] else "changed"), uri


def report(
    folder: str,
    counts: list[tuple[str, int]],
    same: Iterable[int],
    names: list[tuple[str, list[str]]],
    blocks: list[tuple[str, int]],
) -> dict[str, Any]:
    """What the manifest says of the nights."""
    numbers = dict.fromkeys((*KINDS, DAMAGED), 0) | dict(counts)
    numbers["same"] += sum(same)
    listed: dict[str, list[str]] = {kind: [] for kind in (*KINDS[:3], DAMAGED)} | dict(names)
    return {
        "previous": folder,
        "blocks": {"reused": 0, "worked": 0} | dict(blocks),
        "files": {kind: numbers[kind] for kind in KINDS},
        "damaged_parts": numbers[DAMAGED],
        **{kind: sorted(listed[kind]) for kind in sorted(listed)},
    }
