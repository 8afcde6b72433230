"""Launch a Flex Template: options -> the request, the same as gcloud and curl say it, and its answer.

Options have the names that `tuneset prepare --runner DataflowRunner` takes. Ours become parameters of the template; of
Beam's, those that Dataflow's launch has a field for become that field, and the others travel as pipeline options.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from beam_jobs.dataflow.templates import Template, environment
from beam_jobs.dataflow.workers import MIXES
from beam_jobs.options import OptionError
from beam_jobs.settings import Settings
from transforms.core import VERSION

HOST = "dataflow.googleapis.com"
# Beam's option: (the field of FlexTemplateRuntimeEnvironment, gcloud's flag)
FIELDS = {
    "temp_location": ("tempLocation", "--temp-location"),
    "staging_location": ("stagingLocation", "--staging-location"),
    "num_workers": ("numWorkers", "--num-workers"),
    "max_num_workers": ("maxWorkers", "--max-workers"),
    "machine_type": ("machineType", "--worker-machine-type"),
    "service_account_email": ("serviceAccountEmail", "--service-account-email"),
    "network": ("network", "--network"),
    "subnetwork": ("subnetwork", "--subnetwork"),
    "dataflow_kms_key": ("kmsKeyName", "--dataflow-kms-key"),
    "worker_region": ("workerRegion", "--worker-region"),
    "worker_zone": ("workerZone", "--worker-zone"),
    "flexrs_goal": ("flexrsGoal", "--flexrs-goal"),
}
_NOT_PASSED_ON = {"project", "region", "job_name", "labels", "use_public_ips", "dataflow_endpoint", "no_auth"}
_NEVER = {"runner", "template_location"}


@dataclass(frozen=True, slots=True)
class Launch:
    """One launch; `body` is the REST request's, as JSON."""

    project: str
    region: str
    body: dict[str, Any]
    endpoint: str = ""  # of a stand-in for the service
    anonymous: bool = False

    @property
    def parameter(self) -> dict[str, Any]:
        found: dict[str, Any] = self.body["launchParameter"]
        return found

    @property
    def url(self) -> str:
        base = self.endpoint.rstrip("/") or f"https://{HOST}"
        return f"{base}/v1b3/projects/{self.project}/locations/{self.region}/flexTemplates:launch"


def plan_launch(
    template: Template,
    settings: Settings,
    flags: Sequence[str],
    place: str,
    spec: Mapping[str, Any],
    *,
    mix: str,
    unique: str,
    validate: bool,
) -> Launch:
    """Checked options -> the launch.

    Args:
      flags: the template's own options, as a person would type them.
      place: URI of the spec.
      spec: the ContainerSpec that lies there.
      mix: of beam_jobs.dataflow.workers, or "" for what the spec says.
      unique: what is appended to the job's name: two jobs of one name cannot run at once.

    Raises:
      OptionError: an option is missing, or one that this launch or the template at `place` does not take.
    """
    beam = PipelineOptions(list(settings.beam)).get_all_options(drop_default=True)
    for name in ("project", "region"):
        if not beam.get(name):
            raise OptionError(f"--{name} is missing: a launch has to say where the job runs")
    if wrong := sorted(_NEVER & beam.keys()):
        raise OptionError(f"--{wrong[0]} is for the template's launcher alone: leave it out")
    parameters = parameters_of(template, flags)
    if mix and not settings.decode_memory:
        parameters["decode_memory"] = str(MIXES[mix].decode_memory)
    check_parameters(parameters, spec, place)
    workers: dict[str, Any] = environment(MIXES[mix]) if mix else {}
    for name, (field, _) in FIELDS.items():
        if name in beam:
            workers[field] = f"FLEXRS_{beam[name]}" if name == "flexrs_goal" else beam[name]
    if beam.get("use_public_ips") is False:
        workers["ipConfiguration"] = "WORKER_IP_PRIVATE"
    others = beam.keys() - FIELDS.keys() - _NOT_PASSED_ON
    said = [word for name in sorted(others) for word in pipeline_option(name, beam[name])]
    if "disk_size_gb" in beam:
        workers.pop("diskSizeGb", None)
    kept = [word for word in workers.get("additionalPipelineOptions", []) if word.partition("=")[0] not in others]
    workers["additionalPipelineOptions"] = [*kept, *said]
    workers["additionalUserLabels"] = labels([f"tuneset={VERSION.replace('.', '-')}", *beam.get("labels", [])])
    body = {
        "launchParameter": {
            "jobName": job_name(beam.get("job_name") or f"tuneset-{template.name}", unique),
            "containerSpecGcsPath": place,
            # Workers run the launcher's image; as a parameter it reaches launchers of every age.
            "parameters": parameters | {"sdk_container_image": spec["image"]},
            "environment": {name: value for name, value in workers.items() if value},
        },
        "validateOnly": validate,
    }
    return Launch(beam["project"], beam["region"], body, beam.get("dataflow_endpoint", ""), bool(beam.get("no_auth")))


