"""Objects that are read by the hundred in one thread: their order, what each may cost, faults of all kinds, forks and ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import Fault
from flaky_server import FAULTS, content, flaky_server
from folders import jpeg
from google.auth.credentials import AnonymousCredentials
from google.auth.exceptions import TransportError
from inspecting import inspector
from one_object import certificate_of, serving

from transforms import storage
from transforms.images.inspection import look_at
from transforms.storage.api import Stat, StorageError, Unavailable
from transforms.storage.curl import handle
from transforms.storage.curl import loop as curl_loop
from transforms.storage.curl.loop import CurlLoop
from transforms.storage.gcs import client
from transforms.storage.gcs.store import GcsStore
from transforms.storage.parallel import read_together, stat_each
from transforms.storage.reads import ASIDE, Pause, Range, Reads

LONG = bool(os.environ.get("TUNESET_LONG"))
OBJECTS = 10_000 if LONG else 1_500


@pytest.fixture
def cloud_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The store of this process asks a server that knows no trouble."""
    with flaky_server(0.0001) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.delitem(storage._stores, "gs", raising=False)
        yield
        storage._stores.pop("gs", None)


def uris_of(prefix: str, count: int) -> list[str]:
    return [f"gs://bucket/{prefix}{number}" for number in range(count)]


def both_ends(uri: str) -> Reads[tuple[bytes, bytes] | str]:
    try:
        head, found = yield Range(0, 100)
        tail, _ = yield Range(found.size - 50, found.size, found.generation)
    except StorageError as error:
        return error.reason
    return head, tail


def expected(uri: str) -> tuple[bytes, bytes] | str:
    name = uri.rpartition("/")[2]
    reasons = {"gone": "image_not_found", "shut": "image_forbidden"}
    return reasons.get(name[:4]) or (content(name)[:100], content(name)[-50:])


# --- many at once


