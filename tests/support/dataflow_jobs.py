"""A bucket with a job's input, and the graph of a job that was submitted from it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import python_urns
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from fake_cloud import FakeDataflow
from folders import bmp, jpeg, put, read_folder, row, write_lines
from google.cloud import storage as gcs_client

ROOT = Path(__file__).resolve().parents[2]
WHERE = ["--project=my-project", "--region=europe-west1"]
PAGE = "https://console.cloud.google.com/dataflow/jobs/europe-west1/job-1?project=my-project"


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
