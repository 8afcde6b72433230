"""What `tuneset check` prints: findings and their summary, for a program line by line, or for a person."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from beam_jobs.option_values import shown
from beam_jobs.report.screen import bytes_of, count
from transforms.core.finding_codes import SEVERITIES, finding_code

_PLACES = 5  # of a code that a person is shown

Told = Mapping[str, Any]  # a finding/1, or the summary/1


def as_json(findings: Sequence[Told], summary: Told) -> Iterator[str]:
    """One line for each finding, then one for the summary."""
    yield from map(json.dumps, findings)
    yield json.dumps(summary)


def as_text(findings: Sequence[Told], summary: Told, page: str = "") -> Iterator[str]:
    """A paragraph for each code, the worst first; then what was looked at.

    Args:
      page: where the report was written, if it was.
    """
    counts = summary["counts"]
    for code, group in groupby(findings, key=lambda finding: finding["code"]):
        known = finding_code(code)
        yield f"{known.severity}  {code}  {counts[code]:,} x  {known.meaning} {known.advice}".rstrip()
        places = list(group)
        yield from (shown(f"  {place_of(finding)}") for finding in places[:_PLACES])
        if counts[code] > _PLACES:
            all_or_some = "all" if counts[code] == len(places) else "some"
            yield f"  and {counts[code] - _PLACES:,} more; --format json tells {all_or_some} of them"
        yield ""
    for name, split in summary["splits"].items():
        yield (
            f"{name:<10}  {count(split['examples'], 'example')}, {count(split['images'], 'image')}, "
            f"{bytes_of(split['bytes'])} in {count(len(split['files']), 'file')}"
        )
    written = f"To look at it: {shown(page)}" if page else "Nothing was written."
    yield f"{_verdict(counts, summary['identity'])} {written}"


def place_of(finding: Told) -> str:
    """Where a finding is, and what was found there, in a line."""
    where = finding["file"] or finding["split"] or ""
    if finding["line"] is not None:
        where += f", line {finding['line']:,}"
    said = ": ".join(text for text in (finding["image"], finding["detail"]) if text)
    return f"{where}: {said}" if where and said else where or said


def _verdict(counts: Mapping[str, int], identity: str) -> str:
    numbers = dict.fromkeys(SEVERITIES, 0)
    for code, number in counts.items():
        numbers[finding_code(code).severity] += number
    said = ", ".join(count(number, severity) for severity, number in numbers.items())
    return f"{said}. Images were told apart by: {identity}."
