"""`--previous`: which sealed dataset unchanged blocks are taken from, and why another cannot be used.

A previous dataset only saves work, so one that cannot be used never stops a run: it is warned of, and everything is made
anew. `--require_previous` asks for exit status 2 instead.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from beam_jobs.job import Job, places
from beam_jobs.manifests import differences, read_manifest
from beam_jobs.options import OptionError
from beam_jobs.settings import Settings
from beam_jobs.stream.previous import is_stream, usable_windows
from transforms.core.output_names import MANIFEST, WORK
from transforms.core.warning_codes import Notice, as_lines
from transforms.dataset.claim import Claim
from transforms.storage import abilities, store_for
from transforms.storage.api import NotFound, StorageError, Unavailable
from transforms.storage.parallel import overlapped

MOST_NIGHTS = 4000  # folders below --previous FOLDER/ that are looked at: over ten years
_SHOWN = 5  # nights that a warning names
_AT_ONCE = 32  # requests
_DATASET = ("tool", "codecs", "options")  # what decides, beside the places of images, whether a block can be used again


@dataclass(frozen=True)
class Night:
    """A dataset that unchanged blocks may be taken from.

    Args:
      sealed: when, in seconds since 1970; 0 if nothing tells it.
      fault: why nothing of it can be used, or "".
    """

    folder: str
    sealed: float
    fault: str

    @property
    def name(self) -> str:
        return self.folder.rpartition("/")[2]


def choose_night(settings: Settings) -> tuple[Settings, list[str]]:
    """Settings whose `previous` is a dataset that can be used, or "" -> and lines for a person, warnings with a mark.

    Args:
      settings: after the inputs were looked at; `previous` may name a dataset, the folder that nights lie in, or a stream.

    Raises:
      OptionError: none can be used, and --require_previous was given.
      Unavailable: storage is away.
    """
    previous = settings.previous
    if not previous:
        return settings, []
    try:
        if is_stream(previous):
            return _windows_of(settings)
    except Unavailable:
        raise
    except StorageError as error:
        return _without(settings, f"{previous}: {error}")
    night = look_at_night(previous, settings)
    if night is None or (night.fault and not _has_manifest(previous)):
        return _newest_below(settings, night)
    if night.fault:
        return _without(settings, f"{previous}: {night.fault}")
    return settings, []


def _windows_of(settings: Settings) -> tuple[Settings, list[str]]:
    """What the windows of the stream that --previous names found of images."""
    windows, faults = usable_windows(settings.previous, settings)
    if not windows:
        why = f"nothing of its windows can be used: {faults[0]}" if faults else "it has sealed no window yet"
        return _without(settings, f"{settings.previous}: {why}")
    number = f"{len(windows):,} window{'s' * (len(windows) != 1)}"
    line = f"Images that {number} of {settings.previous} saw, and that have not changed, are not looked at again."
    passed_over = f"some windows of {settings.previous} are passed over: {'; '.join(faults[:_SHOWN])}"
    notices = [Notice("night_passed_over", detail=passed_over)] if faults else []
    settings = replace(settings, windows=windows, notices=(*settings.notices, *notices))
    return settings, [line, *as_lines(notices)]


def _has_manifest(folder: str) -> bool:
    try:
        store_for(folder).stat(f"{folder}/{MANIFEST}")
    except NotFound:
        return False
    except StorageError:
        return True
    return True


def _newest_below(settings: Settings, itself: Night | None) -> tuple[Settings, list[str]]:
    """The newest usable night in the folder that --previous names."""
    parent = settings.previous
    try:
        folders = list(islice(_folders_below(parent, settings.output), MOST_NIGHTS + 1))
    except Unavailable:
        raise
    except NotFound:  # the first night of all
        folders = []
    except StorageError as error:
        return _without(settings, f"{parent}: {error}")
    if len(folders) > MOST_NIGHTS:
        return _without(
            settings, f"{parent} holds more than {MOST_NIGHTS:,} folders, which are not looked through: name the night"
        )
    nights = list(_look_at_each(folders, settings))
    usable = [night for night in nights if not night.fault]
    if not usable:
        return _without(settings, _why_none(parent, nights, itself))
    newest = max(usable, key=lambda night: (night.sealed, night.name))
    later = [night for night in nights if night.fault and _is_later(night, newest)]
    lines = [f"What has not changed is taken from {newest.folder}, the newest night below {parent} that can be used."]
    notices = [Notice("night_passed_over", detail=fault) for fault in _faults(later, "is passed over")]
    settings = replace(settings, previous=newest.folder, notices=(*settings.notices, *notices))
    return settings, [*lines, *as_lines(notices)]


def _folders_below(parent: str, output: str) -> Iterator[str]:
    """Folders in which a night may lie; never tonight's own."""
    for folder in (folder for page, _ in store_for(parent).folders(parent) for folder in page):
        same = folder == output or (
            abilities(folder).has_paths and os.path.realpath(folder) == os.path.realpath(output)
        )
        if not same:
            yield folder


