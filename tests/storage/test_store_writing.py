"""The contract of `Store`, held against local files and against a Cloud Storage server: creating, replacing, copying, deleting."""

from __future__ import annotations

import json
import os
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from store_place import Place
from wire import Given, Sent, response

from transforms.storage.api import Changed, NotFound, Stat
from transforms.storage.gcs.store import GcsStore
from transforms.storage.local import LocalStore


def test_create_writes_once(place: Place) -> None:
    assert place.store.create(place.uri("new/folder/f"), b"first", "application/json") is True
    before = place.store.stat(place.uri("new/folder/f"))
    assert place.store.create(place.uri("new/folder/f"), b"second!") is False
    assert place.store.read(before.uri) == (b"first", before)
    assert place.names() == ["new/folder/f"]


def test_create_race_has_one_winner(place: Place) -> None:
    for round_ in range(5):
        uri, barrier, results = place.uri(f"race-{round_}"), threading.Barrier(4), {}

        def run(me: bytes, uri: str = uri, barrier: Any = barrier, results: dict = results) -> None:
            barrier.wait()
            results[me] = place.store.create(uri, me * 100)

        threads = [threading.Thread(target=run, args=(b"%d" % i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = [me for me, won in results.items() if won]
        assert len(results) == 4 and place.store.read(uri)[0] == winner * 100
    assert place.names() == [f"race-{i}" for i in range(5)]


def test_replace_only_the_generation_that_was_seen(place: Place) -> None:
    uri = place.uri("claim")
    first = place.put("claim", b"1")
    assert place.store.replace(uri, b"22", first.generation) is True
    second = place.store.stat(uri)
    assert place.store.replace(uri, b"333", first.generation) is False
    assert place.store.read(uri) == (b"22", second)
    assert place.store.replace(uri, b"4444", "") is True
    place.store.delete([uri])
    assert place.store.replace(uri, b"55555", second.generation) is False
    assert place.names() == []


def test_replace_by_equal_bytes_is_another_generation(place: Place) -> None:
    generation, seen = place.put("f", b"same").generation, set()
    for _ in range(20):
        seen.add(generation)
        assert place.store.replace(place.uri("f"), b"same", generation)
        generation = place.store.stat(place.uri("f")).generation
    seen.add(generation)
    assert len(seen) == 21


def test_local_generations_move_within_one_tick_of_the_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = LocalStore._write

    def write_at_noon(self: LocalStore, path: str, data: bytes) -> None:
        write(self, path, data)
        os.utime(path, ns=(10**18, 10**18))

    monkeypatch.setattr(LocalStore, "_write", write_at_noon)
    test_replace_by_equal_bytes_is_another_generation(Place(LocalStore(), str(tmp_path)))


def test_local_replace_is_locked_while_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, both_inside = LocalStore._write, threading.Barrier(2)

    def write_slowly(self: LocalStore, path: str, data: bytes) -> None:
        with suppress(threading.BrokenBarrierError):
            both_inside.wait(0.2)
        write(self, path, data)

    place = Place(LocalStore(), str(tmp_path))
    generation = place.put("f", b"0").generation
    monkeypatch.setattr(LocalStore, "_write", write_slowly)
    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(lambda me: place.store.replace(place.uri("f"), me, generation), (b"1", b"2")))
    assert sorted(won) == [False, True]


def test_replace_race_has_one_winner(place: Place) -> None:
    generation, barrier, results = place.put("f", b"0").generation, threading.Barrier(4), []

    def run(me: bytes) -> None:
        barrier.wait()
        if place.store.replace(place.uri("f"), me, generation):
            results.append(me)

    threads = [threading.Thread(target=run, args=(b"%d" % i,)) for i in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [place.store.read(place.uri("f"))[0]] == results


def test_delete_again_is_no_error(place: Place) -> None:
    uris = [place.put(f"d/{i}", b"x").uri for i in range(12)]
    place.store.delete([*uris[:7], place.uri("never"), place.uri("d/11/below a file")])
    place.store.delete(iter(uris[:7]))
    assert place.names() == sorted(f"d/{i}" for i in range(7, 12))
    place.store.delete([])


@pytest.fixture
def copying(place: Place, request: pytest.FixtureRequest) -> Place:
    """The server of this machine copies whatever the conditions are, so they are judged on the way to it."""
    if isinstance(place.store, GcsStore):
        server, wire = request.getfixturevalue("gcs").url, request.getfixturevalue("wire")

        def generation(path: str) -> str:
            try:
                with urllib.request.urlopen(f"{server}/storage/v1/{path}") as answer:
                    return str(json.loads(answer.read())["generation"])
            except urllib.error.HTTPError:
                return "0"

        def judge(request: Sent) -> Given | None:
            path, _, asked = request.url.partition("?")
            source, rewrites, target = path.removeprefix("/storage/v1/").partition("/rewriteTo/")
            conditions = parse_qs(asked)
            wanted = {"ifGenerationMatch": target, "ifSourceGenerationMatch": source}
            held = [conditions[name] == [generation(path)] for name, path in wanted.items() if name in conditions]
            return None if not rewrites or all(held) else response(412, b"{}")

        wire.answer = judge
    return place


def test_copy_is_whole_and_only_if_absent(copying: Place) -> None:
    place = copying
    source = place.put("from", b"as it is")
    assert place.store.copy(source, place.uri("new/to")) is True
    copied = place.store.stat(place.uri("new/to"))
    assert place.store.read(copied.uri) == (b"as it is", copied)
    other = place.put("other", b"another")
    assert place.store.copy(other, copied.uri) is False
    assert place.store.copy(Stat(other.uri, other.size, ""), copied.uri) is False
    assert place.store.read(copied.uri) == (b"as it is", copied)
    assert place.store.copy(Stat(other.uri, other.size, ""), place.uri("any")) is True


def test_copy_of_another_version_or_of_nothing_writes_nothing(copying: Place) -> None:
    place = copying
    old = place.put("from", b"old")
    place.put("from", b"newer")
    with pytest.raises(Changed, match="no longer"):
        place.store.copy(old, place.uri("to"))
    with pytest.raises(NotFound):
        place.store.copy(Stat(place.uri("missing"), 1, ""), place.uri("to"))
    assert place.names() == ["from"]


def test_local_copies_at_once_are_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(LocalStore(), str(tmp_path))
    first, second = place.put("a", b"first"), place.put("b", b"second")
    assert place.store.copy(first, place.uri("to"))
    monkeypatch.setattr(os.path, "lexists", lambda path: False)  # as both saw it
    assert place.store.copy(second, place.uri("to")) is False
    assert place.store.read(place.uri("to"))[0] == b"first"
