"""Reuse what is committed: Block -> its receipt, of this run, of one that died or of an earlier night; or the block, to be worked.

A block has the same key on both nights if its input, the options and the versions are the same. Its rows may name images that
have changed since, so each of them is asked for its generation (one request), unless they are part of the block's own input or
`trust_uris` promises that no object is ever overwritten. Parts are copied beside tonight's, on the server or as links: no
night needs the one before once it is sealed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa

from transforms.committing import BlockKeys, Ledgers, count, digest_of
from transforms.core import jsonl, reasons
from transforms.core.outputs import table
from transforms.core.reasons import RowError
from transforms.core.records import Block, ImageFacts, Receipt
from transforms.overlapping import overlapped
from transforms.storage import NotFound, Stat, StorageError, Unavailable, is_local, patiently, persistently, store_for

_SETTLED = ("bad_uri", "unsupported_scheme", "not_allowed")  # say something about the text of a URI, whatever is stored


class _Damaged(Exception):
    """What the earlier night left of a block is not whole, as a machine without power leaves files: the block is worked anew."""


@dataclass(frozen=True)
class Earlier:
    """An earlier night that was sealed with --keep_blocks.

    ledgers: tonight's. night: its own. threads: requests of one block under way at once.
    """

    ledgers: Ledgers
    night: Ledgers
    trust_uris: bool
    threads: int

    def find(self, block: Block, key: str) -> Receipt | None:
        """The receipt of an unchanged block, in tonight's folder by now; None: it has to be worked."""
        body = self._body(key)
        if body is None or body["heals"]:
            return None
        try:
            if not self.trust_uris and (images := self._images(body, key)) is not None:
                wanted = _generations(images, block)
                known = dict(zip(wanted, self._each(_generation, wanted)))
                if known != wanted or not all(self._each(_exists, _outputs(images))):
                    _recent.put(key, known)
                    return None
            self._bring(body, key)
        except _Damaged:
            return None
        return self.ledgers.adopt(body, block, key)

    def facts(self, block: Block, key: str) -> dict[str, ImageFacts]:
        """What the earlier night found of the images of a block that is worked again, as far as it still holds."""
        body = self._body(key)
        try:
            images = self._images(body, key) if body else None
        except _Damaged:
            return {}
        if images is None:
            return {}
        facts = _facts(images)
        if self.trust_uris:
            return facts
        own = {extent.uri: extent.generation for extent in block.extents}
        asked = own | _recent.take(key)
        unknown = [uri for uri in facts if uri not in asked]
        asked |= dict(zip(unknown, self._each(_generation, unknown)))
        return {uri: fact for uri, fact in facts.items() if asked[uri] == fact.generation}

    def _body(self, key: str) -> dict[str, Any] | None:
        try:
            body: dict[str, Any] = jsonl.loads(store_for(self.night.folder).read(self.night.path(key, "receipt"))[0])
        except (NotFound, RowError):  # there is none, or it is damaged
            return None
        return body

    def _images(self, body: dict[str, Any], key: str) -> pa.Table | None:
        """The block's table of images; None if no image was looked at. Raises _Damaged: it is not what was written."""
        for kind, digest, *_ in body["parts"]:
            if kind == "images":
                try:
                    data, _ = store_for(self.night.folder).read(self.night.path(key, f"{digest}.images"))
                except NotFound:
                    raise _Damaged from None
                if digest_of(data) != digest:
                    raise _Damaged
                return table(data)
        return None

    def _each(self, call: Any, uris: Iterable[str]) -> list[Any]:
        """A call for each URI, local ones in turn, others many at once."""
        listed = list(uris)
        if all(map(is_local, listed)):
            return [call(uri) for uri in listed]
        return list(overlapped(lambda uri: persistently(call, uri), listed, self.threads))

    def _bring(self, body: dict[str, Any], key: str) -> None:
        def copy(part: Sequence[Any]) -> None:
            kind, digest, size, *_ = part
            source, target = (ledgers.path(key, f"{digest}.{kind}") for ledgers in (self.night, self.ledgers))
            try:
                if is_local(source) and store_for(source).stat(source).size != size:
                    raise _Damaged
                if is_local(source) == is_local(target):
                    store_for(target).copy(Stat(source, size, ""), target)
                else:
                    store_for(target).create(target, store_for(source).read(source)[0])
            except NotFound:
                raise _Damaged from None

        parts = body["parts"]
        if is_local(self.ledgers.folder) and is_local(self.night.folder):
            for part in parts:
                copy(part)
        else:
            list(overlapped(copy, parts, self.threads))


