"""How storage is reached: certificates and proxies are what the environment says, as they are for the client's own requests.

And the short way: what an open connection brings is what the client's own way to ask would.
"""

from __future__ import annotations

import base64
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from inspecting import inspector

from transforms import storage
from transforms.images.inspection import look
from transforms.storage.api import NoAccess, NotFound, Refused, Stat, StorageError, Unavailable, Untrusted, crc32c
from transforms.storage.gcs import client, unreached
from transforms.storage.gcs import store as gcs_store
from transforms.storage.gcs.client import split_uri
from transforms.storage.gcs.store import GcsStore

HEADERS = {"Content-Length": "3", "Content-Range": "bytes 0-2/10", "x-goog-generation": "7"}
FOUND = b"abc", Stat("gs://bucket/f", 10, "7")
PATH = "/download/storage/v1/b/bucket/o/f?alt=media"


class Answers(BaseHTTPRequestHandler):
    """Gives every GET the same three bytes, and opens no tunnel."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        self.send_response(206)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"abc")

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")  # type: ignore[attr-defined]
        self.send_error(403)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def serving(shown: Path | None = None) -> Iterator[tuple[str, list[str]]]:
    """A server, with TLS if it has a certificate to show -> (host and port, what it is asked for)."""
    with ThreadingHTTPServer(("localhost", 0), Answers) as server:
        server.asked = asked = list[str]()  # type: ignore[attr-defined]
        if shown:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(shown)
            server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"localhost:{server.server_port}", asked
        finally:
            server.shutdown()


def certificate_of(path: Path, host: str, until: timedelta) -> Path:
    """A certificate that signs itself, with its key: valid until so long from now."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(timezone.utc)
    made = x509.CertificateBuilder(
        name, name, key.public_key(), x509.random_serial_number(), now - 2 * abs(until), now + until
    )
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM) + secret)
    return path


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost that nobody knows, with its key."""
    return certificate_of(tmp_path / "certificate", "localhost", timedelta(hours=1))


@pytest.fixture(autouse=True)
def brief(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(0.1))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_certificate_that_nobody_knows_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(certificate) as (host, asked):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://{host}")
        monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(60))
        began = time.monotonic()
        with pytest.raises(Untrusted, match=r"cannot be verified \(self.signed certificate\).*REQUESTS_CA_BUNDLE"):
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
    with pytest.raises(NoAccess, match=r"/nowhere \(REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names it"):
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
        with pytest.raises(Unavailable, match="Tunnel connection failed"):
            GcsStore().read("gs://bucket/f", 0, 3)
        assert set(asked[2:]) == {"CONNECT storage.test:443"}


# --- the short way, over a connection that is open


class Scripted(socketserver.StreamRequestHandler):
    """Answers as it is told, byte by byte, and ends the connection if there is no more to say or it is told so (None)."""

    def handle(self) -> None:
        server: Any = self.server
        asked = ""
        for line in self.rfile:
            if line != b"\r\n":
                asked += line.decode()
                continue
            server.asked.append(asked)
            asked, said = "", server.script.pop(0)
            self.wfile.write(said.removesuffix(END))
            if said.endswith(END):
                return


END = b"(end)"


class ScriptedServer(socketserver.ThreadingTCPServer):
    asked: list[str]
    script: list[bytes]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(("127.0.0.1", 0), Scripted) as server:
        server.asked, server.script, server.daemon_threads = [], [], True
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


def said(status: str, *headers: str, body: bytes = b"abc") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode() + body


LENGTH, RANGE, SEVEN = "Content-Length: 3", "Content-Range: bytes 0-2/10", "x-goog-generation: 7"
USUAL = said("206 Partial Content", LENGTH, RANGE, SEVEN)
SUM = base64.b64encode(crc32c(b"abc").to_bytes(4, "big")).decode()
PLAIN = {
    "a range": USUAL,
    "names in any letters": said("206", "CONTENT-LENGTH:3", "content-range:  bytes 0-2/10", "X-Goog-Generation:\t7"),
    "all of it": said("200 OK", LENGTH, SEVEN, f"x-goog-hash: md5=x, crc32c={SUM}"),
    "all of it, hashes apart": said("200 OK", LENGTH, SEVEN, "x-goog-hash: md5=x", f"x-goog-hash: crc32c={SUM}"),
    "all of it, damaged": said("200 OK", LENGTH, SEVEN, "x-goog-hash: md5=x", "x-goog-hash: crc32c=AAAAAA=="),
    "nothing": said("206", "Content-Length: 0", RANGE, SEVEN, body=b""),
    "stored compressed": said("206", LENGTH, RANGE, SEVEN, "Content-Encoding: gzip"),
    "past the end": said("416 Range", LENGTH, "Content-Range: bytes */10", SEVEN),
    "missing": said("404 Not Found", LENGTH),
    "forbidden": said("403 Forbidden", "Content-Length: 32", body=b'{"error": {"message": "not you"}}'[:32]),
    "under a key that is not ours": said("400 Bad Request", LENGTH),
    "too many": said("429 Too Many", LENGTH),
    "too short": USUAL[:-1] + END,
    "no answer": END,
}
OTHERS = {
    "chunks": said("206", "Transfer-Encoding: chunked", RANGE, SEVEN, body=b"3\r\nabc\r\n0\r\n\r\n"),
    "chunks and a length": said(
        "206", LENGTH, "Transfer-Encoding: chunked", RANGE, SEVEN, body=b"3\r\nabc\r\n0\r\n\r\n"
    ),
    "until the end": said("206", RANGE, SEVEN) + END,
    "HTTP/1.0": USUAL.replace(b"/1.1", b"/1.0") + END,
    "in two steps": b"HTTP/1.1 100 Continue\r\n\r\n" + USUAL,
    "a folded header": said("206", LENGTH, RANGE, SEVEN, "More: a", " b"),
    "two lengths": said("206", LENGTH, LENGTH.replace("3", "2"), RANGE, SEVEN),
    "many headers": said("206", LENGTH, RANGE, SEVEN, *[f"X-{n}: {n:03000}" for n in range(90)], f"X: {'x' * 9000}"),
}


def outcome(store: GcsStore) -> Any:
    try:
        return store.read("gs://bucket/f", 0, 3)
    except StorageError as error:
        return type(error), "" if isinstance(error, Unavailable) else str(error)


def shortly(asked: str) -> bool:
    return "User-Agent: tuneset\r\n" in asked


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_predicate(lambda _: False))


@pytest.mark.parametrize("answer", PLAIN.values(), ids=PLAIN)
def test_an_open_connection_brings_what_a_new_one_does(answer: bytes, scripted: ScriptedServer, once: None) -> None:
    scripted.script = [answer, USUAL, answer]
    expected, store = outcome(GcsStore()), GcsStore()
    assert [outcome(store), outcome(store)] == [FOUND, expected]
    assert list(map(shortly, scripted.asked)) == [False, False, True]
    scripted.script = [USUAL]
    assert outcome(store) == FOUND  # whatever became of the connection


@pytest.mark.parametrize("answer", OTHERS.values(), ids=OTHERS)
def test_what_is_not_plain_is_asked_for_the_long_way_from_then_on(
    answer: bytes, scripted: ScriptedServer, once: None
) -> None:
    scripted.script = [answer, USUAL, answer, answer, USUAL]
    expected, store = outcome(GcsStore()), GcsStore()
    assert [outcome(store), outcome(store), outcome(store)] == [FOUND, expected, FOUND]
    assert list(map(shortly, scripted.asked)) == [False, False, True, False, False]


def test_a_connection_that_is_to_be_closed_is_not_used_again(scripted: ScriptedServer) -> None:
    store, last = GcsStore(), said("206", LENGTH, RANGE, SEVEN, "Connection: close")
    scripted.script = [USUAL, last, USUAL]
    assert [outcome(store) for _ in range(3)] == [FOUND] * 3
    assert list(map(shortly, scripted.asked)) == [False, True, False]


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
    "of no length": said("200 OK", SEVEN, body=b"abcdef") + END,
    "in chunks": said("200 OK", "Transfer-Encoding: chunked", SEVEN, body=b"6\r\nabcdef\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("answer", WHOLE.values(), ids=WHOLE)
def test_all_of_an_object_is_not_taken_for_a_part_of_it(
    answer: bytes, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, scripted.script = GcsStore(), [USUAL]
    assert outcome(store) == FOUND
    scripted.script = [answer] * 2  # the second one for the long way
    assert outcome(store) == (b"abc", Stat("gs://bucket/f", 6, "7"))  # a small one is
    monkeypatch.setattr(gcs_store, "_WHOLE", 5)
    for _ in range(2):
        scripted.script = [answer] * 2
        with pytest.raises(Refused, match="5 bytes"):
            store.read("gs://bucket/f", 0, 3)
    scripted.script = [answer] * 2
    assert store.read("gs://bucket/f")[0] == b"abcdef"  # no part was asked for
    scripted.script = [USUAL]
    assert outcome(store) == FOUND


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


def test_a_header_cannot_become_a_request(scripted: ScriptedServer) -> None:
    store, scripted.script = GcsStore(), [USUAL]
    assert outcome(store) == FOUND
    for line_end in ("\r\n", "\r", "\n"):
        with pytest.raises(ValueError, match="Invalid header value"):
            store._connection.read(store._url("gs://bucket/f", "v1") + "?a", {"X": f"a{line_end}{line_end}GET /"}, "")
    assert len(scripted.asked) == 1
