"""A bucket of the tests' storage server, and what lies in it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from folders import put, read_folder
from google.cloud import storage as gcs_client


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
