"""What to do with a sealed dataset: its manifest and settings -> sentences, and commands that can be pasted as they stand.

A command does what the sentence above it says and no more: it names each file, or a list of them that stands beside the manifest, and
never a folder of the input.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from typing import Any

from beam_jobs.job import places
from beam_jobs.settings import Settings
from transforms.core.output_names import MANIFEST
from transforms.dataset.tuning.next_steps import PLACE, SHOWN_BUCKETS, tuning_steps, upload_files
from transforms.storage import abilities, store_for
from transforms.storage.api import NoAccess, StorageError
from transforms.storage.uris import is_whole_bucket

_REJECTED = "/rejected.jsonl"


def next_steps(dataset: dict[str, Any], settings: Settings) -> list[str]:
    """The last lines of the closing screen; commands are indented.

    Args:
      dataset: what the manifest says of it.
      settings: of the run that sealed it, with absolute paths.
    """
    steps, joining = _replay(dataset, settings), _joining(dataset, settings)
    if not dataset["splits"]["train"]:
        steps.append("No tuning job can use it alone: it has nothing to train on.")
        if not joining:
            return steps
    if dataset["uploadable"] == "not yet":
        return steps + _for_upload(settings) + joining
    to_tuning = list(tuning_steps(dataset, SHOWN_BUCKETS))
    first = [line for step in to_tuning if step.name == "upload" for line in step.as_lines()]
    rest = [line for step in to_tuning if step.name != "upload" for line in step.as_lines()]
    return steps + first + joining + rest


def _for_upload(settings: Settings) -> list[str]:
    """How the images of a dataset whose lines name local paths come to where the tuning service can read them."""
    verify = "structure" if settings.verify == "none" else settings.verify
    output = sibling(settings.output, "for-upload")
    if abilities(settings.output).has_paths:
        return [
            "Not yet uploadable: fileUri holds absolute paths of this machine, so the dataset is of use here alone, and only while "
            "neither the images nor this folder are moved. With --uri_prefix it can be uploaded. Put a folder of yours in place of "
            f"{PLACE}, and run again:",
            f"  {_again(settings, output=output, uri_prefix=PLACE, verify=verify)}",
        ]
    return [
        "Not yet uploadable: fileUri holds absolute paths of this machine, since --verify none copies no image. Run again:",
        f"  {_again(settings, output=output, verify=verify)}",
    ]


def _replay(dataset: dict[str, Any], settings: Settings) -> list[str]:
    """The command that replays the rejected rows: by the same options, so that they fall into the same splits.

    They now lie in another folder, so what the first run was allowed to read must be said. The replay has places of its own: its files
    are called as those of the first run are.
    """
    if not dataset["reasons"]:
        return []
    command = _again(
        settings,
        input=(f"{settings.output}{_REJECTED}",),
        output=sibling(settings.output, "replayed"),
        uri_prefix=sibling(settings.uri_prefix, "replayed") if settings.uri_prefix else "",
        input_format="auto",
        allow_prefix=places(settings, remote=False).readable,
    )
    return [
        "Mend what rejected.jsonl names, then replay just those rows, as a dataset of their own. Its screen says how both become one:",
        f"  {command}",
    ]


def _joining(dataset: dict[str, Any], settings: Settings) -> list[str]:
    """The commands that make one of a replay and of the dataset whose rejected rows it read; nothing after another run.

    The files are put one behind the other, for no line is in both. A run on the first one's input and on rejected.jsonl would hold
    those rows twice whose images were mended.
    """
    first, _, name = settings.input[0].rpartition("/")
    if (
        len(settings.input) > 1
        or f"/{name}" != _REJECTED
        or abilities(first).has_paths != abilities(settings.output).has_paths
    ):
        return []
    try:
        before = json.loads(store_for(first).read(f"{first}/{MANIFEST}")[0])["dataset"]
        pairs = _pairs(before, dataset)
        prefix = before["options"]["uri_prefix"]
    except (StorageError, NoAccess, ValueError, LookupError, TypeError):
        return []  # it was copied there, or its dataset is gone
    if before["uploadable"] != dataset["uploadable"]:
        return []
    limits = {"validation.jsonl": settings.most_validation}
    most, most_bytes = settings.profile.max_file_examples, settings.profile.max_file_bytes
    if not pairs or any(
        lines > min(most, limits.get(name, most)) or size > most_bytes for name, (lines, size) in pairs.items()
    ):
        return [
            f"It is not joined to {first}: one file is not enough for both. Give each of them a tuning job of its own."
        ]
    whole, names = sibling(first, "whole"), [name for name, (lines, _) in pairs.items() if lines]
    if abilities(first).has_paths:
        joined = [f"cat {shlex.join([f'{one}/{name}' for one in (first, settings.output)])} > " for name in names]
        targets = [shlex.quote(f"{whole}/{name}") for name in names]
        commands = [" && ".join([f"mkdir -p {shlex.quote(whole)}", *map(str.__add__, joined, targets)])]
        if prefix and settings.uri_prefix:
            commands.append(upload_files(whole, names, sibling(prefix, "whole")))
        after = ", once both are uploaded" if len(commands) > 1 else ""
    else:
        commands = [
            f"gcloud storage cat {shlex.join([f'{one}/{name}' for one in (first, settings.output)])} | "
            f"gcloud storage cp - {shlex.quote(f'{whole}/{name}')}"
            for name in names
        ]
        after = ""
    said = f"These lines belong to those of {first}, and none is in both. For one job on all of them{after}:"
    return [said, *(f"  {command}" for command in commands)]


def _pairs(before: dict[str, Any], dataset: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """(lines, bytes) of the files that two datasets both have, in both together; nothing if they have not the same ones."""
    one, other = (
        {f["name"]: f for f in each["files"] if re.fullmatch(r"(train|validation|test)(-\d.*)?\.jsonl", f["name"])}
        for each in (before, dataset)
    )
    if one.keys() != other.keys():
        return {}
    return {name: (f["lines"] + other[name]["lines"], f["bytes"] + other[name]["bytes"]) for name, f in one.items()}


def _again(settings: Settings, **changed: Any) -> str:
    """The command of a run on another output folder, by these options but for the changed ones."""
    again = replace(settings, **changed, overwrite=False, take_over=False, previous="", trust_uris=False, report="")
    return shlex.join(["tuneset", "prepare", *again.as_flags()])


def sibling(folder: str, word: str) -> str:
    """A folder beside another one; of a bucket, in it.

    >>> sibling("gs://bucket/data", "replayed"), sibling("gs://bucket", "replayed"), sibling("/data/out", "replayed")
    ('gs://bucket/data-replayed', 'gs://bucket/replayed', '/data/out-replayed')
    """
    return f"{folder}/{word}" if is_whole_bucket(folder) else f"{folder}-{word}"