class Callers:
    """Generators that count how many of them are under way."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def __call__(self, uri: str) -> Reads[str]:
        self.now += 1
        self.most = max(self.most, self.now)
        yield Pause(0.002)
        self.now -= 1
        return uri[::-1]


def test_blocks_of_a_process_share_the_places_and_keep_their_orders(cloud_server: None) -> None:
    calls, blocks = Callers(), [uris_of(prefix, 40) for prefix in "abc"]
    with ThreadPoolExecutor(3) as bundles:
        found = list(bundles.map(lambda uris: list(read_together(calls, uris, 4)), blocks))
    assert found == [[uri[::-1] for uri in uris] for uris in blocks]
    assert calls.most == 4


def test_thousands_that_end_as_they_begin_are_no_trouble(cloud_server: None) -> None:
    def at_once(uri: str) -> Reads[str]:
        return uri
        yield ASIDE

    assert list(read_together(at_once, uris_of("", 5_000), 4)) == uris_of("", 5_000)
    assert list(read_together(at_once, [], 4)) == []


def test_the_first_error_ends_what_has_not_begun(cloud_server: None) -> None:
    begun = []

    def read(uri: str) -> Reads[str]:
        begun.append(uri)
        yield Pause(0)
        if uri.endswith("/x3"):
            raise ValueError("the fourth")
        return uri

    uris, got = uris_of("x", 100), []
    with pytest.raises(ValueError, match="the fourth"):
        for one in read_together(read, uris, 1):
            got.append(one)
    assert got == uris[:3] and begun == uris[:4]
    assert list(read_together(read, uris[4:6], 1)) == uris[4:6]  # the place is free again


@pytest.mark.parametrize("taken", [0, 1])
def test_reads_begin_before_they_are_wanted_and_no_more_when_they_are_not(cloud_server: None, taken: int) -> None:
    begun, both, gate = [], threading.Event(), threading.Event()

    def read(uri: str) -> Reads[None]:
        begun.append(uri)
        if len(begun) == 2:
            both.set()
        yield ASIDE
        assert gate.wait(20)
        return None

    results = read_together(read, uris_of("x", 100), 2)
    assert both.wait(20)
    if taken:
        gate.set()
        assert next(results) is None and len(begun) == 100
    del results
    gate.set()
    assert list(read_together(read, uris_of("y", 1), 2)) == [None]
    assert len(begun) == (101 if taken else 3)


def test_who_computes_or_waits_holds_nobody_up(cloud_server: None) -> None:
    """More of them than there are threads for, and each needs the loop once more."""
    done, last = [], threading.Event()
    waiting = curl_loop._ASIDE + 8

    def read(uri: str) -> Reads[str]:
        if uri.endswith("/last"):
            yield Range(0, 10)
            last.set()
            return uri
        yield ASIDE
        assert last.wait(20)
        data, _ = yield Range(0, 10)
        done.append(data)
        return uri

    uris = [*uris_of("w", waiting), "gs://bucket/last"]
    assert list(read_together(read, uris, 256)) == uris and len(done) == waiting


def test_stats_come_in_order_each_with_what_is_wrong_with_it(cloud: Any, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.write_bytes(b"abc")
    uris = [cloud.put("a", b"0123"), str(there), f"{cloud.uri}/none", str(tmp_path / "none"), cloud.put("b", b"")]
    found = list(stat_each(uris, 4))
    assert [one.size if isinstance(one, Stat) else one.reason for one in found] == [
        4,
        3,
        "image_not_found",
        "image_not_found",
        0,
    ]
    assert [one.uri for one in found if isinstance(one, Stat)] == [uris[0], uris[1], uris[4]]


def test_storage_that_is_away_is_asked_again_and_then_it_is_said(
    cloud: Any, proxy: Any, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(0.05))
    uri = cloud.put("a.jpg", jpeg())
    proxy.fault = lambda request: Fault("answer", 503)
    reading, looks = look_at([uri], inspector("gs://"))
    with pytest.raises(Unavailable, match="no answer after retries"):
        list(looks)
    assert reading and len(proxy.seen) >= 3  # the look is begun thrice
    proxy.fault = lambda request: None
    assert [facts.reason for facts in look_at([uri], inspector("gs://"))[1]] == [""]


# --- tokens


class Tokens(AnonymousCredentials):
    """A token that has to be got first, which takes a while, and is not to be had at first."""

    valid = False  # type: ignore[assignment]

    def __init__(self, failures: int) -> None:
        super().__init__()
        self.failures, self.asked = failures, list[str]()

    def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
        if not self.valid:
            self.asked.append(threading.current_thread().name)
            if len(self.asked) <= self.failures:
                raise TransportError(ConnectionError("no route"))
            self.valid = True
        headers["authorization"] = "Bearer 1"


def test_a_token_is_got_once_beside_the_loop_and_asked_for_again(cloud_server: None, impatient: None) -> None:
    uris = uris_of("t", 50)
    store = storage.store_for(uris[0])
    assert isinstance(store, GcsStore)
    tokens = Tokens(2)
    store._client()._http.credentials = tokens
    assert list(read_together(both_ends, uris, 50)) == list(map(expected, uris))
    assert len(tokens.asked) == 3 and "transfers" not in tokens.asked


# --- faults


@pytest.mark.timeout(300)
def test_of_many_objects_each_is_right_or_has_a_reason(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """With 1 % of each fault: and memory and descriptors are as before."""
    monkeypatch.setattr(handle, "PATIENCE", 0.5)
    monkeypatch.setattr(curl_loop, "_IDLE_S", 0.1)
    monkeypatch.setitem(curl_loop._loops, "", CurlLoop())
    with flaky_server(1.0) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.url)
        monkeypatch.delitem(storage._stores, "gs", raising=False)
        names = ["gone", "shut", *["n"] * 198]
        uris = [f"gs://bucket/{names[number % len(names)]}{number}" for number in range(OBJECTS)]
        assert list(read_together(both_ends, uris[:200], 64)) == list(map(expected, uris[:200]))
        wait_for(lambda: curl_loop._loops[""]._thread is None)
        descriptors = open_descriptors()
        tracemalloc.start()
        try:
            for at in range(200, OBJECTS, 1300):
                before = tracemalloc.get_traced_memory()[0]
                some = uris[at : at + 1300]
                assert list(read_together(both_ends, some, 64)) == list(map(expected, some))
            assert tracemalloc.get_traced_memory()[0] - before < 2_000_000
        finally:
            tracemalloc.stop()
        assert set(server.done) == {"", *FAULTS}
        wait_for(lambda: curl_loop._loops[""]._thread is None)
        wait_for(lambda: open_descriptors() <= descriptors)
    storage._stores.pop("gs", None)


def open_descriptors() -> int:
    """Also those of the server in this process, whose threads close theirs a moment later."""
    return len(os.listdir("/dev/fd"))


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_fault_of_our_own_ends_no_wait_without_an_error(cloud_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits is told, and what comes later is read anew."""

    def broken(*_: Any) -> None:
        raise ArithmeticError("a bug")

    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr("transforms.storage.gcs.exchange._refusal", broken)
        with pytest.raises(ArithmeticError, match="a bug"):
            list(read_together(both_ends, uris_of("gone", 3), 2))
        with pytest.raises(ArithmeticError, match="a bug"):
            storage.store_for("gs://bucket").read("gs://bucket/gone", 0, 5)
    assert list(read_together(both_ends, uris_of("n", 3), 2)) == list(map(expected, uris_of("n", 3)))


