"""Whether this user named a manifest's local folders: a mark that `prepare` leaves in it, and `tuneset check` looks for.

A manifest tells where images may be read from, and whoever made a dataset could write any folder into it. So it is believed only if
it bears a digest keyed by a secret of this user on this machine, and lies where the digest says; else `--allow_prefix` has to tell.
"""

from __future__ import annotations

import hmac
import os
import stat
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from transforms.core import jsonl
from transforms.inputs.patterns import static_folder
from transforms.storage import abilities

_KEY_BYTES = 32


def local_folders(dataset: Mapping[str, Any]) -> set[str]:
    """Local folders from which the images of a dataset of ours were allowed to come, or into which they were written."""
    options = dataset.get("options")
    options = options if isinstance(options, dict) else {}
    prefixes, inputs, upload = options.get("allow_prefix"), dataset.get("inputs"), dataset.get("upload")
    folders = [options.get("image_folder"), *(prefixes if isinstance(prefixes, list | tuple) else [])]
    if not prefixes and isinstance(inputs, list):
        folders += [static_folder(one) for one in inputs if isinstance(one, str)]
    if isinstance(upload, dict):
        folders.append(upload.get("from"))
    return {one.rstrip("/") for one in folders if isinstance(one, str) and abilities(one).has_paths} - {""}


def mark_of(dataset: Mapping[str, Any], *, may_make: bool) -> str:
    """The mark of a dataset that this user makes; "" if it needs none, or there is no place for the secret.

    Args:
      may_make: the secret is made if there is none yet.
    """
    output, folders = dataset.get("output"), local_folders(dataset)
    if not (folders and isinstance(output, str) and abilities(output).has_paths):
        return ""
    secret = _secret(may_make)
    text = jsonl.canonical([os.path.realpath(output), sorted(folders)])
    return blake2b(text, key=secret, digest_size=16, person=b"tuneset folders").hexdigest() if secret else ""


def is_marked(folder: str, manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest in a folder is one that this user's own command led to, there."""
    dataset, run = manifest.get("dataset"), manifest.get("run")
    if not (isinstance(dataset, dict) and isinstance(run, dict) and abilities(folder).has_paths):
        return False
    told, mark = run.get("mark"), mark_of({**dataset, "output": folder}, may_make=False)
    return isinstance(told, str) and bool(mark) and hmac.compare_digest(told.encode(), mark.encode())


def _secret(may_make: bool) -> bytes:
    """The secret, which nobody else may read; b"" if there is none."""
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    path = Path(state, "tuneset", "key")
    try:
        if may_make and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(os.urandom(_KEY_BYTES))
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            found = os.fstat(file.fileno())
            is_ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
            secret = file.read(_KEY_BYTES) if is_ours else b""
    except OSError:  # such as a home that cannot be written to
        return b""
    return secret if len(secret) == _KEY_BYTES else b""
