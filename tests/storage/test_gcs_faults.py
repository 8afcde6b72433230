"""What Cloud Storage's store makes of refusals, outages, and answers that are cut, lost or damaged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from store_place import Place, joined
from wire import LOST, Given, Sent, Wire, response

from transforms.storage.api import Forbidden, Piece, Store, Unavailable
from transforms.storage.gcs import client as storage_client
from transforms.storage.gcs.store import GcsStore

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
