"""How many requests this process sends to Cloud Storage and to web servers, each try and redirect: for whoever watches a run."""

from __future__ import annotations

import os
import threading
from typing import Any

_lock = threading.Lock()
_sent = 0  # not taken yet


def note(*_: Any, **__: Any) -> None:
    """Count a request; also as a hook of `requests`, which hands its response over."""
    global _sent
    with _lock:
        _sent += 1


def taken() -> int:
    """The requests that were sent since this was last asked."""
    global _sent
    with _lock:
        sent, _sent = _sent, 0
    return sent


os.register_at_fork(after_in_child=taken)  # what a parent sent, it tells itself
