"""An earlier night's receipts, as far as they still hold.

A block has the same key on both nights if its input, the options and the versions are the same. Its rows may name images that
have changed since, so each of them is asked for its generation (one request), unless they are part of the block's own input or
`trust_uris` promises that no object is ever overwritten. Parts are copied beside tonight's, on the server or as links: no
night needs the one before once it is sealed.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from transforms.core.arrow_stream import table
from transforms.core.records import Block, ImageFacts, Receipt
from transforms.dataset import image_rows, looks
from transforms.dataset.receipts import ReceiptStore, digest_of, receipt_body
from transforms.dataset.seen_images import foreign_images
from transforms.dataset.shared_images.hashes import FACTS
from transforms.storage import Result, abilities, store_for
from transforms.storage.api import Changed, NoAnswer, NotFound, Stat, StorageError, Unavailable
from transforms.storage.parallel import overlapped, stat_each

UNANSWERED = "?"  # in place of a generation
_SPOILT = (errno.EIO, errno.EBADMSG)  # what a disk says of a sector that it cannot read


class Damaged(Exception):
    """What the earlier night left of a block is not whole, as a machine without power leaves files: the block is worked anew.

    part: URI of what is missing or damaged.
    """

    def __init__(self, part: str) -> None:
        super().__init__(part)
        self.part = part

    def __reduce__(self) -> tuple[type[Damaged], tuple[str]]:
        return Damaged, (self.part,)


@dataclass(frozen=True)
class PreviousDataset:
    """An earlier night that was sealed with --keep_blocks.

    receipt_store: tonight's. night: its own. threads: requests of one block under way at once.
    looked: images were compared when looks were taken over, and a block's key tells what was found of them.
    """

    receipt_store: ReceiptStore
    night: ReceiptStore
    trust_uris: bool
    threads: int
    looked: bool = False

    @property
    def looks(self) -> PreviousDataset:
        """Its looks, which are taken over as receipts are."""
        return replace(self, receipt_store=self.receipt_store.looks, night=self.night.looks)

    def find(self, block: Block, key: str) -> Receipt | None:
        """The receipt of an unchanged block, in tonight's folder by now; None: it has to be worked.

        Raises:
          Damaged: it has to be worked because something of it is not as it was committed.
        """
        body = self._body(key)
        if body is None or body["heals"]:
            return None
        if not self.trust_uris and (seen := self._seen(body, key)) is not None:
            wanted = {} if self.looked else seen.generations(block)
            known = dict(zip(wanted, generations_of(wanted, self.threads)))
            outputs = seen.outputs()
            if known != wanted or dict(zip(outputs, sizes_of(outputs, self.threads))) != outputs:
                _recent.put(key, known)
                return None
        self._bring(body, block, key)
        return self.receipt_store.adopt(body, block, key)

    def facts(self, block: Block, key: str, sources: Collection[str]) -> dict[str, ImageFacts]:
        """What the earlier night found of the images of a block that is worked again, as far as it still holds."""
        try:
            body = self._body(key)
            seen = self._seen(body, key) if body else None
        except Damaged:  # `find` has told of it
            return {}
        if seen is None:
            return {}
        facts = seen.facts()
        drop_lost_copies(facts, self.threads)
        return facts if self.trust_uris else unchanged(facts, block, self.threads, _recent.take(key))

    def remembered(self, sources: Collection[str]) -> dict[str, ImageFacts]:
        """What the earlier night found of images whose servers give no answer, in whatever block."""
        return as_kept(foreign_images(self.night.folder).facts(sources), self.threads)

    def _body(self, key: str) -> dict[str, Any] | None:
        """The block's receipt of that night; None: there is none. Raises Damaged."""
        path = self.night.path(key, self.night.suffix)
        try:
            data, _ = self._whole(store_for(path).read, path)
        except NotFound:
            return None
        body = receipt_body(data)
        if body is None:
            raise Damaged(path)
        return body

    def _seen(self, body: dict[str, Any], key: str) -> _SeenImages | None:
        """What was found of the block's images; None if none was looked at. Raises Damaged: it is not what was written."""
        for kind, digest, *_ in body["parts"]:
            if kind in ("images", FACTS):
                path = self.night.path(key, f"{digest}.{kind}")
                try:
                    data, _ = self._whole(store_for(path).read, path)
                except NotFound:
                    raise Damaged(path) from None
                if digest_of(data) != digest:
                    raise Damaged(path)
                return _of_look(data) if kind == FACTS else _of_table(table(data))
        return None

    def _whole(self, call: Callable[..., Result], path: str, *args: Any) -> Result:
        """A call that reads a file of that night.

        Raises:
          NotFound: there is none.
          Damaged: it is another by now, or cannot be read, and asking again would not help.
          Unavailable: storage is away.
        """
        try:
            return call(path, *args)
        except NotFound:
            raise
        except StorageError as error:
            spoilt = isinstance(error.__cause__, OSError) and error.__cause__.errno in _SPOILT
            if isinstance(error, Unavailable) and not spoilt:
                raise
            raise Damaged(path) from None

    def _bring(self, body: dict[str, Any], block: Block, key: str) -> None:
        def copy(part: Sequence[Any]) -> None:
            kind, digest, size, _, checksum = part
            source = self.night.path(key, f"{digest}.{kind}")
            target = self.receipt_store.path(key, f"{digest}.{kind}", block.folder)
            store = store_for(source)
            try:
                # Before it is copied: a damaged copy would stand under the name of what is made anew.
                whole = self._whole(store.verify, source, size, checksum)
                if store is store_for(target):
                    store.copy(whole, target)
                else:
                    store_for(target).create(target, self._whole(store.read, source)[0])
            except (NotFound, Changed):
                raise Damaged(source) from None

        parts = body["parts"]
        if abilities(self.receipt_store.folder).has_paths and abilities(self.night.folder).has_paths:
            for part in parts:
                copy(part)
        else:
            list(overlapped(copy, parts, self.threads))


