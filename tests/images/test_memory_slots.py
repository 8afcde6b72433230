"""The machine's budget of memory: slots that all processes share, and what each picture takes of them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from helper_pools import POLICY, SMALL, bmp
from waiting import until

from transforms.core.reasons import ImageError
from transforms.images.helper import memory_slots
from transforms.images.helper import pool as helper_pool
from transforms.images.helper.pool import DecoderPool

pytestmark = pytest.mark.usefixtures("own_slots")


def test_slots_are_shared_by_all_processes_and_released_by_death(tmp_path: Path) -> None:
    holder = f"""
import sys, time
sys.path[:] = {sys.path!r}
from transforms.images.helper import memory_slots as budget
with budget.slots(3, 4):
    print("held", flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen(
        [sys.executable, "-c", holder], stdout=subprocess.PIPE, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    process.stdout.close()
    with memory_slots.slots(1, 4):
        pass
    entered = threading.Event()

    def take_two() -> None:
        with memory_slots.slots(2, 4):
            entered.set()

    thread = threading.Thread(target=take_two)
    thread.start()
    assert not entered.wait(0.2)
    process.kill()
    process.wait()
    assert entered.wait(5)
    thread.join()


def test_many_threads_never_hold_more_than_the_budget() -> None:
    held, most, lock = 0, 0, threading.Lock()
    alone: list[int] = []

    def work(count: int) -> None:
        nonlocal held, most
        for _ in range(5):
            with memory_slots.slots(count, 4):
                with lock:
                    held += count
                    most = max(most, held)
                time.sleep(0.002)
                with lock:
                    if count == 4:
                        alone.append(held)
                    held -= count

    threads = [threading.Thread(target=work, args=(count,)) for count in (1, 1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (held, most <= 4, alone) == (0, True, [4] * 5)


def test_a_large_picture_is_not_overtaken_by_small_ones(tmp_path: Path) -> None:
    """It keeps the gate while it waits. Without one, each would hold some of what the others wait for."""
    served: list[int] = []

    def take(count: int) -> None:
        with memory_slots.slots(count, 4):
            served.append(count)

    def waits() -> bool:
        with open(tmp_path / f"tuneset-{os.getuid()}" / "gate", "wb") as gate:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    threads = [threading.Thread(target=take, args=(count,)) for count in (4, 2, 2, 2, 2)]
    with memory_slots.slots(1, 4):
        threads[0].start()
        assert until(waits)
        for thread in threads[1:]:
            thread.start()
    for thread in threads:
        thread.join(30)
    assert served == [4, 2, 2, 2, 2]


@pytest.mark.parametrize(
    ("file", "each"),
    [
        (b"\x89PNG", 10),
        (b"\xff\xd8\xff\xc0", 6),
        (b"\xff\xd8\xff\xe1" + bytes(70_000) + b"\xff\xc2", 12),
        (b"RIFF", 18),
    ],
    ids=("png", "jpeg", "progressive", "webp"),
)
def test_a_picture_takes_slots_by_its_pixels(monkeypatch: pytest.MonkeyPatch, file: bytes, each: int) -> None:
    """In slots of 64 MiB, the file counted in; one that is larger than the whole budget, or of unknown size, runs alone."""
    counts: list[tuple[int, int]] = []
    real = memory_slots.slots

    def watched(count: int, total: int) -> Any:
        counts.append((count, total))
        return real(count, total)

    monkeypatch.setattr(helper_pool, "slots", watched)
    pool = DecoderPool(workers=1, budget_bytes=3 * SMALL)
    for pixels, size in (
        (1, 4),
        (100, SMALL - 100 * each),
        (100, SMALL - 100 * each + 1),
        (SMALL // each + 1, 0),
        (10**8, 0),
        (0, 1),
    ):
        kind = {10: "png", 18: "webp"}.get(each, "jpeg")
        with pytest.raises(ImageError):
            pool.fit(lambda: file, POLICY, source="s", header_type=kind, pixels=pixels, size=size)
    pool.close()
    assert counts == [(1, 3), (1, 3), (2, 3), (2, 3), (3, 3), (3, 3)]


@pytest.mark.parametrize("size, before", [(SMALL, True), (SMALL + 1, False)])
def test_a_large_file_is_not_read_before_it_has_its_slots(pool: DecoderPool, size: int, before: bool) -> None:
    read = threading.Event()

    def file() -> bytes:
        read.set()
        return bmp()

    def fit() -> None:
        pool.fit(file, POLICY, source="s", header_type="bmp", pixels=64_000, size=size)

    thread = threading.Thread(target=fit)
    with memory_slots.slots(4, 4):
        thread.start()
        assert read.wait(10 if before else 0.3) == before
    thread.join(30)
    assert read.is_set()


def test_the_usual_budget_is_400_mb_a_core_and_at_most_half_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for cores in (1, 2, 1_000_000):
        monkeypatch.setattr(memory_slots.os, "cpu_count", lambda cores=cores: cores)
        found.append(memory_slots.default_budget())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert found[:2] == [400_000_000, 800_000_000] and 800_000_000 < found[2] <= memory // 2


def test_pictures_that_wait_for_a_helper_are_not_all_read_ahead() -> None:
    """At most two a helper, however many threads ask."""
    lock, held, most = threading.Lock(), 0, 0
    pool = DecoderPool(workers=1)

    def read() -> bytes:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return bmp()

    def work() -> None:
        nonlocal held
        pool.fit(read, POLICY, source="s", header_type="bmp", pixels=64_000, size=len(bmp()))
        with lock:
            held -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    pool.close()
    # The next may be read before its forerunner's thread has counted itself out.
    assert held == 0 and 2 <= most <= 4


def test_a_folder_of_locks_that_others_can_enter_is_refused(tmp_path: Path) -> None:
    with memory_slots.slots(1, 1):
        folder = tmp_path / f"tuneset-{os.getuid()}"
        assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o755)
    with pytest.raises(RuntimeError, match="only this user can enter"), memory_slots.slots(1, 1):
        pass
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RuntimeError, match="only this user can enter"), memory_slots.slots(1, 1):
        pass
