"""Servers of other people: versions, ranges, faults, redirects, and addresses that are really connected to."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import ClassVar

import pycurl
import pytest
from flaky_server import FAULTS, content, flaky_server
from one_object import certificate_of
from web_reads import FILE, allow, always, both_ends, read, why
from web_server import Said, web_server

from transforms.storage import store_for
from transforms.storage.api import Changed, Stat
from transforms.storage.curl import handle
from transforms.storage.parallel import read_together, stat_each
from transforms.storage.web import exchange, store

pytestmark = pytest.mark.usefixtures("as_before")


DATED = "Sun, 06 Nov 1994 08:49:37 GMT"


# What is read, and which version it is


@pytest.mark.parametrize(
    "kind, version, questions",
    [
        ({}, '"', 2),
        ({"etags": False, "dated": DATED}, f"{DATED} {len(FILE)}", 2),
        ({"etags": False}, "blake2b:", 2),  # a part tells no version, so all of it is asked for
        ({"ranges": False}, '"', 1),
        ({"ranges": False, "etags": False}, "blake2b:", 1),
    ],
)
def test_both_ends_of_an_image_are_read(kind: dict, version: str, questions: int) -> None:
    with web_server({"/a": FILE}, **kind) as server:
        allow(f"{server.url}/")
        (ends,) = read_together(both_ends, [f"{server.url}/a?x=1"], 4)
        assert ends == (FILE[:100], FILE[-50:]) and len(server.asked) == questions
        found = store_for(server.url).stat(f"{server.url}/a")
        assert found.generation.startswith(version) and found.size == len(FILE)
        assert read(f"{server.url}/a", 5, 9)[0] == FILE[5:9] and read(f"{server.url}/a")[0] == FILE
        assert read(f"{server.url}/a", len(FILE) + 5, len(FILE) + 9)[0] == b""
        with pytest.raises(Changed):
            read(f"{server.url}/a", 5, 9, '"another"')
        headers = server.asked[0][1]
        assert headers["user-agent"].startswith("tuneset/") and not {"cookie", "authorization"} & headers.keys()


@pytest.mark.parametrize("kind", [{}, {"etags": False, "dated": DATED}, {"etags": False, "ranges": False}])
def test_a_night_asks_only_whether_an_image_has_changed(kind: dict) -> None:
    with web_server({"/a": FILE, "/b": FILE}, **kind) as server:
        allow(f"{server.url}/")
        urls = [f"{server.url}/a", f"{server.url}/b"]
        known = {url: read(url)[1].generation for url in urls}
        server.asked.clear()
        assert [found.generation for found in stat_each(urls, 4, known) if isinstance(found, Stat)] == list(
            known.values()
        )
        if server.ranges:
            conditions = {"if-none-match", "if-modified-since"}
            assert all(conditions & headers.keys() for _, headers in server.asked) and len(server.asked) == 2

        server.files["/b"] = FILE + b"more"
        server.dated = server.dated.replace("1994", "1995")
        one, two = stat_each(urls, 4, known)
        assert isinstance(two, Changed) and isinstance(one, Changed) == bool(server.dated)
        assert store_for(urls[1]).stat(urls[1]).size == len(FILE) + 4


def test_whole_answers_are_taken_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "HELD", 1000)
    monkeypatch.setattr(store, "LARGEST", 2000)
    files = {f"/{size}": bytes(size) for size in (999, 1000, 1001, 1999, 2000, 2001)}
    with web_server(files, ranges=False) as server:
        allow(f"{server.url}/")
        reasons = list(read_together(both_ends, [server.url + path for path in files], 8))
        assert reasons[:-1] == [(bytes(100), bytes(50))] * 5 and reasons[-1] == "too_large"
        assert [server.paths().count(path) for path in files] == [1, 1, 2, 2, 2, 2]
        server.asked.clear()
        assert read(f"{server.url}/2000")[0] == bytes(2000) and why(f"{server.url}/2001").startswith("too_large: ")
        assert server.paths() == ["/2000", "/2001"]


# What is not read


@pytest.mark.parametrize(
    "status, reason, questions",
    [
        (404, "image_not_found", 1), (410, "image_not_found", 1), (401, "image_forbidden", 1), (403, "image_forbidden", 1),
        (400, "image_forbidden", 1), (500, "image_timeout", 3), (502, "image_timeout", 3), (408, "image_timeout", 3),
    ],
)  # fmt: skip
def test_a_status_has_its_reason(status: int, reason: str, questions: int) -> None:
    with web_server(says={"/a": always(status, body=b"x" * 100_000)}) as server:
        allow(f"{server.url}/")
        assert why(f"{server.url}/a").startswith(f"{reason}: {server.url}/a: the server says {status}")
        assert len(server.asked) == questions


@pytest.mark.parametrize(
    "said",
    [
        (200, {"Content-Length": "9999", "Connection": "close"}, b"short"),
        (206, {"Content-Range": "bytes 5-9/100"}, b"01234"),
        (206, {"Content-Range": "bytes 0-9/100"}, b"01234"),
        (200, {"Content-Length": "", "Transfer-Encoding": "chunked", "Connection": "close"}, b"zz\r\nnothing"),
    ],
)
def test_what_cannot_be_true_is_asked_for_again_and_has_a_reason(said: Said) -> None:
    answers: dict[str, Callable[[int, Mapping[str, str]], Said]] = {
        "/never": always(*said),
        "/then": lambda number, headers: said if number == 0 else server.file(FILE, headers),
    }
    with web_server(says=answers) as server:
        allow(f"{server.url}/")
        assert why(f"{server.url}/then") == ""
        assert why(f"{server.url}/never").startswith("image_timeout: ")


def test_of_many_images_each_is_right_whatever_befalls_its_first_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """With 1.5 % of each fault of the flaky server; names that are gone or shut have their reasons."""
    monkeypatch.setattr(handle, "PATIENCE", 0.3)
    monkeypatch.setattr(exchange, "TRIES", 6)
    with flaky_server(1.5) as server:
        allow(f"{server.url}/", per_host=64)
        names = [
            f"{'gone' if number % 50 == 0 else 'shut' if number % 50 == 1 else 'n'}{number}" for number in range(600)
        ]
        urls = [f"{server.url}/download/storage/v1/b/bucket/o/{name}?alt=media" for name in names]
        reasons = {"gone": "image_not_found", "shut": "image_forbidden"}
        right = [reasons.get(name[:4]) or (content(name)[:100], content(name)[-50:]) for name in names]
        assert list(read_together(both_ends, urls, 64)) == right
        assert set(server.done) == {"", *FAULTS}


def test_headers_that_drip_have_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a byte of them comes."""
    monkeypatch.setattr(handle, "PATIENCE", 0.05)
    monkeypatch.setattr(handle, "CONNECT_S", 0.2)
    monkeypatch.setattr(exchange, "TRIES", 1)
    monkeypatch.setattr(store, "HELD", 1000)

    class Drip(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                self.request.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
                while not ended.wait(0.02):
                    self.request.sendall(b"x")

    ended = threading.Event()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Drip) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/"
        allow(url)
        assert why(f"{url}a").startswith("image_timeout: ")
        ended.set()
        server.shutdown()


