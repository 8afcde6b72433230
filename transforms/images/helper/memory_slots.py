"""How much may be decoded at once on this machine, over all processes. A number of slots -> a context that holds them.

Slots are file locks, which the kernel drops when a process dies, however it dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

SLOT_BYTES = 64 << 20
BUDGET_SHARE = 0.5  # of the machine's memory: the other half is the runner's
BUDGET_PER_CORE = 400_000_000  # bytes: a picture of 50 megapixels a core; of the largest only some go at once


def default_budget() -> int:
    """Bytes: BUDGET_PER_CORE for each core, and at most BUDGET_SHARE of the memory of the machine or container."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # a container's own limit: absent, or the word "max"
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return min(int(total * BUDGET_SHARE), BUDGET_PER_CORE * (os.cpu_count() or 1))


def _slot_folder() -> Path:
    """This user's folder of lock files. Raises RuntimeError if somebody else could replace them."""
    folder = Path(tempfile.gettempdir()) / f"tuneset-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise RuntimeError(f"{folder} must be a folder that only this user can enter: remove it, or set TMPDIR")
    return folder


@contextlib.contextmanager
def slots(count: int, total: int) -> Iterator[None]:
    """Hold `count` of the machine's first `total` slots; all of them means to run alone.

    Only who holds the gate takes slots, and those who give slots back need no gate: no deadlock, and a large picture is
    not overtaken for ever by small ones. A lock belongs to its open file, so threads exclude each other too.
    """
    folder = _slot_folder()
    held: dict[int, int] = {}  # slot -> descriptor
    try:
        gate = _open_lock(folder / "gate")
        try:
            fcntl.flock(gate, fcntl.LOCK_EX)
            while len(held) < count:
                for number in range(total):
                    if number not in held and (slot := _take(folder / f"slot-{number}")) is not None:
                        held[number] = slot
                        if len(held) == count:
                            break
                else:
                    time.sleep(0.01)
        finally:
            os.close(gate)
        yield
    finally:
        for slot in held.values():
            os.close(slot)


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _take(path: Path) -> int | None:
    """The descriptor that holds a file's exclusive lock; None where another holds it."""
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
