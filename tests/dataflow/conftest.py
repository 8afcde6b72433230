"""A stand-in of Dataflow, and a bucket with rows, for the tests that submit and launch."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.runners.dataflow import dataflow_runner
from dataflow_jobs import Bucket
from fake_cloud import FakeDataflow, fake_dataflow, fake_metadata


@pytest.fixture(scope="module")
def credentials() -> Iterator[None]:
    with fake_metadata():
        yield


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDataflow]:
    """A Dataflow that is polled a hundred times as often."""
    hurried = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(seconds / 100))
    monkeypatch.setattr(dataflow_runner, "time", hurried)
    with fake_dataflow() as made:
        yield made


@pytest.fixture
def cloud(gcs: Any, bucket: str, tmp_path: Path) -> Bucket:
    (tmp_path / "raw").mkdir()
    return Bucket(gcs.client, bucket, tmp_path / "raw")
