"""What an input leaves out: what Tuneset itself has written below it, by other runs or by what this command names."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Sequence
from dataclasses import replace

from transforms.core.places import inside
from transforms.core.records import Input
from transforms.core.warning_codes import Notice
from transforms.inputs.options import InputError, InputOptions
from transforms.inputs.patterns import is_folder, is_glob, matches, static_folder
from transforms.inputs.survey.own_datasets import find_own_datasets, is_own_dataset
from transforms.storage import abilities
from transforms.storage.api import join_uri

REWRITTEN = f"ab/{'0' * 32}.jpg"  # as an image in an image folder is named
_WRITTEN = ("train.jsonl", "rejected.jsonl", "examples.parquet", REWRITTEN, f"images/{REWRITTEN}")
_SHOWN = 10  # folders of a list


def find_left_out(options: InputOptions) -> InputOptions:
    """-> options that know what inputs leave out, with a notice where not everything below an input was looked into.

    Raises:
      InputError: an input is itself a dataset of ours.
    """
    folders: set[str] = set()
    notices: list[Notice] = []
    for pattern in options.input:
        if not _reads_below(pattern):
            continue
        root = _root(pattern)
        if is_folder(pattern) and is_own_dataset(root):
            raise InputError(
                f"--input {pattern} is a dataset that Tuneset wrote: its lines would be read beside those that it rejected. Name "
                f"what is to be read of it, as {join_uri(root, 'train.jsonl')} or {join_uri(root, 'images/')}"
            )
        own = find_own_datasets(root, options.output)
        folders.update(own.folders)
        if not own.whole:
            notices.append(Notice("datasets_not_sought", example=pattern))
        named = (_as_listed(root, folder) for folder in (options.image_folder, options.previous, options.output))
        folders.update(folder for folder in named if folder not in ("", options.output))
    return replace(options, left_out=tuple(sorted(folders)), notices=(*options.notices, *notices))


def left_out_of(pattern: str, folders: Iterable[str]) -> tuple[str, ...]:
    """Those of some folders that a pattern leaves out: who names a dataset, or its rejected rows, means them."""
    if not _reads_below(pattern):
        return ()
    root = _root(pattern)
    return tuple(folder for folder in folders if folder != root and inside(folder, root))


def notices_of_left_out(options: InputOptions) -> list[Notice]:
    """Which folders each input leaves out."""
    notices = []
    for one_input in options.inputs:
        folders = [
            folder for folder in one_input.left_out if _would_read(one_input, folder, folder == options.image_folder)
        ]
        if folders:
            detail = f"{one_input.pattern} without what Tuneset wrote: {in_words(folders)}"
            notices.append(Notice("datasets_left_out", len(folders), detail=detail))
    return notices


def in_words(folders: Sequence[str]) -> str:
    """Folders as a person reads them, who needs no more than some."""
    more = f" and {len(folders) - _SHOWN:,} more" if len(folders) > _SHOWN else ""
    return ", ".join(folders[:_SHOWN]) + more


def _would_read(one_input: Input, folder: str, images_alone: bool) -> bool:
    """Whether an input would give some file of a folder that it leaves out."""
    names = (REWRITTEN,) if images_alone else _WRITTEN
    return any(matches(one_input.pattern, join_uri(folder, name), one_input.format) for name in names)


def _root(pattern: str) -> str:
    return static_folder(pattern).rstrip("/") or "/"


def _reads_below(pattern: str) -> bool:
    """Whether a pattern can name files of datasets that it does not mean: one that ends in rejected.jsonl means just those."""
    if is_folder(pattern):
        return True
    rest = pattern.removeprefix(_root(pattern)).lstrip("/")
    return is_glob(pattern) and ("/" in rest or "**" in rest) and posixpath.basename(pattern) != "rejected.jsonl"


def _as_listed(root: str, folder: str) -> str:
    """A folder as a listing of `root` calls it, whatever links lead to either; "" if it does not lie below."""
    if folder and abilities(root).has_paths and abilities(folder).has_paths and not inside(folder, root):
        real, real_root = os.path.realpath(folder), os.path.realpath(root)
        folder = (
            join_uri(root, os.path.relpath(real, real_root)) if inside(real, real_root) and real != real_root else ""
        )
    return folder if folder != root and inside(folder, root) else ""
