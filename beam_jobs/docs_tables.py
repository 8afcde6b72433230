"""Rewrites what docs/ and dataflow_templates/ hold of the code's tables: `python -m beam_jobs.docs_tables`.

The pages are docs/options.md, streaming.md, counters.md, reasons.md, warnings.md, service.md, check.md and dataflow.md, each with its
table between two markers.

Tests compare them with what is made here, so that neither can be changed alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from beam_jobs.dataflow.templates import committed
from beam_jobs.dataflow.workers import MIXES, PROCESS_GB, RUNNER_GB
from beam_jobs.options import OPTIONS, Option
from beam_jobs.stream.options import OWN
from transforms.core.counters import COUNTERS
from transforms.core.finding_codes import FINDINGS
from transforms.core.limits import PROFILES
from transforms.core.reasons import REASONS
from transforms.core.warning_codes import WARNINGS


def tables() -> dict[str, str]:
    """Markdown tables by the name of their page and markers."""
    options = ((o.group, f"`--{o.name}`", _values(o), _default(o), o.help) for o in OPTIONS)
    counters = ((f"`{c.name}`", c.unit, c.meaning) for c in COUNTERS.values())
    reasons = ((f"`{r.name}`", r.stage, r.owner, r.help) for r in REASONS.values())
    warnings = ((f"`{w.name}`", w.unit, w.meaning, w.hint) for w in WARNINGS.values())
    findings = ((f"`{f.name}`", f.severity, f.meaning, f.advice, f.source) for f in FINDINGS.values())
    streaming = ((f"`--{o.name}`", _values(o), _default(o), o.help) for o in OWN)
    return {
        "service": _profiles(),
        "options": _table(("for", "option", "value", "default", "meaning"), options),
        "streaming": _table(("option", "value", "default", "meaning"), streaming),
        "counters": _table(("counter", "of", "counts"), counters),
        "reasons": _table(("reason", "found while", "class", "what is wrong, and what to do"), reasons),
        "warnings": _table(("warning", "of", "what looks wrong", "what to do"), warnings),
        "check": _table(("finding", "severity", "what was found", "what to do", "page"), findings),
        "dataflow": _workers(),
    }


def _profiles() -> str:
    """The profiles of --model, with what is known of their models."""
    rows = []
    for one in PROFILES.values():
        status = one.status
        known = (
            (status.name, status.meaning, f"[{status.date}]({status.source})") if status else ("", "of no model", "")
        )
        limits = (one.max_images, one.max_image_bytes, one.max_tokens, one.max_validation)
        rows.append((f"`{one.name}`", *known, ", ".join(one.models), *(f"{limit:,}" for limit in limits)))
    heads = (
        "profile",
        "status",
        "what is known",
        "as of",
        "models",
        "images",
        "bytes an image",
        "tokens",
        "validation",
    )
    return _table(heads, rows)


def _workers() -> str:
    """Recommended workers, with the arithmetic of their memory."""
    rows = (
        (
            f"`{m.name}`",
            m.what,
            m.machine.name,
            str(m.threads),
            f"{m.disk_gb} GB",
            f"{m.megapixels} MP: {m.peak_gb:.1f} GB",
            f"{RUNNER_GB:g} + {m.machine.cores} x {PROCESS_GB:g} + {m.at_once} x {m.peak_gb:.1f} = {m.needs_gb:.1f} GB",
            f"{m.machine.gb} GB",
        )
        for m in MIXES.values()
    )
    heads = ("mix", "images", "machine", "threads", "disk", "largest fit", "needed at most", "there is")
    return _table(heads, rows)


def _values(option: Option) -> str:
    if option.default is False:
        return "switch"
    return ", ".join(f"`{choice}`" for choice in option.choices) or option.metavar


def _default(option: Option) -> str:
    return "" if option.default in (None, "", False) else f"`{option.default}`"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def fill(text: str, name: str, table: str) -> str:
    """A page with its table made anew between its markers: <!-- options --> ... <!-- end of options -->.

    Raises:
      ValueError: the page does not have the markers exactly once.
    """
    between = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
    text, places = between.subn(lambda marks: marks[1] + table + marks[2], text)
    if places != 1:
        raise ValueError(f"the page has {places} places for the table of {name}, expected 1")
    return text


def main() -> None:
    """Rewrite the pages and the templates' files of this checkout."""
    root = Path(__file__).resolve().parents[1]
    for name, table in tables().items():
        page = root / "docs" / f"{name}.md"
        page.write_text(fill(page.read_text(encoding="utf-8"), name, table), encoding="utf-8")
    for path, text in committed().items():
        (root / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