# --- processes

FORK = """
import os, sys
from transforms.storage.parallel import read_together
from transforms.storage import store_for
from transforms.storage.reads import Range

def read(uri):
    data, _ = yield Range(0, 3)
    return data

uris = [f"gs://bucket/{n}" for n in range(300)]
assert list(read_together(read, uris[:8], 8)) == [b"abc"] * 8  # so that there are connections
results = read_together(read, uris, 8)
children = []
for ends in (sys.exit, os._exit):
    child = os.fork()
    if not child:
        ok = store_for("gs://bucket").read("gs://bucket/child", 0, 3)[0] == b"abc"
        ok = ok and list(read_together(read, uris[:9], 3)) == [b"abc"] * 9
        ends(0 if ok else 1)
    children.append(child)
assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
assert list(results) == [b"abc"] * 300
"""


def test_a_fork_in_mid_transfer_disturbs_neither(tmp_path: Path) -> None:
    """Not even the parent's TLS connections: nothing is asked for twice."""
    certificate = certificate_of(tmp_path / "certificate", "localhost", timedelta(hours=1))
    with serving(certificate) as (host, asked):
        environment = {"STORAGE_EMULATOR_HOST": f"https://{host}", "REQUESTS_CA_BUNDLE": str(certificate)}
        forked = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", FORK],  # of old Pythons, and since 3.12 of forks
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert (forked.returncode, forked.stderr) == (0, "")
        assert len(asked) == 8 + 300 + 2 * (1 + 9)


def test_a_process_ends_while_it_reads(tmp_path: Path) -> None:
    code = FORK.partition("children")[0]
    with serving() as (host, _):
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code],
            env=os.environ | {"STORAGE_EMULATOR_HOST": f"http://{host}"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (ended.returncode, ended.stderr) == (0, "")


def test_the_thread_ends_when_there_is_nothing_to_do(cloud_server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curl_loop, "_IDLE_S", 0.05)
    monkeypatch.setitem(curl_loop._loops, "", CurlLoop())
    for _ in range(3):
        assert list(read_together(both_ends, uris_of("n", 3), 2)) == list(map(expected, uris_of("n", 3)))
        assert curl_loop._loops[""]._thread is not None
        wait_for(lambda: curl_loop._loops[""]._thread is None)
