"""Who uses a folder of images, and so who may delete in it.

    OUTPUT/images                              is its dataset's own, and no other run may put images there
    FOLDER/_tuneset-shared/<digest>.user       a run that was given FOLDER says so first, for its output; created only if absent
    FOLDER/_tuneset-shared/_tuneset/claim.json `tuneset sweep --remove` is at work in FOLDER

A folder that holds a user's mark is shared, wherever it lies: no run deletes images in it, and a sweep knows whom it has to ask about.

A run claims its output, leaves its mark, and then looks for a sweep and for a dataset around the folder. A sweep, and a dataset in its
own folder, claim first and look at the marks then. So whichever comes first, one of the two sees the other.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import Any

from transforms.core.output_names import MANIFEST, SHARED
from transforms.dataset.claim import state_of_claim
from transforms.storage import abilities, exists, read_existing, store_for
from transforms.storage.api import Forbidden, NotAFile, NotFound, StorageError, join_uri

_USER = ".user"


class DamagedMark(StorageError):
    """A user's mark cannot be read, so nobody knows whose images these are."""


@dataclass(frozen=True)
class User:
    """A dataset that puts images into a shared folder.

    output: its folder, in its one spelling. host: of the run, if the output is local: the path may be another's elsewhere.
    """

    output: str
    host: str = ""


def place_of(folder: str) -> str:
    """The one spelling of a folder: local ones without links."""
    return os.path.realpath(folder) if abilities(folder).has_paths else folder.rstrip("/")


def is_shared(image_folder: str) -> bool:
    """Whether any run was given this folder, so that its images may be anybody's."""
    return next(store_for(image_folder).list(f"{image_folder}/{SHARED}", page=1), None) is not None


def is_private(image_folder: str, output: str) -> bool:
    """Whether the images in a folder are those of one output alone."""
    return place_of(image_folder) == join_uri(place_of(output), "images") and not is_shared(image_folder)


def add_user(image_folder: str, output: str) -> bool:
    """Say that an output's run puts images into a folder -> whether nobody had said so before."""
    user = _user(output)
    path, data = mark_of(image_folder, user), json.dumps({"tuneset": "user/1"} | vars(user)).encode()
    store = store_for(path)
    if store.create(path, data):
        return True
    stored, found = read_existing(path)
    if stored != data:  # damaged, or of a run on another machine
        store.replace(path, data, found.generation)
    return False


def remove_user(image_folder: str, output: str) -> None:
    """Take back what `add_user` said, as the run is not going to happen."""
    store_for(image_folder).delete([mark_of(image_folder, _user(output))])


def users_of(image_folder: str) -> Iterator[User]:
    """The outputs whose runs put images into a folder, be they sealed or gone by now.

    Raises:
      DamagedMark: one of them cannot be told.
    """
    store = store_for(image_folder)
    for found in store.list(f"{image_folder}/{SHARED}", deep=False):
        if not found.uri.endswith(_USER):
            continue
        try:
            told = json.loads(store.read(found.uri)[0])
            yield User(told["output"], told["host"])
        except (ValueError, LookupError, TypeError):
            raise DamagedMark(
                f"{found.uri} is damaged, so the dataset that it stands for is not known. Run that dataset's command again, or "
                "delete this file if the dataset is among --datasets or gone"
            ) from None


def owner_of(image_folder: str, output: str) -> str:
    """The dataset of another output in whose folder a folder of images lies, without having been made to be shared; "" if none.

    Of a shared folder only OUTPUT/images matters, where the dataset itself deletes unless it has left its mark too.
    """
    folder, own = place_of(image_folder), place_of(output)
    above = _upwards(folder)
    if is_shared(folder):
        above = islice(above, 1, 2) if folder.endswith("/images") else iter(())
    for dataset in above:
        if dataset == own or exists(mark_of(folder, _user(dataset))):
            return ""
        if holds_dataset(dataset) and not _was_given(dataset, folder):
            return dataset
    return ""


def _upwards(folder: str) -> Iterator[str]:
    """A folder and those around it, up to the bucket or the root."""
    root = "/" if abilities(folder).has_paths else "/".join(folder.split("/")[:3])
    while folder != root:
        yield folder
        folder = folder.rpartition("/")[0].rstrip("/") or "/"
    yield root


def holds_dataset(folder: str) -> bool:
    """Whether a dataset lies in a folder, sealed or not, as far as this process can see."""
    if _manifest(folder):
        return True
    try:
        return state_of_claim(folder) != ""
    except (Forbidden, NotAFile):
        return False


def _was_given(folder: str, image_folder: str) -> bool:
    """Whether a sealed dataset was itself given the folder of images, by --image_folder: earlier versions left no mark."""
    try:
        given = _manifest(folder)["dataset"]["options"]["image_folder"]
    except (LookupError, TypeError):
        return False
    return isinstance(given, str) and given != "" and place_of(given) == image_folder


def _manifest(folder: str) -> dict[str, Any]:
    """A dataset's manifest; {} if there is none that this process can read."""
    uri = join_uri(folder, MANIFEST)
    try:
        told = json.loads(store_for(uri).read(uri)[0])
    except (NotFound, Forbidden, NotAFile, ValueError):
        return {}
    ours = isinstance(told, dict) and str(told.get("tuneset", "")).startswith("manifest/")
    return told if ours else {}


def _user(output: str) -> User:
    return User(place_of(output), socket.gethostname() if abilities(output).has_paths else "")


def mark_of(image_folder: str, user: User) -> str:
    """Where a user's mark stands. Local paths of several machines may be equal, but not below one local folder of images."""
    text = user.output if abilities(image_folder).has_paths else f"{user.host}\n{user.output}"
    digest = blake2b(text.encode(), digest_size=16, person=b"tuneset user").hexdigest()
    return f"{image_folder}/{SHARED}/{digest}{_USER}"


# What a sweep has to know


def sweep_place(image_folder: str) -> str:
    """The folder that a sweep claims."""
    return f"{image_folder}/{SHARED}"


def state_of_user(user: User, image_folder: str) -> str:
    """What has become of a dataset.

    Returns:
      "live": a run is at work there. "unsealed": a run was, and left work that counts on images. "sealed". "gone": nothing is there.
      "out of sight": its path is none of this machine's, so nobody here knows.
    """
    claim = state_of_claim(user.output)
    if claim == "live":
        return "live"
    if exists(join_uri(user.output, MANIFEST)):
        return "sealed"
    if claim:
        return "unsealed"
    # A disk that machines share is there if the folder around the output is.
    here = user.host in ("", socket.gethostname()) or (
        abilities(image_folder).has_paths and os.path.isdir(os.path.dirname(user.output))
    )
    return "gone" if here else "out of sight"
