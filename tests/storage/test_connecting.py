"""How storage is reached: certificates and proxies are what the environment says, as they are for the client's own requests.

And what a server can say, also of what is not so.
"""

from __future__ import annotations

import base64
import hashlib
import socket
import socketserver
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from folders import jpeg
from google.auth.credentials import AnonymousCredentials
from inspecting import inspector
from one_object import certificate_of, serving

from transforms import storage
from transforms.images.inspection import look, look_at
from transforms.storage.api import (
    Forbidden,
    NoAccess,
    NotFound,
    Refused,
    Stat,
    StorageError,
    Unavailable,
    Untrusted,
    crc32c,
)
from transforms.storage.gcs import client, unreached
from transforms.storage.gcs import store as gcs_store
from transforms.storage.gcs.client import split_uri
from transforms.storage.gcs.store import GcsStore

FOUND = b"abc", Stat("gs://bucket/f", 10, "7")
PATH = "/download/storage/v1/b/bucket/o/f?alt=media"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost that nobody knows, with its key."""
    return certificate_of(tmp_path / "certificate", "localhost", timedelta(hours=1))


@pytest.fixture(autouse=True)
def brief(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(0.1))
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in (*proxies, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_certificate_that_nobody_knows_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(certificate) as (host, asked):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://{host}")
        monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(60))
        began = time.monotonic()
        with pytest.raises(Untrusted, match=r"cannot be verified \(.*self.signed certificate.*REQUESTS_CA_BUNDLE"):
            GcsStore().read("gs://bucket/f", 0, 3)
        assert time.monotonic() - began < 5  # it is no outage: asking again for a minute would not help
        assert asked == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        store = GcsStore()
        assert [store.read("gs://bucket/f", 0, 3) for _ in range(2)] == [
            FOUND
        ] * 2  # then over the connection that is open
        assert asked == [PATH] * 2


def test_an_expired_certificate_and_one_of_another_host_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    day = timedelta(days=1)
    for name, until, said in (
        ("localhost", -day, "certificate has expired"),
        ("elsewhere", day, "[Hh]ostname mismatch"),
    ):
        path = certificate_of(tmp_path / name, name, until)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
        with serving(path) as (host, asked):
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://{host}")
            with pytest.raises(Untrusted, match=said):
                GcsStore().create("gs://bucket/f", b"data")
            assert asked == []


def test_authorities_that_are_not_there_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "https://localhost:1")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere")
    with pytest.raises(NoAccess, match=r"/nowhere \(REQUESTS_CA_BUNDLE, CURL_CA_BUNDLE or SSL_CERT_FILE names it"):
        GcsStore().stat("gs://bucket/f")


def test_a_name_that_is_not_known_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(60))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "https://storage.invalid")
    began = time.monotonic()
    with pytest.raises(
        Unavailable, match=r"storage\.invalid cannot be found .*: is this machine on a network whose DNS knows it"
    ):
        GcsStore().stat("gs://bucket/f")
    assert time.monotonic() - began < 20


def test_a_name_that_is_not_known_yet_is_looked_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")] * 3)

    def look_up(*_: Any, **__: Any) -> None:
        if error := next(answers, None):
            raise error

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    monkeypatch.setattr(unreached, "_PAUSE", 0.0)
    monkeypatch.setattr(unreached, "PATIENCE", 0.0)
    with pytest.raises(Unavailable, match=r"storage\.test cannot be found \(Temporary failure"):
        unreached.resolve("https://storage.test")
    monkeypatch.setattr(unreached, "PATIENCE", 60.0)
    unreached.resolve("https://storage.test")  # after two more that failed


def test_a_proxy_is_asked_for_the_whole_address_or_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (host, asked):
        monkeypatch.setenv("http_proxy", f"http://{host}")
        monkeypatch.setenv("https_proxy", f"http://{host}")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://storage.test")
        store = GcsStore()
        assert [store.read("gs://bucket/f", 0, 3) for _ in range(2)] == [FOUND] * 2
        assert asked == [f"http://storage.test{PATH}"] * 2
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "https://storage.test")
        with pytest.raises(Unavailable, match="CONNECT tunnel failed, response 403"):
            GcsStore().read("gs://bucket/f", 0, 3)
        assert set(asked[2:]) == {"CONNECT storage.test:443"}


WHO = "me:secret"


class Tunnels(socketserver.StreamRequestHandler):
    """A forward proxy: opens tunnels to wherever it is asked, and lets nobody through without a name and a password."""

    def handle(self) -> None:
        lines = b"".join(iter(self.rfile.readline, b"\r\n")).decode()
        self.server.asked.append(lines)  # type: ignore[attr-defined]
        if f"Proxy-Authorization: Basic {base64.b64encode(WHO.encode()).decode()}" not in lines:
            self.wfile.write(b"HTTP/1.1 407 Who\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = lines.split()[1].partition(":")
        self.wfile.write(b"HTTP/1.1 200 Go\r\nx-goog-generation: 6\r\n\r\n")
        with socket.create_connection((host, int(port))) as behind:
            threading.Thread(target=pump, args=(behind, self.connection), daemon=True).start()
            pump(self.connection, behind)


def pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_forward_proxy_and_an_authority_of_ones_own(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "behörde"
    folder.mkdir()
    certificate = certificate_of(folder / "ca.pem", "localhost", timedelta(hours=1))
    monkeypatch.setenv(variable, str(certificate))
    with serving(certificate) as (host, asked), ScriptedServer(("127.0.0.1", 0), Tunnels) as proxy:
        proxy.asked, proxy.daemon_threads = [], True
        threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("https_proxy", f"http://{WHO}@127.0.0.1:{proxy.server_address[1]}")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://{host}")
        store = GcsStore()
        assert [store.read("gs://bucket/f", 0, 3) for _ in range(2)] == [FOUND] * 2
        assert asked == [PATH] * 2
        assert [lines.split("\r\n")[0] for lines in proxy.asked] == [f"CONNECT {host} HTTP/1.1"]
        with pytest.raises(StorageError):  # of the server, which knows no POST: the library got there too
            store.create("gs://bucket/f", b"data")
        assert len(proxy.asked) == 2
        monkeypatch.setenv("no_proxy", "localhost")
        assert GcsStore().read("gs://bucket/f", 0, 3) == FOUND
        assert len(proxy.asked) == 2
        proxy.shutdown()


def test_a_folder_of_authorities(certificate: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "authorities"
    folder.mkdir()
    loaded = x509.load_pem_x509_certificate(certificate.read_bytes())
    name = hashlib.sha1(loaded.subject.public_bytes()[2:]).digest()[:4][::-1].hex()  # what OpenSSL looks for
    (folder / f"{name}.0").write_bytes(loaded.public_bytes(Encoding.PEM))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(folder))
    with serving(certificate) as (host, _):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://{host}")
        assert GcsStore().read("gs://bucket/f", 0, 3) == FOUND


def test_with_a_client_certificate_the_librarys_session_reads(
    scripted: ScriptedServer, once: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected = client.connected

    def with_certificate() -> Any:
        made = connected()
        made._http._is_mtls = True
        return made

    monkeypatch.setattr(client, "connected", with_certificate)
    monkeypatch.setitem(storage._stores, "gs", GcsStore())
    monkeypatch.setattr(gcs_store, "_WHOLE", 100_000)
    stored = said("200 OK", "Content-Length: 40", SEVEN, body=jpeg()[:40])
    scripted.script = [USUAL, *[stored] * 3, said("404 No", LENGTH), endless(said("206", RANGE, SEVEN), b"abc" * 99)]
    store = storage.store_for("gs://bucket")
    assert [outcome(store), outcome(store)] == [FOUND, (jpeg()[:3], Stat("gs://bucket/f", 40, "7"))]
    looked = [facts.reason for facts in look_at(["gs://bucket/a.jpg", "gs://bucket/b.jpg"], inspector("gs://"))[1]]
    assert looked == ["truncated_image"] * 2
    assert [outcome(store), outcome(store)] == [NotFound, Refused]
    assert len(scripted.asked) == 6 and not any("User-Agent: tuneset" in asked for asked in scripted.asked)


# --- what a server can say


class Scripted(socketserver.StreamRequestHandler):
    """Answers as it is told, piece by piece, and ends the connection if there is no more to say or it is told so (END)."""

    def handle(self) -> None:
        server: Any = self.server
        asked = ""
        for line in self.rfile:
            if line != b"\r\n":
                asked += line.decode()
                continue
            server.asked.append(asked)
            asked = ""
            try:
                for piece in server.script.pop(0):
                    self.wfile.write(piece.removesuffix(END))
                    if piece.endswith(END):
                        return
            except OSError:
                return  # it was enough for the client


END = b"(end)"


class ScriptedServer(socketserver.ThreadingTCPServer):
    """script: the pieces of each answer."""

    asked: list[str]
    script: list[Iterable[bytes]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(("127.0.0.1", 0), Scripted) as server:
        server.asked, server.script, server.daemon_threads = [], [], True
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def said(status: str, *headers: str, body: bytes = b"abc", end: bytes = b"") -> list[bytes]:
    return ["\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body + end]


LENGTH, RANGE, SEVEN = "Content-Length: 3", "Content-Range: bytes 0-2/10", "x-goog-generation: 7"
CHUNKED = "Transfer-Encoding: chunked"
IN_CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"
USUAL = said("206 Partial Content", LENGTH, RANGE, SEVEN)
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


def endless(head: list[bytes], piece: bytes) -> Iterator[bytes]:
    yield head[0]
    while True:
        yield piece


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


def outcome(store: GcsStore) -> Any:
    try:
        return store.read("gs://bucket/f", 0, 3)
    except StorageError as error:
        return type(error)


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_predicate(lambda _: False))


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


GOOD_BUCKETS = ("abc", "a-b_c", "a__b", "a.b", "my-bucket.example.com", "a" * 63, f"{'a' * 63}.{'b' * 63}", "1.2.3")
BAD_BUCKETS = (
    "ab", "a" * 64, f"{'a' * 64}.b", ".".join("aaa" * 21 for _ in range(4)), "a..b", "a.-b", "a-.b", "-ab", "ab-", "_ab",
    ".abc", "abc.", "192.168.5.4", "Abc", "abc\n",
)  # fmt: skip


def test_a_request_is_made_only_with_what_can_be_a_buckets_name() -> None:
    assert [split_uri(f"gs://{name}/f")[0] for name in GOOD_BUCKETS] == list(GOOD_BUCKETS)
    for name in BAD_BUCKETS:
        with pytest.raises(NotFound, match="not a bucket's name"):
            split_uri(f"gs://{name}/f")


@pytest.mark.parametrize("line_end", ["\r\n", "\r", "\n"])
def test_a_token_cannot_become_a_request(scripted: ScriptedServer, line_end: str) -> None:
    class Tokens(AnonymousCredentials):
        def before_request(self, request: Any, method: str, url: str, headers: Any) -> None:
            headers["authorization"] = f"a{line_end}{line_end}GET /"

    store = GcsStore()
    store._client()._http.credentials = Tokens()
    with pytest.raises(ValueError, match="Invalid header value"):
        store.read("gs://bucket/f", 0, 3)
    assert scripted.asked == []
