"""What looking at images may hold: files of any size, however many, cannot fill the memory."""

from __future__ import annotations

import gzip
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from folders import bmp, jpeg
from inspecting import inspector

from transforms import storage
from transforms.images import inspection
from transforms.images.inspection import look
from transforms.storage.api import Stat

URI = "gs://bucket/a.jpg"
SEGMENT = b"\xff\xef\xff\xff" + bytes(65_533)  # APP15, as long as a segment can be


@dataclass
class Busy:
    """A store of one object that counts how many reads that end beyond some byte are under way at once."""

    data: bytes
    encoding: str = ""
    beyond: int = inspection.HEAD
    under_way: int = 0
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        found = self.data[start:end]
        if end is None or end > self.beyond:
            with self.lock:
                self.under_way += 1
                self.most = max(self.most, self.under_way)
            time.sleep(0.01)
            with self.lock:
                self.under_way -= 1
        return found, Stat(uri, len(self.data), "1", self.encoding)


def looked_at_once(store: Busy, monkeypatch: pytest.MonkeyPatch, times: int = 40) -> list[str]:
    monkeypatch.setitem(storage._stores, "gs", store)
    with ThreadPoolExecutor(times) as pool:
        return [facts.reason for facts in pool.map(lambda _: look(URI, inspector("gs://")), range(times))]


def long_header(segments: int) -> bytes:
    data = jpeg()
    return data[:2] + SEGMENT * segments + data[2:]


def test_long_headers_are_held_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_LONG", threading.BoundedSemaphore(3))
    monkeypatch.setattr(inspection, "_USUAL_HEADER", 200_000)
    store = Busy(long_header(10), beyond=200_000)
    assert looked_at_once(store, monkeypatch) == [""] * 40
    assert 1 < store.most <= 3


def test_usual_headers_wait_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_LONG", threading.BoundedSemaphore(1))
    store = Busy(long_header(3))
    with inspection._LONG:
        assert looked_at_once(store, monkeypatch) == [""] * 40


@pytest.mark.parametrize("segments, reason", [(127, ""), (128, "undecodable")])
def test_a_header_of_8_mib_is_none(segments: int, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(storage._stores, "gs", Busy(long_header(segments)))
    found = look(URI, inspector("gs://"))
    assert found.reason == reason and ("8,388,608 bytes" in found.detail) is bool(reason)


def test_packed_objects_are_held_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_PACKED", threading.BoundedSemaphore(3))
    store = Busy(gzip.compress(long_header(2) + bytes(100_000), 0), "gzip")
    assert looked_at_once(store, monkeypatch) == [""] * 40
    assert 1 < store.most <= 3


def test_a_packed_object_of_any_size_is_not_read_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_UNPACKED", 200_000)
    store = Busy(gzip.compress(long_header(1), 0) + gzip.compress(b"") * 10_000, "gzip")
    monkeypatch.setitem(storage._stores, "gs", store)
    found = look(URI, inspector("gs://"))
    assert (found.reason, store.most) == ("undecodable", 0) and "at most 200000 are unpacked" in found.detail


@pytest.mark.parametrize("past, reason", [(-1, ""), (0, ""), (1, "too_large")])
def test_a_file_over_a_gibibyte_is_not_rewritten(past: int, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.bmp"
    path.write_bytes(bmp())
    with open(path, "r+b") as file:
        file.truncate((1 << 30) + past)  # a hole: it takes no room
    found = look(str(path), inspector(str(tmp_path)))
    assert (found.reason, found.size) == (reason, (1 << 30) + past)
