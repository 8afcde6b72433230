"""A server of one object, with TLS if it has a certificate to show, and the certificates."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

HEADERS = {"Content-Length": "3", "Content-Range": "bytes 0-2/10", "x-goog-generation": "7"}


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
