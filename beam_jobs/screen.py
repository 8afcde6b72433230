"""What a person reads at the end: the ledger as a table, what was written, what to do next. Also one-paragraph causes."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from beam_jobs.settings import Settings
from beam_jobs.shortages import shortage
from transforms.comparing import KINDS
from transforms.core.ledger import COUNTERS
from transforms.core.reasons import REASONS
from transforms.storage import is_local

# Secure Fine-Tuning Service Agent, from the prerequisites of Google's notebook on tuning with multimodal datasets, read 2026-11-22
_AGENT = "serviceAccount:service-PROJECT_NUMBER@gcp-sa-vertex-tune.iam.gserviceaccount.com"
_BUCKETS = 10  # that are shown
_PARTS = 3  # damaged ones that are shown


def sealed(manifest: dict[str, Any], settings: Settings) -> str:
    """The closing screen of a sealed run."""
    dataset, run = manifest["dataset"], manifest["run"]
    seconds = run["finished"] - run["started"]
    lines = [f"Sealed {settings.output} in {seconds:.1f} s.", "", *tree(dataset), "", *ledger(dataset), *night(run), ""]
    for warning in warnings(dataset, settings):
        lines.append(f"! {warning}")
    return "\n".join([*lines, *next_steps(dataset, settings)])


def sealed_before(manifest: dict[str, Any], settings: Settings) -> str:
    return (
        f"{settings.output} was sealed by the same command before (run {manifest['run']['id']}); nothing was done, and "
        "the input was not looked at again. --overwrite makes it anew."
    )


def submitted(result: Any, settings: Settings, template: str) -> str:
    """What a run says that does not wait; `template`: where the job was written instead of being submitted."""
    done = f"Wrote the job to {template}" if template else "Submitted"
    job = "" if template else job_id(result)
    return (
        f"{done}{f' as job {job}' if job else ''}. {settings.output}/manifest.json appears once the dataset is sealed."
    )


def left_running(result: Any, settings: Settings) -> str:
    """What is said when a person stops waiting for a job that does not need them."""
    text = f"no longer waiting. The job goes on without this command, and {settings.output}/manifest.json appears at its end."
    if not job_id(result):
        return text
    cloud = PipelineOptions(list(settings.beam)).view_as(GoogleCloudOptions)
    return f"{text} To end it: gcloud dataflow jobs cancel {job_id(result)} --project {cloud.project} --region {cloud.region}"


def job_id(result: Any) -> str:
    """The id of a Dataflow job; "" of any other runner's."""
    return str(result.job_id()) if callable(getattr(result, "job_id", None)) else ""


def tree(dataset: dict[str, Any]) -> list[str]:
    rows = [(f["name"], _size(f)) for f in dataset["files"]]
    rewritten = dataset["counters"].get("bytes_rewritten", 0)
    if rewritten and not dataset["options"]["image_folder"]:
        rows.append(("images/", f"rewritten images, {bytes_of(rewritten)}"))
    rows.append(("manifest.json", "what this dataset is, file by file"))
    width = max(len(name) for name, _ in rows)
    return [f"  {name:<{width}}  {what}" for name, what in rows]


def _size(file: dict[str, Any]) -> str:
    if "lines" not in file:
        return "a row for each source and fate"
    return count(file["lines"], "row" if file["name"].endswith(".parquet") else "line")


def ledger(dataset: dict[str, Any]) -> list[str]:
    """Counters as a table, in the catalogue's order, then the reasons of rejections."""
    counters = dataset["counters"]
    shown = [(name, counters[name]) for name in COUNTERS if name in counters]
    width = max(len(name) for name, _ in shown)
    lines = [f"  {name:<{width}}  {number:>13,}  {COUNTERS[name].meaning}" for name, number in shown]
    for reason, number in sorted(dataset["reasons"].items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"    rejected {number:,} x {reason}: {REASONS[reason].help}")
    return lines


def night(run: dict[str, Any]) -> list[str]:
    """What was taken from an earlier night, if there was one."""
    if "night" not in run:
        return []
    told = run["night"]
    blocks, files = told["blocks"], told["files"]
    return [
        "",
        f"  {blocks['reused']:,} of {sum(blocks.values()):,} blocks are those of {told['previous']}; input files: "
        + ", ".join(f"{files[kind]:,} {kind}" for kind in KINDS)
        + ".",
        *damaged(told),
    ]


def damaged(night: dict[str, Any]) -> list[str]:
    """A warning of what an earlier night left damaged: its blocks were made anew."""
    number, parts = night["damaged_parts"], night["damaged"]
    if not number:
        return []
    more = f", and {number - _PARTS:,} more, which manifest.json names" if number > _PARTS else ""
    return [
        f"! {count(number, 'block')} of {night['previous']} had to be made anew, because of what is missing or damaged there: "
        f"{', '.join(parts[:_PARTS])}{more}."
    ]


