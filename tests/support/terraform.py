"""Terraform's files, parsed: the provider that `terraform validate` wants is not to be had everywhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).resolve().parents[2] / "dataflow_templates"


def text_of(folder: str) -> str:
    """All files of a folder."""
    return "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / folder).glob("*.tf")))


def parts_of(folder: str) -> dict[str, dict[str, Any]]:
    """Every resource by TYPE.NAME, every source of data by data.TYPE.NAME, every variable by var.NAME."""
    found: dict[str, dict[str, Any]] = {}
    for path in sorted((ROOT / folder).glob("*.tf")):
        parsed = plain(hcl2.loads(path.read_text(encoding="utf-8")))
        for kind_of_block, prefix in (("resource", ""), ("data", "data.")):
            for block in parsed.get(kind_of_block, []):
                for kind, named in block.items():
                    found |= {f"{prefix}{kind}.{name}": body for name, body in named.items()}
        for block in parsed.get("variable", []):
            found |= {f"var.{name}": body for name, body in block.items()}
    return found


def plain(value: Any) -> Any:
    """A parsed value without the parser's marks: quotes around strings, and notes beside blocks."""
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.removeprefix('"').removesuffix('"') if isinstance(value, str) else value


def assert_whole(folder: str) -> None:
    """Every reference leads somewhere, every variable is used and described."""
    parts = parts_of(folder)
    code = re.sub(r"#.*", "", text_of(folder))
    used = set(re.findall(r"\b((?:data\.)?google_\w+\.[a-z]\w*|var\.\w+)", code))
    assert sorted(used - parts.keys()) == []
    assert sorted(name for name in parts if name.startswith("var.") and name not in used) == []
    assert [name for name, body in parts.items() if name.startswith("var.") and not body.get("description")] == []
