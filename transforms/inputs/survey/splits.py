"""Find out, before the work, which names of an input decide its splits: inputs -> SplitNames, and what says so.

Names are told by listings with a delimiter, level by level, at most so many of them and in so many requests an input. Nothing is read.
"""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from transforms.core.places import inside
from transforms.core.warning_codes import Notice
from transforms.examples.split_names import NO_NAMES, Level, SplitNames, split_of_name, splits_of_names
from transforms.inputs.linked_folders import entered_below
from transforms.inputs.name_ranges import sampled_names
from transforms.inputs.options import InputOptions
from transforms.inputs.patterns import is_dataset, is_folder, is_glob, static_folder
from transforms.inputs.registry import TABLE
from transforms.storage import abilities, store_for
from transforms.storage.api import Forbidden, NotAFile, NotFound
from transforms.storage.globs import compiled

_NAMES, _REQUESTS = 1000, 20  # that are looked at of an input
_PAGE = 100  # names of files that a request tells in Cloud Storage
_SHOWN = 6  # names of a split that are told
OVERRIDE = "(--split_names ignore: by the hash)"


@dataclass
class _Names:
    """What a look at one input came to."""

    root: str
    levels: list[list[str]] = field(
        default_factory=list
    )  # names of the folders of each level, from the first below the root
    files: dict[str, list[str]] = field(
        default_factory=lambda: defaultdict(list)
    )  # names of files of rows by their folder
    whole: bool = True


def survey_splits(options: InputOptions, rows: bool, json: bool = False) -> tuple[SplitNames, list[str], list[Notice]]:
    """Which names decide the splits; lines for a person; and warnings, where they might have been meant to.

    An option that decides them itself is heard instead.

    Args:
      rows: whether an input holds files of rows, whose names count; those of pictures never do.
      json: whether .json files are among them.
    """
    if options.columns_of_splits or options.split_names == "ignore":
        return NO_NAMES, [], []
    roots = [static_folder(pattern).rstrip("/") or "/" for pattern in options.input]
    if (level := _level_of_inputs(roots)) is not None:
        named = {level.folder_of(f"{root}/") for root in roots} - {""}
        return *_decided((level,), {}, named, [_folders_decide(level, named)]), []

    looks = [_look(pattern, root, options, rows, json) for pattern, root in zip(options.input, roots)]
    levels: dict[Level, list[str]] = {}
    for look in looks:
        if names := next((names for names in look.levels if len(splits_of_names(names)) > 1), None):
            levels.setdefault(Level(look.root, look.levels.index(names) + 1), names)
    files: dict[str, list[str]] = defaultdict(list)
    for look in looks:
        for folder, names in look.files.items():
            files[folder] += [name for name in names if name not in files[folder]]
    deciding = {folder: names for folder, names in files.items() if len(splits_of_names(names)) > 1}

    lines = [_folders_decide(level, names) for level, names in levels.items()]
    lines += [
        f"{folder}: files decide the split: {_in_words(names)} {OVERRIDE}"
        for folder, names in deciding.items()
        if not any(level.folder_of(f"{folder}/") for level in levels)
    ]
    notices = [] if levels or deciding else _of_one_split(looks)
    notices += [
        Notice("split_names_cut_short", example=look.root)
        for look in looks
        if not look.whole and (lines or notices or not _is_settled(look))
    ]
    every = [name for names in (*levels.values(), *deciding.values()) for name in names]
    return *_decided(tuple(levels), deciding, every, lines), notices


def _decided(
    levels: tuple[Level, ...], files: Iterable[str], names: Iterable[str], lines: list[str]
) -> tuple[SplitNames, list[str]]:
    splits, folders = splits_of_names(names), tuple(sorted(files))
    if not levels and not folders:
        return NO_NAMES, lines
    if "validation" not in splits:
        lines = [
            *lines,
            "no name speaks of validation: it is taken from train by the hash (--splits), and test stays whole",
        ]
    return SplitNames(levels, folders, "validation" in splits), lines


def _level_of_inputs(roots: list[str]) -> Level | None:
    """The topmost level at which the inputs' own folders name different splits, if they do."""
    paths = [root.split("/") for root in dict.fromkeys(roots)]
    shared = 0
    while all(len(path) > shared for path in paths) and len({path[shared] for path in paths}) == 1:
        shared += 1
    for depth in range(shared, max(map(len, paths))):
        if len(splits_of_names(path[depth] for path in paths if len(path) > depth)) > 1:
            return Level("/".join(paths[0][:shared]) or "/", depth - shared + 1)
    return None


