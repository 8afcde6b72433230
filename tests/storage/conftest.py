"""Where the tests of stores work, and what they watch there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Scripted, ScriptedServer
from store_place import Place
from wire import Wire, wired

from transforms.storage.api import USUAL, set_access
from transforms.storage.gcs import client
from transforms.storage.gcs.store import GcsStore
from transforms.storage.local import LocalStore
from transforms.storage.web import exchange, hosts


@pytest.fixture(params=["local", "gs"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "local":
        return Place(LocalStore(), str(tmp_path))
    return Place(GcsStore(), request.getfixturevalue("bucket"))


@pytest.fixture
def wire(gcs: Any, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Begins when the bucket is there."""
    with wired(gcs.url) as wire:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", wire.url)
        yield wire


@pytest.fixture
def brief(impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_timeout(0.1))
    proxies = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in (*proxies, "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    with ScriptedServer(("127.0.0.1", 0), Scripted) as server:
        server.asked, server.script, server.daemon_threads = [], [], True
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "RETRY", client.RETRY.with_predicate(lambda _: False))


@pytest.fixture
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is waited for long, and what this process may ask is as before."""
    monkeypatch.setattr(exchange, "_PAUSES", (0.01, 0.01))
    monkeypatch.setattr(hosts, "_FIRST_PAUSE", 0.02)
    yield
    set_access(USUAL)
