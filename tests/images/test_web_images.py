"""Images that are named by URL, as they are looked at: what each costs its server, and where its bytes are afterwards."""

from __future__ import annotations

import gzip
import socketserver
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from folders import bmp, jpeg
from image_bytes import noise, saved
from inspecting import inspector
from web_reads import allow, always
from web_server import WebServer, web_server

from transforms.core.records import ImageFacts
from transforms.images import inspection
from transforms.images.inspection import HEAD, look_at
from transforms.images.orders import read_image
from transforms.images.room import Room
from transforms.images.staging import Copier
from transforms.storage.api import USUAL, set_access
from transforms.storage.web import exchange, store

LARGE = saved(noise(700, 500), "JPEG", quality=95)  # some 400 KB, which conform
LARGE_BMP = saved(noise(300, 300), "BMP")  # 270 KB
LONG_HEADER = LARGE[:2] + b"\xff\xe1\xff\xfe" * 1 + bytes(65_532) + b"\xff\xe2\xff\xfe" + bytes(65_532) + LARGE[2:]
PAGE = b"<!DOCTYPE html><html>" + b"x" * 300_000


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    yield
    set_access(USUAL)


def looked_at(server: WebServer, folder: Path, images: bool = True) -> dict[str, ImageFacts]:
    """Facts of all files of a server, by their paths."""
    allow(f"{server.url}/")
    copier = Copier(f"{folder}/images" if images else "", f"{folder}/out")
    looker = replace(inspector(f"{server.url}/"), threads=8, copier=copier)
    _, facts = look_at([server.url + path for path in server.files], looker)
    return {one.uri.removeprefix(server.url): one for one in facts}


def kept(facts: ImageFacts) -> tuple[str, bytes]:
    """As what an image was put, and its bytes there."""
    place = facts.copied or facts.fetched
    return "copied" if facts.copied else "fetched", Path(place).read_bytes()


@pytest.mark.parametrize("kind", [{}, {"ranges": False}, {"etags": False}, {"etags": False, "ranges": False}])
def test_an_image_is_asked_for_once_and_whole(kind: dict[str, bool], tmp_path: Path) -> None:
    assert min(map(len, (LARGE, LARGE_BMP))) > HEAD and len(LONG_HEADER) - len(LARGE) > HEAD
    files = {"/1": jpeg(), "/2": LARGE, "/3": LONG_HEADER, "/4": bmp(), "/5": LARGE_BMP}
    with web_server(files, **kind) as server:
        facts = looked_at(server, tmp_path)
        fates = dict(zip(files, ("copied", "copied", "copied", "fetched", "fetched")))
        assert {path: kept(one) for path, one in facts.items()} == {path: (fates[path], files[path]) for path in files}
        assert sorted(server.paths()) == sorted(files) and not any("range" in asked for _, asked in server.asked)


def test_what_is_left_where_it_is_is_fetched_only_if_it_is_rewritten(tmp_path: Path) -> None:
    with web_server({"/1": jpeg(), "/2": LARGE, "/3": bmp(), "/4": LARGE_BMP}) as server:
        facts = looked_at(server, tmp_path, images=False)
        assert [(one.copied, bool(one.fetched)) for one in facts.values()] == [("", at > 1) for at in range(4)]
        assert server.paths().count("/2") == 2  # its beginning, and its end
        assert [server.paths().count(path) for path in ("/1", "/3", "/4")] == [1, 1, 1]


def test_what_is_no_image_is_not_read_to_its_end(tmp_path: Path) -> None:
    with web_server({"/page": PAGE, "/none": b"", "/cut": LARGE[:-100_000]}) as server:
        facts = looked_at(server, tmp_path)
        reasons = {path: (one.reason, one.size) for path, one in facts.items()}
        assert reasons == {
            "/page": ("not_an_image", len(PAGE)),
            "/none": ("empty_image", 0),
            "/cut": ("truncated_image", len(LARGE) - 100_000),
        }
        assert sorted(server.paths()) == ["/cut", "/none", "/page"] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("limit, copied", [(len(LARGE) - 1, False), (len(LARGE), True), (len(LARGE) + 1, True)])
