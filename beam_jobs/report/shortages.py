"""What a process ran out of, and what sets its limit: an error's text -> a sentence for a person."""

from __future__ import annotations

import re
import resource

_FILES = re.compile(r"too many open files|\bEMFILE\b|\bENFILE\b", re.IGNORECASE)
_ROOM = re.compile(r"no space left on device|disk quota exceeded|\bENOSPC\b|\bEDQUOT\b", re.IGNORECASE)
_THREADS = re.compile(r"can't start new thread|pthread_create|resource temporarily unavailable", re.IGNORECASE)
_MEMORY = re.compile(
    r"\bMemoryError\b|cannot allocate memory|bad_alloc|ArrowMemoryError|malloc of size|failed to map segment",
    re.IGNORECASE,
)


def shortage(text: str) -> str:
    """What a process lacked that failed with this text, its limits and what to do; "" if it failed for another reason."""
    if _FILES.search(text):
        return f"The limit of open files is {_limit(resource.RLIMIT_NOFILE)}: raise it with `ulimit -n 65536`."
    if _ROOM.search(text):
        return "The disk is full, or its quota is used up: make room there."
    if _THREADS.search(text):
        return (
            f"No thread could be started: the limits are {_limit(resource.RLIMIT_NPROC)} threads and processes (ulimit -u) and "
            f"{_limit(resource.RLIMIT_AS, 1024)} KB of addresses (ulimit -v), or those of the container. Raise them; a lower "
            "--threads needs fewer."
        )
    if _MEMORY.search(text):
        return (
            f"The process ran out of memory: its limit is {_limit(resource.RLIMIT_AS, 1024)} KB of addresses (ulimit -v), or that "
            "of the machine or container. Raise it; 2 GB a process are enough for most inputs."
        )
    return ""


def allow_files() -> None:
    """Raise this process's limit of open files as far as it may by itself: a connection is one, and so is a file that is read."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or soft < hard):
        wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def _limit(kind: int, unit: int = 1) -> str:
    soft, _ = resource.getrlimit(kind)
    return "without bound" if soft == resource.RLIM_INFINITY else f"{soft // unit:,}"
