"""Metadata files in a folder of images, by Hugging Face's convention: folder -> URIs of metadata.csv, .jsonl or .parquet in it.

They may lie in the folder itself, in a folder of a split or class, or in `images/`. Folders are told by listings with a delimiter,
some levels deep, and looked into by name; both are bounded, as the search for datasets of ours is (survey/own_datasets.py).
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from transforms.core.places import FolderSet
from transforms.core.records import NO_LINKS, Links
from transforms.inputs.linked_folders import entered_below
from transforms.inputs.name_kinds import unread_place
from transforms.storage import abilities, exists, store_for
from transforms.storage.api import Forbidden, NotAFile, NotFound

ENDINGS = (".csv", ".jsonl", ".parquet")
_LEVELS = 3  # below the folder: data/train/cat/metadata.csv
_LISTINGS, _FOLDERS = 20, 200  # requests that tell folders, and folders that are looked into, in Cloud Storage
_LOCAL = 10  # times as many below a local folder
_THREADS = 16


@dataclass(frozen=True)
class MetadataFiles:
    """What was found, in the order of names, and whether all levels were looked into."""

    uris: tuple[str, ...]
    whole: bool

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(uri.rpartition("/")[0] for uri in self.uris))

    def nearer(self, uri: str) -> tuple[str, ...]:
        """Folders below that of a metadata file which have one of their own: it speaks for the images in them."""
        beginning = uri.rpartition("/")[0] + "/"
        return tuple(folder for folder in self.folders if folder.startswith(beginning))


def is_metadata(uri: str) -> bool:
    """Whether a file is called as metadata is.

    >>> is_metadata("in/metadata.csv"), is_metadata("in/my-metadata.csv")
    (True, False)
    """
    name = uri.rpartition("/")[2]
    return name.startswith("metadata.") and name[len("metadata") :] in ENDINGS


def find_metadata(folder: str, without: Collection[str], links: Links = NO_LINKS) -> MetadataFiles:
    """Look for metadata files in a folder of images and the levels below it.

    Args:
      without: folders that are not looked into.
      links: which links to folders are followed.
    """
    times = _LOCAL if abilities(folder).has_paths else 1
    listings, looks = times * _LISTINGS, times * _FOLDERS
    left_out, whole, uris = FolderSet(without), True, []
    is_entered = entered_below(links, folder, without)
    level = [folder]
    for depth in range(_LEVELS + 1):
        whole &= len(level) <= looks
        level = level[:looks]
        looks -= len(level)
        uris += [uri for some in _each(level) for uri in some]
        if depth == _LEVELS:
            break

        children: list[str] = []
        for parent in level:
            pages = list(islice(_pages(parent), max(listings, 0)))
            listings -= max(len(pages), 1)
            whole &= bool(pages) and not pages[-1][1]
            children += [child for names, _ in pages for child in names]
        level = [
            child
            for child in children
            if not left_out.holding(f"{child}/")
            and not unread_place(child[len(folder) :].lstrip("/") + "/")
            and is_entered(child)
        ]
    return MetadataFiles(tuple(sorted(uris)), whole)


def _pages(folder: str) -> list[tuple[list[str], bool]]:
    try:
        return [(list(names), more) for names, more in islice(store_for(folder).folders(folder), _LISTINGS)]
    except (Forbidden, NotAFile, NotFound):  # if it matters, the listing of the input says so
        return [([], False)]


def _each(folders: list[str]) -> list[list[str]]:
    if not folders or abilities(folders[0]).has_paths:
        return [_metadata_in(folder) for folder in folders]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(_metadata_in, folders))


def _metadata_in(folder: str) -> list[str]:
    """Metadata files directly in a folder; in Cloud Storage one request tells all of them."""
    if not abilities(folder).has_paths:
        listed = store_for(folder).list(folder, deep=False, start=f"{folder}/metadata.", end=f"{folder}/metadata/")
        return [file.uri for file in listed if is_metadata(file.uri)]
    names = (f"{folder}/metadata{ending}" for ending in ENDINGS)
    return [uri for uri in names if exists(uri)]
