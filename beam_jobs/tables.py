"""The README's tables of options, counters and reasons, made from the code's: `python -m beam_jobs.tables` rewrites them.

A test compares README.md with what is made here, so that neither can be changed alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from beam_jobs.options import OPTIONS, Option
from transforms.core.ledger import COUNTERS
from transforms.core.reasons import REASONS


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


def _values(option: Option) -> str:
    if option.default is False:
        return "switch"
    return ", ".join(f"`{choice}`" for choice in option.choices) or option.metavar


def _default(option: Option) -> str:
    return "" if option.default in (None, "", False) else f"`{option.default}`"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def fill(text: str) -> str:
    """A Markdown text with each table made anew between its markers: <!-- options --> ... <!-- end of options -->.

    Raises:
      ValueError: a table has no markers.
    """
    for name, table in tables().items():
        between = re.compile(f"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        text, found = between.subn(lambda marks, table=table: marks[1] + table + marks[2], text)  # type: ignore[misc]
        if found != 1:
            raise ValueError(f"the text has {found} places for the table of {name}, expected 1")
    return text


if __name__ == "__main__":
    readme = Path(__file__).resolve().parents[1] / "README.md"
    readme.write_text(fill(readme.read_text(encoding="utf-8")), encoding="utf-8")
