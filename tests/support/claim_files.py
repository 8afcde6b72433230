"""Claims of folders, taken and forged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from folders import put

from transforms.core.output_names import CLAIM
from transforms.dataset.claim import Claim, take_claim


def take(folder: Path, run: str = "mine", *, take_over: bool = False) -> Claim:
    return take_claim(str(folder), run, take_over=take_over)


def claim_of(folder: Path) -> dict[str, Any]:
    body: dict[str, Any] = json.loads((folder / CLAIM).read_bytes())
    return body


def forge(folder: Path, **changed: Any) -> dict[str, Any]:
    """A claim as an earlier job left it."""
    take(folder, "theirs")
    body = claim_of(folder) | changed
    put(folder / CLAIM, json.dumps(body).encode())
    return body
