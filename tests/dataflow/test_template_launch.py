"""A template is launched from its spec: what reaches the service, what is printed, and what is refused before."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from dataflow_jobs import Bucket, gcloud
from fake_cloud import FakeDataflow
from folders import put
from usual_options import with_usual

from beam_jobs.__main__ import main
from beam_jobs.dataflow.templates import TEMPLATES, spec
from transforms.core import VERSION

pytestmark = pytest.mark.usefixtures("credentials")


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