def _look(pattern: str, root: str, options: InputOptions, rows: bool, json: bool) -> _Names:
    """The names of an input's folders, and of its files of rows, level by level."""
    found = _Names(root)
    without = (options.output, *options.left_out)
    single = not (is_folder(pattern) or is_glob(pattern))
    if single and rows:
        found.files[root].append(posixpath.basename(pattern))
    gives = _matcher(pattern, root)
    is_entered = entered_below(options.links, root, without)
    requests, names, level = _REQUESTS, _NAMES, [root]
    for _ in range(2 if single else _REQUESTS):
        below: list[str] = []
        for folder in level:
            if requests <= 0 or names <= 0:
                found.whole = single
                break
            folders, pages = _children(folder, requests // 2 or 1, without)
            requests -= pages
            folders = [one for one in folders if gives(one, True) and is_entered(one)]
            found.whole &= len(folders) <= names
            below += folders[:names]
            names -= len(folders)
            if rows and not single:
                uris, pages = _files_of_rows(folder, max(requests, 1), without, json)
                requests -= pages
                found.files[folder] += [posixpath.basename(uri) for uri in uris if gives(uri, False)]
        if not below:
            break
        found.levels.append(list(dict.fromkeys(map(posixpath.basename, below))))
        if len(splits_of_names(found.levels[-1])) > 1:
            break
        level = below
    return found


def _matcher(pattern: str, root: str) -> Callable[[str, bool], bool]:
    """Whether a folder (True) may hold files of a pattern, or a file (False) is one, by names alone."""
    if is_folder(pattern) or not is_glob(pattern):
        return lambda uri, folder: True
    parts = pattern[len(root.rstrip("/")) :].lstrip("/").split("/")
    deep = next((at for at, part in enumerate(parts) if "**" in part), len(parts))

    def gives(uri: str, folder: bool) -> bool:
        if not folder:
            return compiled(pattern).fullmatch(uri) is not None
        depth = len(uri[len(root.rstrip("/")) :].lstrip("/").split("/"))
        if depth > deep:
            return True
        start = "/".join((root.rstrip("/"), *parts[:depth]))
        return (depth < len(parts) and compiled(start).fullmatch(uri) is not None) or depth == deep + 1

    return gives


def _children(folder: str, pages: int, without: Iterable[str]) -> tuple[list[str], int]:
    """-> (folders directly in a folder, requests that took). What is hidden, or left out, is not among them."""
    try:
        told = list(islice(store_for(folder).folders(folder), pages))
    except (Forbidden, NotAFile, NotFound):  # if it matters, the listing of the input says so
        return [], 1
    children = [
        child for some, _ in told for child in some if not posixpath.basename(child).startswith((".", "_tuneset"))
    ]
    return [child for child in children if not any(inside(child, other) for other in without if other)], max(
        len(told), 1
    )


def _files_of_rows(folder: str, requests: int, without: Iterable[str], json: bool) -> tuple[list[str], int]:
    """-> (some files of rows directly in a folder, requests that took)."""
    rows: list[str] = []
    used, page = 0, _NAMES * _REQUESTS if abilities(folder).has_paths else _PAGE
    try:
        for files in sampled_names(store_for(folder), folder, requests, deep=False, page=page, without=tuple(without)):
            used += 1
            rows += [
                file.uri
                for file in files
                if is_dataset(file.uri, TABLE.name, json) and not posixpath.basename(file.uri).startswith(".")
            ]
            if len(rows) >= _NAMES:
                break
    except (Forbidden, NotAFile, NotFound):
        used += 1
    return rows[:_NAMES], used


def _is_settled(look: _Names) -> bool:
    return any(len(splits_of_names(names)) > 1 for names in look.levels)


def _folders_decide(level: Level, names: Iterable[str]) -> str:
    where = level.root if level.depth == 1 else f"{level.root}, {level.depth} levels down"
    return f"{where}: folders decide the split: {_in_words(names)} {OVERRIDE}"


def _in_words(names: Iterable[str]) -> str:
    """Names by the splits they speak of, with counts."""
    by_split: dict[str, list[str]] = defaultdict(list)
    for name in sorted(set(names)):
        by_split[split_of_name(name)].append(name)
    texts = []
    for split in ("train", "validation", "test", ""):
        if some := by_split.get(split):
            more = f" and {len(some) - _SHOWN:,} more" if len(some) > _SHOWN else ""
            texts.append(f"{split or 'by the hash'} {len(some):,} ({', '.join(some[:_SHOWN])}{more})")
    return "; ".join(texts)


def _of_one_split(looks: list[_Names]) -> list[Notice]:
    """Warnings that name both readings of a name that speaks of a split, where no other speaks of another."""
    notices: dict[Notice, None] = {}
    for look in looks:
        folders = (name for level in look.levels for name in level)
        files = (name for names in look.files.values() for name in names)
        for kind, names in (("folder", folders), ("file", files)):
            name = next(filter(split_of_name, names), "")
            if name:
                more = "; for all of it in train: --splits train=1" if split_of_name(name) == "train" else ""
                alone = f"of folders and files, only the {kind} {name} names a split, so the hash decides by --splits"
                notices[Notice("split_named_alone", example=look.root, detail=f"{alone}{more}")] = None
    return list(notices)
