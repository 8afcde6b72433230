"""The docs' tables of options, counters, reasons and warnings, made from the code's: `python -m beam_jobs.docs_tables` rewrites
them, and the files of dataflow_templates/ that are made from the same table of options.

Tests compare them with what is made here, so that neither can be changed alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from beam_jobs.dataflow.templates import committed
from beam_jobs.dataflow.workers import MIXES, PROCESS_GB, RUNNER_GB
from beam_jobs.options import OPTIONS, Option
from transforms.core.counters import COUNTERS
from transforms.core.reasons import REASONS
from transforms.core.warning_codes import WARNINGS


def tables() -> dict[str, str]:
    """Markdown tables by the name of their markers: options, counters, reasons."""
    options = ((o.group, f"`--{o.name}`", _values(o), _default(o), o.help) for o in OPTIONS)
    counters = ((f"`{c.name}`", c.unit, c.meaning) for c in COUNTERS.values())
    reasons = ((f"`{r.name}`", r.stage, r.owner, r.help) for r in REASONS.values())
    return {
        "options": _table(("for", "option", "value", "default", "meaning"), options),
        "counters": _table(("counter", "of", "counts"), counters),
        "reasons": _table(("reason", "found while", "class", "what is wrong, and what to do"), reasons),
    }


def warnings() -> dict[str, str]:
    """The table of docs/warnings.md."""
    rows = ((f"`{w.name}`", w.unit, w.meaning, w.hint) for w in WARNINGS.values())
    return {"warnings": _table(("warning", "of", "what looks wrong", "what to do"), rows)}


def workers() -> dict[str, str]:
    """The table of docs/dataflow.md: recommended workers, with the arithmetic of their memory."""
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
    return {"workers": _table(heads, rows)}


def _values(option: Option) -> str:
    if option.default is False:
        return "switch"
    return ", ".join(f"`{choice}`" for choice in option.choices) or option.metavar


def _default(option: Option) -> str:
    return "" if option.default in (None, "", False) else f"`{option.default}`"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def fill(text: str, made: Mapping[str, str] | None = None) -> str:
    """A Markdown text with each table made anew between its markers: <!-- options --> ... <!-- end of options -->.

    Raises:
      ValueError: a table has no markers.
    """
    for name, table in (tables() if made is None else made).items():
        between = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        text, found = between.subn(lambda marks, table=table: marks[1] + table + marks[2], text)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"the text has {found} places for the table of {name}, expected 1")
    return text


if __name__ == "__main__":
    root = Path(__file__).resolve().parents[1]
    for paper, filled in (
        (root / "README.md", tables()),
        (root / "docs/dataflow.md", workers()),
        (root / "docs/warnings.md", warnings()),
    ):
        paper.write_text(fill(paper.read_text(encoding="utf-8"), filled), encoding="utf-8")
    for name, made in committed().items():
        (root / name).write_text(made, encoding="utf-8")
