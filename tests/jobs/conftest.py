"""Buckets with the input of whole jobs, one of which nobody may read."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from folders import put, row, write_lines, write_rows
from gcs_jobs import SPECIAL, write_images
from google.api_core import exceptions

from transforms.storage.gcs.store import GcsStore


@pytest.fixture
def raw(tmp_path: Path, cloud: Cloud) -> Cloud:
    """gs://BUCKET/raw/: 100 rows with relative paths, a .gz, one row with 40 images, rows that cannot be used."""
    folder = tmp_path / "made"
    images = write_images(folder)
    write_rows(folder / "a.jsonl", 100, images=images)
    packed = write_rows(folder / "packed", 20, seed=2, images=[f"{cloud.uri}/raw/{name}" for name in images])
    put(folder / "b.jsonl.gz", gzip.compress(Path(packed).read_bytes()))
    os.unlink(packed)
    gone = [row("gone?", ["images/none.jpg"]), row("closed?", ["gs://tuneset-closed/a.jpg"])]
    bad = [row("where?", ["gs://tuneset-never-made/a.jpg"]), row("mine?", ["/etc/hostname"])]
    assert len(gone + bad) == SPECIAL
    write_lines(folder / "c.jsonl", [row("all?", [images[i % 26] for i in range(40)]), *gone, *bad])
    cloud.upload(folder, "raw")
    return cloud


@pytest.fixture
def texts(tmp_path: Path, cloud: Cloud) -> Cloud:
    """gs://BUCKET/raw/rows.jsonl: 40 rows without images."""
    cloud.put("raw/rows.jsonl", Path(write_rows(tmp_path / "texts.jsonl", 40)).read_bytes())
    return cloud


@pytest.fixture
def closed_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator knows no permissions: one bucket answers as Cloud Storage does to who may not read."""
    ask = GcsStore._range

    def refusing(store: GcsStore, uri: str, *how: Any) -> Any:
        if uri.startswith("gs://tuneset-closed/"):
            raise exceptions.Forbidden("the caller does not have storage.objects.get access")
        return ask(store, uri, *how)

    monkeypatch.setattr(GcsStore, "_range", refusing)
