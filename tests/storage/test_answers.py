"""What a storage server can say, also of what is not so, and what is made of it."""

from __future__ import annotations

import base64
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest
from inspecting import inspector
from scripted_server import (
    CHUNKED,
    END,
    FOUND,
    IN_CHUNKS,
    LENGTH,
    RANGE,
    SEVEN,
    USUAL,
    ScriptedServer,
    endless,
    outcome,
    said,
)

from transforms import storage
from transforms.images.inspection import look
from transforms.storage.api import Forbidden, NotFound, Refused, Stat, Unavailable, crc32c
from transforms.storage.gcs import client
from transforms.storage.gcs import store as gcs_store
from transforms.storage.gcs.store import GcsStore

pytestmark = pytest.mark.usefixtures("brief")
SUM = base64.b64encode(crc32c(b"abc").to_bytes(4, "big")).decode()
ALL = b"abc", Stat("gs://bucket/f", 3, "7")
HONEST = {
    "a range": (USUAL, FOUND),
    "names in any letters": (
        said("206", "CONTENT-LENGTH:3", "content-range:  bytes 0-2/10", "X-Goog-Generation:\t7"),
        FOUND,
    ),
    "all of it": (said("200 OK", LENGTH, SEVEN, f"x-goog-hash: md5=x, crc32c={SUM}"), ALL),
    "all of it, hashes apart": (said("200 OK", LENGTH, SEVEN, "x-goog-hash: md5=x", f"x-goog-hash: crc32c={SUM}"), ALL),
    "stored compressed": (
        said("206", LENGTH, RANGE, SEVEN, "Content-Encoding: gzip"),
        (b"abc", Stat("gs://bucket/f", 10, "7", "gzip")),
    ),
    "past the end": (
        said("416 Range", LENGTH, "Content-Range: bytes */10", SEVEN),
        (b"", Stat("gs://bucket/f", 10, "7")),
    ),
    "chunks": (said("206", CHUNKED, RANGE, SEVEN, body=IN_CHUNKS), FOUND),
    "chunks and a length": (said("206", LENGTH, CHUNKED, RANGE, SEVEN, body=IN_CHUNKS), FOUND),
    "until the end": (said("206", RANGE, SEVEN, end=END), FOUND),
    "to be closed": (said("206", LENGTH, RANGE, SEVEN, "Connection: close", end=END), FOUND),
    "HTTP/1.0": ([USUAL[0].replace(b"/1.1", b"/1.0") + END], FOUND),
    "in two steps": ([b"HTTP/1.1 100 Continue\r\nx-goog-generation: 6\r\n\r\n" + USUAL[0]], FOUND),
    "a folded header": (said("206", LENGTH, RANGE, SEVEN, "More: a", " b"), FOUND),
    "many headers": (said("206", LENGTH, RANGE, SEVEN, *[f"X-{n}: {n:03000}" for n in range(90)]), FOUND),
    "missing": (said("404 Not Found", LENGTH), NotFound),
    "forbidden": (said("403 Forbidden", LENGTH), Forbidden),
    "under a key that is not ours": (said("400 Bad Request", LENGTH), Refused),
    "elsewhere": (said("302 Found", LENGTH, "Location: http://127.0.0.1:9/f"), Refused),
    "too many": (said("429 Too Many", LENGTH), Unavailable),
}

