"""A real Flink: workers that are processes, a cluster of two, and one of the two killed in the middle of a job.

All is in gs:// (the emulator), as workers that are not threads of the launcher read no local file.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import flink
import pytest
from cloud import Cloud
from fake_cloud import tapped
from folders import assert_equal_folders, jpeg, png, put, row, write_lines

from beam_jobs.sample.rows import write_sample

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1200)]

IMAGES, BLOCK = 120, 2048
IN_FLIGHT = 32  # orders that two ghosts may hold and bring to an end


@pytest.fixture(scope="module")
def cloud(gcs: Any) -> Cloud:
    uri = gcs.new_bucket()
    return Cloud(gcs.client.bucket(uri.removeprefix("gs://")), uri)


def command(cloud: Cloud, source: str, *flags: str) -> list[str]:
    words = [sys.executable, "-m", "beam_jobs", "prepare", "--input", f"{cloud.uri}/{source}"]
    return [*words, "--output", f"{cloud.uri}/out", "--overwrite", "--block_bytes", str(BLOCK), *flags]


def dataset_of(cloud: Cloud, into: Path, source: str, *flags: str) -> dict[str, Any]:
    done = subprocess.run(command(cloud, source, *flags), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return cloud.folder("out/", into)


@pytest.fixture(scope="module")
def demo(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What FnApiRunner makes of the demo's sample, uploaded."""
    folder = tmp_path_factory.mktemp("demo")
    rows = write_sample(folder / "raw")
    cloud.upload(folder / "raw", "demo")
    found = dataset_of(cloud, folder / "down", f"demo/{rows.name}")
    assert found["manifest.json"]["counters"]["images_converted"] == 3
    return found


@pytest.fixture(scope="module")
def server(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with flink.job_server(tmp_path_factory.mktemp("server")) as endpoint:
        yield endpoint


@pytest.mark.parametrize("environment", ["LOOPBACK", "PROCESS"])
def test_workers_of_either_kind_make_the_demo(
    environment: str, cloud: Cloud, demo: dict[str, Any], server: str, tmp_path: Path
) -> None:
    workers = flink.process_environment(tmp_path) if environment == "PROCESS" else [f"--environment_type={environment}"]
    flags = ["--runner=PortableRunner", f"--job_endpoint={server}", *workers]
    assert_equal_folders(dataset_of(cloud, tmp_path / "down", "demo/examples.jsonl", *flags), demo)


def test_workers_elsewhere_find_what_a_check_here_finds(cloud: Cloud, server: str, tmp_path: Path) -> None:
    """They leave what they found in the bucket, where nothing of it stays."""
    for seed in (1, 2):
        cloud.put(f"checked/{seed}.png", png(80, 80, seed))
    rows = [row(f"{n}?", [f"{cloud.uri}/checked/{n % 2 + 1}.png"]) for n in range(9)] + [
        row("gone?", [f"{cloud.uri}/none.png"])
    ]
    for split, some in (("train", rows), ("validation", rows[:2])):
        write_lines(tmp_path / f"{split}.jsonl", some)
        cloud.put(f"checked/{split}.jsonl", (tmp_path / f"{split}.jsonl").read_bytes())
    workers = flink.process_environment(tmp_path)
    flags = ["--runner=PortableRunner", f"--job_endpoint={server}", *workers, f"--temp_location={cloud.uri}/scratch"]
    found = []
    for engine in (["--runner=FnApiRunner"], flags):
        words = ["check", "--input", f"{cloud.uri}/checked/", "--format", "json", *engine]
        done = subprocess.run([sys.executable, "-m", "beam_jobs", *words], capture_output=True, text=True, timeout=300)
        assert done.returncode == 1, done.stdout + done.stderr
        found.append([json.loads(line) for line in done.stdout.splitlines()])
    assert found[0] == found[1]
    counts = found[0][-1]["counts"]
    assert counts["image_not_found"] == 1 and counts["image_in_two_splits"] == 2
    assert not cloud.blobs("scratch/")


def write_photos(cloud: Cloud, folder: Path) -> None:
    """Rows that name each of IMAGES oversized images twice, in blocks of a few rows."""
    names = [f"{cloud.uri}/photos/{i:03d}.jpg" for i in range(IMAGES)]
    for i in range(IMAGES):
        put(folder / f"{i:03d}.jpg", jpeg(1200, 900, seed=i, quality=98))
    rows = [row(f"question {i}", [names[i], names[(i * 7 + 1) % IMAGES]]) for i in range(IMAGES)]
    write_lines(folder / "rows.jsonl", rows)
    cloud.upload(folder, "photos")


def test_a_task_manager_dies_in_mid_job_and_the_dataset_is_the_same(
    gcs: Any, cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its workers live on for a while as nobody's children, and all that was not finished is done again beside them."""
    write_photos(cloud, tmp_path / "photos")
    options = ["--max_image_bytes", "20000"]
    alone = dataset_of(cloud, tmp_path / "alone", "photos/rows.jsonl", *options, "--runner=FnApiRunner")
    assert alone["manifest.json"]["counters"]["images_resized"] == 2 * IMAGES

    (tmp_path / "cluster").mkdir()
    with ExitStack() as stack:
        url, uploads = stack.enter_context(tapped(gcs.url))
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)  # of all that is started from here on
        master, managers = stack.enter_context(flink.cluster(tmp_path / "cluster"))
        endpoint = stack.enter_context(flink.job_server(tmp_path, master))
        flags = [
            "--runner=PortableRunner",
            f"--job_endpoint={endpoint}",
            *flink.process_environment(tmp_path),
            "--parallelism=2",
        ]
        with open(tmp_path / "said", "wb") as out:
            job = subprocess.Popen(command(cloud, "photos/rows.jsonl", *options, *flags), stdout=out, stderr=out)
        try:
            flink.until(lambda: len(images(uploads)) >= IMAGES // 6 or job.poll() is not None, 400)
            assert 0 < len(images(uploads)) < IMAGES // 2, (tmp_path / "said").read_text()
            os.kill(managers[0], signal.SIGKILL)
            assert job.wait(300) == 0, (tmp_path / "said").read_text()
        finally:
            job.kill()
            job.wait(10)
    assert "will be restarted to recover the failed task" in (tmp_path / "cluster/job-manager").read_text()
    assert_equal_folders(cloud.folder("out/", tmp_path / "found"), alone)
    made = [name for name, status in images(uploads) if status == 200]
    assert len(made) == len(set(made)) == IMAGES  # nothing that was there was made again
    # What both were at when the one died may have been fitted beside its own ghost; storage refused the second.
    assert len(images(uploads)) - len(made) <= IN_FLIGHT


def images(uploads: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return [upload for upload in uploads if upload[0].startswith("out/images/")]
