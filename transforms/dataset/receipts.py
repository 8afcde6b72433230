"""Commit blocks: OpenBlock -> Receipt. What storage says was committed first is the truth, never what an execution thinks.

    block key   digest of input version, range, every option that can change a byte, and versions
    parts       _tuneset/<2 hex>/<key>.<digest of its bytes>.<kind>, never overwritten
    receipt     _tuneset/<2 hex>/<key>.receipt, created only if absent; whoever loses reads the winner's
    look        _tuneset/<2 hex>/<key>.look, under --split_by image: as a receipt, of what inspection found

Every execution emits the receipt that is in storage. A receipt that may heal (an image was not found, forbidden or timed out)
counts only within the epoch that wrote it: a later run replaces it, and a dead run's late work never replaces a later one's.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

from transforms.core import jsonl, reasons
from transforms.core.output_names import WORK
from transforms.core.reasons import RowError
from transforms.core.records import Block, OpenBlock, Part, Receipt
from transforms.dataset import block_files
from transforms.examples.split_names import NO_NAMES, SplitNames
from transforms.storage import Result, patiently, read_existing, store_for
from transforms.storage.api import USUAL, Access, Changed, NotFound, Unavailable, crc32c

_TRIES = 20  # at a receipt that other runs replace meanwhile


@dataclass(frozen=True)
class BlockKeys:
    """Names blocks.

    shaping: every option that can change a byte, and the tool's and codecs' versions. names: those that decide splits.
    """

    shaping: str
    names: SplitNames = NO_NAMES

    def __call__(self, block: Block) -> str:
        digest = blake2b(self.shaping.encode(), digest_size=16, person=b"tuneset block")
        for e in block.extents:
            digest.update(f"\n{block.format} {e.generation} {e.start} {e.end} {block.raw is not None} ".encode())
            digest.update(os.fsencode(e.uri))
            if decider := self.names.key_of(e.uri):
                # A sibling that names another split may arrive, and then what was committed before holds no more.
                digest.update(b"\nsplit " + os.fsencode(decider))
        digest.update(block.base.encode())
        for folder in block.nearer:
            digest.update(f"\n{folder}".encode())
        if block.told:
            digest.update(f"\ntold {block.told}".encode())
        if block.dialect and not block.dialect.quoted:  # decided by the whole file
            digest.update(b"\nunquoted")
        if groups := block.groups:  # which other blocks decide
            digest.update(f"\ngroups {groups.facts.rpartition('/')[2]} {groups.common} {groups.large} ".encode())
            digest.update(groups.labels)
        return digest.hexdigest()


@dataclass(frozen=True)
class ReceiptStore:
    """Where receipts of one run live: the output folder, unless a block names its own, and the epoch that orders the runs on it."""

    folder: str
    epoch: int
    run: str
    access: Access = USUAL  # for the steps that read and write receipts
    suffix: str = "receipt"

    @property
    def looks(self) -> ReceiptStore:
        """Where the receipts of looks live: what --split_by image compares before blocks have a key with their groups."""
        return replace(self, suffix="look")

    def path(self, key: str, rest: str, folder: str = "") -> str:
        """The path of what a block leaves. folder: the block's, if it has one of its own."""
        return f"{folder or self.folder}/{WORK}/{key[:2]}/{key}.{rest}"

    def find(self, block: Block, key: str) -> Receipt | None:
        """The receipt that counts for a block, if there is one."""
        path = self.path(key, self.suffix, block.folder)
        try:
            data, _ = store_for(path).read(path)
        except NotFound:
            return None
        return self._current(data, block, key)

    def commit(self, opened: OpenBlock, parts: Iterable[tuple[str, bytes, int]], ids: dict[str, bytes]) -> Receipt:
        """Put the parts, then the receipt if there is none that counts -> the receipt that is in storage.

        Args:
          parts: (kind, bytes, lines); empty ones are not written.
          ids: what caps choose from, packed.
        """
        block = opened.block
        written = []
        for kind, data, lines in parts:
            if lines:
                digest = digest_of(data)
                path = self.path(opened.key, f"{digest}.{kind}", block.folder)
                store_for(path).create(path, data)
                written.append([kind, digest, len(data), lines, crc32c(data)])
        why: dict[str, int] = {}
        for rejection in opened.rejections:
            why[rejection.reason] = why.get(rejection.reason, 0) + 1
        told = [facts.reason for facts in opened.facts.values()]
        told += [fitted.reason for fitted in opened.fitted.values()]
        heals = any(reasons.owner(reason) == "missing" for reason in told if reason)
        heals = heals or any(facts.kept for facts in opened.facts.values())
        body = {
            "tuneset": "receipt/1",
            "run": self.run,
            "epoch": self.epoch,
            "heals": heals,
            "parts": written,
            "lines": opened.lines,
            "counters": {name: opened.counters[name] for name in sorted(opened.counters) if opened.counters[name]},
            "reasons": dict(sorted(why.items())),
            "ids": {cap: base64.b64encode(packed).decode() for cap, packed in ids.items()},
            "inputs": [(e.uri, e.generation) for e in block.extents if e.start == 0],  # each file is told once
            "buckets": block_files.buckets(opened),
            "warnings": [[code, *counted] for code, counted in sorted(opened.warnings.counts.items())],
        }
        return self._put(body, block, opened.key)

    def adopt(self, body: dict[str, Any], block: Block, key: str) -> Receipt:
        """Put another night's receipt as this run's own, unless there is one that counts -> the receipt that is in storage."""
        return self._put(body | {"run": self.run, "epoch": self.epoch, "reused": True}, block, key)

    def _put(self, body: dict[str, Any], block: Block, key: str) -> Receipt:
        path, data = self.path(key, self.suffix, block.folder), jsonl.dumps(body)
        store = store_for(path)
        for _ in range(_TRIES):
            if store.create(path, data):
                return self._receipt(body, block, key)
            stored, found = read_existing(path)
            if receipt := self._current(stored, block, key):
                return receipt
            if store.replace(path, data, found.generation):
                return self._receipt(body, block, key)
        raise Unavailable(f"{path} was another each time that it was to be replaced, though runs on a folder are few")

    def _current(self, stored: bytes, block: Block, key: str) -> Receipt | None:
        body = receipt_body(stored)
        if body is None:  # replaced like one that may heal
            return None
        return None if body["heals"] and body["epoch"] < self.epoch else self._receipt(body, block, key)

    def _receipt(self, body: dict[str, Any], block: Block, key: str) -> Receipt:
        return Receipt(
            key,
            block.order,
            body["epoch"],
            body["heals"],
            tuple(
                Part(kind, self.path(key, f"{digest}.{kind}", block.folder), size, lines, crc)
                for kind, digest, size, lines, crc in body["parts"]
            ),
            tuple((source, lines) for source, lines in body["lines"]),
            tuple(body["counters"].items()),
            tuple(body["reasons"].items()),
            tuple((cap, base64.b64decode(packed)) for cap, packed in body["ids"].items()),
            body.get("reused", False),
            tuple(body["buckets"]),
            tuple((code, count, example) for code, count, example in body["warnings"]),
            block.folder,
        )


_FIELDS = {
    "epoch": int,
    "heals": bool,
    "parts": list,
    "lines": list,
    "counters": dict,
    "reasons": dict,
    "ids": dict,
    "buckets": list,
}
_PART = (str, str, int, int, int)  # kind, digest, bytes, lines, CRC32C


def receipt_body(stored: bytes) -> dict[str, Any] | None:
    """A receipt as it was written; None: it is damaged, as a machine without power leaves files."""
    try:
        body = jsonl.loads(stored)
    except RowError:
        return None
    if not all(isinstance(body.get(name), kind) for name, kind in _FIELDS.items()):
        return None
    whole = all(isinstance(part, list) and tuple(map(type, part)) == _PART for part in body["parts"])
    return body if whole else None


def digest_of(data: bytes) -> str:
    """What names a part."""
    return blake2b(data, digest_size=10).hexdigest()


def from_parts(call: Callable[..., Result], *args: Any) -> Result:
    """`patiently`, where the parts of receipts are read: no other run of the same command would find them as they were."""
    try:
        return patiently(call, *args)
    except (Changed, NotFound) as error:
        raise Changed(f"{error}. It was committed, and has changed since: --overwrite begins anew") from error
