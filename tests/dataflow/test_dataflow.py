"""Jobs as Dataflow gets them: submitted to a stand-in of the service, written by the template's launcher, launched from a spec.

What was submitted is read back from where it was staged, and run: it is the whole job.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.dataflow import dataflow_runner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from checkouts import NOT_COPIED
from fake_cloud import FakeDataflow, fake_dataflow, fake_metadata
from folders import assert_equal_folders, bmp, jpeg, put, read_folder, row, write_lines
from google.cloud import storage as gcs_client
from step_labels import labels
from usual_options import with_usual

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from beam_jobs.dataflow.templates import TEMPLATES, spec
from transforms.core import VERSION

ROOT = Path(__file__).resolve().parents[2]
MAIN = ROOT / "dataflow_templates/batch_main.py"
WHERE = ["--project=my-project", "--region=europe-west1"]
PAGE = "https://console.cloud.google.com/dataflow/jobs/europe-west1/job-1?project=my-project"
NOISE = re.compile(r"traceback", re.IGNORECASE)


@pytest.fixture(autouse=True, scope="module")
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


class Bucket:
    """gs://BUCKET with eight rows, of which two name an image that has to be rewritten."""

    def __init__(self, client: gcs_client.Client, uri: str, scratch: Path) -> None:
        self.uri, self.scratch, self._bucket = uri, scratch, client.bucket(uri.removeprefix("gs://"))
        put(scratch / "a.jpg", jpeg(seed=1))
        put(scratch / "b.bmp", bmp(seed=2))
        images = [f"{uri}/raw/a.jpg", f"{uri}/raw/b.bmp"]
        write_lines(
            scratch / "rows.jsonl", [row(f"question {i}", images[: 1 + i % 4 // 3], f"answer {i}") for i in range(8)]
        )
        for file in scratch.iterdir():
            self._bucket.blob(f"raw/{file.name}").upload_from_filename(str(file))
        self.job = ["--input", f"{uri}/raw/rows.jsonl", "--output", f"{uri}/out"]
        self.places = [f"--temp_location={uri}/temp", f"--staging_location={uri}/staging"]

    def read(self, uri: str) -> bytes:
        return bytes(self._bucket.blob(uri.removeprefix(f"{self.uri}/")).download_as_bytes())

    def names(self, prefix: str) -> list[str]:
        return sorted(blob.name for blob in self._bucket.list_blobs(prefix=prefix))

    def folder(self, prefix: str) -> dict[str, Any]:
        into = self.scratch / f"down-{prefix}"
        shutil.rmtree(into, ignore_errors=True)
        for name in self.names(prefix + "/"):
            put(into / name, self.read(f"{self.uri}/{name}"))
        return read_folder(into / prefix)


@pytest.fixture
def cloud(gcs: Any, bucket: str, tmp_path: Path) -> Bucket:
    (tmp_path / "raw").mkdir()
    return Bucket(gcs.client, bucket, tmp_path / "raw")


def options_of(job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job["environment"]["sdkPipelineOptions"]["options"]
    return found


def graph_of(job: dict[str, Any], cloud: Bucket) -> beam_runner_api_pb2.Pipeline:
    """The graph that a job names, from where it was staged."""
    return beam_runner_api_pb2.Pipeline.FromString(cloud.read(options_of(job)["pipelineUrl"]))


def execute(graph: beam_runner_api_pb2.Pipeline) -> None:
    """Run a staged graph: on Beam's own runner in this process, instead of in containers of the service."""
    for environment in graph.components.environments.values():
        environment.urn, environment.payload = python_urns.EMBEDDED_PYTHON, b""
    FnApiRunner().run_via_runner_api(graph, PipelineOptions()).wait_until_finish()


def labels_of(graph: beam_runner_api_pb2.Pipeline) -> set[str]:
    return {transform.unique_name for transform in graph.components.transforms.values()}


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
    assert prepare([*cloud.job, *service.beam, *WHERE, *cloud.places]) == 1
    where, *states, _ = capfd.readouterr().err.splitlines()
    assert where == f"Dataflow job job-1: {PAGE}"
    assert re.fullmatch(r"  \d\d:\d\d  running", states[0])
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


# The claim of a job elsewhere


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


# The launcher's contract


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


# Launching from a spec


@pytest.fixture
def place(cloud: Bucket) -> str:
    """A spec in the bucket."""
    uri = f"{cloud.uri}/templates/batch.json"
    assert main(["template", "spec", "--image", "host/p/tuneset:1", "--spec", uri]) == 0
    return uri


def launch(place: str, cloud: Bucket, service: FakeDataflow, *more: str) -> int:
    """Launch with the usual options, but for those that `more` gives."""
    usual = {"input": cloud.job[1], "output": cloud.job[3], "project": "my-project", "region": "europe-west1"}
    words = with_usual(more, usual | {"dataflow_endpoint": service.url})
    return main(["template", "launch", "--spec", place, "--no_auth", *words])


def test_a_launch_reaches_the_service_with_parameters_and_workers(
    place: str, cloud: Bucket, service: FakeDataflow, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--upright", "--types", "jpeg,png", "--image_mix", "large", "--job_name=night", "--labels=team=vision"]
    more += ["--max_num_workers=40", "--flexrs_goal=COST_OPTIMIZED", "--no_use_public_ips", "--experiments=a,b"]
    more += [
        f"--temp_location={cloud.uri}/temp",
        "--service_account_email=worker@example.com",
        "--enable_hot_key_logging",
    ]
    assert launch(place, cloud, service, *more) == 0
    [body] = service.launches
    told = body["launchParameter"]
    assert re.fullmatch(r"night-\d{8}-\d{6}-[0-9a-f]{4}", told["jobName"])
    assert told["containerSpecGcsPath"] == place
    assert told["parameters"] == {
        "input": cloud.job[1],
        "output": cloud.job[3],
        "types": "jpeg,png",
        "upright": "true",
        "decode_memory": "16000",
        "sdk_container_image": "host/p/tuneset:1",
    }
    assert told["environment"] == {
        "machineType": "n2-highmem-4",
        "diskSizeGb": 30,
        "maxWorkers": 40,
        "flexrsGoal": 2,  # FLEXRS_COST_OPTIMIZED, as enums travel
        "ipConfiguration": 2,  # WORKER_IP_PRIVATE
        "tempLocation": f"{cloud.uri}/temp",
        "serviceAccountEmail": "worker@example.com",
        "additionalPipelineOptions": [
            "number_of_worker_harness_threads=1",
            "enable_hot_key_logging=true",
            "experiments=a",
            "experiments=b",
        ],
        "additionalUserLabels": {"tuneset": VERSION.replace(".", "-"), "team": "vision"},
    }
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith(f"Launched {told['jobName']} as job flex-1. {cloud.uri}/out/manifest.json")
    assert launch(place, cloud, service, *more) == 0
    assert service.launches[1]["launchParameter"]["jobName"] != told["jobName"]


def as_names(body: dict[str, Any]) -> dict[str, Any]:
    """A received body with enums by name, and without the job's name, which no two launches share."""
    from google.cloud import dataflow_v1beta3 as dataflow
    from google.protobuf import json_format

    parsed = json_format.ParseDict(body, dataflow.LaunchFlexTemplateRequest.pb()(), ignore_unknown_fields=True)
    found: dict[str, Any] = json_format.MessageToDict(parsed)["launchParameter"]
    found.pop("jobName")
    return found


def test_the_printed_curl_sends_what_the_client_sends(
    place: str, cloud: Bucket, service: FakeDataflow, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--image_mix=photos", "--splits", "train=0.5,validation=0.5", "--max_num_workers=3", "--seed", "it's $HOME"]
    assert launch(place, cloud, service, *more) == 0
    curl = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  curl "))
    subprocess.run(["bash", "-c", curl], check=True, capture_output=True, timeout=60)
    mine, theirs = service.launches
    assert as_names(mine) == as_names(theirs)
    assert as_names(mine)["parameters"]["seed"] == "it's $HOME"


@pytest.mark.engines
def test_the_printed_gcloud_sends_what_the_client_sends(
    place: str, cloud: Bucket, service: FakeDataflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["--image_mix=photos", "--splits", "train=0.5,validation=0.5", "--max_num_workers=3", "--no_use_public_ips"]
    more += [f"--temp_location={cloud.uri}/temp", "--flexrs_goal=SPEED_OPTIMIZED", "--labels=team=vision"]
    assert launch(place, cloud, service, *more) == 0
    said = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  gcloud "))
    gcloud(shlex.split(said), service, tmp_path)
    mine, theirs = map(as_names, service.launches)
    for one in (mine, theirs):  # gcloud has no field for the disk: it travels as an option
        one["environment"]["additionalPipelineOptions"].sort()
    assert theirs["environment"]["additionalPipelineOptions"].remove("disk_size_gb=30") is None
    assert mine["environment"].pop("diskSizeGb") == 30
    assert mine == theirs


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


def gcloud(words: list[str], service: FakeDataflow, folder: Path) -> None:
    """Run a gcloud command against the stand-in."""
    assert shutil.which("gcloud"), "gcloud is not installed"
    environment = os.environ | {
        "CLOUDSDK_CONFIG": str(folder / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAFLOW": f"{service.url}/",
    }
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_validate_only_starts_nothing(
    place: str, cloud: Bucket, service: FakeDataflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(place, cloud, service, "--validate_only") == 0
    assert service.launches[0]["validateOnly"] is True
    assert capsys.readouterr().out.splitlines()[-1] == "The service would accept it. Nothing was started."
    service.refusal = (400, "The template parameters are invalid.")
    assert launch(place, cloud, service, "--validate_only") == 1
    assert "The template parameters are invalid." in capsys.readouterr().err


def test_print_only_sends_nothing(
    place: str, cloud: Bucket, service: FakeDataflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(place, cloud, service, "--print_only") == 0
    assert service.requests == []
    assert "gcloud dataflow flex-template run tuneset-batch-" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--project="], "--project is given without a value: give one, or leave it out"),
        (["--runner=DataflowRunner"], "--runner is for the template's launcher alone: leave it out"),
        (["--uri_prefix=gs://data/c", "--output=/out"], "--uri_prefix is no parameter of this template"),
        (["--input=raw/"], "--input raw/: the template takes only what matches ^gs://"),
        (["--job_name=Night"], "--job_name Night: expected small letters, digits and hyphens, first a letter"),
        (["--labels=Team=a"], "--labels Team=a: expected KEY=VALUE of small letters"),
        (["--max_image=3"], "--max_image is an option of neither Tuneset nor Apache Beam; did you mean --max_images?"),
        (["--image_mix=huge"], "argument --image_mix: invalid choice: 'huge'"),
    ],
)
def test_a_launch_with_a_wrong_option_sends_nothing(
    more: list[str], told: str, place: str, cloud: Bucket, service: FakeDataflow, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(place, cloud, service, *more) == 2
    assert capsys.readouterr().err.startswith(f"tuneset: {told}")
    assert service.requests == []


def test_a_launch_has_to_say_where_it_runs(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--spec", place, "--input=gs://data/a", "--output=gs://data/b", "--region=europe-west1"]
    assert main(["template", "launch", *words]) == 2
    assert "--project is missing: a launch has to say where the job runs" in capsys.readouterr().err


def test_a_spec_that_is_missing_or_older_is_told(
    cloud: Bucket, service: FakeDataflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert launch(str(tmp_path / "none.json"), cloud, service) == 1
    assert "none.json" in capsys.readouterr().err
    older = spec(TEMPLATES["batch"], "i:1")
    older["metadata"]["parameters"] = [p for p in older["metadata"]["parameters"] if p["name"] != "sample"]
    place = put(tmp_path / "older.json", json.dumps(older).encode())
    assert launch(place, cloud, service, "--sample=3") == 2
    assert f"the template at {place} has no --sample: another version of Tuneset built it" in capsys.readouterr().err
    assert launch(put(tmp_path / "bad.json", b"{"), cloud, service) == 2
    assert "bad.json is no template spec" in capsys.readouterr().err
