"""The contract of `Store`, held against local files and against a Cloud Storage server: reading, listing, and asking again."""

from __future__ import annotations

from typing import Any

import pytest
from store_place import Place

from transforms import storage
from transforms.storage import store_for
from transforms.storage.api import Changed, NotFound, Stat, StorageError, Unavailable
from transforms.storage.gcs.store import GcsStore
from transforms.storage.local import LocalStore


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


def test_the_store_of_a_uri(bucket: str) -> None:
    assert isinstance(store_for(bucket + "/f"), GcsStore) and store_for(bucket) is store_for("gs://other/x")
    assert isinstance(store_for("/tmp/f"), LocalStore) and store_for("/a") is store_for("b")
    with pytest.raises(StorageError, match="nowhere:// cannot be read: expected a local path or gs://"):
        store_for("nowhere://a/b")
