"""The store of Cloud Storage: what calls cost in requests, names, types, copies; and its clients, of threads and of processes."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import pickle
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from store_place import JSONL, Place
from wire import Given, Sent, Wire, response

from transforms.storage.api import NotFound, Piece, Stat, Store
from transforms.storage.gcs import compose
from transforms.storage.gcs.store import GcsStore


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
