"""The page of a check: what it found -> one HTML file, and the same numbers as JSON beside it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from beam_jobs.checking.run import Check, inspector_of
from beam_jobs.checking.screen import place_of
from beam_jobs.preflight import runner_of
from beam_jobs.report.page.numbers import finding_card
from beam_jobs.report.page.render import render_check
from beam_jobs.report.page.texts import cut
from beam_jobs.report.page.thumbnails import ThumbnailMaker
from beam_jobs.report.page.writing import put_report
from transforms.core import VERSION
from transforms.core.finding_codes import SEVERITIES, finding_code

_PLACES = 5  # of a code that the page names
_PLACE_BYTES = 600  # of the page that a place takes


def write_page(page: str, check: Check, found: Mapping[str, Any], seconds: float) -> None:
    """Write page and numbers.

    Args:
      page: URI that ends in .html. found: as run_check returns it. seconds: that the check took.

    Raises:
      StorageError: it cannot be written.
    """
    settings = check.job.settings
    leaks, pictures = found["leaks"], {}
    if settings.report_pictures == "yes":
        maker = ThumbnailMaker(inspector_of(check), "", None)
        pictures = maker.make(place["source"] for leak in leaks for place in leak.values())
    numbers = _numbers(found) | {"model": settings.model}
    seconds = max(seconds, 0.001)
    totals = numbers["totals"]
    run = {
        "runner": runner_of(settings),
        "seconds": round(seconds, 3),
        "examples_s": round(totals["examples"] / seconds, 1),
        "images_s": round(totals["images"] / seconds, 1),
    }
    put_report(page, {"tuneset": "check_report/1", "dataset": numbers, "run": run}, pictures, render_check)


def _numbers(found: Mapping[str, Any]) -> dict[str, Any]:
    """What the page shows of what was found."""
    summary = found["summary"]
    counts, splits = summary["counts"], summary["splits"]
    severities = dict.fromkeys(SEVERITIES, 0)
    for code, number in counts.items():
        severities[finding_code(code).severity] += number
    places = {
        code: [cut(place_of(one), _PLACE_BYTES) for one in list(group)[:_PLACES]]
        for code, group in groupby(found["findings"], key=lambda finding: finding["code"])
    }
    files = [file for split in splits.values() for file in split["files"]]
    return {
        "name": (files[0].rpartition("/")[0] if len(files) > 1 else files[0]).rpartition("/")[2],
        "tool": VERSION,
        "identity": summary["identity"],
        "totals": {
            name: sum(split[name] for split in splits.values()) for name in ("examples", "with_errors", "images")
        },
        "severities": severities,
        "splits": splits,
        "codes": [finding_card(code, number, places.get(code, ())) for code, number in counts.items()],
        "leaks": found["leaks"],
    }
