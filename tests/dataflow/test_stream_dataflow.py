"""The stream as Dataflow gets it: the template's parameters and launch, and the job that a stand-in of the service is given."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2
from dataflow_jobs import Bucket, graph_of, labels_of
from fake_cloud import FakeDataflow

from beam_jobs.__main__ import main
from beam_jobs.dataflow.templates import TEMPLATES, metadata, parameter, spec
from beam_jobs.options import Option, OptionError
from beam_jobs.stream.options import parse_stream
from beam_jobs.template_main import words_of

STREAM = TEMPLATES["stream"]
NAME = "projects/shop-1/subscriptions/photos"
WHERE = ["--project=shop-1", "--region=europe-west1"]


@pytest.mark.parametrize(
    "option", [one for one in STREAM.options if one.name not in STREAM.left_out], ids=lambda one: one.name
)
def test_a_default_and_each_choice_is_taken_by_both_sides(option: Option) -> None:
    made = parameter(option)
    values = [choice["value"] for choice in made.get("enumOptions", [])] + [
        made[name] for name in ("defaultValue",) if name in made
    ]
    for value in values:
        assert all(re.fullmatch(regex, value) for regex in made.get("regexes", []))
        words = words_of(STREAM, [f"--subscription={NAME}", "--output=gs://bucket/out", f"--{option.name}={value}"])
        parse_stream([*words, "--watch=gs://bucket/in/"])


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("watch", ["", "gs://bucket/in/", "gs://bucket/in/*.jpg"], ["in/", "/in", "gs://B/x"]),
        ("subscription", [NAME], ["", "photos", "projects/p/topics/t"]),
        ("window", ["30s", "5m", "1h"], ["", "5", "5 m", "1d"]),
    ],
)
def test_the_regexes_take_what_is_meant(name: str, good: list[str], bad: list[str]) -> None:
    regexes = parameter(next(option for option in STREAM.options if option.name == name))["regexes"]
    taken = {value: all(re.fullmatch(regex, value) for regex in regexes) for value in [*good, *bad]}
    assert taken == dict.fromkeys(good, True) | dict.fromkeys(bad, False)


def test_the_template_streams_in_both_modes() -> None:
    made = metadata(STREAM)
    assert [made[flag] for flag in ("streaming", "supportsAtLeastOnce", "supportsExactlyOnce")] == [True] * 3
    assert made["defaultStreamingMode"] == "EXACTLY_ONCE"
    assert [one["name"] for one in made["parameters"] if not one["isOptional"]] == ["subscription", "output"]
    assert spec(STREAM, "image:1")["defaultEnvironment"]["enableStreamingEngine"] is True


def test_flags_say_what_options_do() -> None:
    words = [
        f"--subscription={NAME}",
        "--watch=gs://shop/in/",
        "--output=gs://shop/o",
        "--window=1h",
        "--types=jpeg,png",
        "--upright",
    ]
    flags = parse_stream([*words, "--project=p"]).as_flags()
    assert flags == [
        "--watch", "gs://shop/in/", "--subscription", NAME, "--window", "3600s", "--output", "gs://shop/o", "--types",
        "jpeg,png", "--upright",
        "--project=p",
    ]  # fmt: skip
    assert parse_stream(flags) == parse_stream([*words, "--project=p"])


def test_a_launch_is_the_same_in_rest_and_gcloud(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "stream.json"
    place.write_text(json.dumps(spec(STREAM, "image:1")))
    words = ["template", "launch", "--name=stream", "--spec", str(place), "--print_only", *WHERE]
    words += [f"--subscription={NAME}", "--output=gs://shop/out", "--window=10m", "--prompt=What?"]
    assert main(words) == 0
    said = capsys.readouterr().out
    expected = f"subscription={NAME},window=600s,prompt=What?,output=gs://shop/out,sdk_container_image=image:1"
    assert all(part in said for part in expected.split(","))
    assert main([*words, "--stop_after=1h"]) == 2
    assert "--stop_after is no parameter of this template: a job is drained" in capsys.readouterr().err
    with pytest.raises(OptionError, match="--report is no parameter of this template"):
        words_of(STREAM, ["--report=none"])


@pytest.mark.parametrize(
    "words, complaint",
    [
        (["--watch=gs://shop/in/"], "takes what a --subscription announces"),
        ([f"--subscription={NAME}", "--stop_after=1h"], "gcloud dataflow jobs drain"),
        ([f"--subscription={NAME}", "--prompt=x", "--answer={sidecar}"], "{sidecar} is waited for in rounds alone"),
    ],
)
def test_what_a_stream_on_dataflow_cannot_do_is_told(
    words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    places = ["--output=gs://shop/out", "--temp_location=gs://shop/temp"]
    assert main(["stream", *words, *places, "--runner=DataflowRunner", *WHERE]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.usefixtures("credentials")
def test_a_stream_is_submitted_and_keeps_its_folder(
    cloud: Bucket, service: FakeDataflow, capsys: pytest.CaptureFixture[str]
) -> None:
    service.states = ["JOB_STATE_RUNNING"]
    words = ["--subscription", NAME, "--watch", f"{cloud.uri}/in/", "--output", f"{cloud.uri}/out", "--prompt=What?"]
    command = ["stream", *words, *cloud.places, *service.beam, *WHERE]
    assert main(command) == 0
    assert "gcloud dataflow jobs drain job-1 --project shop-1 --region europe-west1" in capsys.readouterr().out
    [job] = service.jobs
    assert job["type"] == 2  # JOB_TYPE_STREAMING
    graph = graph_of(job, cloud)
    steps = graph.components.transforms.values()
    [read] = [one for one in steps if one.spec.urn == common_urns.composites.PUBSUB_READ.urn]
    assert beam_runner_api_pb2.PubSubReadPayload.FromString(read.spec.payload).subscription == NAME
    assert not [label for label in labels_of(graph) if "There before" in label]

    # While it runs the folder is its own; once it has drained the same command goes on, and lists what came meanwhile.
    assert main(command) == 1
    assert "It is the Dataflow job job-1, in JOB_STATE_RUNNING" in capsys.readouterr().err
    service.states = ["JOB_STATE_DRAINED"]
    assert main(command) == 0
    assert [label for label in labels_of(graph_of(service.jobs[1], cloud)) if "There before" in label]
