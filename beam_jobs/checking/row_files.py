"""Which files a check reads, and the split of each: a folder, glob or file, or one for each split -> RowFiles.

A dataset of ours says itself which files it has. Elsewhere the words of split names decide (examples/split_names.py): of the topmost
folder that has one, else of the file. Where no name speaks of a split, all files are taken for training.
"""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from beam_jobs.manifests import read_manifest
from beam_jobs.options import OptionError
from transforms.core.limits import PROFILES
from transforms.core.output_names import WORK
from transforms.dataset.findings.whole import ARRAY, TRAIN, RowFile
from transforms.dataset.seal_plan import is_file_of
from transforms.examples.split_names import split_of_name
from transforms.examples.splits import NAMES
from transforms.images.folder_marks import is_marked, local_folders
from transforms.inputs.json_array import is_array
from transforms.inputs.patterns import is_folder, is_glob, list_pattern, static_folder
from transforms.storage import abilities, exists, store_for
from transforms.storage.api import Forbidden, NotAFile, NotFound, Stat
from transforms.storage.packings import packing_of_bytes

_MOST_FILES = 1000
_HEAD = 4096  # bytes of a file that tell its form
_MOST_DATASETS = 10  # whose manifests are looked for beside files that are named one by one
_ROWS = ".jsonl"
_REJECTED = "rejected.jsonl"  # what `prepare` did not use


@dataclass(frozen=True)
class Chosen:
    """What is to be looked at.

    files: in the order of their splits.
    model: that a dataset of ours was made for.
    readable: local folders that its images are in, as a manifest says that this user led to.
    unproven: other local folders that a manifest names.
    uploads: folders that its images will be uploaded to, each with where they lie now.
    left_out: files beside the others whose names speak of no split.
    """

    files: tuple[RowFile, ...]
    model: str = ""
    readable: tuple[str, ...] = ()
    unproven: tuple[str, ...] = ()
    uploads: tuple[tuple[str, str], ...] = ()
    left_out: tuple[str, ...] = ()


def choose_files(patterns: Mapping[str, str]) -> Chosen:
    """The files of rows that options name.

    Args:
      patterns: absolute; under "input", or under names of splits.

    Raises:
      OptionError: there is no such file, or it cannot be told which split it is.
    """
    folder = _as_folder(patterns.get("input", ""))
    own = _own_manifest(folder) if folder else {}
    dataset = own.get("dataset", {})
    left_out: tuple[str, ...] = ()
    if dataset:
        files = _of_manifest(folder, dataset)
    elif "input" in patterns:
        files, left_out = _of_input(patterns["input"], folder)
    else:
        files = _of_splits(patterns)

    # Files of a dataset of ours may be named one by one.
    folders = sorted({posixpath.dirname(file.uri) for file in files})
    manifests = {folder: own} if dataset else {one: _own_manifest(one) for one in folders[:_MOST_DATASETS]}
    datasets = {one: own["dataset"] for one, own in manifests.items() if own}
    models = {str(_options(own).get("model")) for own in datasets.values()} & PROFILES.keys()
    marked = {one for one in datasets if is_marked(one, manifests[one])}
    readable = {name for one in marked for name in local_folders(datasets[one])}
    named = {name for own in datasets.values() for name in local_folders(own) if not _is_below(name, folders)}
    local = all(abilities(file.uri).has_paths for file in files)
    uploads = tuple(
        upload
        for one, own in datasets.items()
        if local and (upload := _upload(own)) and (one in marked or _is_below(upload[1], [one]))
    )
    return Chosen(
        files=tuple(replace(file, form=_form(file.uri)) for file in files),
        model=models.pop() if len(models) == 1 else "",
        readable=tuple(sorted(readable)),
        unproven=tuple(sorted(named - readable)),
        uploads=uploads,
        left_out=left_out,
    )


def _form(uri: str) -> str:
    """What a file is instead of lines of JSON, by its first bytes, as RowFile has it."""
    head = store_for(uri).read(uri, 0, _HEAD)[0]
    return ARRAY if is_array(head) else packing_of_bytes(head)


def _upload(dataset: Mapping[str, Any]) -> tuple[str, str] | None:
    """Where the images of a local dataset of ours will be uploaded to, and where they lie; None if they need not be."""
    mapping = dataset.get("upload")
    there, here = (mapping.get("to"), mapping.get("from")) if isinstance(mapping, dict) else ("", "")
    if not (isinstance(there, str) and isinstance(here, str) and there and here):
        return None
    return (there, here) if abilities(here).has_paths and not abilities(there).has_paths else None


