"""Write the report of a sealed dataset: report.html, or the file that --report names, and the same numbers as JSON beside it.

The dataset is whole before, and stays so whatever becomes of its report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from beam_jobs.job import Job
from beam_jobs.preflight import runner_of
from beam_jobs.report.page import lines
from beam_jobs.report.page.numbers import dataset_numbers, run_numbers
from beam_jobs.report.page.render import render
from beam_jobs.report.page.tables import MOST_ROWS, Tables, read_tables
from beam_jobs.report.page.thumbnails import Thumbnail, ThumbnailMaker
from transforms.core.output_names import REPORT
from transforms.storage import store_for, traffic

NONE = "none"  # of --report
MOST_PAGE = 2_000_000  # bytes
_PAIRED = 12  # of the images that are read: those shown before and after they were rewritten


def report_file(plan: Job) -> str:
    """Where the report is to be written; "" if none is."""
    asked = plan.settings.report
    return "" if asked == NONE else asked or default_page(plan.settings.output)


def default_page(output: str) -> str:
    return f"{output}/{REPORT}"


def write_report(plan: Job, manifest: Mapping[str, Any]) -> str:
    """Write page and numbers -> the URI of the page; "" if none was asked for.

    Raises:
      StorageError: something of the dataset cannot be read, or the report cannot be written.
    """
    page = report_file(plan)
    if page:
        report, pictures = make_report(plan, manifest)
        put_report(page, report, pictures, render)
    return page


def put_report(
    page: str,
    report: Mapping[str, Any],
    pictures: Mapping[str, Thumbnail],
    make_page: Callable[[Mapping[str, Any], Mapping[str, Thumbnail]], str],
) -> None:
    """Write the page, without its pictures if it would be too large, and its numbers as JSON beside it.

    Raises:
      StorageError.
    """
    data = make_page(report, pictures).encode(errors="replace")
    if len(data) > MOST_PAGE:
        data = make_page(report, {}).encode(errors="replace")
    numbers = (json.dumps(report, indent=1, sort_keys=True) + "\n").encode()
    _put(f"{page.removesuffix('.html')}.json", numbers, "application/json")
    _put(page, data, "text/html; charset=utf-8")


def make_report(plan: Job, manifest: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Thumbnail]]:
    """The numbers of a report, and the pictures that it shows, by their URIs."""
    settings, dataset = plan.settings, manifest["dataset"]
    folder, files = settings.output, dataset["files"]
    leaks = dataset.get("findings", {}).get("leaks", [])
    tables = read_tables(
        folder,
        [one["name"] for one in files],
        settings.profile,
        (settings.max_image_bytes, settings.max_pixels),
        lines.shares(dataset["splits"]),
        {place["id"] for leak in leaks for place in leak.values()},
    )
    shown = lines.examples(folder, tables.shown)
    numbers = dataset_numbers(dataset, settings.profile, lines.rejected(folder, dataset["reasons"]))
    numbers |= {
        "histograms": [one for one in (h.as_json() for h in tables.histograms) if one["bars"]],
        "whole": tables.whole,
        "most_rows": MOST_ROWS,
        "rewritten_examples": tables.rewritten,
        "answers": lines.answers(folder, files),
        "examples": shown,
        "leaks": lines.leaks(folder, leaks, tables.leaked),
    }
    requests = plan.counts.total()["requests"] + traffic.taken() if plan.counts.folder else 0
    report = {"tuneset": "report/1", "dataset": numbers, "run": run_numbers(manifest, runner_of(settings), requests)}
    return report, _pictures(plan, tables, shown, numbers["leaks"]) if settings.report_pictures == "yes" else {}


def _pictures(
    plan: Job, tables: Tables, shown: list[dict[str, Any]], leaks: list[dict[str, Any]]
) -> dict[str, Thumbnail]:
    """Thumbnails of rewritten images before and after and of leaks, then of the first image of each example."""
    mapping = plan.uploads.mapping if plan.uploads else None
    uploaded = (mapping["from"], mapping["to"]) if mapping else None
    maker = ThumbnailMaker(plan.inspector, plan.image_folder, uploaded)
    pairs = [uri for row in tables.rewritten for uri in (row["source"], row["output"])][:_PAIRED]
    firsts = [uri for example in shown if (uri := _first_image(example))]
    leaked = [place["source"] for leak in leaks for place in leak.values()]
    return maker.make([*pairs, *leaked, *firsts])


def _first_image(example: Mapping[str, Any]) -> str:
    parts = (part for turn in example.get("turns", ()) for part in turn["parts"])
    return next((part["image"] for part in parts if "image" in part), "")


def _put(uri: str, data: bytes, content_type: str) -> None:
    """Write a file, in place of one that is there."""
    store = store_for(uri)
    store.delete([uri])
    store.create(uri, data, content_type)
