"""What is missing around a job is said at once, with its cause and what to do: credentials, engines, files, threads, memory."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from folders import put, write_rows

from beam_jobs import engines
from beam_jobs.commands.prepare import prepare
from beam_jobs.engines import NoEngine, check_engine
from beam_jobs.options import OptionError
from beam_jobs.preflight import beam_options
from beam_jobs.report.screen import cause
from beam_jobs.report.shortages import allow_files, shortage
from beam_jobs.settings import parse
from transforms.storage import store_for
from transforms.storage.api import NoCredentials

Told = pytest.CaptureFixture[str]
KEY = "GOOGLE_APPLICATION_CREDENTIALS"
SECRET = "do-not-show"


# --- credentials


def without_emulator(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    monkeypatch.delenv("STORAGE_EMULATOR_HOST", raising=False)
    monkeypatch.setenv(KEY, path)


@pytest.mark.parametrize(
    "data, said",
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"type": "service_account", "private_key": "' + SECRET.encode(), "is no JSON, or only a part of it"),
        (b"\xff\xfe{", "is no JSON, or only a part of it"),
        (b"[" * 100_000, "is no JSON, or only a part of it"),
        (b"[1]", "is JSON, but no object"),
        (b"{}", "has no type: it is no key file"),
        (b'{"type": "nonsense"}', "is of the unknown type 'nonsense': expected one of service_account, "),
        (b'{"type": 7}', "is of the unknown type '7'"),
        (b'{"installed": {"client_secret": "do-not-show"}}', "is the secret of an OAuth client, and no key"),
        (
            b'{"type": "service_account"}',
            "cannot be used: Service account info was not in the expected format, missing ",
        ),
        (
            b'{"type": "authorized_user"}',
            "cannot be used: Authorized user info was not in the expected format, missing ",
        ),
        (b'{"type": "external_account"}', "cannot be used: Failed to load external account credentials"),
        (b'{"type": "impersonated_service_account"}', "cannot be used: AttributeError: "),
        (
            json.dumps(
                {
                    "type": "service_account",
                    "client_email": "a@b",
                    "token_uri": "https://token.test",
                    "private_key": SECRET,
                }
            ).encode(),
            "cannot be used: Unable to load PEM file",
        ),
    ],
)
def test_a_key_file_that_is_none_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: bytes, said: str
) -> None:
    path = put(tmp_path / "key.json", data)
    without_emulator(monkeypatch, path)
    with pytest.raises(NoCredentials) as told:
        type(store_for("gs://bucket/f"))().stat("gs://bucket/f")
    text = str(told.value)
    assert text.startswith(f"{KEY} names {path}, which {said}") and SECRET not in text
    assert text.endswith("or unset it and run `gcloud auth application-default login`.")


def test_a_key_file_that_cannot_be_opened_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    rows = write_rows(tmp_path / "rows.jsonl", 1)
    for path, said in (
        (tmp_path, "is a folder: expected a key file"),
        (tmp_path / "none", "does not exist"),
        (loop, "cannot be read: Too many levels of symbolic links"),
    ):
        without_emulator(monkeypatch, str(path))
        with pytest.raises(NoCredentials, match=f"names {path}, which {said}"):
            type(store_for("gs://bucket/f"))().stat("gs://bucket/f")
    monkeypatch.setattr("transforms.storage._stores", {})
    assert prepare(["--input", rows, "--output", "gs://bucket/out"]) == 1
    assert capsys.readouterr().err.startswith(f"tuneset: {KEY} names {loop}, which cannot be read")


# --- engines


@contextmanager
def listening(answer: bool) -> Iterator[int]:
    """A port where a server accepts connections, and speaks gRPC or says nothing."""
    if answer:
        server = grpc.server(futures.ThreadPoolExecutor(1))
        port = server.add_insecure_port("localhost:0")
        server.start()
        try:
            yield port
        finally:
            server.stop(None)
        return
    with socket.create_server(("localhost", 0)) as silent:
        yield silent.getsockname()[1]


def check(runner: str, *flags: str) -> None:
    check_engine(runner, PipelineOptions(list(flags)))


@pytest.mark.parametrize("runner", ["PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner"])
def test_a_job_server_that_is_there_is_found(runner: str) -> None:
    with listening(answer=True) as port:
        check(runner, "--job_endpoint", f"localhost:{port}")


def test_a_job_server_that_comes_up_meanwhile_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(answer=False) as port:
        pass
    server = grpc.server(futures.ThreadPoolExecutor(1))
    later = threading.Timer(1.0, lambda: (server.add_insecure_port(f"localhost:{port}"), server.start()))
    later.start()
    try:
        check("PortableRunner", "--job_endpoint", f"localhost:{port}")
    finally:
        later.join()
        server.stop(None)


@pytest.mark.parametrize("runner", ["PortableRunner", "FlinkRunner", "SparkRunner", "PrismRunner"])
def test_no_job_server_is_said_soon_with_the_cause(runner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "PATIENCE", 0.3)
    with pytest.raises(NoEngine, match=r"No job server answers at localhost:1 .*Connection refused. Start it"):
        check(runner, "--job_endpoint", "localhost:1")
    with pytest.raises(NoEngine, match=r"the name server\.invalid is not known"):
        check(runner, "--job_endpoint", "server.invalid:8099")
    with listening(answer=False) as port, pytest.raises(NoEngine, match="whoever answers there is no job server"):
        check(runner, "--job_endpoint", f"localhost:{port}")


def test_no_flink_no_java_and_no_prism_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "PATIENCE", 0.3)
    with pytest.raises(NoEngine, match=r"No Flink answers at localhost:1 .*Connection refused"):
        check("FlinkRunner", "--flink_master", "localhost:1")
    with pytest.raises(NoEngine, match=r"No Flink answers at flink\.invalid:8081 .*is not known"):
        check("FlinkRunner", "--flink_master", "http://flink.invalid")
    with listening(answer=False) as port:
        check("FlinkRunner", "--flink_master", f"localhost:{port}", "--flink_submit_uber_jar")
    with pytest.raises(NoEngine, match="there is no '/nowhere/java': install Java"):
        check("FlinkRunner", "--job_server_java_launcher", "/nowhere/java")
    for runner, flags, said in (
        ("PortableRunner", (), "needs --job_endpoint HOST:PORT"),
        ("PrismRunner", ("--prism_location", f"{tmp_path}/prism"), "there is no such file"),
        ("FlinkRunner", ("--flink_master", "host:port"), "--flink_master host:port: expected HOST:PORT"),
    ):
        with pytest.raises(OptionError, match=said):
            check(runner, *flags)
    check("FnApiRunner")


def test_a_job_without_its_server_writes_nothing(tmp_path: Path, capsys: Told) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 1)
    began = time.monotonic()
    argv = ["--runner", "PortableRunner", "--job_endpoint", "localhost:1"]
    assert prepare(["--input", rows, "--output", f"{tmp_path}/out", *argv]) == 1
    assert time.monotonic() - began < 20 and not (tmp_path / "out").exists()
    assert "tuneset: No job server answers at localhost:1 (--job_endpoint)" in capsys.readouterr().err


def test_a_job_server_may_take_as_long_as_a_job_does() -> None:
    """Beam's own limit is five minutes of the whole job, after which Prism's was told to have failed."""
    words, flags = ["--input", "x", "--output", "y"], ["--runner=PrismRunner", "--job-server-timeout=7"]
    for given, seconds in (([], 10 * 365 * 24 * 3600), (flags, 7)):
        options = beam_options(parse([*words, *given]))
        assert options.view_as(PortableOptions).job_server_timeout == seconds


def test_the_cause_of_a_request_is_what_its_server_said() -> None:
    told = (
        '<_MultiThreadedRendezvous of RPC that terminated with:\n\tstatus = StatusCode.UNKNOWN\n\tdetails = "gone"\n>'
    )
    assert cause(RuntimeError(told)) == "gone."


# --- limits of the process


@pytest.mark.parametrize(
    "error, said",
    [
        (OSError(24, "Too many open files"), "The limit of open files is "),
        (RuntimeError("can't start new thread"), "No thread could be started: the limits are "),
        (MemoryError(), "The process ran out of memory: its limit is "),
        (OSError(12, "Cannot allocate memory"), "The process ran out of memory"),
        (
            RuntimeError("pyarrow.lib.ArrowMemoryError: malloc of size 64 failed [while running 'x']"),
            "ran out of memory",
        ),
    ],
)
def test_what_a_process_ran_out_of_is_named(error: Exception, said: str) -> None:
    assert said in cause(error)


def test_a_full_disk_is_told() -> None:
    told = shortage("/out/images.parquet: [Errno 28] No space left on device")
    assert told == "The disk is full, or its quota is used up: make room there."


def test_other_errors_are_no_shortage() -> None:
    assert shortage("ValueError: memory of a boy") == "" and shortage("") == ""


def test_the_limit_of_files_is_raised_as_far_as_it_may() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
        allow_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(65_536, before[1]), before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_too_little_memory_to_begin_with_is_one_line(tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows.jsonl", 1)
    tuneset = f"{Path(sys.executable).parent}/tuneset"
    script = f"ulimit -v 400000; exec {tuneset} prepare --input {rows} --output {tmp_path}/out"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 1 and not (tmp_path / "out").exists()
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("tuneset: The process ran out of memory: its limit is 400,000 KB of addresses (ulimit -v)")
