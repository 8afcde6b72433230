"""What a person reads at the end: the ledger as a table, what was written. Also one-paragraph causes."""

from __future__ import annotations

import re
from typing import Any

from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions

from beam_jobs.report.next_steps import next_steps
from beam_jobs.report.second_thoughts import second_thoughts
from beam_jobs.report.shortages import shortage
from beam_jobs.settings import Settings
from transforms.core.counters import COUNTERS
from transforms.core.finding_codes import AUTO, NONE, ROWS, WARNING, finding_code, is_at_least
from transforms.core.reasons import REASONS
from transforms.core.warning_codes import Notice, as_lines
from transforms.steps.compare import KINDS

# Findings that a warning tells, or what is said of the next step.
_TOLD_ELSEWHERE = (
    *("over_tokens", "no_training_examples", "validation_too_many", "validation_too_large"),
    *("model_retired", "model_unknown", "local_path"),
)
_PARTS = 3  # damaged ones that are shown


def sealed(manifest: dict[str, Any], settings: Settings) -> str:
    """The closing screen of a sealed run."""
    dataset, run = manifest["dataset"], manifest["run"]
    seconds = run["finished"] - run["started"]
    lines = [
        f"Sealed {settings.output} in {seconds:.1f} s.",
        "",
        *tree(dataset),
        "",
        *ledger(dataset),
        *endings(run),
        *night(run),
        "",
    ]
    return "\n".join(
        [*lines, *warnings(dataset), *findings(dataset), *second_thoughts(settings), *next_steps(dataset, settings)]
    )


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


def endings(run: dict[str, Any]) -> list[str]:
    """The most frequent endings of what was listed and not read."""
    return [
        f"    left out {one['count']:,} x {_plain(one['ending'])}: {_plain(one['example'])}"
        for one in run.get("left_out_endings", ())
    ]


def _plain(name: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name[:200])


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
    detail = f"of {night['previous']} had to be made anew, because of what is missing or damaged there: "
    return as_lines([Notice("blocks_made_anew", number, detail=f"{detail}{', '.join(parts[:_PARTS])}{more}")])


def warnings(dataset: dict[str, Any]) -> list[str]:
    """A line for each warning of a dataset; one that an older version sealed tells none."""
    told = dataset.get("warnings", ())
    return as_lines(Notice(one["code"], one["count"], one["example"], one.get("detail", "")) for one in told)


def findings(dataset: dict[str, Any]) -> list[str]:
    """A line for each finding of the dataset that a person should know of, unless it is told as a warning."""
    told = dataset.get("findings", {"counts": {}, "level": NONE})
    lines = []
    for code, number in told["counts"].items():
        known = finding_code(code)
        if code not in _TOLD_ELSEWHERE and is_at_least(known.severity, WARNING):
            lines.append(f"! {code}: {number:,} x {known.meaning} {known.advice}")
    if told["level"] == ROWS and dataset["options"]["findings"] == AUTO:
        lines.append("Lines were not compared with each other, since they name so many images: --findings all does.")
    return lines


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
    of_grpc = re.search(r'^\s*details = "(.+)"$', text, re.MULTILINE)  # whose last line is a bracket
    last = of_grpc[1] if of_grpc else (wanted or lines)[-1]
    said = re.sub(r"\s*\[while running.*", "", last)[:600].rstrip(".") + "."
    return " ".join(filter(None, (said, shortage(text if not isinstance(error, MemoryError) else "MemoryError"))))