@dataclass(kw_only=True)
class SkipCommitted(beam.PTransform):
    """Blocks -> (receipts of those that are committed, the other blocks): resume, always on; and an earlier night's, if any."""

    ledgers: Ledgers
    key: BlockKeys
    earlier: Earlier | None = None

    def expand(self, blocks: beam.PCollection[Block]) -> tuple[beam.PCollection[Receipt], beam.PCollection[Block]]:
        found = blocks | "Look for receipts" >> beam.ParDo(_Find(self)).with_outputs("open", main="done")
        return found.done | "Count what is done" >> beam.Map(count), found.open


class _Find(beam.DoFn):
    def __init__(self, options: SkipCommitted) -> None:
        self._ledgers, self._key, self._earlier = options.ledgers, options.key, options.earlier

    def process(self, block: Block) -> Iterator[Any]:
        key = self._key(block)
        receipt = patiently(self._ledgers.find, block, key)
        if receipt is None and self._earlier:
            receipt = patiently(self._earlier.find, block, key)
        yield receipt if receipt else beam.pvalue.TaggedOutput("open", block)


class _Recent:
    """What blocks were found to hold a moment ago, by key: asked in one step, wanted again in the next, mostly of one process."""

    def __init__(self, most: int) -> None:
        self._most, self._held, self._lock = most, dict[str, dict[str, str]](), threading.Lock()

    def put(self, key: str, found: dict[str, str]) -> None:
        with self._lock:
            self._held[key] = found
            while len(self._held) > self._most:
                self._held.pop(next(iter(self._held)))

    def take(self, key: str) -> dict[str, str]:
        with self._lock:
            return self._held.pop(key, {})


_recent = _Recent(8)


def _generation(uri: str) -> str:
    """The generation of an image now; "" if it cannot be told."""
    try:
        return store_for(uri).stat(uri).generation
    except Unavailable:
        raise
    except StorageError:
        return ""


def _exists(uri: str) -> bool:
    return _generation(uri) != ""


def _generations(images: pa.Table, block: Block) -> dict[str, str]:
    """The images that must still be what they were, beside those that the block's key tells of."""
    own = {(extent.uri, extent.generation) for extent in block.extents}
    columns = (images[name].to_pylist() for name in ("source", "generation", "reason"))
    return {
        source: generation
        for source, generation, reason in zip(*columns)
        if reason not in _SETTLED and (source, generation) not in own
    }


def _outputs(images: pa.Table) -> list[str]:
    return [uri for uri in dict.fromkeys(images["output"].to_pylist()) if uri]


# Fields of ImageFacts by the columns that tell them.
_COLUMNS = {"uri": "source", "size": "bytes"} | {
    name: name for name in ("generation", "type", "width", "height", "orientation", "frames", "escalated", "encoding")
}


def _facts(images: pa.Table) -> dict[str, ImageFacts]:
    """Facts of the images that could be used, as their rows tell them."""
    rows = zip(*(images[column].to_pylist() for column in _COLUMNS.values()))
    return {
        row[0]: ImageFacts(**dict(zip(_COLUMNS, row)))
        for row, reason in zip(rows, images["reason"].to_pylist())
        if not reason or reasons.REASONS[reason].stage == "fit"
    }