LIES: dict[str, Callable[[], Iterable[bytes]]] = {
    "other bytes than are stored": lambda: said("200 OK", LENGTH, SEVEN, "x-goog-hash: md5=x, crc32c=AAAAAA=="),
    "a hash that is none": lambda: said("200 OK", LENGTH, SEVEN, "x-goog-hash: crc32c=A"),
    "nothing for something": lambda: said("206", "Content-Length: 0", RANGE, SEVEN, body=b""),
    "another range": lambda: said("206", LENGTH, RANGE.replace("0-2", "1-3"), SEVEN),
    "a longer range": lambda: said("206", "Content-Length: 4", RANGE.replace("0-2", "0-3"), SEVEN, body=b"abcd"),
    "too short": lambda: said("206", LENGTH, RANGE, SEVEN, body=b"ab", end=END),
    "chunks that do not end": lambda: said("206", CHUNKED, RANGE, SEVEN, body=b"3\r\nab", end=END),
    "two lengths": lambda: said("206", LENGTH, LENGTH.replace("3", "2"), RANGE, SEVEN),
    "HTTP/2": lambda: [b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64" + END],
    "no HTTP": lambda: [b"abc" + END],
    "no answer": lambda: [END],
    "headers without end": lambda: endless([b"HTTP/1.1 206 OK\r\n"], b"X: " + b"x" * 60_000 + b"\r\n"),
    "a header without end": lambda: endless([b"HTTP/1.1 206 OK\r\nX: "], b"x" * 60_000),
}
ENDLESS: dict[str, Callable[[], Iterable[bytes]]] = {
    "until it ends": lambda: endless(said("206", RANGE, SEVEN), b"abc" * 10_000),
    "chunks": lambda: endless(said("206", CHUNKED, RANGE, SEVEN, body=b""), b"3\r\nabc\r\n" * 10_000),
    "a length": lambda: endless(said("206", "Content-Length: 900000000000", RANGE, SEVEN), b"abc" * 10_000),
}


@pytest.mark.parametrize("answer, expected", HONEST.values(), ids=HONEST)
def test_an_answer_is_taken_as_it_is_meant(
    answer: list[bytes], expected: Any, scripted: ScriptedServer, once: None
) -> None:
    scripted.script = [answer, USUAL, answer]
    store = GcsStore()
    assert [outcome(store) for _ in range(3)] == [expected, FOUND, expected]
    assert scripted.script == []


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_answer_that_cannot_be_true_is_asked_for_again(
    lie: Callable[[], Iterable[bytes]], scripted: ScriptedServer, impatient: None
) -> None:
    scripted.script = [lie(), USUAL, USUAL, lie(), USUAL]
    store = GcsStore()
    assert [outcome(store) for _ in range(3)] == [FOUND] * 3
    assert scripted.script == []


@pytest.mark.parametrize("body", ENDLESS.values(), ids=ENDLESS)
@pytest.mark.parametrize("status", [b"206", b"404"])
def test_a_body_without_end_is_not_taken(
    body: Callable[[], Iterator[bytes]],
    status: bytes,
    scripted: ScriptedServer,
    once: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gcs_store, "_WHOLE", 100_000)
    scripted.script = [(piece.replace(b"HTTP/1.1 206", b"HTTP/1.1 " + status) for piece in body()), USUAL]
    store = GcsStore()
    assert [outcome(store) for _ in range(2)] == [Refused if status == b"206" else NotFound, FOUND]


def test_a_server_is_left_alone_for_as_long_as_it_wants(
    scripted: ScriptedServer, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the longest until asking again is given up, and then it is asked once more."""
    soon = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=3), usegmt=True)
    for wanted, least, most in (("1", 1, 9), (soon, 1, 9), ("soon", 0, 0.9), ("-5", 0, 0.9), ("999999", 2, 9)):
        monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(2 if wanted == "999999" else 20))
        scripted.script = [said("429 Too Many", LENGTH, f"Retry-After: {wanted}"), USUAL]
        began = time.monotonic()
        assert outcome(GcsStore()) == FOUND
        assert least <= time.monotonic() - began < most, wanted


@pytest.mark.parametrize("status", ["400 Bad Request", "409 Conflict", "413 Too Large"])
def test_an_image_that_is_refused_costs_itself_and_not_the_job(
    status: str, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(storage._stores, "gs", GcsStore())
    body = b'{"error": {"message": "encrypted by a customer-supplied encryption key"}}'
    scripted.script = [said(status, f"Content-Length: {len(body)}", body=body)]
    found = look("gs://bucket/f.jpg", inspector("gs://"))
    assert found.reason == "image_forbidden" and "customer-supplied" in found.detail


def test_an_image_that_storage_is_away_for_is_not_judged(
    scripted: ScriptedServer, once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(storage._stores, "gs", GcsStore())
    scripted.script = [said("503 Service Unavailable", LENGTH)] * 3
    with pytest.raises(Unavailable):
        look("gs://bucket/f.jpg", inspector("gs://"))


WHOLE = {
    "of a length": said("200 OK", "Content-Length: 6", SEVEN, body=b"abcdef"),
    "of no length": said("200 OK", SEVEN, body=b"abcdef", end=END),
    "in chunks": said("200 OK", CHUNKED, SEVEN, body=b"6\r\nabcdef\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_all_of_an_object_is_not_taken_for_a_part_of_it(
    answer: list[bytes], scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, scripted.script = GcsStore(), [answer]
    assert outcome(store) == (b"abc", Stat("gs://bucket/f", 6, "7"))  # a small one is
    monkeypatch.setattr(gcs_store, "_WHOLE", 5)
    scripted.script = [answer, answer, USUAL]
    with pytest.raises(Refused, match="5 bytes"):
        store.read("gs://bucket/f", 0, 3)
    assert store.read("gs://bucket/f")[0] == b"abcdef"  # no part was asked for
    assert outcome(store) == FOUND


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b"{}", b'{"size": "x", "generation": "7"}'])
def test_what_tells_nothing_of_an_object_is_no_stat(body: bytes, scripted: ScriptedServer) -> None:
    scripted.script = [said("200 OK", f"Content-Length: {len(body)}", body=body)]
    with pytest.raises(Unavailable, match=r"gs://bucket/f: (what storage says of it|storage tells neither)"):
        GcsStore().stat("gs://bucket/f")


def test_what_was_read_is_not_kept(scripted: ScriptedServer) -> None:
    store, body = GcsStore(), bytes(8 << 20)
    scripted.script = [USUAL, said("200 OK", f"Content-Length: {len(body)}", SEVEN, body=body)]
    assert outcome(store) == FOUND
    tracemalloc.start()
    try:
        assert store.read("gs://bucket/f")[0] == body
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
