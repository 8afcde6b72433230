"""How storage is reached: certificates and proxies are what the environment says, as they are for the client's own requests."""

from __future__ import annotations

import base64
import hashlib
import socket
import socketserver
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from folders import jpeg
from google.auth.credentials import AnonymousCredentials
from inspecting import inspector
from one_object import certificate_of, serving
from scripted_server import FOUND, LENGTH, RANGE, SEVEN, USUAL, ScriptedServer, endless, outcome, said

from transforms import storage
from transforms.images.inspection import look_at
from transforms.storage.api import NoAccess, NotFound, Refused, Stat, StorageError, Unavailable, Untrusted
from transforms.storage.gcs import client, unreached
from transforms.storage.gcs import store as gcs_store
from transforms.storage.gcs.client import split_uri
from transforms.storage.gcs.store import GcsStore

pytestmark = pytest.mark.usefixtures("brief")
PATH = "/download/storage/v1/b/bucket/o/f?alt=media"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost that nobody knows, with its key."""
    return certificate_of(tmp_path / "certificate", "localhost", timedelta(hours=1))


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
    for name, until, fault in (
        ("localhost", -day, "certificate has expired"),
        ("elsewhere", day, "[Hh]ostname mismatch"),
    ):
        path = certificate_of(tmp_path / name, name, until)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
        with serving(path) as (host, asked):
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://{host}")
            with pytest.raises(Untrusted, match=fault):
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
