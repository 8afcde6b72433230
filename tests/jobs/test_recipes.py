"""The six recipes run, and Google's own types accept each line of their output and the calls that they print."""

from __future__ import annotations

import ast
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import laws
import pytest
from google.genai import types
from google.genai.tunings import Tunings

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
    shown = result.stdout[result.stdout.index("The tuning job, with") :]
    tuning, older = shown.split("\n\nor with the vertexai SDK:\n\n")
    check_tuning(tuning.partition("\n\n")[2], name)
    calls = {ast.unparse(node.func): node for node in ast.walk(parsed(older)) if isinstance(node, ast.Call)}
    told = {word.arg: ast.literal_eval(word.value) for word in calls["sft.train"].keywords}
    assert (told["train_dataset"], told["validation_dataset"]) == uris_of(name)


def parsed(text: str) -> ast.Module:
    return ast.parse("\n".join(line.removeprefix("  ") for line in text.splitlines()))


def uris_of(name: str) -> tuple[str, str]:
    return f"gs://my-bucket/{name}/train.jsonl", f"gs://my-bucket/{name}/validation.jsonl"


def check_tuning(text: str, name: str) -> None:
    """The call has the SDK's own argument names, and its values are built by the SDK's own types."""
    call = next(
        node for node in ast.walk(parsed(text)) if isinstance(node, ast.Call) and "tune" in ast.unparse(node.func)[-4:]
    )
    words = {word.arg: word.value for word in call.keywords}
    assert words.keys() <= inspect.signature(Tunings.tune).parameters.keys()
    made = {key: eval(ast.unparse(words[key]), {"types": types}) for key in ("training_dataset", "config")}
    config = made["config"]
    assert (made["training_dataset"].gcs_uri, config.validation_dataset.gcs_uri) == uris_of(name)
