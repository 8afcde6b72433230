"""The tests' storage server, and a bucket of it with what lies in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from folders import put, read_folder
from google.cloud import storage as gcs_client


@dataclass
class Emulator:
    """The server, and a client of it that is not the code under test."""

    url: str
    client: gcs_client.Client
    _numbers: Iterator[int] = field(default_factory=count)

    def new_bucket(self) -> str:
        """The URI of a fresh bucket: gs://NAME."""
        name = f"tuneset-test-{next(self._numbers)}"
        self.client.create_bucket(name)
        return f"gs://{name}"


class Cloud:
    """A bucket, seen by a client that is not the code under test."""

    def __init__(self, bucket: gcs_client.Bucket, uri: str) -> None:
        self.bucket, self.uri = bucket, uri

    def put(self, name: str, data: bytes) -> str:
        self.bucket.blob(name).upload_from_string(data)
        return f"{self.uri}/{name}"

    def upload(self, folder: Path, prefix: str) -> None:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.put(f"{prefix}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def blobs(self, prefix: str = "") -> dict[str, gcs_client.Blob]:
        """Every object below a prefix, by its name after the prefix."""
        return {blob.name[len(prefix) :]: blob for blob in self.bucket.list_blobs(prefix=prefix)}

    def generations(self, prefix: str) -> dict[str, int]:
        return {name: blob.generation for name, blob in self.blobs(prefix).items()}

    def folder(self, prefix: str, into: Path) -> dict[str, Any]:
        """What lies below a prefix, as `read_folder` tells it."""
        shutil.rmtree(into, ignore_errors=True)
        for name, blob in self.blobs(prefix).items():
            put(into / name, blob.download_as_bytes())
        return read_folder(into)

    def json(self, name: str) -> Any:
        return json.loads(self.bucket.blob(name).download_as_bytes())
