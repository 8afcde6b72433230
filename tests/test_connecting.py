"""How storage is reached: certificates and proxies are what the environment says, as they are for the client's own requests."""

from __future__ import annotations

import ssl
import threading
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

from transforms import connecting
from transforms.gcs import GcsStore
from transforms.storage import Stat, Unavailable

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


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate of localhost that nobody knows, with its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now, hour = datetime.now(timezone.utc), timedelta(hours=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now - hour, now + hour)
    made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = tmp_path / "certificate"
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM) + secret)
    return path


@pytest.fixture(autouse=True)
def brief(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "RETRY", connecting.RETRY.with_timeout(0.1))
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_certificate_that_nobody_knows_is_refused(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(certificate) as (host, asked):
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"https://{host}")
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            GcsStore().read("gs://bucket/f", 0, 3)
        assert asked == []
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert GcsStore().read("gs://bucket/f", 0, 3) == FOUND
        assert asked == [PATH]


def test_a_proxy_is_asked_for_the_whole_address_or_for_a_tunnel(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as (host, asked):
        monkeypatch.setenv("http_proxy", f"http://{host}")
        monkeypatch.setenv("https_proxy", f"http://{host}")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://storage.test")
        assert GcsStore().read("gs://bucket/f", 0, 3) == FOUND
        assert asked == [f"http://storage.test{PATH}"]
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "https://storage.test")
        with pytest.raises(Unavailable, match="Tunnel connection failed"):
            GcsStore().read("gs://bucket/f", 0, 3)
        assert set(asked[1:]) == {"CONNECT storage.test:443"}
