"""Tell Beam how long storage held this process up: seconds noted in any thread -> the counter that autoscaling reads.

Beam's metrics belong to the thread that works on a bundle, and reads run in threads of their own. So the seconds are noted
here, and told by the room that waits for those reads.
"""

from __future__ import annotations

import threading
import time
from typing import Any

# By this name runners know that more workers would only be held up as well.
_NAMESPACE, _COUNTER = "gcsio", "cumulativeThrottlingSeconds"
_RATE = (429, 503)  # too many requests; storage as a whole is short of room


class _Thread(threading.local):
    since = 0.0  # when this thread's request was refused for its rate; 0: it was not


_thread = _Thread()
_lock = threading.Lock()
_noted = 0.0  # seconds not told yet


def note(error: Any) -> None:
    """Before a retry: what storage said."""
    settle()
    if refused_rate(error):
        _thread.since = time.monotonic()


def refused_rate(error: Any) -> bool:
    """Whether storage refused a request for its rate."""
    return getattr(error, "code", None) in _RATE


def settle() -> None:
    """After a call: the pause that a refusal led to is over."""
    if _thread.since:
        add(time.monotonic() - _thread.since)
        _thread.since = 0.0


def add(seconds: float) -> None:
    """Note a pause that a refusal led to, of whatever thread."""
    global _noted
    with _lock:
        _noted += seconds


def tell() -> None:
    """Add whole seconds to Beam's counter; call it in the thread of the bundle."""
    global _noted
    if _noted >= 1:
        with _lock:
            seconds, _noted = int(_noted), _noted % 1
        from apache_beam.metrics import (
            Metrics,  # here, since it takes seconds to load, and a command's help needs none of it
        )

        Metrics.counter(_NAMESPACE, _COUNTER).inc(seconds)
