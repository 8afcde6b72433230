"""The contract of `Store`, held against local files and against a Cloud Storage server."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import pickle
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from google.auth.credentials import AnonymousCredentials
from wire import LOST, Given, Sent, Wire, response, wired

from transforms import storage
from transforms.storage import local, store_for
from transforms.storage.api import (
    Changed,
    Forbidden,
    NotAFile,
    NotFound,
    Piece,
    Stat,
    StorageError,
    Store,
    Unavailable,
    crc32c,
    join_uri,
)
from transforms.storage.gcs import client as storage_client
from transforms.storage.gcs import compose
from transforms.storage.gcs.store import GcsStore
from transforms.storage.local import LocalStore


@dataclass
class Place:
    store: Store
    root: str

    def uri(self, name: str) -> str:
        return join_uri(self.root, name)

    def put(self, name: str, data: bytes) -> Stat:
        assert self.store.replace(self.uri(name), data, "")
        return self.store.stat(self.uri(name))

    def names(self) -> list[str]:
        return [found.uri.removeprefix(self.root + "/") for found in self.store.list(self.root)]

    def piece(self, name: str, data: bytes, start: int = 0, end: int | None = None) -> Piece:
        """Of an object made to hold `data`."""
        self.put(name, data)
        return Piece(self.uri(name), start, len(data) if end is None else end, len(data), crc32c(data))


@pytest.fixture(params=["local", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return Place(LocalStore(), str(tmp_path))
    return Place(GcsStore(), request.getfixturevalue("bucket"))


# --- both stores: reading


def test_stat_is_the_size_and_a_generation_that_moves(place: Place) -> None:
    first = place.put("f", b"12345")
    assert first == Stat(place.uri("f"), 5, first.generation) and first.generation
    second = place.put("f", b"123456")
    assert second.size == 6 and second.generation != first.generation


@pytest.mark.parametrize("end", [None, 0, 1, 9, 10, 11, 1000])
@pytest.mark.parametrize("start", [0, 1, 9, 10, 11])
def test_read_is_a_slice_at_every_boundary(place: Place, start: int, end: int | None) -> None:
    data = b"0123456789"
    found = place.put("f", data)
    assert place.store.read(found.uri, start, end) == (data[start:end], found)
    assert place.store.read(found.uri, start, end, found.generation) == (data[start:end], found)


@pytest.mark.parametrize("start, end", [(0, None), (0, 0), (0, 1), (1, 2), (5, None)])
def test_read_of_an_empty_object(place: Place, start: int, end: int | None) -> None:
    found = place.put("empty", b"")
    assert place.store.read(found.uri, start, end) == (b"", found)


@pytest.mark.parametrize("start, end", [(0, None), (1, 3), (100, None), (2, 2)])
def test_read_of_a_generation_that_is_gone(place: Place, start: int, end: int | None) -> None:
    old = place.put("f", b"old")
    new = place.put("f", b"newer")
    with pytest.raises(Changed, match=old.generation):
        place.store.read(old.uri, start, end, old.generation)
    place.store.delete([new.uri])
    with pytest.raises(NotFound):
        place.store.read(old.uri, start, end, old.generation)


@pytest.mark.parametrize("name", ["missing", "no/such/folder", "f/below a file", "\ud800"])
def test_what_is_missing_is_not_found(place: Place, name: str) -> None:
    place.put("f", b"")
    for ask in (place.store.stat, place.store.read):
        with pytest.raises(NotFound) as caught:
            ask(place.uri(name))
        assert caught.value.reason == "image_not_found"


AWKWARD = ["a b", "a#b", "a?b", "a%b", "a%2Fb", "a+b&c=d", "'\"*[x]", "ä/ü", "日本/語.jpg", "😀", "..a", "a/.b", "~"]


def test_awkward_names_come_back_as_they_went(place: Place) -> None:
    for name in AWKWARD:
        assert place.store.create(place.uri(name), name.encode())
    assert sorted(place.names()) == sorted(AWKWARD)
    for name in AWKWARD:
        data, found = place.store.read(place.uri(name))
        assert (data, found) == (name.encode(), place.store.stat(place.uri(name)))
        assert place.store.read(place.uri(name), 1, 2, found.generation)[0] == name.encode()[1:2]
    place.store.delete([place.uri(name) for name in AWKWARD])
    assert place.names() == []


def test_list_is_in_the_order_of_names_as_bytes(place: Place) -> None:
    names = ["a-b", "a/b", "a/b-c", "a/b.c/d", "a/b0", "a0", "A", "Z/z", "b/ü", "b/z", "b/日", "b/😀", "b/\uffee", "c"]
    sizes = {name: i for i, name in enumerate(names)}
    for name in names:
        place.put(name, b"." * sizes[name])
    expected = sorted(names, key=str.encode)
    assert [(found.uri, found.size) for found in place.store.list(place.root)] == [
        (place.uri(name), sizes[name]) for name in expected
    ]
    assert list(place.store.list(place.root)) == [place.store.stat(place.uri(name)) for name in expected]


@pytest.mark.parametrize("slash", ["", "/"])
def test_list_of_a_folder_is_what_lies_below_it(place: Place, slash: str) -> None:
    for name in ("in/x", "in/deep/y", "in-not", "inner/z"):
        place.put(name, b"")
    below = [found.uri for found in place.store.list(place.uri("in") + slash)]
    assert below == [place.uri("in/deep/y"), place.uri("in/x")]
    assert list(place.store.list(place.uri("none") + slash)) == []
    assert list(place.store.list(place.uri("in-not") + slash)) == []


# --- both stores: writing


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


def test_what_is_away_is_asked_for_three_times_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "PAUSES", (0.0, 0.0))
    for error, times in ((Unavailable("busy"), 3), (NotFound("gone"), 1), (Changed("another"), 1)):
        asked: list[int] = []

        def ask(number: int, asked: list[int] = asked, error: StorageError = error) -> int:
            asked.append(number)
            raise error

        with pytest.raises(type(error)):
            storage.persistently(ask, 7)
        assert asked == [7] * times
    answers = iter([Unavailable("busy"), 8])

    def ask_again() -> Any:
        if isinstance(answer := next(answers), Exception):
            raise answer
        return answer

    assert storage.persistently(ask_again) == 8


# --- both stores: joining

JSONL = "application/json-lines"


def joined(place: Place, pieces: list[Piece]) -> bytes:
    """Join, and check all that is promised about the outcome but the bytes."""
    before = place.names()
    stat, checksum = place.store.join(place.uri("out/joined"), pieces, JSONL)
    data, found = place.store.read(place.uri("out/joined"))
    assert (stat, checksum) == (found, crc32c(data))
    assert place.names() == sorted({*before, "out/joined"})  # nothing temporary is left
    return data


@pytest.mark.parametrize("count", [0, 1, 2, 31, 32, 33, 70])
def test_join_of_whole_objects(place: Place, count: int) -> None:
    pieces = [place.piece(f"p/{i:03}", b"<%d>" % i * (i + 1)) for i in range(count)]
    assert joined(place, pieces) == b"".join(b"<%d>" % i * (i + 1) for i in range(count))


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("small", [8 << 20, 0])
def test_join_of_ranges(place: Place, monkeypatch: pytest.MonkeyPatch, known: bool, small: int) -> None:
    monkeypatch.setattr(compose, "SMALL", small)
    monkeypatch.setattr(compose, "COPY", 16)
    pieces = [
        place.piece("p/0", b"0123456789", 3),
        place.piece("p/1", b"abcdefghij", 0, 9),
        place.piece("p/2", b"KLMNOPQRST", 9, 10),
        place.piece("p/3", b"whole"),
        place.piece("p/4", b"nothing of this", 5, 5),
        place.piece("p/5", b"z" * 50 + b"y" * 50, 1, 99),  # longer than is held at once
        place.piece("p/6", b"also whole"),
        place.piece("p/7", b""),
        place.piece("p/8", b"end.", 1),
    ]
    if not known:
        pieces = [Piece(p.uri, p.start, p.end, p.size) for p in pieces]
    assert joined(place, pieces) == b"3456789abcdefghiTwhole" + b"z" * 49 + b"y" * 49 + b"also wholend."


def test_join_of_one_object_again_and_again_and_over_itself(place: Place) -> None:
    piece = place.piece("p", b"ab")
    assert joined(place, [piece] * 40) == b"ab" * 40
    assert joined(place, [piece]) == b"ab"
    again = place.piece("out/joined", b"self")
    assert joined(place, [again, piece, again]) == b"selfabself"


def test_join_replaces_and_leaves_its_pieces(place: Place) -> None:
    pieces = [place.piece("p/0", b"abc"), place.piece("p/1", b"def", 1)]
    place.put("out/joined", b"what was there before")
    assert joined(place, pieces) == joined(place, pieces) == b"abcef"
    assert [place.store.read(piece.uri)[0] for piece in pieces] == [b"abc", b"def"]


@pytest.mark.parametrize("small", [8 << 20, 0])
@pytest.mark.parametrize("count", [1, 3, 40])
@pytest.mark.parametrize(
    "begin, now",
    [(0, b"piecE"), (0, b"piece+"), (0, b"piec"), (1, b"piece+"), (1, b"")],
    ids=["bytes", "longer", "shorter", "range of longer", "range of empty"],
)
def test_join_notices_a_changed_piece(
    place: Place, monkeypatch: pytest.MonkeyPatch, begin: int, now: bytes, count: int, small: int
) -> None:
    monkeypatch.setattr(compose, "SMALL", small)
    pieces = [place.piece(f"p/{i:02}", b"piece", begin if i == count // 2 else 0) for i in range(count)]
    place.put(f"p/{count // 2:02}", now)
    before = place.names()
    with pytest.raises(Changed):
        place.store.join(place.uri("out/joined"), pieces, JSONL)
    assert place.names() == before  # neither the object nor anything temporary


def test_join_notices_a_changed_size_without_checksums(place: Place) -> None:
    pieces = [Piece(place.put(f"p/{i}", b"piece").uri, 0, 5, 5) for i in range(3)]
    place.put("p/1", b"piece+")
    with pytest.raises(Changed):
        place.store.join(place.uri("out/joined"), pieces, JSONL)
    assert place.names() == ["p/0", "p/1", "p/2"]


def test_join_notices_changed_bytes_of_what_it_copies(place: Place) -> None:
    pieces = [place.piece("p/0", b"piece", 1), place.piece("p/1", b"piece")]
    place.put("p/1", b"piecE")
    with pytest.raises(Changed, match="CRC32C"):
        place.store.join(place.uri("out/joined"), pieces, JSONL)


# --- local files only


@pytest.fixture
def odd_files(tmp_path: Path) -> Iterator[dict[str, str]]:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    names = {name: str(tmp_path / name) for name in ("fifo", "dangling", "loop", "folder")}
    yield names | {"device": "/dev/zero", "nul": str(tmp_path / "a\0b"), "long": str(tmp_path / ("n" * 256))}


@pytest.mark.parametrize(
    "which, error",
    [
        ("fifo", NotAFile),
        ("device", NotAFile),
        ("folder", NotAFile),
        ("loop", NotAFile),
        ("long", NotAFile),
        ("dangling", NotFound),
        ("nul", NotFound),
    ],
)
def test_local_what_is_no_file(odd_files: dict[str, str], which: str, error: type[StorageError]) -> None:
    for ask in (LocalStore().stat, LocalStore().read):
        with pytest.raises(error):
            ask(odd_files[which])


def test_local_list_passes_over_what_is_no_file(odd_files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "folder link").symlink_to(tmp_path / "folder")
    assert [found.uri for found in LocalStore().list(str(tmp_path))] == [str(tmp_path / "file"), str(tmp_path / "link")]
    assert list(LocalStore().list(odd_files["nul"])) == []


def test_local_relative_paths_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = LocalStore()
    assert store.create("a", b"abc") and store.replace("b", b"def", "")
    store.join("c", [Piece("a", 0, 3, 3), Piece("b", 0, 3, 3)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"abc", "b": b"def", "c": b"abcdef"}


def test_local_longest_names_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "😀" * 63):
        assert LocalStore().create(str(tmp_path / name), b"x") and LocalStore().replace(str(tmp_path / name), b"y", "")
    assert len(list(tmp_path.iterdir())) == 2


def test_local_writers_of_two_machines_never_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers that share a folder may both be process 1, in threads of one number."""
    store, uri = LocalStore(), str(tmp_path / "f")
    with store._aside(uri) as one:
        monkeypatch.setattr(local, "_TOKEN", os.urandom(4).hex())  # as in a process of its own
        with store._aside(uri) as other:
            assert one != other


