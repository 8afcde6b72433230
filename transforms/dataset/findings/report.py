"""Findings as they are told, on a screen or to a program: FindingTally -> objects of JSON, each a finding/1, and one summary/1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transforms.core.finding_codes import by_severity, finding_code
from transforms.dataset.findings.tally import Finding, FindingTally, Place, first_findings
from transforms.dataset.findings.whole import RowFile
from transforms.examples.splits import NAMES


class LineNumbers:
    """Places -> lines of files, 1-based and blank ones counted, as an editor counts them."""

    def __init__(self, tally: FindingTally) -> None:
        self._before: dict[tuple[str, int], int] = {}
        file, before = "", 0
        for (uri, start), (_, lines) in sorted(tally.extents.items()):
            before = before if uri == file else 0
            file = uri
            self._before[uri, start] = before
            before += lines

    def of(self, place: Place) -> int | None:
        """None: the whole file is meant."""
        return self._before[place.file, place.start] + place.line if place.line else None

    def say(self, place: Place) -> str:
        return f"line {self.of(place):,} of {place.file}"


def told_findings(tally: FindingTally) -> list[dict[str, Any]]:
    """One object for each finding that is kept, the worst first; of each code in the order of places."""
    numbers = LineNumbers(tally)
    told = []
    for code in by_severity(tally.findings):
        for finding in first_findings(tally.findings[code]):
            told.append(_told(code, finding, numbers))
    return told


def _told(code: str, finding: Finding, numbers: LineNumbers) -> dict[str, Any]:
    place = finding.place
    return {
        "tuneset": "finding/1",
        "code": code,
        "severity": finding_code(code).severity,
        "split": NAMES[place.split] if place.split >= 0 else None,
        "file": place.file or None,
        "line": numbers.of(place),
        "image": finding.image or None,
        "detail": finding.detail,
    }


def summary(tally: FindingTally, files: tuple[RowFile, ...], identity: str) -> dict[str, Any]:
    """What is known of the whole.

    Args:
      identity: what an image was told from others by.
    """
    splits: dict[str, Mapping[str, Any]] = {}
    for place, name in enumerate(NAMES):
        of_split = [file for file in files if file.split == place]
        counted = tally.splits.get(place)
        if of_split:
            splits[name] = {
                "examples": counted.examples if counted else 0,
                "with_errors": counted.with_errors if counted else 0,
                "images": counted.images if counted else 0,
                "bytes": sum(file.size for file in of_split),
                "files": [file.uri for file in of_split],
            }
    counts = {code: tally.counts[code] for code in by_severity(tally.counts) if tally.counts[code]}
    return {"tuneset": "summary/1", "counts": counts, "splits": splits, "identity": identity}
