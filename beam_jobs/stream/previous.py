"""`--previous` names a stream: which of its windows tell a night what they found of images."""

from __future__ import annotations

import json
from typing import Any

from beam_jobs.job import Job
from beam_jobs.manifests import differences, read_manifest
from beam_jobs.settings import Settings
from transforms.arrivals.panes import Pane, panes_of
from transforms.core.output_names import STREAM
from transforms.dataset.claim import Claim
from transforms.images.identity import IDENTITIES
from transforms.storage import exists
from transforms.storage.api import NotFound
from transforms.storage.parallel import overlapped

_AT_ONCE = 32  # windows looked at


def is_stream(folder: str) -> bool:
    return exists(f"{folder}/{STREAM}")


def usable_windows(folder: str, settings: Settings) -> tuple[tuple[str, ...], list[str]]:
    """Sealed windows of a stream whose facts of images hold tonight -> (their folders, oldest first; why others do not)."""
    job = Job(settings, Claim("", 0, False), remote=False)
    now, identify = job.dataset, job.inspector.identify
    described = {"tool": now["tool"], "codecs": now["codecs"], "options": {"verify": now["options"]["verify"]}}
    wanted = json.loads(json.dumps(described))
    panes = list(panes_of(folder))
    windows, faults = list[str](), dict[str, None]()
    for pane, manifest in zip(panes, overlapped(_manifest_of, panes, _AT_ONCE)):
        if not manifest:
            continue
        if other := differences(manifest["dataset"], wanted):
            faults["; ".join(other)] = None
        elif identify and manifest["dataset"].get("findings", {}).get("identity") != IDENTITIES[identify]:
            faults["what tells equal images was not noted, or otherwise: --findings rows does without"] = None
        else:
            windows.append(pane.folder)
    return tuple(windows), list(faults)


def _manifest_of(pane: Pane) -> dict[str, Any]:
    """{}: it is not sealed."""
    try:
        return read_manifest(pane.folder)
    except NotFound:
        return {}
