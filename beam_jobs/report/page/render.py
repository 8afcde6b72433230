"""The page: a report's numbers and thumbnails -> one HTML file. Every text is escaped; nothing in it asks for anything elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from beam_jobs.report.page.texts import cut
from beam_jobs.report.page.thumbnails import Thumbnail
from beam_jobs.report.screen import bytes_of, count

if TYPE_CHECKING:
    from jinja2 import Template

_WIDTH, _HEIGHT = 1000, 10  # of a ribbon's own coordinates


def render(report: Mapping[str, Any], pictures: Mapping[str, Thumbnail]) -> str:
    """Args: report: as report.json holds it. pictures: by the URIs of images; those that are not there are placeholders."""
    data = report["dataset"]
    bars = [{"label": one["answer"], "count": one["lines"], "over_limit": False} for one in data["answers"]["answers"]]
    return _template("page.html").render(
        data={**data, "answer_bars": bars}, run=report["run"], pictures=pictures, shapes=ribbons
    )


def render_check(report: Mapping[str, Any], pictures: Mapping[str, Thumbnail]) -> str:
    """As `render`, of what a check found."""
    return _template("check.html").render(data=report["dataset"], run=report["run"], pictures=pictures, shapes=ribbons)


@cache
def _template(name: str) -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
    )
    environment.filters |= {
        "number": number,
        "size": lambda value: bytes_of(int(value)),
        "counted": count,
        "short": lambda text, most=300: cut(text, most),
    }
    return environment.get_template(name)


def number(value: float) -> str:
    """
    >>> number(1234567), number(1234.56)
    ('1,234,567', '1,234.6')
    """
    return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"


def ribbons(upper: Sequence[Mapping[str, Any]], lower: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What flows from one level of a drawing into the next: the kind and the corners of a ribbon for each part of the lower one.

    What is rejected flows nowhere. It stands last in its level.
    """
    total = sum(part["count"] for part in lower) or 1
    goes_on = sum(part["count"] for part in upper if part["kind"] != "rejected" or len(lower) == 1)
    share = goes_on / (sum(part["count"] for part in upper) or 1)
    shapes, start = [], 0.0
    for part in lower:
        end = start + part["count"] / total * _WIDTH
        corners = ((start * share, 0), (end * share, 0), (end, _HEIGHT), (start, _HEIGHT))
        shapes.append((part["kind"], " ".join(f"{x:.1f},{y}" for x, y in corners)))
        start = end
    return shapes
