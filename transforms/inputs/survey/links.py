"""Links of an input that lead out of what may be read: which folders they lead to, and the option that lets them be read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice

from transforms.core.places import inside
from transforms.core.warning_codes import Notice
from transforms.inputs.name_kinds import LINK
from transforms.inputs.options import InputOptions
from transforms.inputs.patterns import is_dataset, is_folder, is_glob, list_names
from transforms.inputs.registry import IMAGES
from transforms.storage import abilities
from transforms.storage.uris import CLOUD

_NAMES = 1000  # that are looked at
_SHOWN = 3  # folders; of more, the one that holds them all


def links_out(pattern: str, options: InputOptions) -> Iterator[Notice]:
    """A notice of the links among an input's first names that lead out of what may be read, if there are any."""
    if not abilities(pattern).has_paths or not (is_folder(pattern) or is_glob(pattern)):
        return
    targets: dict[str, str] = {}  # by the name of the link
    without = (*options.left_out, options.output)
    for file, place in islice(list_names(pattern, without=without, links=options.links), _NAMES):
        name = file.uri.rstrip("/")
        is_link = file.generation == LINK or (is_dataset(name, IMAGES.name) and os.path.islink(name))
        if place or not is_link or not os.path.exists(name):
            continue
        real = os.path.realpath(name)
        if not any(inside(real, folder) for folder in options.links.readable):
            targets[name] = real if os.path.isdir(real) else os.path.dirname(real)
    if targets:
        prefixes = ",".join((*readable_here(options.readable), *_few(set(targets.values()))))
        detail = f"among the first names, {len(targets):,} link out of what may be read: --allow_prefix {prefixes} lets that be read"
        yield Notice("links_lead_out", len(targets), min(targets), detail)


def readable_here(readable: tuple[str, ...]) -> tuple[str, ...]:
    """What may be read, as it is said of a local input: that any object may be read by default is left out."""
    return tuple(folder for folder in readable if folder != CLOUD)


def _few(folders: set[str]) -> list[str]:
    return sorted(folders) if len(folders) <= _SHOWN else [os.path.commonpath(folders)]