@dataclass(frozen=True)
class _SeenImages:
    """What a receipt tells of a block's images.

    generations: of those that must still be what they were. facts: of those that could be used, as far as they are told.
    outputs: images beside the dataset that were made of them, with their bytes.
    """

    generations: Callable[[Block], dict[str, str]]
    facts: Callable[[], dict[str, ImageFacts]]
    outputs: Callable[[], dict[str, int]]


def _of_table(images: pa.Table) -> _SeenImages:
    return _SeenImages(
        partial(image_rows.generations, images), partial(image_rows.facts, images), partial(image_rows.outputs, images)
    )


def _of_look(data: bytes) -> _SeenImages:
    facts = looks.parse_facts(data)
    return _SeenImages(partial(looks.generations, facts), partial(looks.usable, facts), partial(looks.copies, facts))


def generations_of(then: Mapping[str, str], threads: int) -> Iterator[str]:
    """The generation of each image now; "" if it cannot be told, UNANSWERED if a server of other people gives no answer.

    Args:
      then: what they were: servers of other people are asked only whether that has changed.
      threads: requests under way at once.
    """
    known = {uri: generation for uri, generation in then.items() if abilities(uri).foreign}
    stats = stat_each(list(then), threads, known)
    return map(_generation, stats)


def _generation(found: Stat | StorageError) -> str:
    if isinstance(found, Stat):
        return found.generation
    return UNANSWERED if isinstance(found, NoAnswer) else ""


def unchanged(
    facts: Mapping[str, ImageFacts], block: Block, threads: int, asked: Mapping[str, str] = MappingProxyType({})
) -> dict[str, ImageFacts]:
    """Of the facts of images those that still hold.

    Args:
      block: its own files need not be asked after.
      threads: requests under way at once.
      asked: generations that others were found to have a moment ago.
    """
    now = {extent.uri: extent.generation for extent in block.extents} | dict(asked)
    unknown = {uri: fact.generation for uri, fact in facts.items() if uri not in now}
    now |= dict(zip(unknown, generations_of(unknown, threads)))
    for uri, fact in facts.items():
        fact.kept = now[uri] == UNANSWERED
    return {uri: fact for uri, fact in facts.items() if fact.kept or now[uri] == fact.generation}


def as_kept(facts: dict[str, ImageFacts], threads: int) -> dict[str, ImageFacts]:
    """Facts of images that are kept as they were on an earlier night."""
    drop_lost_copies(facts, threads)
    for fact in facts.values():
        fact.kept = True
    return facts


def drop_lost_copies(facts: Mapping[str, ImageFacts], threads: int) -> None:
    """Let images whose copy beside the dataset is gone, or damaged, be copied anew."""
    copies = [fact.copied for fact in facts.values() if fact.copied]
    sizes = dict(zip(copies, sizes_of(copies, threads)))
    for fact in facts.values():
        if fact.copied and sizes[fact.copied] != fact.size:
            fact.copied = ""


def sizes_of(uris: Iterable[str], threads: int) -> Iterator[int]:
    """Bytes of each file or object; -1 if it cannot be told."""
    return (found.size if isinstance(found, Stat) else -1 for found in stat_each(list(uris), threads))


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