def warnings(dataset: dict[str, Any], settings: Settings) -> list[str]:
    counters, splits = dataset["counters"], dataset["splits"]
    names = [f["name"] for f in dataset["files"]]
    found = []
    if any(name.startswith("train-00000") for name in names):
        found.append(f"train needs {sum(n.startswith('train-') for n in names)} files: a tuning job takes one of them.")
        if not settings.shuffle_seed:
            found.append("Without --shuffle_seed the first of them is the first part of the input, not a fair sample.")
    if "folder" in dataset["formats"] and not settings.shuffle_seed:
        found.append(
            "Images of a folder stand in the order of their names, so classes follow one another: --shuffle_seed 1 mixes them."
        )
    for name, number in splits.items():
        if not number:
            found.append(f"{name}.jsonl is empty.")
    if splits["validation"] > 1000 and splits["validation"] > 0.3 * splits["train"]:
        found.append("validation holds over 1,000 examples and over 30 % of train: the service may refuse it.")
    texts = {
        "examples_split": ("example", "held more images than an example may, and became pieces; where an answer depends on all "
        "of them, use --on_too_many_images reject"),
        "examples_over_tokens": ("example", "may hold more tokens than the model takes (estimated)"),
        "images_warn_type": ("reference", "to WebP, HEIC or HEIF, which not all tuning pages name; --types jpeg,png converts"),
        "images_rotated_tag": ("reference", "to images with an EXIF rotation tag; --upright rewrites them upright"),
        "validation_unused": ("line", "beyond --max_validation, in validation-unused.jsonl"),
    }  # fmt: skip
    found += [f"{count(counters[name], noun)} {text}." for name, (noun, text) in texts.items() if counters.get(name)]
    if not dataset["verified"]:
        found.append("No image was looked at (--verify none).")
    return found


def next_steps(dataset: dict[str, Any], settings: Settings) -> list[str]:
    output, steps = settings.output, []
    if dataset["reasons"]:
        steps.append("Mend what rejected.jsonl names, then replay just those rows:")
        steps.append(f"  {_replay(settings)}")
    files = [
        f["name"]
        for f in dataset["files"]
        if re.fullmatch(r"(train|validation)(-\d.*)?\.jsonl", f["name"]) and f["lines"]
    ]
    if not dataset["splits"]["train"]:
        steps.append("No tuning job can use it: it has nothing to train on.")
    elif dataset["uploadable"] == "not yet":
        steps.append("Not yet uploadable: fileUri holds local paths. Say where the images will be, and run again:")
        steps.append(f"  {_again(settings, output=f'{output}-for-upload', uri_prefix='gs://BUCKET/FOLDER')}")
    elif is_local(output):
        prefix = settings.uri_prefix or "gs://BUCKET/FOLDER"
        steps.append(f"Upload it, then name {' and '.join(files)} to the tuning job:")
        uploads = [(output, prefix)]
        if settings.uri_prefix:
            if settings.image_folder:
                uploads.insert(0, (settings.image_folder, f"{prefix}/images"))
            uploads.insert(0, (_root(settings), prefix))
        steps += [f"  {shlex.join(['gcloud', 'storage', 'rsync', '--recursive', *two])}" for two in uploads]
    else:
        steps.append(f"Name {' and '.join(f'{output}/{name}' for name in files)} to the tuning job.")
    return steps + readers(dataset, settings)


def readers(dataset: dict[str, Any], settings: Settings) -> list[str]:
    """The buckets that the tuning service must be able to read, and the command that lets its service agent."""
    own = [uri[5:].partition("/")[0] for uri in (settings.output, settings.uri_prefix) if uri.startswith("gs://")]
    buckets = sorted({*own, *dataset["buckets"]})
    if not buckets:
        return []
    shown, more = buckets[:_BUCKETS], len(buckets) - _BUCKETS
    named = " ".join(f"gs://{bucket}" for bucket in shown)
    if dataset.get("more_buckets"):
        rest = f" and over {more:,} more, of which manifest.json names the first {len(dataset['buckets']):,}"
    else:
        rest = f" and {more:,} more, which manifest.json names" if more > 0 else ""
    which, end = (f"gs://{shown[0]}", "") if len(shown) == 1 else ("$b", "; done")
    start = f"for b in {named}; do " if end else ""
    return [
        f"The tuning service must be able to read {named}{rest}. Once, for its agent (PROJECT_NUMBER is that of the tuning job):",
        f"  {start}gcloud storage buckets add-iam-policy-binding {which} --member={_AGENT} --role=roles/storage.objectViewer{end}",
    ]


def _root(settings: Settings) -> str:
    from beam_jobs.plan import places

    return places(settings, remote=False).root


def _replay(settings: Settings) -> str:
    """The command that replays the rejected rows: by the same options, so that they fall into the same splits.

    They now lie in another folder, so what the first run was allowed to read must be said.
    """
    from beam_jobs.plan import places

    return _again(
        settings,
        input=(f"{settings.output}/rejected.jsonl",),
        output=f"{settings.output}-replayed",
        input_format="auto",
        allow_prefix=places(settings, remote=False).readable,
    )


def _again(settings: Settings, **changed: Any) -> str:
    """The command of a run on another output folder, by these options but for the changed ones."""
    again = replace(settings, **changed, overwrite=False, take_over=False)
    return shlex.join(["tuneset", "prepare", *again.as_flags()])


def count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def bytes_of(number: int) -> str:
    """A number of bytes as a person reads it."""
    for unit in ("bytes", "KB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:,.0f} {unit}" if unit == "bytes" else f"{number:,.1f} {unit}"
        number /= 1000  # type: ignore[assignment]
    raise AssertionError


def cause(error: BaseException) -> str:
    """The last line of an error that says something, without Beam's frames."""
    text = str(error).strip() or type(error).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wanted = [
        line
        for line in lines
        if re.match(r"[\w.]*(Error|Exception|NotFound|Forbidden|Unavailable|Changed|Unsealed)\b", line)
    ]
    last = (wanted or lines)[-1]
    said = re.sub(r"\s*\[while running.*", "", last)[:600].rstrip(".") + "."
    return " ".join(filter(None, (said, shortage(text if not isinstance(error, MemoryError) else "MemoryError"))))
