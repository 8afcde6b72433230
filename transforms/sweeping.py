"""Sweep: remove what no manifest names, once the dataset is sealed and the folder is still this run's."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import apache_beam as beam
import numpy as np
import pyarrow.parquet as pq

from transforms.claiming import CLAIM, still_ours
from transforms.committing import WORK
from transforms.storage import USUAL, Access, Stat, patiently, store_for
from transforms.uploading import UPLOADS

# Top-level files that only Tuneset writes: an earlier run with other options may have left some.
OWNED = re.compile(
    r"(train|validation|validation-unused|test)(-\d{5}-of-\d{5})?\.jsonl|rejected\.jsonl"
    r"|(examples|images)(-\d{5}-of-\d{5})?\.parquet|manifest\.json|upload-images\.txt|\.tmp-\d+-.*"
)
OWNED_IMAGE = re.compile(r"[0-9a-f]{2}/([0-9a-f]{32}\.\w+|\.tmp-\d+-.*)")  # in an image folder

_NAME = re.compile(rb"[0-9a-f]{2}/[0-9a-f]{32}\.\w+")
_BLOCKS = re.compile(r".*/[0-9a-f]{32}(\.[0-9a-f]{20})?\.(train|validation|test|examples|images|rejected|receipt)")


@dataclass(kw_only=True)
class SweepBlocks(beam.PTransform):
    """Manifest written -> what the seal no longer needs is deleted. Never in one stage with the seal."""

    folder: str
    image_folder: str  # "" when it is shared, and so not ours to clean
    run: str
    keep_blocks: bool
    access: Access = USUAL

    def expand(self, sealed: beam.PCollection[str]) -> beam.PCollection[None]:
        return sealed | "Sealed" >> beam.Reshuffle() | "Sweep" >> beam.Map(self._sweep)

    def _sweep(self, _: str) -> None:
        patiently(sweep_folder, self.folder, self.image_folder, self.run, self.keep_blocks)


def sweep_folder(folder: str, image_folder: str, run: str, keep_blocks: bool) -> None:
    """Delete blocks, files of earlier options and images that nothing names.

    Args:
      image_folder: of this output alone, where earlier options may have left images; "" when others share it.
      run: does nothing unless the claim is still of this run.
      keep_blocks: leave parts and receipts, for the next night.
    """
    store = store_for(folder)
    if not still_ours(folder, run):
        return
    claim = json.loads(store.read(f"{folder}/{CLAIM}")[0])
    dataset = json.loads(store.read(f"{folder}/manifest.json")[0])["dataset"]
    named = {entry["name"] for entry in dataset["files"]}
    named |= {"manifest.json", *([UPLOADS] if "upload_list" in dataset else [])}
    stale = [
        uri for uri in top_level(folder) if (name := uri[len(folder) + 1 :]) not in named and OWNED.fullmatch(name)
    ]
    if image_folder and claim["resumed"]:  # a first run leaves none
        stale += unnamed_images(folder, image_folder, named)
    store.delete(stale)
    work = [found.uri for found in store.list(f"{folder}/{WORK}") if not (keep_blocks and _BLOCKS.fullmatch(found.uri))]
    claim_uri = f"{folder}/{CLAIM}"
    store.delete(uri for uri in work if uri != claim_uri)
    if image_folder:
        store.remove_empty(image_folder)
    store.delete([claim_uri])  # last: until then a killed sweep can be told from a finished one
    store.remove_empty(f"{folder}/{WORK}")


def top_level(folder: str) -> list[str]:
    """URIs of the files directly in a folder."""
    return [found.uri for found in store_for(folder).list(folder, deep=False)]


def unnamed_images(folder: str, image_folder: str, named: set[str]) -> list[str]:
    used = set(images_named(folder, named))  # URIs; of lines, names alone
    return [uri for uri in owned_images(image_folder) if used.isdisjoint((uri, uri[len(image_folder) + 1 :]))]


def images_named(dataset: str, files: Iterable[str]) -> Iterator[str]:
    """What a dataset's files name, among it every image that was rewritten, copied, or stored because it stood in a row."""
    names = set(files)
    looked = any(name.startswith("images") for name in names)
    for name in names:
        if name.startswith("images") and name.endswith(".parquet"):
            file = pq.ParquetFile(io.BytesIO(store_for(dataset).read(f"{dataset}/{name}")[0]))
            for batch in file.iter_batches(columns=["output", "source"]):  # a source may have stood in a row
                for column in batch.columns:
                    yield from column.unique().to_pylist()
        # A rejected row may name an image that it held as bytes; and under --verify none there is no table of images.
        elif name == "rejected.jsonl" or (name.endswith(".jsonl") and not looked):
            yield from named_in(f"{dataset}/{name}")


def named_in(uri: str, chunk: int = 8 << 20) -> Iterator[str]:
    """Names like those of owned images in a file of lines."""
    store, tail = store_for(uri), b""
    for start in range(0, store.stat(uri).size, chunk):
        data = store.read(uri, start, start + chunk)[0]
        yield from (found.decode() for found in _NAME.findall(tail + data))
        tail = data[-64:]


def owned_images(image_folder: str) -> list[str]:
    """URIs of what only Tuneset writes into an image folder: whatever else lies there is somebody's."""
    found = (one.uri for one in store_for(image_folder).list(image_folder))
    return [uri for uri in found if OWNED_IMAGE.fullmatch(uri[len(image_folder) + 1 :])]


class UsedImages:
    """The images of a shared folder that datasets name, at 16 bytes each."""

    def __init__(self) -> None:
        self._found: list[np.ndarray] = []
        self._sorted = np.zeros(0, "S16")

    def add(self, dataset: str) -> int:
        """Take in what a sealed dataset names -> how many different images.

        Raises:
          NotFound: it is not sealed.
        """
        store, before = store_for(dataset), len(self._sorted)
        manifest = json.loads(store.read(f"{dataset}/manifest.json")[0])
        files = (entry["name"] for entry in manifest["dataset"]["files"])
        digests = filter(None, map(_digest_of, images_named(dataset, files)))
        while some := list(islice(digests, 1 << 16)):
            self._found.append(np.array(some, "S16"))
        self._sorted = np.unique(np.concatenate([self._sorted, *self._found]))
        self._found.clear()
        return len(self._sorted) - before

    def unnamed(self, image_folder: str, older_than: float) -> Iterator[Stat]:
        """Images of the folder that no dataset names, written before that moment (seconds since 1970)."""
        for found in store_for(image_folder).list(image_folder):
            if not OWNED_IMAGE.fullmatch(found.uri[len(image_folder) + 1 :]) or written_at(found) >= older_than:
                continue
            digest = np.bytes_(_digest_of(found.uri).rstrip(b"\0"))  # as numpy gives it back
            at = int(np.searchsorted(self._sorted, digest))
            if at == len(self._sorted) or self._sorted[at] != digest:
                yield found


def _digest_of(uri: str) -> bytes:
    """The 16 bytes that a rewritten image is named by; b"" if it is named otherwise."""
    stem = uri.rpartition("/")[2].partition(".")[0]
    return bytes.fromhex(stem) if re.fullmatch(r"[0-9a-f]{32}", stem) else b""


def written_at(found: Stat) -> float:
    """When an image came into its folder, in seconds since 1970: as its generation tells, but for one more link to a file."""
    nanoseconds = found.generation.partition("-")[2]
    if nanoseconds and (info := os.stat(found.uri)).st_nlink > 1:
        return info.st_ctime  # a photograph may be years older than the run that put it here
    return int(nanoseconds) / 1e9 if nanoseconds else int(found.generation) / 1e6
