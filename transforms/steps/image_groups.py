"""Find out which examples hang together by the images that they share: looks at all blocks -> each block's groups.

    looks -> ranges of hashes, compared side by side -> edges -> one worker with union-find -> labels, by block

References are no elements: hashes lie in files, a block's in one, and edges come to the one worker as files too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import AsList

from transforms.core.output_names import FAILURE, WORK
from transforms.core.records import ImageGroups
from transforms.dataset.receipts import from_parts
from transforms.dataset.segments import Unsealed
from transforms.dataset.shared_images.edges import Joining, find_shared
from transforms.dataset.shared_images.hashes import (
    RANGES,
    RECORD_BYTES,
    LookedAt,
    no_records,
    read_range,
    read_whole,
)
from transforms.dataset.shared_images.labels import first_numbers, join_examples, labels_of_block
from transforms.examples.image_groups import unpack_labels
from transforms.steps.billing import billed
from transforms.storage import patiently, store_for
from transforms.storage.api import Access
from transforms.storage.parallel import read_each

MOST_EDGES = 50_000_000  # that the one worker joins: in at most 2 GB
MOST_EXAMPLES = (1 << 32) - 1  # that edges can number
_TOGETHER = 4 << 20  # references that are compared at once: in some 200 MB


class StoredShared(NamedTuple):
    """What ranges of hashes came to: how many edges lie in a file, and hashes as SharedImages has them."""

    uri: str
    edges: int
    common: tuple[int, ...]
    large: tuple[int, ...]


class JoinedBlock(NamedTuple):
    """Labels of a block's examples that hang together with others (Joined.labels)."""

    labels: bytes


@dataclass(kw_only=True)
class GroupByImages(beam.PTransform):
    """(whatever the looks are of, by their keys; the looks) -> (each of these, its ImageGroups).

    Args:
      folder: of the output.
      joining: what joins examples.
    """

    folder: str
    joining: Joining
    access: Access

    def expand(
        self, inputs: tuple[beam.PCollection[tuple[str, Any]], beam.PCollection[LookedAt]]
    ) -> beam.PCollection[tuple[Any, ImageGroups]]:
        owners, looks = inputs
        root = looks.pipeline | "Once more" >> beam.Create([None], reshuffle=False)
        shared = (
            root
            | "Ranges" >> beam.FlatMap(lambda _, looks: ranges_of(looks), AsList(looks))
            | "Spread ranges" >> beam.Reshuffle()
            | "Compare images" >> beam.Map(billed(self.access, self._compare), AsList(looks))
        )
        joined = root | "Join examples" >> beam.FlatMap(
            billed(self.access, self._join), AsList(looks), AsList(shared)
        ).with_outputs("large", main="labels")
        of_blocks = {
            "owner": owners,
            "look": looks | "Looks by key" >> beam.Map(lambda look: (look.key, look)),
            "joined": joined.labels,
        }
        label = beam.FlatMap(billed(self.access, self._label), AsList(shared), AsList(joined.large))
        return of_blocks | "All of a block" >> beam.CoGroupByKey() | "Label" >> label

    def _compare(self, ranges: tuple[int, int], looks: Sequence[LookedAt]) -> StoredShared:
        blocks = in_order(looks)
        firsts = first_numbers(blocks)
        self.check_size(int(firsts[-1]), 0)

        def find() -> StoredShared:
            runs = ((int(firsts[place]), records) for place, records in read_range(blocks, *ranges))
            shared = find_shared(runs, int(firsts[-1]), self.joining)
            data = np.ascontiguousarray(shared.edges, "<u4").tobytes()
            uri = f"{self.folder}/{WORK}/groups/{blake2b(data, digest_size=10).hexdigest()}.edges" if data else ""
            if uri:
                store_for(uri).create(uri, data)
            return StoredShared(uri, len(shared.edges), shared.common, shared.large)

        return from_parts(find)

    def _join(self, _: None, looks: Sequence[LookedAt], shared: Sequence[StoredShared]) -> Iterator[Any]:
        self.check_size(0, sum(one.edges for one in shared))
        uris = sorted(one.uri for one in shared if one.uri)
        if not uris:
            return
        common = [image for one in shared for image in one.common]

        def join() -> Any:
            edges = [np.frombuffer(data, "<u4").reshape(-1, 2).copy() for data in read_each(uris, 1)]
            return join_examples(in_order(looks), edges, common, self.joining)

        joined = from_parts(join)
        for key, labels in joined.labels:
            yield key, JoinedBlock(labels)
        for label in joined.large:
            yield beam.pvalue.TaggedOutput("large", label)

    def check_size(self, examples: int, edges: int) -> None:
        """Raises Unsealed: there is more to join than one worker can."""
        if examples <= MOST_EXAMPLES and edges <= MOST_EDGES:
            return
        found = f"{edges:,} links between examples by images they share" if edges else f"{examples:,} examples"
        most = f"{MOST_EDGES:,} links" if edges else f"{MOST_EXAMPLES:,} examples"
        fault = (
            f"There are {found}, and --split_by image joins at most {most}, which one worker holds in 2 GB. Group them by a column "
            "instead: --split_by COLUMN keeps equal values in one split (a patient, a place, a product), and needs no view of all "
            "examples. Or leave out what nearly all share: without --join_common images in over 1 % of the examples join nothing."
        )
        uri = f"{self.folder}/{WORK}/{FAILURE}"
        patiently(store_for(uri).replace, uri, json.dumps({"unsealed": fault}).encode(), "")
        raise Unsealed(fault)

    def _label(
        self, grouped: tuple[str, dict[str, Iterable[Any]]], shared: Sequence[StoredShared], large: Sequence[int]
    ) -> Iterator[tuple[Any, ImageGroups]]:
        _, of_block = grouped
        owners, looks, joined = (list(of_block[name]) for name in ("owner", "look", "joined"))
        for owner in owners:
            common = sorted(image for one in shared for image in one.common)
            too_large = {label for one in shared for label in one.large}.union(large)
            yield owner, groups_of(looks[0], common, too_large, joined[0].labels if joined else b"")


def groups_of(look: LookedAt, common: Sequence[int], large: set[int], joined: bytes) -> ImageGroups:
    """The groups of a block's examples.

    Args:
      common: hashes of images that are everywhere. large: labels of groups that no split can hold. joined: as JoinedBlock has them.
    """
    records = from_parts(lambda: next(read_whole([look]))) if look.hashes else no_records()
    labels = labels_of_block(records, look.examples, common, joined)
    held = np.isin(np.array(common, np.uint64), records.hashes)
    own_common = tuple(image for image, is_held in zip(common, held.tolist()) if is_held)
    own_large = tuple(sorted(large.intersection(unpack_labels(labels)))) if large else ()
    return ImageGroups(labels, own_common, own_large, look.facts)


def in_order(looks: Sequence[LookedAt]) -> list[LookedAt]:
    return sorted(looks, key=lambda look: look.order)


def ranges_of(looks: Sequence[LookedAt]) -> Iterator[tuple[int, int]]:
    """Ranges of hashes that are compared together: (first, end)."""
    references = sum(look.bound(RANGES) for look in looks) // RECORD_BYTES
    passes = min(RANGES, max(1, -(-references // _TOGETHER)))
    return pairwise(RANGES * number // passes for number in range(passes + 1))
