"""What comes after the seal, up to a running tuning job: what a manifest says of its dataset -> steps, for a screen and as JSON.

A step's commands can be pasted as they stand. Each does what the sentence above it says and no more: it names files, or a list of
them that stands beside the manifest, and never a folder of the input. The Python is google-genai's: the older SDK's calls left
Google's pages on 2026-08-20.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from transforms.core.limits import PROFILES, TUNABLE, TUNING_REGIONS
from transforms.core.output_names import MANIFEST
from transforms.dataset.seal_plan import is_file_of
from transforms.storage import abilities
from transforms.storage.uris import bucket_of, bucket_uri

# Secure Fine-Tuning Service Agent, from the prerequisites of Google's notebook on tuning with multimodal datasets, read 2026-11-22
AGENT = "service-PROJECT_NUMBER@gcp-sa-vertex-tune.iam.gserviceaccount.com"
PLACE = "gs://BUCKET/FOLDER"  # where nobody has said yet where to
SHOWN_BUCKETS = 10  # on a screen; run.next of the manifest names all that the manifest does
_LONGEST_NAME = 128  # characters of a model's display name


@dataclass(frozen=True)
class Step:
    """Something to do: a sentence or two, then shell commands, a line each, or Python. `uris` are what a tuning job is given."""

    name: str
    text: str
    commands: tuple[str, ...] = ()
    python: str = ""
    uris: tuple[tuple[str, str], ...] = ()  # (split, URI)

    def as_lines(self) -> list[str]:
        """What the screen shows: commands and code are indented."""
        return [self.text, *(f"  {line}".rstrip() for line in (*self.commands, *self.python.splitlines()))]

    def as_json(self) -> dict[str, Any]:
        """What the manifest tells, without what is empty."""
        told = {key: value for key, value in asdict(self).items() if value and key != "name"}
        return told | ({"uris": dict(self.uris)} if self.uris else {})


def next_in_manifest(dataset: Mapping[str, Any]) -> dict[str, Any]:
    """`run.next` of a manifest: every step by its name."""
    return {step.name: step.as_json() for step in tuning_steps(dataset)}


def tuning_steps(dataset: Mapping[str, Any], most_buckets: int = 0) -> Iterator[Step]:
    """The steps from a sealed dataset to a tuning job, in order.

    Args:
      dataset: the manifest's.
      most_buckets: that are named; 0: all that the manifest names.
    """
    if dataset["uploadable"] == "not yet":
        yield Step(
            "make_uploadable",
            "fileUri holds absolute paths of the machine that it was made on, so no tuning job can use it: run the same command again "
            "with another --output and, if that is local, with --uri_prefix gs://BUCKET/FOLDER.",
        )
        return
    if abilities(dataset["output"]).has_paths:
        yield upload(dataset)
    yield from grants(dataset, most_buckets)
    if dataset["splits"]["train"]:  # else it can be put behind the dataset whose rejected rows it holds
        yield tune(dataset)
        yield explain(dataset)


def upload(dataset: Mapping[str, Any]) -> Step:
    """The commands that upload a local dataset: the images that its lines name, then its own files."""
    output, uri_prefix = dataset["output"], dataset["options"]["uri_prefix"]
    prefix, listed = uri_prefix or PLACE, dataset.get("upload_list", {"lines": 0})
    placed = "" if uri_prefix else f", with a folder of yours in place of {PLACE}"
    images, commands = "", []
    if listed["lines"]:
        images = f"the images that {listed['name']} lists (repeated, it goes on where it stopped), then "
        where = [dataset["upload"]["from"], f"{dataset['upload']['to']}/", f"{output}/{listed['name']}"]
        folder, target, paths = map(shlex.quote, where)
        commands.append(f"(cd {folder} && gcloud storage cp --no-clobber --read-paths-from-stdin {target} < {paths})")
    names = [*(file["name"] for file in dataset["files"]), MANIFEST]
    commands.append(upload_files(output, names, prefix))
    use = f", and name {' and '.join(_tuning_files(dataset))} to the tuning job" if dataset["splits"]["train"] else ""
    return Step("upload", f"Upload {images}the dataset's own files{placed}{use}:", tuple(commands))


def upload_files(folder: str, names: list[str], prefix: str) -> str:
    """The command that uploads files of a local folder by their names: gcloud would take a `[` in the folder's for a pattern."""
    return f"(cd {shlex.quote(folder)} && gcloud storage cp {shlex.join([*names, f'{prefix}/'])})"