def _is_below(name: str, folders: Iterable[str]) -> bool:
    """Whether a local folder really lies in one of others, or is one."""
    real = os.path.realpath(name)
    return any(f"{real}/".startswith(f"{os.path.realpath(one)}/") for one in folders if abilities(one).has_paths)


def _own_manifest(folder: str) -> Mapping[str, Any]:
    """The manifest of a dataset of ours; {} of any other folder."""
    try:
        manifest = read_manifest(folder)
    except (Forbidden, NotAFile, NotFound):
        return {}
    return manifest if isinstance(manifest.get("dataset", {}).get("files"), list) else {}


def _options(dataset: Mapping[str, Any]) -> Mapping[str, Any]:
    options = dataset.get("options")
    return options if isinstance(options, dict) else {}


def _of_splits(patterns: Mapping[str, str]) -> list[RowFile]:
    """The files that are named for each split."""
    files = []
    for name, pattern in patterns.items():
        files += [RowFile(found.uri, NAMES.index(name), found.size) for found in _listed(pattern)]
    uris = Counter(file.uri for file in files)
    if twice := sorted(uri for uri, count in uris.items() if count > 1):
        raise OptionError(f"{twice[0]} is named for two splits: each needs a file of its own")
    return files


def _of_input(pattern: str, folder: str) -> tuple[list[RowFile], tuple[str, ...]]:
    """The files of a folder or pattern, by their names -> (those of splits, those beside them that speak of none)."""
    listed = _listed(f"{folder}/" if folder else pattern)
    root = folder or static_folder(pattern)
    splits = {file.uri: _split_of(file.uri, root) for file in listed}
    if not any(splits.values()):
        return [RowFile(file.uri, TRAIN, file.size) for file in listed], ()
    files = [RowFile(file.uri, NAMES.index(splits[file.uri]), file.size) for file in listed if splits[file.uri]]
    files.sort(key=lambda file: (file.split, file.uri))
    return files, tuple(uri for uri, split in splits.items() if not split)


def _as_folder(pattern: str) -> str:
    """A pattern that names a folder, without its last slash; "" if it names files."""
    if not pattern:
        return ""
    if is_folder(pattern):
        return pattern.rstrip("/") or "/"
    if abilities(pattern).has_paths or is_glob(pattern) or exists(pattern):
        return ""
    return pattern  # of an object store, where a folder is no thing of its own


def _split_of(uri: str, root: str) -> str:
    """The split that the topmost folder below `root` speaks of, else the file's own name; "": neither does."""
    names = uri[len(root) :].lstrip("/").split("/")
    return next((split for name in names if (split := split_of_name(name))), "")


def _listed(pattern: str) -> list[Stat]:
    """The files of rows that a pattern names, in order.

    Raises:
      OptionError: there is none, or there are too many.
    """
    many = is_folder(pattern) or is_glob(pattern)
    try:
        found = [
            file
            for file in islice(list_pattern(pattern), _MOST_FILES * 10)
            if not many or (file.uri.endswith(_ROWS) and not _is_ours(file.uri))
        ]
    except NotFound:
        found = []
    if not found:
        what = f"holds no file named *{_ROWS}" if many else "does not exist"
        raise OptionError(f"{pattern} {what}: expected the rows of a tuning dataset")
    if len(found) > _MOST_FILES:
        raise OptionError(f"{pattern} names over {_MOST_FILES:,} files: a dataset has a few")
    return [_plain(file) for file in found]


def _is_ours(uri: str) -> bool:
    """Whether a file is none of the rows of a dataset, but of the work on it."""
    return f"/{WORK}/" in uri or uri.endswith(f"/{_REJECTED}")


def _plain(file: Stat) -> Stat:
    """Raises OptionError for a name that would be read as a pattern."""
    if is_glob(file.uri):
        raise OptionError(f"{file.uri}: its name holds *, ? or [, which stand for other names: rename it")
    return file


def _of_manifest(folder: str, dataset: Mapping[str, Any]) -> list[RowFile]:
    """The files that a dataset of ours says it has."""
    files = []
    names = [str(file.get("name")) for file in dataset["files"] if isinstance(file, dict)]
    for place, split in enumerate(NAMES):
        for name in sorted(name for name in names if name.endswith(_ROWS) and is_file_of(name, split)):
            uri = f"{folder}/{name}"
            if "/" in name:
                raise OptionError(f"the manifest of {folder} names {name!r}: it is damaged, or none of Tuneset's")
            try:
                files.append(RowFile(uri, place, store_for(uri).stat(uri).size))
            except NotFound:
                raise OptionError(f"{uri} is not there, though the manifest beside it names it") from None
    if not files:
        raise OptionError(f"the manifest of {folder} names no file of rows: it is damaged, or none of Tuneset's")
    return files