def _look_at_each(folders: list[str], settings: Settings) -> Iterator[Night]:
    """Nights among the folders; some of them are looked at side by side, where that saves waiting."""

    def look(folder: str) -> Night | None:
        return look_at_night(folder, settings)

    some = map(look, folders) if not folders or abilities(folders[0]).has_paths else overlapped(look, folders, _AT_ONCE)
    yield from (night for night in some if night is not None)


def _is_later(night: Night, than: Night) -> bool:
    """Whether a night came after another: by when they were sealed, and by name where nothing tells that."""
    return night.sealed > than.sealed if night.sealed else night.name > than.name


def _why_none(parent: str, nights: list[Night], itself: Night | None) -> str:
    if nights:
        last = sorted(nights, key=lambda night: (night.sealed, night.name))
        return f"{parent} holds no night that can be used: {'; '.join(_faults(last, ''))}"
    if itself is not None:
        return f"{parent}: {itself.fault}"
    return (
        f"{parent} holds no {MANIFEST}, and no folder in it does: name a sealed dataset, or the folder that they lie in"
    )


def _faults(nights: list[Night], verb: str) -> list[str]:
    """A sentence for each of the last nights, newest first."""
    last = sorted(nights, key=lambda night: (night.sealed, night.name), reverse=True)
    told = [f"{night.folder} {verb}: {night.fault}" if verb else f"{night.folder}: {night.fault}" for night in last]
    more = len(told) - _SHOWN
    return [*told[:_SHOWN], f"{more:,} more below it cannot be used either"] if more > 0 else told


def _without(settings: Settings, fault: str) -> tuple[Settings, list[str]]:
    """A full run, or an OptionError if the person asked for that."""
    if settings.require_previous:
        raise OptionError(f"--previous {fault}. Leave --require_previous out for a full run")
    notice = Notice("previous_unusable", detail=f"--previous {fault}")
    notices = (*settings.notices, notice)
    settings = replace(settings, previous="", trust_uris=False, require_previous=False, notices=notices)
    return settings, [notice.line]


def look_at_night(folder: str, settings: Settings) -> Night | None:
    """A folder as a night; None: nothing of a dataset lies there.

    Raises:
      Unavailable: storage is away.
    """
    try:
        return _look(folder, settings)
    except Unavailable:
        raise
    except StorageError as error:
        return Night(folder, 0.0, str(error))


def _look(folder: str, settings: Settings) -> Night | None:
    store = store_for(folder)
    if folder == settings.output:
        return Night(folder, 0.0, "it is --output too, and every night has a folder of its own")
    try:
        manifest = read_manifest(folder)
    except NotFound:
        if next(store.list(f"{folder}/{WORK}"), None) is None:
            return None
        return Night(folder, 0.0, f"it holds no {MANIFEST}: the run that writes it has not sealed it")
    if not manifest:
        return Night(folder, 0.0, f"its {MANIFEST} is damaged, or none of Tuneset's")
    finished = manifest["run"].get("finished")
    sealed = float(finished) if isinstance(finished, int | float) else 0.0
    return Night(folder, sealed, _fault(folder, manifest["dataset"], settings))


def _fault(folder: str, dataset: dict[str, Any], settings: Settings) -> str:
    """Why no block of a sealed dataset can be used tonight, or ""."""
    if not any(found.uri.endswith(".receipt") for found in store_for(folder).list(f"{folder}/{WORK}")):
        return (
            "it holds no blocks: the run that makes it has to keep them, with --keep_blocks, and tonight's too, if another "
            "night is to follow"
        )
    now = Job(settings, Claim("", 0, False), remote=False).dataset
    other = differences(dataset, json.loads(json.dumps({name: now[name] for name in _DATASET})))
    other += _other_places(dataset, settings)
    return f"nothing of it can be used: {'; '.join(other)}" if other else ""


def _other_places(dataset: dict[str, Any], settings: Settings) -> list[str]:
    """Whether local images may be read from other folders than then: rows that name them are other rows."""
    inputs = dataset.get("inputs")
    if not isinstance(inputs, list) or not all(isinstance(pattern, str) for pattern in inputs):
        return []
    then, now = places(replace(settings, input=tuple(inputs)), remote=False), places(settings, remote=False)
    if then.folders == now.folders:
        return []
    return [f"the folders of --input were {','.join(inputs)} and are {','.join(settings.input)}"]