def grants(dataset: Mapping[str, Any], most_buckets: int = 0) -> Iterator[Step]:
    """The buckets that the tuning service must be able to read, and the command that lets its service agent."""
    own = [bucket for uri in (dataset["output"], dataset["options"]["uri_prefix"]) if (bucket := bucket_of(uri))]
    buckets = sorted({*own, *dataset["buckets"]})
    if not buckets:
        return
    shown = buckets[: most_buckets or None]
    named, more = " ".join(shlex.quote(bucket_uri(bucket)) for bucket in shown), len(buckets) - len(shown)
    if dataset.get("more_buckets"):
        rest = f" and over {more:,} more, of which manifest.json names the first {len(dataset['buckets']):,}"
    else:
        rest = f" and {more:,} more, which run.next of manifest.json grants" if more else ""
    which, end = (named, "") if len(shown) == 1 else ("$b", "; done")
    start = f"for b in {named}; do " if end else ""
    own_too = "" if own else " and the bucket that you upload to"
    yield Step(
        "grants",
        f"The tuning service must be able to read {named}{rest}{own_too}. Once, for its agent (PROJECT_NUMBER is that of the tuning "
        "job):",
        (
            f"{start}gcloud storage buckets add-iam-policy-binding {which} --member=serviceAccount:{AGENT} "
            f"--role=roles/storage.objectViewer{end}",
        ),
    )
    yield Step(
        "service_agent",
        "That agent exists only once a first tuning job was started in the project; before, the command fails with "
        "'Principal does not exist'. Then start the job below, cancel it with client.tunings.cancel(name=job.name), let the agent "
        "read, and start the job again.",
    )


def tune(dataset: Mapping[str, Any]) -> Step:
    """The call that starts the tuning job, on one training and one validation file."""
    folder = _uploaded_to(dataset)
    uris = {split: f"{folder}/{names[0]}" for split in ("train", "validation") if (names := _files_of(dataset, split))}
    of_dataset = PROFILES[dataset["options"]["model"]]
    profile = of_dataset if of_dataset in TUNABLE else TUNABLE[0]
    assert profile.status
    several = [split for split in uris if len(_files_of(dataset, split)) > 1]
    others = (
        f" A job takes one file of each split: those numbered of {' and '.join(several)} are for several jobs."
        if several
        else ""
    )
    return Step(
        "tune",
        f"Start the tuning job with google-genai. {' and '.join(profile.models)} can be tuned ({profile.status.name}, as of "
        f"{profile.status.date}), in {' and '.join(TUNING_REGIONS)} alone: `global` and keys of your own (CMEK) are refused.{others}",
        python=_call(profile.models[0], uris, folder.rpartition("/")[2]),
        uris=tuple(uris.items()),
    )


def explain(dataset: Mapping[str, Any]) -> Step:
    """What to ask once the job has ended."""
    return Step(
        "explain",
        f"Once it has ended, save it: `tuneset explain {shlex.quote(dataset['output'])} --job job.json` then tells where the lines "
        "came from that it dropped.",
        python='job = client.tunings.get(name=job.name)\nopen("job.json", "w").write(job.model_dump_json(exclude_none=True))\n',
    )


def _call(model: str, uris: Mapping[str, str], name: str) -> str:
    validation = ""
    if "validation" in uris:
        validation = (
            f"        validation_dataset=types.TuningValidationDataset(gcs_uri={_literal(uris['validation'])}),\n"
        )
    return f"""\
from google import genai
from google.genai import types

client = genai.Client(vertexai=True, project="PROJECT", location="{TUNING_REGIONS[0]}")
job = client.tunings.tune(
    base_model="{model}",
    training_dataset=types.TuningDataset(gcs_uri={_literal(uris["train"])}),
    config=types.CreateTuningJobConfig(
{validation}        tuned_model_display_name={_literal(name[:_LONGEST_NAME])},
    ),
)
print(job.name, job.state)
"""


def _literal(text: str) -> str:
    """A text as Python writes it, in ASCII.

    >>> print(_literal('gs://b/"é"'))
    "gs://b/\\"\\xe9\\""
    """
    escaped = text.encode("unicode_escape").decode().replace('"', '\\"')
    return f'"{escaped}"'


def _uploaded_to(dataset: Mapping[str, Any]) -> str:
    """The folder that the tuning job finds the dataset in."""
    output: str = dataset["output"]
    return (dataset["options"]["uri_prefix"].rstrip("/") or PLACE) if abilities(output).has_paths else output


def _files_of(dataset: Mapping[str, Any], split: str) -> list[str]:
    return [file["name"] for file in dataset["files"] if is_file_of(file["name"], split) and file["lines"]]


def _tuning_files(dataset: Mapping[str, Any]) -> list[str]:
    """Names of the files that a tuning job takes."""
    return [name for split in ("train", "validation") for name in _files_of(dataset, split)]
