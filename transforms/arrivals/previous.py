"""What the windows of a stream found of images, for a night that meets the same ones: facts alone, since its blocks are others."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from transforms.core.records import Block, ImageFacts
from transforms.dataset.block_files import BLOCK_IMAGES
from transforms.dataset.previous import as_kept, unchanged
from transforms.dataset.seen_images import MOST_ROWS, SeenImages, image_tables, with_identities
from transforms.storage import store_for
from transforms.storage.api import NotFound
from transforms.storage.parallel import overlapped

_AT_ONCE = 16  # windows read


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

    def remembered(self, sources: Collection[str]) -> dict[str, ImageFacts]:
        """What windows found of images whose servers give no answer."""
        return as_kept(_seen_by(self.windows).facts(sources), self.threads)


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
    try:
        tables = [pq.read_table(io.BytesIO(store_for(uri).read(uri)[0])) for uri in image_tables(window)]
    except NotFound:
        tables = []
    return pa.concat_tables([*map(with_identities, tables), BLOCK_IMAGES.empty_table()])