def test_a_large_image_is_read_when_its_turn_has_come(
    limit: int, copied: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(store, "HELD", limit)
    with web_server({"/1": LARGE}) as server:
        (facts,) = looked_at(server, tmp_path).values()
        assert bool(facts.copied) == copied and len(server.asked) == (1 if copied else 2)
        assert read_image(facts, ()) == LARGE


def test_no_more_large_images_come_at_once_than_so_many(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The others are left for their turn, and so is one more once those have come."""
    monkeypatch.setattr(inspection._Share, "take", lambda share, size: False)
    with web_server({"/1": LARGE, "/2": jpeg()}) as server:
        facts = looked_at(server, tmp_path)
        assert (facts["/1"].copied, facts["/1"].reason, facts["/1"].size) == ("", "", len(LARGE))
        assert facts["/2"].copied
    monkeypatch.undo()
    monkeypatch.setattr(exchange, "_PAUSES", (0.0, 0.0))
    cut = {"Content-Length": str(len(LARGE)), "Connection": "close"}
    with web_server({f"/{number}": LARGE for number in range(70)}) as server:
        server.says["/7"] = lambda number, asked: (200, {} if number else cut, LARGE if number else LARGE[:-9])
        assert [one.reason for one in looked_at(server, tmp_path).values()] == [""] * 70
        assert server.paths().count("/7") == 2
    assert inspection._COMING.free == 256 << 20


def test_room_is_taken_as_long_as_there_is_some() -> None:
    room = Room(10)
    assert [room.take(wanted) for wanted in (11, 4, 7, 6, 1)] == [0, 4, 0, 6, 0]
    room.give_back(6)
    assert [room.take(wanted) for wanted in (7, 6)] == [0, 6] and room.free == 0


@pytest.mark.parametrize("coding", ["gzip", "x-gzip"])
def test_a_server_that_packs_what_it_sends_is_asked_once(coding: str, tmp_path: Path) -> None:
    packed = {path: gzip.compress(data) for path, data in (("/1", jpeg()), ("/2", LARGE_BMP))}
    with web_server(packed) as server:
        for path, data in packed.items():
            server.says[path] = always(200, {"Content-Encoding": coding}, data)
        facts = looked_at(server, tmp_path)
        assert kept(facts["/1"]) == ("copied", jpeg()) and kept(facts["/2"]) == ("fetched", LARGE_BMP)
        assert sorted(server.paths()) == ["/1", "/2"]
        assert read_image(facts["/2"], ()) == LARGE_BMP
        Path(facts["/2"].fetched).unlink()
        assert read_image(facts["/2"], ()) == LARGE_BMP and server.paths().count("/2") == 2


def test_what_is_only_said_to_be_packed_is_taken_as_it_is(tmp_path: Path) -> None:
    with web_server({"/1": jpeg(), "/2": bmp()}) as server:
        for path, data in server.files.items():
            server.says[path] = always(200, {"Content-Encoding": "gzip"}, data)
        facts = looked_at(server, tmp_path)
        assert kept(facts["/1"]) == ("copied", jpeg()) and kept(facts["/2"]) == ("fetched", bmp())


_SAID = "HTTP/1.1 200 OK\r\n"
_LENGTH = f"Content-Length: {len(jpeg())}\r\n"
_CHUNK = b"%x\r\n%b\r\n0\r\n\r\n" % (len(LARGE), LARGE)


@pytest.mark.parametrize(
    "answer, reason",
    [
        (b"HTTP/1.0 200 OK\r\n\r\n" + LARGE, ""),
        (f"{_SAID}Content-Type: text/html\r\n{_LENGTH}\r\n".encode() + jpeg(), ""),
        (f"{_SAID}{_LENGTH}{_LENGTH}\r\n".encode() + jpeg(), ""),
        (f"{_SAID}Transfer-Encoding: chunked\r\n\r\n".encode() + _CHUNK, ""),
        (f"{_SAID}ETag: \"1\"\r\nContent-Length: 9999999\r\nTransfer-Encoding: chunked\r\n\r\n".encode() + _CHUNK, ""),
        (f"HTTP/1.1 100 Continue\r\n\r\n{_SAID}{_LENGTH}\r\n".encode() + jpeg(), ""),
        (f"{_SAID}{_LENGTH}Content-Length: 5\r\n\r\n".encode() + jpeg(), "image_timeout"),
        (f"{_SAID}X: {'x' * 400_000}\r\n{_LENGTH}\r\n".encode() + jpeg(), "image_timeout"),
        (jpeg(), "image_timeout"),  # HTTP/0.9, or junk
        (b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-9/9\r\nContent-Length: 0\r\n\r\n", "image_timeout"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "image_timeout"),
        (b"", "image_timeout"),
    ],
)  # fmt: skip
def test_answers_of_strange_servers(
    answer: bytes, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(exchange, "_PAUSES", (0.0, 0.0))

    class Server(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            with suppress(OSError):
                self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/a"
        allow(url)
        looker = replace(inspector(url), copier=Copier(f"{tmp_path}/images", f"{tmp_path}/out"))
        (facts,) = look_at([url], looker)[1]
        server.shutdown()
    assert facts.reason == reason and (not facts.copied if reason else kept(facts)[1] in (jpeg(), LARGE))