def parameters_of(template: Template, flags: Sequence[str]) -> dict[str, str]:
    """Options that differ from their defaults, as the launcher wants them: each a string.

    Raises:
      OptionError: one that the template does not offer.
    """
    switches = {option.name for option in template.options if option.default is False}
    found, words = {}, iter(flags)
    for word in words:
        name = word.removeprefix("--")
        if name in template.left_out:
            raise OptionError(f"--{name} is no parameter of this template: {template.left_out[name]}")
        found[name] = "true" if name in switches else next(words)
    return found


def check_parameters(parameters: Mapping[str, str], spec: Mapping[str, Any], place: str) -> None:
    """Raises OptionError for a parameter that the spec at `place` does not offer or whose value it does not take."""
    offered = {parameter["name"]: parameter for parameter in spec["metadata"]["parameters"]}
    for name, value in parameters.items():
        if name not in offered:
            raise OptionError(
                f"the template at {place} has no --{name}: another version of Tuneset built it; build it anew"
            )
        wanted = offered[name].get("regexes", [])
        if not all(re.fullmatch(regex, value) for regex in wanted):
            raise OptionError(f"--{name} {value}: the template takes only what matches {' and '.join(wanted)}")


def pipeline_option(name: str, value: Any) -> list[str]:
    """One of Beam's options as NAME=VALUE; a list as several."""
    values = value if isinstance(value, list) else [value]
    return [f"{name}={str(one).lower() if isinstance(one, bool) else one}" for one in values]


def job_name(base: str, unique: str) -> str:
    name = f"{base}-{unique}"
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?", name):
        raise OptionError(f"--job_name {base}: expected small letters, digits and hyphens, first a letter")
    return name


def labels(given: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE words as a dict; the last of a key counts."""
    made = {}
    for word in given:
        key, _, value = word.partition("=")
        if not re.fullmatch(r"[a-z][-_a-z0-9]{0,62}", key) or not re.fullmatch(r"[-_a-z0-9]{0,63}", value):
            raise OptionError(f"--labels {word}: expected KEY=VALUE of small letters, digits, hyphens and underscores")
        made[key] = value
    return made


def as_curl(launch: Launch) -> str:
    """The same launch as a shell line of curl."""
    head = "curl --fail-with-body --request POST --header 'Content-Type: application/json'"
    token = "" if launch.anonymous else ' --header "Authorization: Bearer $(gcloud auth print-access-token)"'
    return f"{head}{token} --data {shlex.quote(json.dumps(launch.body))} {shlex.quote(launch.url)}"


def as_gcloud(launch: Launch) -> str:
    """The same launch as a shell line of gcloud, which can only launch and not validate."""
    told, environ = launch.parameter, launch.parameter["environment"]
    words = ["gcloud", "dataflow", "flex-template", "run", told["jobName"]]
    words += [f"--project={launch.project}", f"--region={launch.region}"]
    words.append(f"--template-file-gcs-location={told['containerSpecGcsPath']}")
    words.append("--parameters=" + gcloud_list([f"{k}={v}" for k, v in told["parameters"].items()]))
    for field, flag in FIELDS.values():
        if field in environ:
            words.append(f"{flag}={str(environ[field]).removeprefix('FLEXRS_')}")
    if environ.get("ipConfiguration") == "WORKER_IP_PRIVATE":
        words.append("--disable-public-ips")
    options = list(environ.get("additionalPipelineOptions", []))
    if "diskSizeGb" in environ:  # gcloud has no flag for it
        options.append(f"disk_size_gb={environ['diskSizeGb']}")
    words += ["--additional-pipeline-options=" + gcloud_list(options)] * bool(options)
    words.append(
        "--additional-user-labels=" + gcloud_list([f"{k}={v}" for k, v in environ["additionalUserLabels"].items()])
    )
    return shlex.join(words)


def gcloud_list(items: Sequence[str]) -> str:
    """Items as gcloud reads a list: parted by commas, or by something that none of them holds."""
    if not any("," in item for item in items):
        return ",".join(items)
    apart = next(mark for mark in ("~", ";", "|", "#", "@@", "~~", ";;") if not any(mark in item for item in items))
    return f"^{apart}^" + apart.join(items)


def send(launch: Launch) -> str:
    """Launch, or with validateOnly only ask whether it could be -> the job's id ("" of a validation).

    Raises:
      google.api_core.exceptions.GoogleAPICallError: the service refused; its text says why.
    """
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import dataflow_v1beta3 as dataflow
    from google.protobuf import json_format

    said = launch.body | {"projectId": launch.project, "location": launch.region}
    request = dataflow.LaunchFlexTemplateRequest.wrap(
        json_format.ParseDict(said, dataflow.LaunchFlexTemplateRequest.pb()())
    )
    client = dataflow.FlexTemplatesServiceClient(
        credentials=AnonymousCredentials() if launch.anonymous else None,
        transport="rest",
        client_options={"api_endpoint": launch.endpoint or HOST},
    )
    return str(client.launch_flex_template(request).job.id)
