"""Checkouts: what a copy of one leaves out, and the modules that it holds."""

from __future__ import annotations

import shutil
from pathlib import Path

NOT_COPIED = shutil.ignore_patterns(".*", "engines", "demo", "build", "dist", "tests", "*.egg-info", "__pycache__")


def modules(root: Path) -> list[str]:
    files = [file for package in ("beam_jobs", "transforms") for file in (root / package).rglob("*.py")]
    return sorted(file.relative_to(root).as_posix() for file in files)
