"""Jobs submitted to a stand-in of Dataflow: what it is given, how a job is waited for, and whose the folder is meanwhile.

What was submitted is read back from where it was staged, and run: it is the whole job.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability import common_urns
from checkouts import NOT_COPIED
from dataflow_jobs import PAGE, ROOT, WHERE, Bucket, execute, gcloud, graph_of, labels_of, options_of
from fake_cloud import FakeDataflow
from folders import assert_equal_folders, put
from step_labels import labels

from beam_jobs.commands.prepare import prepare
from transforms.core import VERSION

pytestmark = pytest.mark.usefixtures("credentials")


def test_a_submitted_job_says_all_that_was_asked_for(cloud: Bucket, service: FakeDataflow, capfd: Any) -> None:
    workers = ["--machine_type=n2-highmem-4", "--disk_size_gb=30", "--num_workers=2", "--max_num_workers=40"]
    workers += ["--number_of_worker_harness_threads=1", "--service_account_email=worker@example.com"]
    workers += [
        "--no_use_public_ips",
        "--subnetwork=regions/europe-west1/subnetworks/s",
        "--flexrs_goal=COST_OPTIMIZED",
    ]
    flags = [*service.beam, *WHERE, *cloud.places, *workers, "--job_name=night", "--labels=team=vision", "--no_wait"]
    assert prepare([*cloud.job, *flags]) == 0
    assert capfd.readouterr().out == (
        f"Submitted as job job-1. {cloud.uri}/out/manifest.json appears once the dataset is sealed.\n"
    )
    [job] = service.jobs
    assert (job["name"], job["labels"]) == ("night", {"team": "vision"})
    environment = job["environment"]
    assert environment["serviceAccountEmail"] == "worker@example.com"
    pool = environment["workerPools"][0]
    assert (pool["machineType"], pool["diskSizeGb"], pool["numWorkers"]) == ("n2-highmem-4", 30, 2)
    assert (pool["numThreadsPerWorker"], pool["autoscalingSettings"]["maxNumWorkers"]) == (1, 40)
    assert pool["subnetwork"] == "regions/europe-west1/subnetworks/s"
    assert pool["ipConfiguration"] == 2  # WORKER_IP_PRIVATE
    assert environment["flexResourceSchedulingGoal"] == 2  # COST_OPTIMIZED
    assert options_of(job)["save_main_session"] is False
    staged = {name.rpartition("/")[2] for name in cloud.names("staging/")}
    assert staged == {"pipeline.pb", "submission_environment_dependencies.txt"}  # no pickled main session
    assert [method for method, _ in service.requests] == ["POST"]  # it did not wait


def test_the_submitted_graph_is_the_one_that_is_pinned(cloud: Bucket, service: FakeDataflow) -> None:
    assert (
        prepare([*cloud.job, *service.beam, *WHERE, *cloud.places, "--no_wait", "--sample=5", "--shuffle_seed=a"]) == 0
    )
    graph = graph_of(service.jobs[0], cloud)
    pinned = (ROOT / "tests/golden/labels.txt").read_text(encoding="utf-8").splitlines()
    named = labels("--sample=5", "--shuffle_seed=a")
    assert set(named) <= labels_of(graph) & set(pinned)
    leaves = [one for one in graph.components.transforms.values() if not one.subtransforms and one.environment_id]
    hints = {
        one.unique_name: dict(graph.components.environments[one.environment_id].resource_hints)
        for one in leaves
        if graph.components.environments[one.environment_id].resource_hints
    }
    # The stage that decodes, and no other: a hint on a part of a fused stage would split it.
    assert hints == {"Fit/Fit": {common_urns.resource_hints.MIN_RAM_BYTES.urn: b"4000000000"}}


def test_the_staged_package_is_the_sdist(cloud: Bucket, service: FakeDataflow, tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT, checkout, ignore=NOT_COPIED)
    flags = [*service.beam, *WHERE, *cloud.places, f"--setup_file={checkout}/setup.py", "--no_wait"]
    assert prepare([*cloud.job, *flags]) == 0
    [package] = [name for name in cloud.names("staging/") if name.endswith(".tar.gz")]
    archive = put(tmp_path / "workflow.tar.gz", cloud.read(f"{cloud.uri}/{package}"))
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
    assert {f"tuneset-{VERSION}/{name}" for name in ("beam_jobs/graph.py", "transforms/images/fit/fit.py")} <= names


def test_a_job_that_is_waited_for_ends_with_the_screen(cloud: Bucket, service: FakeDataflow, capfd: Any) -> None:
    """The service runs what was staged: the dataset is the one that a local run makes."""
    service.on_submit = lambda job: execute(graph_of(job, cloud))
    assert prepare([*cloud.job, *service.beam, *WHERE, *cloud.places]) == 0
    assert capfd.readouterr().out.startswith(f"Sealed {cloud.uri}/out in ")
    found = cloud.folder("out")
    assert found["manifest.json"]["counters"]["images_converted"] == 2
    assert prepare([*cloud.job, "--overwrite"]) == 0
    assert_equal_folders(cloud.folder("out"), found)
    assert ("GET", "/v1b3/projects/my-project/locations/europe-west1/jobs/job-1") in service.requests


def test_a_failed_jobs_message_is_shown_and_the_folder_is_free(
    cloud: Bucket, service: FakeDataflow, capfd: Any
) -> None:
    service.states, service.error = ["JOB_STATE_RUNNING", "JOB_STATE_FAILED"], "Quota 'CPUS' exceeded. Limit: 24.0"
    flags = [*cloud.job, *service.beam, *WHERE, *cloud.places]
    assert prepare(flags) == 1
    where, said = capfd.readouterr().err.splitlines()
    assert where == f"Dataflow job job-1: {PAGE}"
    assert said.startswith("tuneset: not sealed. Quota 'CPUS' exceeded. Limit: 24.0. What was committed is kept:")
    service.states = ["JOB_STATE_FAILED"]
    assert prepare(flags) == 1  # and not "is being written by another job"
    assert "Quota" in capfd.readouterr().err


def test_a_cancelled_job_is_called_that(cloud: Bucket, service: FakeDataflow, capfd: Any) -> None:
    service.states = ["JOB_STATE_RUNNING", "JOB_STATE_CANCELLED"]
    assert prepare([*cloud.job, *service.beam, *WHERE, *cloud.places, "--quiet"]) == 1
    assert capfd.readouterr().err.startswith("tuneset: not sealed. The job was cancelled. What was committed is kept")


def test_who_waits_is_told_the_state_of_the_job(
    cloud: Bucket, service: FakeDataflow, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("beam_jobs.report.progress.PAUSE_S", 0.01)
    service.states = [*["JOB_STATE_RUNNING"] * 4, "JOB_STATE_CANCELLED"]

    def counted(name: str, number: int, **context: str) -> dict[str, Any]:
        return {"name": {"origin": "user", "name": name, "context": context}, "scalar": number}

    ours = {"namespace": "tuneset", "step": "Finish ready/Commit"}
    service.metrics = [
        counted("examples_read", 1200, **ours),
        counted("examples_read", 34, **ours | {"step": "Finish recalled/Commit"}),
        counted("examples_read", 5000, **ours, tentative="true"),
        counted("examples_rejected", 2, **ours),
        counted("images_seen", 0, **ours),
        counted("images_seen", 77, namespace="another"),
        {"name": {"origin": "user", "name": "images_seen", "context": ours}, "distribution": {"count": 1}},
    ]
    assert prepare([*cloud.job, *service.beam, *WHERE, *cloud.places]) == 1
    where, *states, _ = capfd.readouterr().err.splitlines()
    assert where == f"Dataflow job job-1: {PAGE}"
    assert re.fullmatch(r"  \d\d:\d\d  running  1,234 examples, 2 rejected", states[0])
    assert {state.split("  ")[2] for state in states} <= {"running", "cancelled"}


def test_who_stops_waiting_is_told_how_to_end_the_job(cloud: Bucket, service: FakeDataflow) -> None:
    service.states = ["JOB_STATE_RUNNING"]
    quiet = ("-W", "ignore::FutureWarning")  # Google's libraries warn of Python 3.10
    command = [sys.executable, *quiet, "-m", "beam_jobs", "prepare", *cloud.job, *service.beam, *WHERE, *cloud.places]
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert service.polled.wait(60)
    child.send_signal(signal.SIGINT)
    out, told = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "")
    assert told == (
        f"Dataflow job job-1: {PAGE}\n"
        f"tuneset: no longer waiting. The job goes on without this command, and {cloud.uri}/out/manifest.json appears at its "
        "end. To end it: gcloud dataflow jobs cancel job-1 --project my-project --region europe-west1\n"
    )
    assert service.jobs and not [path for method, path in service.requests if method == "PUT"]


def claim_of(cloud: Bucket) -> dict[str, Any]:
    claim: dict[str, Any] = json.loads(cloud.read(f"{cloud.uri}/out/_tuneset/claim.json"))
    return claim


@pytest.mark.parametrize("flags", [["--project=my-project"], WHERE], ids=["no region", "refused"])
def test_what_was_not_submitted_leaves_the_folder_free(
    flags: list[str], cloud: Bucket, service: FakeDataflow, capfd: Any
) -> None:
    service.rejection = (400, "The workflow could not be created.")
    for _ in range(2):
        assert prepare([*cloud.job, *service.beam, *cloud.places, *flags, "--no_wait"]) == 1
        said = capfd.readouterr().err
        assert said.startswith("tuneset: not sealed. ") and "another job" not in said
        assert claim_of(cloud)["ended"]


def test_whether_a_job_has_ended_is_asked_of_the_service(cloud: Bucket, service: FakeDataflow, capfd: Any) -> None:
    service.states = ["JOB_STATE_RUNNING"]
    assert prepare([*cloud.job, *service.beam, *WHERE, *cloud.places, "--no_wait"]) == 0
    assert claim_of(cloud)["job"] == {
        "service": "dataflow",
        "id": "job-1",
        "project": "my-project",
        "region": "europe-west1",
    }
    again = [*cloud.job, *service.beam[1:]]  # a run on this machine, which says where the service is
    where = "job-1 --project my-project --region europe-west1"
    for state in ("JOB_STATE_RUNNING", "JOB_STATE_CANCELLING"):
        service.states = [state]
        assert prepare(again) == 1
        assert f"It is the Dataflow job job-1, in {state}. Wait for it, choose another --output, or end it: " in (
            said := capfd.readouterr().err
        )
        assert said.endswith(f"gcloud dataflow jobs cancel {where}\n")
    service.gone = True
    assert prepare(again) == 1
    assert "could not be asked after (404" in (said := capfd.readouterr().err)
    assert said.endswith(f"If `gcloud dataflow jobs describe {where}` says that it has ended, add --take_over.\n")
    service.gone, service.states = False, ["JOB_STATE_FAILED"]
    assert prepare(again) == 0


@pytest.mark.engines
def test_a_job_that_gcloud_cancels_is_called_cancelled(
    cloud: Bucket, service: FakeDataflow, tmp_path: Path, capfd: Any
) -> None:
    service.states = ["JOB_STATE_RUNNING"]
    statuses: list[int] = []
    waiting = threading.Thread(
        target=lambda: statuses.append(prepare([*cloud.job, *service.beam, *WHERE, *cloud.places])), daemon=True
    )
    waiting.start()
    assert service.polled.wait(60)
    gcloud(["gcloud", "dataflow", "jobs", "cancel", "job-1", *WHERE], service, tmp_path)
    waiting.join(60)
    assert statuses == [1]
    assert "tuneset: not sealed. The job was cancelled." in capfd.readouterr().err
