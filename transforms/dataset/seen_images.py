"""What tables of images of sealed datasets tell of an image, asked for by its source."""

from __future__ import annotations

import io
import threading
from collections.abc import Collection, Iterator, Sequence
from hashlib import blake2b

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.core.records import ImageFacts
from transforms.dataset import image_rows
from transforms.dataset.block_files import BLOCK_IMAGES
from transforms.storage import abilities, store_for
from transforms.storage.api import NotFound
from transforms.storage.ranged_file import RangedFile

MOST_ROWS = 2_000_000  # images that a process remembers; some 200 bytes each


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


def with_identities(images: pa.Table) -> pa.Table:
    """A dataset that compared no lines has a table without what its images are told apart by."""
    if "identity" not in images.column_names:
        images = images.append_column("identity", pa.array([""] * len(images), pa.string()))
    return images.select(BLOCK_IMAGES.names).cast(BLOCK_IMAGES)


def image_tables(dataset: str) -> list[str]:
    """URIs of a dataset's tables of images; none if it has none, or is gone by now."""
    try:
        files = [file.uri for file in store_for(dataset).list(dataset, deep=False) if file.uri.endswith(".parquet")]
    except NotFound:
        return []
    return [uri for uri in files if uri.rpartition("/")[2].startswith("images")]


_lock = threading.Lock()
_foreign: dict[str, SeenImages] = {}  # of the one job that a process works


def foreign_images(dataset: str) -> SeenImages:
    """What a dataset found of images of other people's servers, as many as may be remembered; read once a process."""
    with _lock:
        if dataset not in _foreign:
            _foreign.clear()
            _foreign[dataset] = SeenImages(list(_foreign_rows(dataset)))
        return _foreign[dataset]


def _foreign_rows(dataset: str) -> Iterator[pa.Table]:
    rows = 0
    for uri in image_tables(dataset):
        found = store_for(uri).stat(uri)
        file = io.BufferedReader(RangedFile(uri, found.generation, found.size), 1 << 20)
        for batch in pq.ParquetFile(file).iter_batches():
            table = with_identities(pa.Table.from_batches([batch]))
            usable = [not reason and abilities(source).foreign for source, reason in _names(table)]
            some = table.filter(pa.array(usable, pa.bool_()))
            rows += len(some)
            if rows > MOST_ROWS:
                return
            yield some


def _names(table: pa.Table) -> Iterator[tuple[str, str]]:
    return zip(table["source"].to_pylist(), table["reason"].to_pylist())
