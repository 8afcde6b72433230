"""Tables for tests: their text, the images they name, and what a dataset made of them says."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import laws
from folders import jpeg, put
from laws import lines

ASK = ("--prompt", "What is {id}?", "--answer", "{label}", "--splits", "train=1")
Run = Callable[..., laws.Folder]


def text_of(rows: Sequence[Sequence[Any]], **dialect: Any) -> str:
    out = io.StringIO()
    csv.writer(out, **dialect).writerows(rows)
    return out.getvalue()


def world(folder: Path) -> None:
    for number in range(4):
        put(folder / f"img/{number}.jpg", jpeg(seed=number))


def answers(found: laws.Folder) -> list[str]:
    return [line["contents"][1]["parts"][0]["text"] for line in lines(found)]