def test_a_server_that_is_not_there_is_no_outage() -> None:
    with web_server() as server:
        gone = server.url
    allow(f"{gone}/", "http://nowhere.invalid/")
    assert why(f"{gone}/a").startswith(f"image_timeout: {gone}/a: ")
    assert why("http://nowhere.invalid/a").startswith("image_timeout: ")


def test_a_url_is_asked_for_in_its_one_spelling() -> None:
    """Also one that nobody resolved, as of a row that was refused on the night before."""
    with web_server({"/a/x": FILE, "/b": FILE}) as server:
        allow(f"{server.url}/a")
        assert read(f"{server.url}/a/../a/x#y")[0] == FILE and why(f"{server.url}/a/..%2fb").startswith(
            "image_forbidden: "
        )
        assert why(f"{server.url}/a/../b").startswith("not_allowed: ") and server.paths() == ["/a/x"]


def test_a_certificate_that_cannot_be_verified_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = certificate_of(tmp_path / "shown.pem", "localhost", timedelta(days=1))
    with web_server({"/a": FILE}, tls=shown) as server:
        url = f"https://localhost:{server.port}/"
        allow(url)
        assert why(f"{url}a").startswith(f"image_forbidden: {url}a: the server's certificate cannot be verified")
        monkeypatch.setenv("SSL_CERT_FILE", str(shown))
        allow(url, per_host=2)  # by another policy, another loop
        assert read(f"{url}a")[0] == FILE


# Where redirects lead


