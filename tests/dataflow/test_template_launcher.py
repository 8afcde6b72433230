"""The main file of the template, run as the launcher in its image runs it; and a classic template."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dataflow_jobs import ROOT, WHERE, Bucket, execute, graph_of, options_of

from beam_jobs.commands.prepare import prepare

pytestmark = pytest.mark.usefixtures("credentials")
MAIN = ROOT / "dataflow_templates/batch_main.py"
NOISE = re.compile(r"traceback", re.IGNORECASE)


def launcher(cloud: Bucket, place: str, *parameters: str) -> subprocess.CompletedProcess[str]:
    """Run the main file as the launcher in the image does."""
    sets = ["--runner=DataflowRunner", *WHERE, "--job_name=tuneset-1", f"--template_location={place}", *cloud.places]
    command = [sys.executable, str(MAIN), *parameters, *sets]
    environment = os.environ | {"FLEX_TEMPLATE_PYTHON_PY_FILE": str(MAIN)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", timeout=120)
    assert not NOISE.search(done.stdout + done.stderr), done.stderr
    return done


def parameters(cloud: Bucket) -> list[str]:
    return [f"--input={cloud.job[1]}", f"--output={cloud.job[3]}", "--upright=false", "--overwrite=true", "--sample="]


def test_the_main_file_writes_the_job_and_submits_nothing(cloud: Bucket) -> None:
    place = f"{cloud.uri}/staging/template_launches/1/job_object"
    done = launcher(cloud, place, *parameters(cloud), "--sdk_container_image=host/p/tuneset:1")
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout == f"Wrote the job to {place}. {cloud.uri}/out/manifest.json appears once the dataset is sealed.\n"
    )
    job = json.loads(cloud.read(place))
    assert job["name"] == "tuneset-1" and options_of(job)["save_main_session"] is False
    assert {image["containerImage"] for image in job["environment"]["workerPools"][0]["sdkHarnessContainerImages"]} == {
        "host/p/tuneset:1"
    }
    execute(graph_of(job, cloud))
    assert cloud.folder("out")["manifest.json"]["counters"]["examples_written"] == 8
    assert not cloud.names("out/_tuneset")  # sealed and swept within the graph: nobody waits for it


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("--max_images=0x", "argument --max_images: invalid int value: '0x'"),
        ("--upright=perhaps", "--upright=perhaps: expected true or false"),
        ("--uri_prefix=gs://data/c", "--uri_prefix is no parameter of this template: is for a local output"),
        ("--input=/etc/passwd", "/etc/passwd is local, but the workers are not on this machine: use gs://"),
        ("--input=gs://never-made-here/a.jsonl", "--input gs://never-made-here/a.jsonl finds no file to read"),
    ],
)
def test_the_launchers_log_says_what_is_wrong(cloud: Bucket, wrong: str, told: str, tmp_path: Path) -> None:
    done = launcher(cloud, str(tmp_path / "job"), *parameters(cloud), wrong)
    assert done.returncode == 2 and f"tuneset: {told}" in done.stderr
    assert not (tmp_path / "job").exists()


def test_a_second_launch_on_a_folder_at_work_is_told_so(cloud: Bucket, tmp_path: Path) -> None:
    assert launcher(cloud, str(tmp_path / "first"), *parameters(cloud)).returncode == 0
    second = launcher(cloud, str(tmp_path / "second"), *parameters(cloud))
    assert second.returncode == 1 and "is being written by another job" in second.stderr
    assert launcher(cloud, str(tmp_path / "third"), *parameters(cloud), "--take_over=true").returncode == 0


def test_a_classic_template_is_written_and_read_back(cloud: Bucket, tmp_path: Path, capfd: Any) -> None:
    """`tuneset prepare --template_location`: options are frozen in the graph, so that what was written is all it takes."""
    place = tmp_path / "classic.json"
    flags = ["--runner=DataflowRunner", *WHERE, *cloud.places, f"--template_location={place}"]
    assert prepare([*cloud.job, "--max_images", "1", *flags]) == 0
    assert capfd.readouterr().out.startswith(f"Wrote the job to {place}. ")
    execute(graph_of(json.loads(place.read_bytes()), cloud))
    counters = cloud.folder("out")["manifest.json"]["counters"]
    assert (counters["examples_read"], counters["examples_split"]) == (8, 2)
