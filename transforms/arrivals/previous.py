"""What the windows of a stream found of images, for a night that meets the same ones: facts alone, since its blocks are others."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.core.records import Block, ImageFacts
from transforms.dataset import image_rows
from transforms.dataset.block_files import BLOCK_IMAGES
from transforms.dataset.previous import unchanged
from transforms.storage import store_for
from transforms.storage.api import NotFound
from transforms.storage.parallel import overlapped

_AT_ONCE = 16  # windows read
MOST_ROWS = 2_000_000  # images that a process remembers, those of the newest windows; some 200 bytes each


@dataclass(frozen=True)
class PreviousStream:
    """Sealed windows of a stream.

    windows: their folders, oldest first. trust_uris: no object is ever overwritten. threads: requests of one block under way at once.
    """

    windows: tuple[str, ...]
    trust_uris: bool
    threads: int

    def facts(self, block: Block, key: str, sources: Collection[str]) -> dict[str, ImageFacts]:
        """What windows found of a block's images, as far as it still holds."""
        facts = _seen_by(self.windows).facts(sources)
        return facts if self.trust_uris else unchanged(facts, block, self.threads)


class SeenImages:
    """Rows of tables of images, to be asked for by source.

    Args:
      tables: as block_files.BLOCK_IMAGES, oldest first; of a source the newest row counts.
    """

    def __init__(self, tables: Sequence[pa.Table]) -> None:
        rows = pa.concat_tables([*tables, BLOCK_IMAGES.empty_table()])
        self._rows = rows.select(image_rows.TELLING)
        hashes = np.fromiter(map(_hash, self._rows["source"].to_pylist()), np.uint64, len(self._rows))
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def facts(self, sources: Collection[str]) -> dict[str, ImageFacts]:
        """Facts of those among some sources that were seen, and could be used."""
        wanted = np.fromiter(map(_hash, sources), np.uint64, len(sources))
        last = np.searchsorted(self._hashes, wanted, side="right") - 1
        known = (last >= 0) & (self._hashes[last] == wanted) if len(self._hashes) else np.zeros(len(wanted), bool)
        facts = image_rows.facts(self._rows.take(self._order[last[known]]))
        return {uri: facts[uri] for uri in sources if uri in facts}


def _hash(source: str) -> int:
    return int.from_bytes(blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


_lock = threading.Lock()
_seen: dict[tuple[str, ...], SeenImages] = {}  # of the one job that a process works


def _seen_by(windows: tuple[str, ...]) -> SeenImages:
    """What windows saw; read once a process."""
    with _lock:
        if windows not in _seen:
            _seen.clear()
            _seen[windows] = SeenImages(_newest_tables(windows))
        return _seen[windows]


def _newest_tables(windows: Sequence[str]) -> list[pa.Table]:
    """The windows' tables of images, oldest first, as many of the newest as may be remembered."""
    tables: list[pa.Table] = []
    rows = 0
    for end in range(len(windows), 0, -_AT_ONCE):
        some = list(overlapped(_images_of, windows[max(end - _AT_ONCE, 0) : end], _AT_ONCE))
        tables = [*some, *tables]
        rows += sum(map(len, some))
        if rows >= MOST_ROWS:
            break
    return tables


def _images_of(window: str) -> pa.Table:
    """The table of images of a window; an empty one where it has none, or is gone by now."""
    store = store_for(window)
    try:
        files = [file.uri for file in store.list(window, deep=False) if file.uri.endswith(".parquet")]
        names = [uri for uri in files if uri.rpartition("/")[2].startswith("images")]
        tables = [pq.read_table(io.BytesIO(store.read(uri)[0])) for uri in names]
    except NotFound:
        tables = []
    return pa.concat_tables([*map(_with_identities, tables), BLOCK_IMAGES.empty_table()])


def _with_identities(images: pa.Table) -> pa.Table:
    """A window that compared no lines has a table without what its images are told apart by."""
    if "identity" not in images.column_names:
        images = images.append_column("identity", pa.array([""] * len(images), pa.string()))
    return images.select(BLOCK_IMAGES.names).cast(BLOCK_IMAGES)
