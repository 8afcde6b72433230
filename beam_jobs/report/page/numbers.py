"""The numbers of a report: a manifest and what its tables and lines came to -> report.json, which the page shows.

`dataset` is a function of the dataset; only `run` tells of the run that made it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from beam_jobs.report.page.tables import REWRITTEN
from transforms.core.counters import FATES
from transforms.core.finding_codes import by_severity, finding_code
from transforms.core.limits import Profile
from transforms.core.reasons import REASONS
from transforms.core.warning_codes import Notice

_SPLITS = ("train", "validation", "test")


def dataset_numbers(dataset: Mapping[str, Any], profile: Profile, rejected: Mapping[str, Any]) -> dict[str, Any]:
    """What a manifest alone says, laid out as the page shows it.

    Args:
      dataset: of the manifest.
      rejected: a row of each reason, where one was found.
    """
    counters = dataset["counters"]
    return {
        "output": dataset["output"],
        "inputs": dataset["inputs"],
        "tool": dataset["tool"],
        "model": dataset["options"]["model"],
        "uploadable": dataset["uploadable"],
        "verified": dataset["verified"],
        "counters": counters,
        "totals": {
            "read": counters.get("examples_read", 0),
            "written": counters.get("examples_written", 0),
            "rejected": counters.get("examples_rejected", 0),
            "references": counters.get("images_seen", 0),
            "rewritten": sum(counters.get(f"images_{fate}", 0) for fate in REWRITTEN),
        },
        "examples_flow": _examples_flow(counters, dataset["splits"]),
        "images_flow": _images_flow(counters),
        "files": [_file(one, profile) for one in dataset["files"] if one["name"].endswith(".jsonl")],
        "reasons": [
            {"reason": reason, "rows": rows, "owner": REASONS[reason].owner, "help": REASONS[reason].help}
            | {"example": rejected.get(reason)}
            for reason, rows in sorted(dataset["reasons"].items(), key=lambda item: (-item[1], item[0]))
        ],
        "warnings": [
            {"code": one["code"], "text": Notice(one["code"], one["count"], one["example"], one.get("detail", "")).line}
            for one in dataset.get("warnings", ())
        ],
        "findings": _findings(dataset.get("findings")),
        "options": {name: value for name, value in dataset["options"].items() if value not in ("", [], False, None)},
    }


def _findings(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a check finds in the dataset, the worst first; {} if that was not asked for."""
    if not told:
        return {}
    return {
        "identity": told["identity"],
        "codes": [finding_card(code, told["counts"][code]) for code in by_severity(told["counts"])],
    }


def finding_card(code: str, count: int, places: Sequence[str] = ()) -> dict[str, Any]:
    """What a page says of a code, and where it was found."""
    known = finding_code(code)
    return {
        "code": code,
        "severity": known.severity,
        "count": count,
        "meaning": known.meaning,
        "advice": known.advice,
        "places": list(places),
    }


def _examples_flow(counters: Mapping[str, int], splits: Mapping[str, int]) -> list[list[dict[str, Any]]]:
    """Levels from top to bottom: rows, what became of them, lines. Parts of a level add up to it."""

    def c(name: str) -> int:
        return counters.get(name, 0)

    lines = [_part(name, splits[name], f"lines of {name}") for name in _SPLITS if splits.get(name)]
    unused = [
        _part("left", c("examples_sampled_out"), "left out by --sample"),
        _part("left", c("validation_unused"), "beyond --max_validation"),
    ]
    whole = c("examples_used") - c("examples_split")
    levels = [
        [
            _part("read", c("examples_read"), "rows read"),
            _part("read", c("examples_added"), "more made of them by --transform"),
        ],
        [
            _part("used", whole, "used whole"),
            _part("pieces", c("examples_split"), f"split, into {c('pieces_written'):,} pieces"),
            _part("rejected", c("examples_rejected"), "rejected"),
            _part("left", c("examples_dropped"), "dropped by --transform"),
        ],
        [*lines, *unused],
    ]
    return [[part for part in level if part["count"]] for level in levels]


def _images_flow(counters: Mapping[str, int]) -> list[list[dict[str, Any]]]:
    words = {"untouched": "used as they are", "unverified": "not looked at", "unused": "not needed"}
    fates = [_part(fate, counters.get(f"images_{fate}", 0), words.get(fate, fate)) for fate in reversed(FATES)]
    seen = _part("read", counters.get("images_seen", 0), "references to images")
    return [[part for part in level if part["count"]] for level in ([seen], fates)]


def _part(kind: str, count: int, text: str) -> dict[str, Any]:
    return {"kind": kind, "count": count, "text": text}


def _file(file: Mapping[str, Any], profile: Profile) -> dict[str, Any]:
    """A file of lines, beside what a tuning job takes of one; nothing limits those that no job is given."""
    entry = {"name": file["name"], "lines": file["lines"], "bytes": file["bytes"]}
    if file["name"].startswith(("rejected", "validation-unused")):
        return entry
    most = profile.max_validation if file["name"].startswith("validation") else profile.max_file_examples
    return entry | {"most_lines": most, "most_bytes": profile.max_file_bytes}


def run_numbers(manifest: Mapping[str, Any], runner: str, requests: int) -> dict[str, Any]:
    """How the run went, of which the dataset does not depend.

    Args:
      requests: that it sent to storage and web servers; 0 if nobody counted.
    """
    run, counters = manifest["run"], manifest["dataset"]["counters"]
    seconds = max(run["finished"] - run["started"], 0.001)
    night = run.get("night")
    return {
        "id": run["id"],
        "runner": runner,
        "started": run["started"],
        "seconds": round(seconds, 3),
        "examples_s": round(counters.get("examples_read", 0) / seconds, 1),
        "images_s": round(counters.get("images_seen", 0) / seconds, 1),
        "requests": requests,
        "resumed": run["resumed"],
        "blocks_reused": night["blocks"]["reused"] if night else 0,
        "previous": night["previous"] if night else "",
    }
