"""The Dataflow templates, made from the one table of options: metadata, specs and the image's Dockerfile.

`python -m beam_jobs.docs_tables` writes the committed files, and a test compares them with what is made here. What the Console
needs beside the table follows from an option's choices, its default or its metavar; a new metavar needs a line in KINDS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from apache_beam.version import __version__ as BEAM

from beam_jobs.dataflow.workers import MIXES, Mix
from beam_jobs.options import OPTIONS, Option, OptionError
from beam_jobs.stream.options import STREAM_OPTIONS
from transforms.core import VERSION

FOLDER = "dataflow_templates"
PYTHON = "3.11"
LAUNCHER_TAG = "20260122_RC00"


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One Flex Template.

    Args:
      name: its main file is NAME_main.py.
      left_out: options that the template does not offer, each with the reason.
      mix: worker settings that the spec starts from.
    """

    name: str
    title: str
    description: str
    options: tuple[Option, ...]
    left_out: Mapping[str, str]
    streaming: bool = False
    at_least_once: bool = False
    exactly_once: bool = False
    mix: str = "photos"


# Without a subscription, nothing would be announced.
_OF_STREAMS = tuple(replace(one, default=None) if one.name == "subscription" else one for one in STREAM_OPTIONS)
TEMPLATES = {
    template.name: template
    for template in (
        Template(
            name="batch",
            title="Tuneset: images to a Gemini tuning dataset",
            description="Checks rows and the images they name, rewrites images that do not conform, splits examples with too "
            "many images, assigns train, validation and test, and writes split JSONL with a ledger that balances.",
            options=OPTIONS,
            left_out={
                "uri_prefix": "is for a local output, and a template's is not",
                "transform": "it is a file of the machine that starts the job, which a template knows nothing of",
                "no_wait": "a template never waits",
                "preview": "it is for a terminal",
                "dry_run": "it is for a terminal",
                "report": "a template never waits, and the command that waits makes the report",
                "report_pictures": "it has no report",
                "quiet": "it is for a terminal",
                "verbose": "the launcher's log is always whole",
            },
        ),
        Template(
            name="stream",
            title="Tuneset: uploads to sealed windows of a Gemini tuning dataset",
            description="Takes what a Pub/Sub subscription announces, images and files of rows, and every few minutes seals a window "
            "of the dataset: checked, with images rewritten that do not conform, split, and with a ledger that balances. "
            "Exactly once: each message is worked once. At least once: cheaper and sooner; a message may be worked twice, and its "
            "second time is left out by the name and generation of what it announces, so that windows are the same.",
            options=_OF_STREAMS,
            left_out={
                "uri_prefix": "is for a local output, and a template's is not",
                "allowed_lateness": "whatever comes late is taken",
                "poll_interval": "nothing is listed again and again",
                "sidecar_wait": "words beside images are waited for in rounds alone",
                "stop_after": "a job is drained: gcloud dataflow jobs drain",
                "transform": "it is a file of the machine that starts the job, which a template knows nothing of",
                "report": "nobody waits for windows, who would make their reports",
                "report_pictures": "there is no report",
                "quiet": "it is for a terminal",
                "verbose": "the launcher's log is always whole",
            },
            streaming=True,
            at_least_once=True,
            exactly_once=True,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Kind:
    """How the Console asks for a value: a paramType of Dataflow, and what it must match."""

    type: str
    regexes: tuple[str, ...] = ()


_GCS = r"gs://[a-z0-9][-_.a-z0-9]+"
_NUMBER = Kind("NUMBER", ("^-?[0-9]+$",))
_TEXT = Kind("TEXT")
# By the option's name, else by its metavar.
KINDS = {
    "PATTERNS": Kind("GCS_READ_FILE", (rf"^{_GCS}(/[^,]*)?( *, *{_GCS}(/[^,]*)?)*$",)),
    "PATTERN": Kind("GCS_READ_FILE", (rf"^$|^{_GCS}(/.*)?$",)),
    "SUBSCRIPTION": Kind("PUBSUB_SUBSCRIPTION", (r"^projects/[^/]+/subscriptions/[^/]+$",)),
    "DURATION": Kind("TEXT", (r"^[0-9]{1,9}[smh]$",)),
    "PREFIXES": Kind("TEXT", (r"^$|^(gs|https?)://[^,]*( *, *(gs|https?)://[^,]*)*$",)),
    "FOLDER": Kind("GCS_WRITE_FOLDER", (rf"^$|^{_GCS}(/.*)?$",)),
    "previous": Kind("GCS_READ_FOLDER", (rf"^$|^{_GCS}(/.*)?$",)),
    "N": _NUMBER,
    "N|auto": Kind("TEXT", ("^(-1|[0-9]+|auto)$",)),
    "FRACTION": Kind("NUMBER", (r"^(0(\.[0-9]+)?|1(\.0+)?)$",)),
    "sample": Kind("TEXT", (r"^$|^[0-9]+$|^[01]?\.[0-9]+$",)),
    "TYPES": Kind("TEXT", (r"^$|^(png|jpeg|webp|heic|heif)( *, *(png|jpeg|webp|heic|heif))*$",)),
    "SPEC": Kind("TEXT", (r"^[a-z]+=[0-9.]+(,[a-z]+=[0-9.]+)*$",)),
    "COLUMN": _TEXT,
    "COLUMNS": _TEXT,
    "TEMPLATE": _TEXT,
    "CHARACTER": _TEXT,
    "PROJECT": Kind("TEXT", (r"^$|^[a-z][a-z0-9.:-]{4,}[a-z0-9]$",)),
    "TEXT": _TEXT,
}
# Shown only while the parent has one of these values.
_TABLES = ("input_format", ("auto", "table"))
PARENTS = {
    "prompt": _TABLES,
    "answer": _TABLES,
    "system": _TABLES,
    "image_column": _TABLES,
    "delimiter": _TABLES,
    "header": _TABLES,
    "encoding": _TABLES,
    "max_side": ("oversize", ("resize",)),
    "require_previous": ("previous", ()),  # any
    "trust_uris": ("previous", ()),
    "on_bad_image": ("verify", ("header", "structure", "decode")),
    "upright": ("verify", ("header", "structure", "decode")),
}


def kind_of(option: Option) -> Kind:
    """The Console's kind of an option.

    Raises:
      OptionError: nothing tells it.
    """
    if option.default is False:
        return Kind("BOOLEAN", ("^(true|false)$",))
    if option.choices:
        return Kind("ENUM")
    kind = KINDS.get(option.name) or KINDS.get(option.metavar)
    if kind is None:
        raise OptionError(
            f"--{option.name}: its metavar {option.metavar} has no line in KINDS of beam_jobs/dataflow/templates.py"
        )
    return kind


def parameter(option: Option) -> dict[str, Any]:
    """An option as Dataflow's ParameterMetadata."""
    kind = kind_of(option)
    told = option.help.replace(" (required)", "").replace("; local or gs://", ", at gs://")
    made: dict[str, Any] = {
        "name": option.name,
        "label": option.name.replace("_", " ").capitalize(),
        "helpText": told[0].upper() + told[1:] + ".",
        "paramType": kind.type,
        "isOptional": option.default is not None,
        "groupName": option.group,
    }
    if option.default not in (None, ""):
        made["defaultValue"] = str(option.default).lower() if option.default is False else str(option.default)
    if kind.regexes:
        made["regexes"] = list(kind.regexes)
    if option.choices:
        made["enumOptions"] = [{"value": choice, "label": choice} for choice in option.choices]
    if option.name in PARENTS:
        made["parentName"], triggers = PARENTS[option.name]
        if triggers:  # else any
            made["parentTriggerValues"] = list(triggers)
    return made


def metadata(template: Template) -> dict[str, Any]:
    """A template as Dataflow's TemplateMetadata."""
    made: dict[str, Any] = {
        "name": template.title,
        "description": template.description,
        "streaming": template.streaming,
        "supportsAtLeastOnce": template.at_least_once,
        "supportsExactlyOnce": template.exactly_once,
        "parameters": [parameter(o) for o in template.options if o.name not in template.left_out],
    }
    if template.at_least_once and template.exactly_once:
        made["defaultStreamingMode"] = "EXACTLY_ONCE"
    return made


def spec(template: Template, image: str) -> dict[str, Any]:
    """A template as Dataflow's ContainerSpec: the object that a launch names. Workers run the same image as the launcher."""
    return {
        "image": image,
        "sdkInfo": {"language": "PYTHON"},
        "metadata": metadata(template),
        "defaultEnvironment": {"sdkContainerImage": image}
        | environment(MIXES[template.mix])
        | ({"enableStreamingEngine": True} if template.streaming else {}),
    }


def environment(mix: Mix) -> dict[str, Any]:
    """Worker settings as Dataflow's FlexTemplateRuntimeEnvironment."""
    return {
        "machineType": mix.machine.name,
        "diskSizeGb": mix.disk_gb,
        "additionalPipelineOptions": [f"number_of_worker_harness_threads={mix.threads}"],
    }


def text(made: dict[str, Any]) -> str:
    return json.dumps(made, indent=2, ensure_ascii=True) + "\n"


def dockerfile() -> str:
    """The one image for launcher and workers, of every template: what differs is its main file."""
    short = PYTHON.replace(".", "")
    return f"""\
# Made by `tuneset template dockerfile`. One image for launcher and workers; build it from the root of the repository:
#   docker build --file {FOLDER}/Dockerfile --tag IMAGE .
# MAIN chooses the template. All its layers but the last are shared by all templates.
FROM gcr.io/dataflow-templates-base/python{short}-template-launcher-base:{LAUNCHER_TAG} AS launcher
FROM apache/beam_python{PYTHON}_sdk:{BEAM} AS sdk

FROM python:{PYTHON}-slim
LABEL org.opencontainers.image.title="tuneset" \\
      org.opencontainers.image.version="{VERSION}" \\
      org.opencontainers.image.description="Launcher and workers of Tuneset's Dataflow templates" \\
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=sdk /opt/apache/beam /opt/apache/beam
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher

COPY {FOLDER}/requirements.txt /template/requirements.txt
RUN pip install --no-cache-dir --require-hashes --requirement /template/requirements.txt

COPY setup.py pyproject.toml README.md LICENSE /template/source/
COPY beam_jobs /template/source/beam_jobs
COPY transforms /template/source/transforms
RUN pip install --no-cache-dir --no-deps --no-build-isolation /template/source \\
 && pip check \\
 && rm -r /template/source
COPY {FOLDER}/*_main.py /template/

# The packages are in the image, so the workers' boot must not make an environment of its own.
# Few allocator arenas: with one for each thread, a process that reads images keeps what it freed (docs/dataflow.md).
ENV RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1 \\
    MALLOC_ARENA_MAX=2 \\
    PYTHONUNBUFFERED=1

# No USER line: Dataflow mounts the folders that boot and launcher write to as root.
ENTRYPOINT ["/opt/apache/beam/boot"]
ARG MAIN=batch_main.py
ENV FLEX_TEMPLATE_PYTHON_PY_FILE=/template/${{MAIN}}
"""


def committed() -> dict[str, str]:
    """The files of the repository that are made here, by their path."""
    files = {f"{FOLDER}/Dockerfile": dockerfile()}
    for template in TEMPLATES.values():
        files[f"{FOLDER}/{template.name}_metadata.json"] = text(metadata(template))
        files[f"{FOLDER}/{template.name}_spec.json"] = text(
            spec(template, "REGION-docker.pkg.dev/PROJECT/tuneset/tuneset")
        )
    return files
