"""The six recipes run, and Google's own types accept each line of their output and the calls that they print."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import laws
import pytest
from google.genai import types
from tuning_calls import check_tuning

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted(path.stem for path in (ROOT / "examples").glob("*.py") if path.stem != "recipe")


def test_there_is_a_recipe_for_each_use_case_and_the_paper_names_them() -> None:
    assert RECIPES == ["catalogue", "classification", "extraction", "inspection", "moderation", "recommendation"]
    paper = (ROOT / "examples/README.md").read_text(encoding="utf-8")
    assert all(f"[{name}.py]({name}.py)" in paper for name in RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_makes_lines_that_googles_types_accept(name: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / f"examples/{name}.py"), str(tmp_path / "made")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    found = laws.sealed(tmp_path / "made/dataset")
    lines = [json.loads(line) for split in ("train", "validation") for line in found[f"{split}.jsonl"].splitlines()]
    assert len(lines) >= 12 and found["validation.jsonl"] and not found["rejected.jsonl"]
    for line in lines:
        contents = [types.Content.model_validate(content) for content in line["contents"]]
        if "systemInstruction" in line:
            types.Content.model_validate(line["systemInstruction"])
        assert [content.role for content in contents] == ["user", "model"]
        parts = contents[0].parts or []
        assert [part.file_data.file_uri for part in parts if part.file_data and part.file_data.file_uri] == laws.uris(
            line
        )
        assert all(uri.startswith(f"gs://my-bucket/{name}/") for uri in laws.uris(line)) and laws.uris(line)
    assert "vertexai.init" not in result.stdout and "sft" not in result.stdout
    code = result.stdout[result.stdout.index("  from google import genai") :].partition("\n\nThe first line of")[0]
    lines_of_code = [line.removeprefix("  ") for line in code.splitlines() if line.startswith("  ")]
    check_tuning("\n".join(lines_of_code), uris_of(name))


def uris_of(name: str) -> tuple[str, str]:
    return f"gs://my-bucket/{name}/train.jsonl", f"gs://my-bucket/{name}/validation.jsonl"
