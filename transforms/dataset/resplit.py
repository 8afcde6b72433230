"""Split the lines of sealed windows anew, by the images that lines of all windows share: Receipts -> Receipts (`tuneset merge`).

Images are told by the URIs in the lines. The pieces of an example, which stand in lines of their own, stay together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.core import jsonl
from transforms.core.arrow_stream import stream, table
from transforms.core.output_names import WORK
from transforms.core.records import ImageGroups, Part, Receipt
from transforms.core.warning_codes import WarningCounts
from transforms.dataset.block_files import EXAMPLES, SPLITS, Caps, packed_ids_of
from transforms.dataset.findings.written import KIND, LINES
from transforms.dataset.shared_images.hashes import LookedAt, look_of, pack_hashes
from transforms.examples.image_groups import group_number, image_hash, unpack_labels
from transforms.examples.splits import Splits
from transforms.storage import store_for
from transforms.storage.api import crc32c
from transforms.storage.parallel import read_each

_PLACE = ("extent", "row_offset", "row_line")  # of a row in its window: its pieces have the same


@dataclass
class _Example:
    """A row of a window: the indexes of its lines, and what its images are called."""

    lines: list[int]
    images: set[str]


class _Lines:
    """The lines of a receipt, in the order of its table of examples."""

    def __init__(self, receipt: Receipt) -> None:
        parts = {part.kind: part.name for part in receipt.parts}
        kinds = [kind for kind in ("examples", *SPLITS) if kind in parts]
        data = dict(zip(kinds, read_each([parts[kind] for kind in kinds])))
        self.table = table(data["examples"]) if "examples" in data else EXAMPLES.empty_table()
        of_split = [iter(data.get(name, b"").splitlines(keepends=True)) for name in SPLITS]
        self.texts = [next(of_split[split]) for split in self.table["split"].to_pylist()]

    def examples(self) -> Iterator[_Example]:
        places = list(zip(*(self.table[name].to_pylist() for name in _PLACE)))
        for _, some in groupby(range(len(places)), key=places.__getitem__):
            numbers = list(some)
            yield _Example(numbers, {uri for number in numbers for uri in _uris(self.texts[number])})


def _uris(line: bytes) -> Iterator[str]:
    for turn in jsonl.loads(line)["contents"]:
        for part in turn["parts"]:
            if "fileData" in part:
                yield part["fileData"]["fileUri"]


@dataclass(frozen=True, kw_only=True)
class Resplitter:
    """Looks at the lines of windows, and gives them other splits.

    folder: of the output. seed: of the stream, which keys the splits of groups. caps: what ids receipts carry.
    """

    folder: str
    splits: Splits
    seed: bytes
    caps: Caps

    def look(self, receipt: Receipt) -> LookedAt:
        """The images of a receipt's lines."""
        images = [{image_hash(uri) for uri in example.images} for example in _Lines(receipt).examples()]
        run, numbers = pack_hashes(images)
        return look_of(receipt.order, receipt.key, numbers, self._put("hashes", run).name if run else "")

    def resplit(self, receipt: Receipt, groups: ImageGroups) -> Receipt:
        """The same lines, each in the split of its group."""
        lines = _Lines(receipt)
        ids, sources = lines.table["id"].to_pylist(), lines.table["extent"].to_pylist()
        numbers, warnings, counters = list(ids), WarningCounts(), Counter(dict(receipt.counters))
        warnings.update({code: (count, example) for code, count, example in receipt.warnings})
        for example, label in zip(lines.examples(), unpack_labels(groups.labels), strict=True):
            number = group_number(label, self.seed)
            counters["split_group_missing"] += number is None
            for line in example.lines:
                numbers[line] = ids[line] if number is None else number
            if label in groups.large:
                warnings.add("image_group_large", receipt.lines[sources[example.lines[0]]][0])
            if common := [uri for uri in example.images if groups.common and image_hash(uri) in groups.common]:
                warnings.add("image_common", min(common))

        splits = [SPLITS.index(self.splits.assign(number)) for number in numbers]
        return replace(
            receipt,
            parts=(
                *self._parts(receipt, lines, splits, numbers),
                *(part for part in receipt.parts if part.kind in ("images", "rejected")),
            ),
            counters=tuple((name, number) for name, number in counters.items() if number),
            ids=tuple(self._ids(lines.table, splits, numbers).items()),
            warnings=tuple((code, *counted) for code, counted in warnings.counts.items()),
        )

    def _parts(self, receipt: Receipt, lines: _Lines, splits: list[int], numbers: list[int]) -> Iterator[Part]:
        """The lines in the order of their new splits, and what is told and noted of them, with these."""
        for split, name in enumerate(SPLITS):
            if texts := [text for text, at in zip(lines.texts, splits) if at == split]:
                yield self._put(name, b"".join(texts), len(texts))
        decided = {"split": pa.array(splits, pa.int8()), "number": pa.array(np.array(numbers, np.uint64))}
        if numbers:
            yield self._put_table("examples", lines.table, decided, EXAMPLES)
        for part in receipt.parts:
            if part.kind == KIND:
                yield self._put_table(KIND, table(store_for(part.name).read(part.name)[0]), decided, LINES)

    def _put_table(self, kind: str, rows: pa.Table, decided: dict[str, pa.Array], schema: pa.Schema) -> Part:
        """A table of a block with some columns in place of its own."""
        told = pa.table({name: rows[name] for name in schema.names} | decided, schema=schema).combine_chunks()
        return self._put(kind, stream(*told.to_batches()), len(told))

    def _ids(self, examples: Any, splits: list[int], numbers: list[int]) -> dict[str, bytes]:
        ids, sizes, pieces = (examples[name].to_pylist() for name in ("id", "bytes", "piece"))
        validation = SPLITS.index("validation")
        lines = [line for line, split in zip(zip(numbers, ids, sizes), splits) if split == validation]
        return packed_ids_of([one for one, piece in zip(ids, pieces) if piece == 1], lines, False, self.caps)

    def _put(self, kind: str, data: bytes, lines: int = 0) -> Part:
        digest = blake2b(data, digest_size=10).hexdigest()
        uri = f"{self.folder}/{WORK}/windows/{digest[:2]}/{digest}.{kind}"
        store_for(uri).create(uri, data)
        return Part(kind, uri, len(data), lines, crc32c(data))