def test_redirects_are_followed_five_times_and_only_to_what_may_be_read() -> None:
    with web_server({"/a/end": FILE}) as server, web_server({"/a/x": FILE}) as other:
        targets = {f"/a/{number}": f"/a/{number + 1}" for number in range(5)} | {
            "/a/5": "end", "/a/far": f"{other.url}/a/x", "/a/shut": f"{other.url}/b", "/a/out": "../b", "/a/hidden": "/a/..%2fb",
            "/a/file": "file:///etc/passwd", "/a/ftp": "ftp://x.example/", "/a/me": "http:" + "//me:word@127.0.0.1/",
            "/a/inner": "http:" + "//169.254.169.254/", "/a/none": "", "/a/loop": "/a/loop", "/a/é": "/a/\xc3\xa9nd",
        }  # fmt: skip
        server.says = {
            path.replace("é", "%C3%A9"): always(302, {"Location": target}) for path, target in targets.items()
        }
        server.files["/a/%C3%A9nd"] = FILE
        allow(f"{server.url}/a", f"{other.url}/a")
        assert (
            read(f"{server.url}/a/1")[0] == read(f"{server.url}/a/far")[0] == read(f"{server.url}/a/%C3%A9")[0] == FILE
        )
        assert why(f"{server.url}/a/0").startswith("image_forbidden: ") and "5 redirects" in why(f"{server.url}/a/loop")
        assert "leads nowhere" in why(f"{server.url}/a/none")
        for name in ("shut", "out", "hidden", "file", "ftp", "me", "inner"):
            assert why(f"{server.url}/a/{name}").startswith("not_allowed: "), name
        assert f"it leads to {other.url}/b, but it lies outside what may be read" in why(f"{server.url}/a/shut")
        assert set(other.paths()) == {"/a/x"}


# Which addresses are connected to


class _Resolved(pycurl.Curl):  # type: ignore[misc]
    """libcurl with names of a test's own."""

    names: ClassVar[list[str]] = []

    def setopt(self, option: int, value: object) -> None:
        super().setopt(option, value)
        if option == pycurl.URL:
            super().setopt(pycurl.RESOLVE, self.names)


def test_a_name_of_two_addresses_leads_to_none_that_may_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pycurl, "Curl", _Resolved)
    with web_server({"/a": FILE}, host="127.0.0.1") as server:
        monkeypatch.setattr(_Resolved, "names", [f"two.example:{server.port}:169.254.169.254,127.0.0.1"])
        allow(f"http://two.example:{server.port}/")
        assert "not_allowed" in why(f"http://two.example:{server.port}/a") and server.asked == []
        allow(f"http://two.example:{server.port}/", private_hosts=True)
        assert why(f"http://two.example:{server.port}/a") == "" and len(server.asked) == 1
        # libcurl itself takes every name below localhost for both of its addresses.
        allow(f"http://x.localhost:{server.port}/")
        assert "x.localhost leads to " in why(f"http://x.localhost:{server.port}/a")
        allow(f"http://localhost:{server.port}/")
        assert why(f"http://localhost:{server.port}/a") == ""


@pytest.mark.parametrize("first", ["an answer", "a redirect"])
def test_a_name_that_leads_elsewhere_at_the_second_look_is_refused_then(
    monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    monkeypatch.setattr(pycurl, "Curl", _Resolved)
    with web_server() as server:

        def answer(number: int, headers: Mapping[str, str]) -> Said:
            _Resolved.names = [f"-two.example:{server.port}", f"two.example:{server.port}:169.254.169.254"]
            where = {"Location": "/b"} if first == "a redirect" else {}
            return 302 if where else 200, where | {"Connection": "close"}, FILE

        server.says["/a"] = server.says["/b"] = answer
        monkeypatch.setattr(_Resolved, "names", [f"two.example:{server.port}:127.0.0.1"])
        allow(f"http://two.example:{server.port}/", private_hosts=True)
        said = [why(f"http://two.example:{server.port}/a") for _ in range(2)]
        refused = "not_allowed: http://two.example:"
        assert (said[0] == "" or first == "a redirect") and said[1].startswith(refused)
        assert "169.254.169.254, the address of a metadata service" in said[1]
        assert (first == "a redirect") == said[0].startswith(refused) and server.paths() == ["/a"]


def test_behind_a_proxy_texts_are_judged_and_names_are_the_proxys(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "")
        proxy.says = {"http://name.example/a": always(200, body=FILE)}
        allow("http://")
        assert read("http://name.example/a")[0] == FILE
        assert "not_allowed" in why("http:" + "//10.0.0.1/a") and "not_allowed" in why("http:" + "//169.254.169.254/a")
        assert len(proxy.asked) == 1
