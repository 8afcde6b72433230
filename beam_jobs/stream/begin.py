"""How a stream begins: its options against the world, and against those that the same folder was begun with."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from apache_beam.io.filesystems import FileSystems

from beam_jobs.manifests import changed_options
from beam_jobs.options import OptionError
from beam_jobs.preflight import (
    beam_options,
    check_beam_options,
    check_buckets,
    check_folders,
    is_remote,
    on_this_machine,
    runner_of,
)
from beam_jobs.stream.engine import check_streams
from beam_jobs.stream.native import check_native, is_native
from beam_jobs.stream.options import StreamOptions, StreamSettings
from transforms.arrivals.records import MICROS
from transforms.core import jsonl
from transforms.core.output_names import MANIFEST, STREAM
from transforms.core.reasons import RowError
from transforms.core.warning_codes import as_lines
from transforms.inputs.options import InputError
from transforms.inputs.patterns import is_folder, is_glob, static_folder
from transforms.inputs.survey.left_out import find_left_out, notices_of_left_out
from transforms.storage import abilities, exists, read_existing, store_for
from transforms.storage.api import NotFound, set_access

_TELLING = ("findings",)  # options that change what is told of a window, and not a line of it


def checked(given: StreamSettings) -> tuple[StreamSettings, list[str]]:
    """The same options with absolute places, once nothing speaks against them -> (options, warnings).

    Raises:
      OptionError: they cannot go together, or not in this world.
    """
    settings = on_this_machine(given.of_job)
    check_beam_options(settings)
    set_access(settings.access)
    FileSystems.set_options(beam_options(settings))  # of schemes that Beam reads
    native = is_native(settings)
    if native:
        check_native(StreamSettings(settings, given.of_stream))
    elif runner_of(settings) != "FnApiRunner":
        check_streams(runner_of(settings), beam_options(settings))
        if is_remote(settings):
            raise OptionError(
                "--environment_type LOOPBACK is missing: a stream drains workers that are threads of this process"
            )
    try:
        check_folders(settings, remote=native)
    except OptionError as error:
        raise OptionError(str(error).replace("--input ", "--watch ")) from None
    own = replace(given.of_stream, watch=settings.input[0] if settings.input else "")
    _check_watched(own)
    if (settings.answer or settings.system or settings.image_column) and not settings.prompt:
        raise OptionError(
            "--prompt is missing: --answer, --system and --image_column say something of rows that it asks about"
        )
    if exists(f"{settings.output}/{MANIFEST}"):
        raise OptionError(f"{settings.output} holds a dataset of `tuneset prepare`: choose another --output")
    try:
        options = find_left_out(settings.of_inputs)
    except InputError as error:
        raise OptionError(str(error)) from None
    notices = (*notices_of_left_out(options), *options.notices, *check_buckets(settings))
    settings = replace(settings, left_out=options.left_out, notices=notices, asked=settings.as_asked())
    return StreamSettings(settings, own), as_lines(notices)


def _check_watched(own: StreamOptions) -> None:
    """Raises OptionError for a folder in which nothing would ever arrive."""
    pattern = own.watch
    if own.subscription and pattern and abilities(pattern).has_paths:
        raise OptionError(
            f"--watch {pattern}: a subscription announces objects of Cloud Storage alone: leave one of them out"
        )
    if not pattern:
        return
    if not abilities(pattern).has_paths:
        if not (is_folder(pattern) or is_glob(pattern)):
            raise OptionError(f"--watch {pattern}: a gs:// folder is named with a / at its end")
        _check_bucket(pattern)
        return
    folder = static_folder(pattern).rstrip("/") if is_folder(pattern) or is_glob(pattern) else pattern
    if not os.path.lexists(folder):
        raise OptionError(f"--watch {pattern}: there is nothing named {folder}: make the folder, then start again")


def _check_bucket(pattern: str) -> None:
    """Raises OptionError for a bucket that is not there; an empty one is, and so is any folder in it."""
    try:
        next(store_for(pattern).list(static_folder(pattern).rstrip("/"), page=1), None)
    except NotFound:
        raise OptionError(f"--watch {pattern}: there is no such bucket: make it, then start again") from None


def settle_begin(options: StreamSettings) -> int:
    """Note what a stream is begun with, or hold it against what it was begun with -> microseconds since 1970 from which it takes.

    Raises:
      OptionError: the folder's stream was begun with other options.
    """
    output = options.of_job.output
    path, now = f"{output}/{STREAM}", _as_json(options)
    try:
        before = _begun_with(store_for(path).read(path)[0], path)
    except NotFound:
        begun = int(time.time() * MICROS)
        if store_for(path).create(path, (json.dumps({"tuneset": "stream/1", "begun": begun} | now) + "\n").encode()):
            return 0 if now["existing"] == "yes" else begun
        before = _begun_with(read_existing(path)[0], path)
    if other := changed_options(before["options"], now["options"]):
        raise OptionError(
            f"{output} holds a stream that was begun with other options ({'; '.join(other)}): choose another --output, or give "
            "those options"
        )
    return 0 if before["existing"] == "yes" else int(before["begun"])


def _begun_with(data: bytes, path: str) -> dict[str, Any]:
    try:
        told = jsonl.loads(data)
    except RowError:
        told = {}
    if told.get("tuneset") != "stream/1":
        raise OptionError(f"{path} is damaged, or none of Tuneset's: choose another --output")
    return told


def _as_json(options: StreamSettings) -> dict[str, Any]:
    """What has to be the same whenever a stream goes on: all that decides which windows there are and what is in them."""
    asked, own = options.of_job.asked, options.of_stream
    decide: Mapping[str, Any] = {
        **{name: value for name, value in asked["options"].items() if name not in _TELLING},
        "watch": own.watch.rstrip("/"),
        "subscription": own.subscription,
        "input_format": asked["input_format"],
        "window": f"{own.window}s",
        "sidecar_wait": f"{own.sidecar_wait}s",
    }
    existing = own.existing if own.existing != "auto" else "no" if own.subscription else "yes"
    return {"options": dict(decide), "existing": existing}
