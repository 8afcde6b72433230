"""Sweep: remove what no manifest names, once the dataset is sealed and the folder is still this run's."""

from __future__ import annotations

import io
import json
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import pyarrow.parquet as pq

from transforms.core.output_names import CLAIM, WORK
from transforms.dataset.claim import still_ours
from transforms.dataset.sharing import is_private, place_of
from transforms.dataset.upload_list import UPLOADS
from transforms.storage import store_for
from transforms.storage.api import Stat

# Top-level files that only Tuneset writes: an earlier run with other options may have left some.
OWNED = re.compile(
    r"(train|validation|validation-unused|test)(-\d{5}-of-\d{5})?\.jsonl|rejected\.jsonl"
    r"|(examples|images)(-\d{5}-of-\d{5})?\.parquet|manifest\.json|report\.(html|json)|upload-images\.txt|\.tmp-\d+-.*"
)
OWNED_IMAGE = re.compile(r"[0-9a-f]{2}/([0-9a-f]{32}\.\w+|\.tmp-\d+-.*)")  # in an image folder
_NAME = re.compile(rb"[0-9a-f]{2}/[0-9a-f]{32}\.\w+")
_BLOCKS = re.compile(
    r".*/[0-9a-f]{2}/[0-9a-f]{32}(\.[0-9a-f]{20})?\.(train|validation|test|examples|images|rejected|findings|receipt|facts|hashes|look)"
)


def sweep_folder(folder: str, run: str, keep_blocks: bool) -> None:
    """Delete blocks, files of earlier options, and images of this output's own runs that the manifest does not name.

    Args:
      run: does nothing unless the claim is still of this run.
      keep_blocks: leave parts and receipts, for the next night.
    """
    store, image_folder = store_for(folder), f"{folder}/images"
    if not still_ours(folder, run):
        return
    claim = json.loads(store.read(f"{folder}/{CLAIM}")[0])
    dataset = json.loads(store.read(f"{folder}/manifest.json")[0])["dataset"]
    named = {entry["name"] for entry in dataset["files"]}
    kept = named | {"manifest.json", *([UPLOADS] if "upload_list" in dataset else [])}
    stale = [uri for uri in owned_files(folder) if uri[len(folder) + 1 :] not in kept]
    counters = dataset.get("counters", {})
    # A first run leaves no image that is not named, but of those by URL, which are copied before their rows are judged.
    if claim["resumed"] or (counters.get("images_fetched") and counters.get("images_unused")):
        stale += unnamed_images(folder, named, claim["begun"] / 1000)
    store.delete(stale)
    work = [found.uri for found in store.list(f"{folder}/{WORK}") if not (keep_blocks and _BLOCKS.fullmatch(found.uri))]
    claim_uri = f"{folder}/{CLAIM}"
    store.delete(uri for uri in work if uri != claim_uri)
    store.remove_empty(image_folder)
    store.delete([claim_uri])  # last: until then a killed sweep can be told from a finished one
    store.remove_empty(f"{folder}/{WORK}")


def remove_dataset(folder: str) -> None:
    """Delete what Tuneset wrote into an output folder, but for its claim, and for images that may be another dataset's.

    The manifest goes first, so that nothing half removed looks whole; files that name images go after those.
    """
    store, files = store_for(folder), owned_files(folder)
    images = images_of(folder, [uri[len(folder) + 1 :] for uri in files])
    store.delete([f"{folder}/manifest.json"])
    store.delete(images)
    store.delete(files)
    store.delete(found.uri for found in store.list(f"{folder}/{WORK}") if found.uri != f"{folder}/{CLAIM}")


def owned_files(folder: str) -> list[str]:
    """URIs of the files directly in an output folder that only Tuneset writes."""
    found = store_for(folder).list(folder, deep=False)
    return [one.uri for one in found if OWNED.fullmatch(one.uri[len(folder) + 1 :])]


def unnamed_images(folder: str, files: Iterable[str], begun: float) -> list[str]:
    """URIs of the images in a dataset's own folder that its files do not name, and that its runs wrote.

    Args:
      begun: when the first of these runs claimed the folder, in seconds since 1970. What is older is somebody else's.
    """
    if not is_private(f"{folder}/images", folder):
        return []
    used = UsedImages(f"{folder}/images")
    used.add_files(folder, files)
    return [found.uri for found in owned_images(f"{folder}/images") if found not in used and written_at(found) >= begun]


def images_of(folder: str, files: Iterable[str]) -> list[str]:
    """URIs of the images in a dataset's own folder that its files name; none if a file is damaged, so that it cannot be told."""
    if not is_private(f"{folder}/images", folder):
        return []
    used = UsedImages(f"{folder}/images")
    try:
        used.add_files(folder, files)
    except (ValueError, LookupError):
        return []
    return [found.uri for found in owned_images(f"{folder}/images") if found in used]


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


def owned_images(image_folder: str) -> Iterator[Stat]:
    """What only Tuneset writes into an image folder: whatever else lies there is somebody's."""
    for found in store_for(image_folder).list(image_folder):
        if OWNED_IMAGE.fullmatch(found.uri[len(image_folder) + 1 :]):
            yield found


class UsedImages:
    """The images that datasets name, at 16 bytes each.

    image_folder: only those in it count; "": wherever they were when they were named.
    """

    def __init__(self, image_folder: str = "") -> None:
        self._sorted = np.zeros(0, "S16")
        self._folder = image_folder
        self._counts = {
            "": True,
            image_folder: True,
        }  # whether a folder's images do; a name in a line may be told without one

    def add(self, dataset: str) -> int:
        """Take in what a sealed dataset names -> how many different images.

        Raises:
          NotFound: it is not sealed.
        """
        manifest = json.loads(store_for(dataset).read(f"{dataset}/manifest.json")[0])
        return self.add_files(dataset, (entry["name"] for entry in manifest["dataset"]["files"]))

    def add_files(self, dataset: str, files: Iterable[str]) -> int:
        """Take in what files of a dataset name -> how many different images."""
        digests, chunks, before = filter(None, map(self._digest, images_named(dataset, files))), [], len(self._sorted)
        while some := list(islice(digests, 1 << 16)):
            chunks.append(np.array(some, "S16"))
        self._sorted = np.unique(np.concatenate([self._sorted, *chunks]))
        return len(self._sorted) - before

    def _digest(self, uri: str) -> bytes:
        digest = _digest_of(uri)
        if digest and self._folder:
            folder = uri.rpartition("/")[0].rpartition("/")[0]
            if folder not in self._counts:
                self._counts[folder] = place_of(folder) == place_of(self._folder)
            return digest if self._counts[folder] else b""
        return digest

    def __contains__(self, image: Stat) -> bool:
        digest = np.bytes_(_digest_of(image.uri).rstrip(b"\0"))  # as numpy gives it back
        at = int(np.searchsorted(self._sorted, digest))
        return at < len(self._sorted) and bool(self._sorted[at] == digest)

    def unnamed(self, image_folder: str, older_than: float) -> Iterator[Stat]:
        """Images of the folder that no dataset names, written before that moment (seconds since 1970)."""
        for found in owned_images(image_folder):
            if written_at(found) < older_than and found not in self:
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
    return (
        int(nanoseconds) / 10**9 if nanoseconds else int(found.generation) / 10**6
    )  # exact, as floats of these are not
