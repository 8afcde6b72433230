"""Calls that overlap: their order, how many of a process are under way at once, and what an error ends."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from transforms.storage.parallel import overlapped


class Callers:
    """Calls that each wait until `wanted` of them are under way."""

    def __init__(self, wanted: int) -> None:
        self._wanted, self._lock, self._all_here = wanted, threading.Lock(), threading.Event()
        self.now = self.most = 0

    def __call__(self, number: int) -> int:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now == self._wanted:
                self._all_here.set()
        assert self._all_here.wait(20)
        with self._lock:
            self.now -= 1
        return -number


def test_blocks_of_a_process_share_the_threads_and_keep_their_orders() -> None:
    calls = Callers(4)
    with ThreadPoolExecutor(3) as bundles:
        found = list(bundles.map(lambda at: list(overlapped(calls, range(at, at + 20), 4)), (0, 100, 200)))
    assert found == [[-number for number in range(at, at + 20)] for at in (0, 100, 200)]
    assert calls.most == 4
    threads = set(threading.enumerate())
    assert list(overlapped(calls, [], 5)) == [] and set(threading.enumerate()) <= threads


def test_the_first_error_ends_what_has_not_begun() -> None:
    begun, told = [], threading.Event()

    def call(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("the fourth")
        assert number < 3 or told.wait(20)
        return number

    got = []
    with pytest.raises(ValueError, match="the fourth"):
        for one in overlapped(call, range(100), 1):
            got.append(one)
    told.set()
    assert got == [0, 1, 2] and list(overlapped(call, [700], 1)) == [700]
    assert begun in ([0, 1, 2, 3, 700], [0, 1, 2, 3, 4, 700])


def test_calls_begin_before_their_results_are_wanted() -> None:
    begun = threading.Event()
    results = overlapped(lambda number: begun.set(), [1, 2, 3], 2)
    assert begun.wait(20) and list(results) == [None] * 3


def test_a_forked_child_has_threads_of_its_own() -> None:
    assert list(overlapped(abs, [-1], 2)) == [1]
    child = os.fork()
    if not child:
        os._exit(0 if list(overlapped(abs, [-2, -3], 2)) == [2, 3] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
