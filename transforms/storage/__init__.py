"""The only door to files: a URI -> the store of its scheme, one a process; and calls that are tried again while storage is away.

What a store can do, and how it fails, is told in api.py; the stores stand beside it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from transforms.storage import throttling
from transforms.storage.api import Abilities, NotFound, Stat, Store, Unavailable
from transforms.storage.reads import Pause, Reads
from transforms.storage.uris import WEB_SCHEMES, scheme_of

Result = TypeVar("Result")
PAUSES = (1.0, 5.0)  # seconds

_ABILITIES = {  # by scheme; of any other, as of what Beam has file systems for, nothing but listing and reading
    "": Abilities(has_paths=True, creates_if_absent=True, holds_images=True),
    "gs": Abilities(
        has_buckets=True,
        literal_names=True,
        lists_ranges=True,
        creates_if_absent=True,
        composes=True,
        holds_images=True,
        readable_by_service=True,
    ),
    **dict.fromkeys(WEB_SCHEMES, Abilities(holds_images=True, foreign=True)),
}
_READS_ALONE = Abilities()

_stores: dict[str, Store] = {}
_stores_lock = threading.Lock()


def abilities(uri: str) -> Abilities:
    """What the store of a URI's scheme can do; the store itself, and the packages that it needs, need not be there."""
    return _ABILITIES.get(scheme_of(uri), _READS_ALONE)


def store_for(uri: str) -> Store:
    """The store of a URI's scheme, one per process."""
    scheme = scheme_of(uri)
    store = _stores.get(scheme)
    if store is None:
        with _stores_lock:
            store = _stores.get(scheme)
            if store is None:
                if scheme == "gs":
                    from transforms.storage.gcs.store import GcsStore

                    store = GcsStore()
                elif scheme == "":
                    from transforms.storage.local import LocalStore

                    store = LocalStore()
                elif scheme in WEB_SCHEMES:
                    from transforms.storage.web.store import WebStore

                    store = WebStore()
                else:
                    from transforms.storage.beam_files import BeamStore

                    store = BeamStore(scheme)
                _stores[scheme] = store
    return store


def persistently(call: Callable[..., Result], *args: Any) -> Result:
    """Call, and call again up to twice if storage is away: the runners at hand fail a job on the first exception."""
    for pause in PAUSES:
        try:
            return call(*args)
        except Unavailable:
            time.sleep(pause)
    return call(*args)


def persistent(begin: Callable[[], Reads[Result]]) -> Reads[Result]:
    """`persistently`, of what reads an object."""
    for pause in PAUSES:
        try:
            return (yield from begin())
        except Unavailable:
            yield Pause(pause)
    return (yield from begin())


def read_existing(uri: str) -> tuple[bytes, Stat]:
    """Read what a create just said was there already.

    Raises:
      Unavailable: it is not found all the same, as behind a cache, or deleted in between.
    """
    try:
        return store_for(uri).read(uri)
    except NotFound as error:
        raise Unavailable(f"{uri} exists, says one answer of storage, and does not, says the next") from error


def exists(uri: str) -> bool:
    """Whether there is such a file or object."""
    try:
        store_for(uri).stat(uri)
    except NotFound:
        return False
    return True


def patiently(call: Callable[..., Result], *args: Any) -> Result:
    """`persistently`, in the thread of a bundle: what throttling cost is told to Beam."""
    try:
        return persistently(call, *args)
    finally:
        throttling.tell()
