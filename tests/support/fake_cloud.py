"""Stand-ins for what cannot run here: Dataflow's REST service, and the metadata server that gives credentials.

Also a tap on the line to the storage server, which sees what is written by processes that are not the test's.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import urllib3

Answer = tuple[int, bytes, dict[str, str]]  # status, body, headers


@contextmanager
def served(answer: Callable[[str, str, bytes, dict[str, str]], Answer]) -> Iterator[int]:
    """Serve `answer(method, path, body, headers)` on a free port of this machine -> the port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, data, headers = answer(self.command, self.path, body, dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _any

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class FakeDataflow:
    """The calls that a submission, a launch and a cancellation make. What it cannot judge, it accepts.

    Args:
      states: what a job is in at its first poll, its second, ...; the last stays.
      error: an error message of the job.
      metrics: what it has counted, as the service tells it.
      on_submit: called with a job before it is answered: what the job does.
      refusal, rejection: (status, message) of the next launches, of the next submissions.
      gone: no job is known any more.
    """

    states: list[str] = field(default_factory=lambda: ["JOB_STATE_RUNNING", "JOB_STATE_DONE"])
    error: str = ""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    refusal: tuple[int, str] | None = None
    rejection: tuple[int, str] | None = None
    gone: bool = False
    port: int = 0
    requests: list[tuple[str, str]] = field(default_factory=list)
    jobs: list[dict[str, Any]] = field(default_factory=list)  # as they were submitted
    launches: list[dict[str, Any]] = field(default_factory=list)
    polled: threading.Event = field(default_factory=threading.Event)
    on_submit: Callable[[dict[str, Any]], None] = lambda job: None
    _cancelled: bool = False

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def beam(self) -> list[str]:
        """Beam's options that lead here."""
        return ["--runner=DataflowRunner", f"--dataflow_endpoint={self.url}", "--no_auth"]

    def answer(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        path = path.partition("?")[0]
        self.requests.append((method, path))
        said = json.loads(body) if body else {}
        status, told = self._told(method, path, said)
        return status, json.dumps(told).encode(), {"Content-Type": "application/json"}

    def _told(self, method: str, path: str, said: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if method == "POST" and path.endswith("/jobs"):
            if self.rejection:
                return self.rejection[0], {"error": {"code": self.rejection[0], "message": self.rejection[1]}}
            self.jobs.append(said)
            self.on_submit(said)
            return 200, {"id": "job-1", "name": said["name"], "currentState": "JOB_STATE_PENDING"}
        if method == "POST" and path.endswith("flexTemplates:launch"):
            if self.refusal:
                return self.refusal[0], {"error": {"code": self.refusal[0], "message": self.refusal[1]}}
            self.launches.append(said)
            name = said["launchParameter"]["jobName"]
            return 200, {} if said.get("validateOnly") else {"job": {"id": "flex-1", "name": name}}
        if method == "PUT" and path.endswith("/jobs/job-1"):
            self._cancelled = True
            return 200, {"id": "job-1", "requestedState": said["requestedState"]}
        if method == "GET" and path.endswith("/messages"):
            told = {"id": "1", "time": "2026-01-01T00:00:00Z", "messageText": self.error}
            return 200, {"jobMessages": [told | {"messageImportance": "JOB_MESSAGE_ERROR"}] if self.error else []}
        if method == "GET" and path.endswith("/jobs/job-1/metrics"):
            return 200, {"metrics": self.metrics}
        if method == "GET" and re.search(r"/jobs/job-1$", path) and not self.gone:
            self.polled.set()
            state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
            if self._cancelled:
                state = "JOB_STATE_CANCELLED"
            return 200, {"id": "job-1", "name": "j", "currentState": state, "projectId": "my-project"}
        return 404, {"error": {"code": 404, "message": f"no {method} {path} here"}}


@contextmanager
def fake_dataflow() -> Iterator[FakeDataflow]:
    service = FakeDataflow()
    with served(service.answer) as service.port:
        yield service


@contextmanager
def fake_metadata() -> Iterator[None]:
    """Credentials of a made-up service account for this process and its children; without any, Beam looks for 20 seconds."""
    texts = {
        "/": "ok",
        "project/project-id": "my-project",
        "universe/universe-domain": "googleapis.com",
        "token": json.dumps({"access_token": "made-up", "expires_in": 3600, "token_type": "Bearer"}),
    }
    account = json.dumps({"email": "someone@example.com", "scopes": ["all"], "aliases": ["default"]})

    def answer(method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        path = path.partition("?")[0]
        found = next((told for end, told in texts.items() if path.endswith(end) and (end != "/" or path == "/")), None)
        if found is None and "/service-accounts/" in path:
            found = account
        kind = "application/json" if found and found.startswith("{") else "text/plain"
        headers = {"Metadata-Flavor": "Google", "Content-Type": kind}
        return (404, b"", headers) if found is None else (200, found.encode(), headers)

    before = {name: os.environ.get(name) for name in ("GCE_METADATA_HOST", "GCE_METADATA_IP")}
    with served(answer) as port:
        os.environ |= dict.fromkeys(before, f"127.0.0.1:{port}")
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextmanager
def tapped(url: str) -> Iterator[tuple[str, list[tuple[str, int]]]]:
    """Stand before the storage server at `url` -> (the tap's own URL, the uploads: each object's name and the answer's status)."""
    pool, uploads = urllib3.PoolManager(maxsize=16), []

    def answer(method: str, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
        found = pool.request(method, url + path, body=body, headers=kept, decode_content=False, retries=False)
        if method == "POST" and path.startswith("/upload/") and (name := re.search(rb'"name": ?"([^"]+)"', body)):
            uploads.append((name[1].decode(), found.status))
        return (
            found.status,
            found.data,
            {name: value for name, value in found.headers.items() if name.lower() not in _HOP},
        )

    with served(answer) as port:
        yield f"http://127.0.0.1:{port}", uploads


_HOP = {"host", "connection", "content-length", "transfer-encoding", "date", "keep-alive"}
