"""Whole jobs: run over rows, refused, checked; and buckets with their input, one of which nobody may read."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import laws
import pytest
from check_runs import Check, Checked
from cloud import Cloud
from folders import put, row, write_lines, write_rows
from gcs_jobs import SPECIAL, write_images
from google.api_core import exceptions
from prepared import Run

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from transforms.storage.gcs.store import GcsStore

PROGRESS = re.compile(r"  \d\d:\d\d  [\d,]+ blocks?")  # told now and then on a slow machine


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


@pytest.fixture
def run_rows(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run a job over rows -> its output folder by file name, every law checked, and under "screen" what it said."""

    def job(rows: Sequence[dict[str, Any]] | str, *argv: str, output: str = "out") -> laws.Folder:
        source = rows if isinstance(rows, str) else write_lines(tmp_path / "in" / "rows.jsonl", rows)
        status = prepare(["--input", source, "--output", str(tmp_path / output), *argv])
        said = capfd.readouterr()
        assert status == 0, said.err
        return laws.sealed(tmp_path / output) | {"screen": said.out}

    return job


@pytest.fixture
def unsealed(capfd: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Run a command that does not seal -> exit status and what standard error says."""

    def job(*argv: str) -> tuple[int, str]:
        status = main(["prepare", *argv])
        said = capfd.readouterr()
        assert all(line.startswith("! ") or not line for line in said.out.splitlines())  # warnings
        return status, "".join(line for line in said.err.splitlines(keepends=True) if not PROGRESS.match(line))

    return job


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Run `tuneset check ... --format json`, whose standard output is nothing but lines of JSON."""

    def run(*argv: Any) -> Checked:
        capsys.readouterr()
        status = main(["check", *map(str, argv), "--format", "json"])
        said = capsys.readouterr()
        lines = [json.loads(line) for line in said.out.splitlines()]
        assert lines, said.err
        assert lines[-1]["exit"] == status
        assert {line["tuneset"] for line in lines[:-1]} <= {"finding/1"} and lines[-1]["tuneset"] == "summary/1"
        checked = Checked(status, lines[:-1], lines[-1])
        assert {code: min(count, 1000) for code, count in checked.summary["counts"].items()} == checked.codes
        return checked

    return run