def test_local_failed_writes_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    store = LocalStore()
    with pytest.raises(NotAFile):
        store.replace(str(tmp_path / "folder"), b"x", "")
    with pytest.raises(NotAFile):
        store.create(str(tmp_path / "file" / "f"), b"x")
    missing = str(tmp_path / "missing")
    with pytest.raises(NotFound, match="missing does not exist"):
        store.join(str(tmp_path / "out"), [Piece(missing, 0, 3, 3)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


# --- gs:// only


@pytest.fixture
def wire(gcs: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Begins when the bucket is there."""
    with wired(gcs.url) as wire:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", wire.url)
        yield wire


def test_gs_what_each_call_costs_in_requests(bucket: str, wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(GcsStore(), bucket)
    whole = [place.piece(f"p/{i:02}", b"piece") for i in range(40)]
    found = whole[0]

    def cost(call: Callable[[], Any]) -> int:
        wire.sent.clear()
        call()
        return len(wire.sent)

    def join(*pieces: Piece) -> int:
        return cost(lambda: place.store.join(place.uri("out"), pieces, JSONL))

    assert cost(lambda: place.store.read(found.uri)) == 1
    assert cost(lambda: place.store.read(found.uri, 1, 3, place.store.stat(found.uri).generation)) == 2
    assert wire.sent[1] == f"GET /download/storage/v1/b/{bucket[5:]}/o/p%2F00"
    assert cost(lambda: place.store.read(found.uri, 2, 2)) == 1
    assert "/download/" not in wire.sent[0]  # for no bytes, none are sent
    assert cost(lambda: place.store.stat(found.uri)) == 1
    assert cost(lambda: list(place.store.list(bucket))) == 1
    assert cost(lambda: place.store.create(place.uri("new"), b"x")) == 1
    part = Piece(found.uri, 1, 5, 5)
    assert join() == 1
    assert join(*whole[:1]) == join(*whole[:32]) == 1
    assert join(*whole[:33]) == 3  # two composes (the 33rd is passed on) and a delete
    assert join(*whole) == 5
    assert join(part) == 2
    assert join(part, *whole[:1]) == 3  # read, read, put: composing would be read, put, compose, delete
    assert join(part, *whole[:20], part) == 7
    assert join(*[part] * 20) == 21
    monkeypatch.setattr(compose, "SMALL", 0)
    assert join(*[part] * 4) == 5
    monkeypatch.setattr(compose, "COPY", 7)  # no two of 4 bytes are held at once
    assert join(*[part] * 4) == 13  # four times read, put and delete; one compose


def test_gs_read_is_one_ranged_request_of_stored_bytes(bucket: str, gcs: Any, wire: Wire) -> None:
    stored = gzip.compress(b"text " * 1000)
    blob = gcs.client.bucket(bucket[5:]).blob("zipped")
    blob.content_encoding = "gzip"
    blob.upload_from_string(stored)
    wire.sent.clear()
    store, uri = GcsStore(), f"{bucket}/zipped"
    expected = Stat(uri, len(stored), str(blob.generation), "gzip")
    assert store.stat(uri) == expected and list(store.list(bucket)) == [expected]
    wire.sent.clear()
    assert store.read(uri) == (stored, expected)
    assert store.read(uri, 2, 12) == (stored[2:12], expected)
    assert len(wire.sent) == 2


def test_gs_past_the_end_takes_the_size_from_the_answer(wire: Wire, bucket: str) -> None:
    wire.answer = lambda request: response(416, b"<xml/>", {"Content-Range": "bytes */10", "x-goog-generation": "7"})
    assert GcsStore().read(f"{bucket}/f", 10, 20) == (b"", Stat(f"{bucket}/f", 10, "7"))
    assert len(wire.sent) == 1


def test_gs_a_server_that_ignores_the_range(wire: Wire, bucket: str) -> None:
    wire.answer = lambda request: response(200, b"0123456789", {"x-goog-generation": "7"})
    assert GcsStore().read(f"{bucket}/f", 2, 5) == (b"234", Stat(f"{bucket}/f", 10, "7"))


def test_gs_list_skips_placeholders_and_lists_a_bucket_with_or_without_slash(bucket: str) -> None:
    place = Place(GcsStore(), bucket)
    for name in ("folder/", "folder/a", "z"):
        place.put(name, b"x")
    assert [found.uri for found in place.store.list(bucket)] == [f"{bucket}/folder/a", f"{bucket}/z"]
    assert list(place.store.list(bucket)) == list(place.store.list(bucket + "/"))


def test_gs_content_types(bucket: str, gcs: Any) -> None:
    place = Place(GcsStore(), bucket)
    place.store.create(place.uri("created"), b"x", "image/jpeg")
    place.store.create(place.uri("plain"), b"x")
    place.store.join(place.uri("composed"), [place.piece("p", b"x")] * 2, JSONL)
    place.store.join(place.uri("uploaded"), [place.piece("q", b"xy", 1)], JSONL)
    types = {blob.name: blob.content_type for blob in gcs.client.list_blobs(bucket[5:])}
    assert {blob.cache_control for blob in gcs.client.list_blobs(bucket[5:])} == {"no-store"}  # else read stale
    assert {name: types[name] for name in ("created", "plain", "composed", "uploaded")} == {
        "created": "image/jpeg",
        "plain": "application/octet-stream",
        "composed": JSONL,
        "uploaded": JSONL,
    }


def test_gs_a_copy_that_takes_several_requests(wire: Wire, bucket: str) -> None:
    """Between places or classes of storage the server copies a part at a time, and says how to go on."""
    place = Place(GcsStore(), bucket)
    source, asked = place.put("from", b"x"), list[str]()
    part = {"kind": "storage#rewriteResponse", "totalBytesRewritten": "5", "objectSize": "10", "done": False}

    def answer(request: Sent) -> Given | None:
        if "/rewriteTo/" not in request.url:
            return None
        asked.append(request.url)
        token = f"token-{len(asked)}"
        if len(asked) < 3:
            return response(
                200, json.dumps(part | {"rewriteToken": token}).encode(), {"Content-Type": "application/json"}
            )
        return None

    wire.answer = answer
    place.store.copy(source, place.uri("to"))
    assert ["rewriteToken=" in url for url in asked] == [False, True, True]
    assert "rewriteToken=token-2" in asked[2]
    assert all("ifGenerationMatch=0" in url and f"ifSourceGenerationMatch={source.generation}" in url for url in asked)


def test_gs_join_copies_from_another_bucket(bucket: str, gcs: Any) -> None:
    place, other = Place(GcsStore(), bucket), Place(GcsStore(), gcs.new_bucket())
    assert joined(place, [other.piece("p", b"there "), place.piece("p", b"here")]) == b"there here"


def test_gs_large_objects_are_sent_in_pieces(bucket: str) -> None:
    place, data = Place(GcsStore(), bucket), os.urandom(1 << 20) * 9  # the client's limit of one request is 8 MiB
    assert place.store.create(place.uri("large"), data) is True
    assert place.store.create(place.uri("large"), b"") is False
    assert place.store.read(place.uri("large"), (9 << 20) - 3)[0] == data[-3:]
    assert place.store.stat(place.uri("large")).size == 9 << 20


@pytest.mark.parametrize(
    "uri",
    [
        "gs://",
        "gs:///name",
        "gs://ab/name",
        "gs://Upper/name",
        "gs://-lead/name",
        "gs://a b c/name",
        "gs://abc%2f/name",
        "gs://bucket",
        "gs://bucket/",
        "gs://bucket/.",
        "gs://bucket/..",
        "gs://bucket/a\nb",
        "gs://bucket/" + "n" * 1025,
        "s3://bucket/name",
    ],
)
def test_gs_names_nothing_can_have_are_not_found_without_a_request(gcs: Any, wire: Wire, uri: str) -> None:
    for ask in (GcsStore().stat, GcsStore().read):
        with pytest.raises(NotFound) as caught:
            ask(uri)
        assert repr(uri) in str(caught.value)
    with pytest.raises(NotFound):
        GcsStore().create(uri, b"")
    assert wire.sent == []


def test_gs_a_missing_bucket(gcs: Any) -> None:
    with pytest.raises(NotFound, match=r"gs://no-such-bucket/f does not exist, or its bucket does not"):
        GcsStore().stat("gs://no-such-bucket/f")
    with pytest.raises(NotFound):
        list(GcsStore().list("gs://no-such-bucket/f"))
    with pytest.raises(NotFound):
        GcsStore().create("gs://no-such-bucket/f", b"")


CALLS: dict[str, Callable[[Store, str], Any]] = {
    "storage.objects.get": lambda store, uri: store.read(uri, 0, 3),
    "storage.objects.get ": lambda store, uri: store.stat(uri),
    "storage.objects.list": lambda store, uri: list(store.list(uri)),
    "storage.objects.create": lambda store, uri: store.create(uri, b"x"),
    "storage.objects.create, .get and .delete": lambda store, uri: store.join(uri, [Piece(uri + "1", 0, 1, 1)] * 2),
    "storage.objects.delete": lambda store, uri: store.delete([uri]),
}


@pytest.mark.parametrize("permission", CALLS)
@pytest.mark.parametrize(
    "status, text",
    [
        (403, "job@test.iam does not have access"),
        (403, "The billing account for the owning project is disabled in state absent"),
        (400, "Bucket is a requester pays bucket but no user project provided."),
        (401, "Invalid Credentials"),
    ],
)
def test_gs_forbidden_says_what_is_needed(wire: Wire, bucket: str, permission: str, status: int, text: str) -> None:
    wire.answer = lambda request: response(status, b'{"error": {"message": "%s"}}' % text.encode())
    with pytest.raises(Forbidden) as caught:
        CALLS[permission](GcsStore(), f"{bucket}/f")
    assert caught.value.reason == "image_forbidden"
    if status != 401:  # the session then asks for a new token first
        assert text in str(caught.value) and f"it takes {permission.strip()}" in str(caught.value)


@pytest.mark.parametrize("permission", CALLS)
@pytest.mark.parametrize("fault", [response(429), response(500), response(503), LOST])
def test_gs_outages_are_unavailable_after_retries(
    wire: Wire, bucket: str, impatient: None, monkeypatch: pytest.MonkeyPatch, permission: str, fault: Given
) -> None:
    wire.answer = lambda request: fault
    monkeypatch.setattr(
        storage_client, "RETRY", storage_client.RETRY.with_timeout(0.6)
    )  # a loaded machine needs time for two
    begun = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        CALLS[permission](GcsStore(), f"{bucket}/f")
    assert caught.value.reason == "image_timeout" and f"{bucket}/f" in str(caught.value)
    assert len(wire.sent) >= 2 and time.monotonic() - begun < 5


def test_gs_an_answer_that_ends_early_is_asked_for_again(wire: Wire, bucket: str, impatient: None) -> None:
    found = Place(GcsStore(), bucket).put("f", b"0123456789")
    short = iter([response(206, b"012", {"Content-Length": "8", "Content-Range": "bytes 0-7/10"})])
    wire.answer = lambda request: next(short, None)
    assert GcsStore().read(found.uri, 0, 8) == (b"01234567", found)


@pytest.mark.parametrize("permission", CALLS)
def test_gs_one_failure_is_retried(wire: Wire, bucket: str, impatient: None, permission: str) -> None:
    place = Place(GcsStore(), bucket)
    place.put("f1", b"x")
    if permission != "storage.objects.create":
        place.put("f", b"x")
    faults = iter([503])
    wire.answer = lambda request: response(fault) if (fault := next(faults, 0)) else None
    wire.sent.clear()
    CALLS[permission](place.store, f"{bucket}/f")
    assert len(wire.sent) >= 2 and wire.sent[0] == wire.sent[1]


def test_gs_a_create_whose_answer_was_lost_returns_false(wire: Wire, bucket: str, impatient: None) -> None:
    place = Place(GcsStore(), bucket)
    wire.lose = 1
    assert place.store.create(place.uri("f"), b"mine") is False
    assert wire.sent == [wire.sent[0]] * 2
    assert place.store.read(place.uri("f"))[0] == b"mine"


def test_gs_a_join_whose_answers_were_lost_is_the_same_join(wire: Wire, bucket: str, impatient: None) -> None:
    place = Place(GcsStore(), bucket)
    pieces = [place.piece("p/0", b"0123456789", 3), *(place.piece(f"p/{i}", b"piece") for i in range(1, 4))]
    for lost in range(4):
        wire.lose = lost
        assert joined(place, pieces) == b"3456789" + b"piece" * 3


def test_gs_an_upload_damaged_on_the_way_is_not_taken_for_written(wire: Wire, bucket: str) -> None:
    def damage(request: Sent) -> None:
        if request.method == "POST":
            request.body = request.body.replace(b"right", b"wrong")

    wire.answer = damage
    with pytest.raises(Unavailable, match="CRC32C"):
        GcsStore().create(f"{bucket}/f", b"right")


def test_gs_temporary_objects_lie_beside_the_destination_and_have_stable_names(wire: Wire, bucket: str) -> None:
    place = Place(GcsStore(), bucket)
    whole = [place.piece(f"p/{i}", b"piece") for i in range(33)]
    writes = []
    for _ in range(2):
        wire.sent.clear()
        place.store.join(place.uri("out/deep/joined"), [*whole, place.piece("q", b"xy", 1)], JSONL)
        writes.append(sorted(request for request in wire.sent if "%2Fjoin%2F" in request))
    assert writes[0] == writes[1]
    assert {request.split("%2F")[:4][-2:] == ["_tuneset", "join"] for request in writes[0]} == {True}
    assert {request.split()[0] for request in writes[0]} == {"POST", "DELETE"}


@pytest.mark.parametrize("pieces, error", [(2, NotFound), (40, Unavailable)])
def test_gs_a_compose_without_its_sources(wire: Wire, bucket: str, pieces: int, error: type[StorageError]) -> None:
    """Of committed parts: they are missing. Of what this join made itself: another execution deleted it, so again."""
    place = Place(GcsStore(), bucket)
    whole = [place.piece(f"p/{i:02}", b"piece") for i in range(pieces)]
    wire.answer = lambda request: response(404, b"{}") if "/out/compose" in request.url else None
    with pytest.raises(error):
        place.store.join(place.uri("out"), whole, JSONL)
    wire.answer = lambda request: None
    assert place.store.join(place.uri("out"), whole, JSONL)[0].size == 5 * pieces


def test_gs_no_credentials_are_searched_for_with_an_emulator(bucket: str) -> None:
    begun = time.monotonic()
    client = GcsStore()._client()
    assert isinstance(client._credentials, AnonymousCredentials) and time.monotonic() - begun < 2


def test_gs_one_client_whose_pool_is_as_wide_as_its_threads(bucket: str, caplog: pytest.LogCaptureFixture) -> None:
    place, clients, barrier = Place(GcsStore(), bucket), [], threading.Barrier(32)
    place.put("f", b"x" * 1000)
    fresh = GcsStore()

    def run() -> None:
        barrier.wait()
        clients.append(fresh._client())
        for _ in range(5):
            assert len(fresh.read(place.uri("f"))[0]) == 1000

    threads = [threading.Thread(target=run) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(clients) == 32 and len({id(client) for client in clients}) == 1
    assert "pool is full" not in caplog.text


def read_elsewhere(store: Store, uri: str, results: Any) -> None:
    results.send((store.read(uri)[0], id(store._client()) if isinstance(store, GcsStore) else 0))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_gs_a_child_connects_anew(bucket: str, method: str) -> None:
    place = Place(GcsStore(), bucket)
    place.put("f", b"from the parent")
    assert isinstance(place.store, GcsStore)
    mine = place.store._client()
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    with place.store._connection.lock:  # as another thread might at the moment of the fork
        child = context.Process(target=read_elsewhere, args=(place.store, place.uri("f"), there))
        child.start()
    assert here.poll(30)
    data, client = here.recv()
    child.join()
    assert data == b"from the parent" and child.exitcode == 0
    if method == "fork":
        assert client != id(mine)  # the child began as a copy, so an equal id would be the same client
    assert place.store._client() is mine


def test_gs_a_pickled_store_works(bucket: str) -> None:
    place = Place(GcsStore(), bucket)
    found = place.put("f", b"x")
    assert pickle.loads(pickle.dumps(place.store)).stat(found.uri) == found


def test_the_store_of_a_uri(bucket: str) -> None:
    assert isinstance(store_for(bucket + "/f"), GcsStore) and store_for(bucket) is store_for("gs://other/x")
    assert isinstance(store_for("/tmp/f"), LocalStore) and store_for("/a") is store_for("b")
    with pytest.raises(StorageError, match="nowhere:// cannot be read: expected a local path or gs://"):
        store_for("nowhere://a/b")
