"""The rules of the house: which way imports go, what the core may use, how long files are, what the steps are called."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from step_labels import EVERYTHING, labels

from beam_jobs.options import OPTIONS

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("dataflow_templates", "beam_jobs", "transforms", "transforms.core")  # each may import what stands after it
PRODUCT = sorted(path for floor in FLOORS[:3] for path in (ROOT / floor).rglob("*.py"))
TESTS = sorted((ROOT / "tests").glob("*.py"))
EVERY = [*PRODUCT, *TESTS, *sorted((ROOT / "benchmarks").glob("*.py")), ROOT / "setup.py"]

MOST_LINES = 400


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def floor_of(module: str) -> int:
    """The index into FLOORS, or -1 of a module that is not ours."""
    inside = [i for i, floor in enumerate(FLOORS) if module == floor or module.startswith(floor + ".")]
    return max(inside, default=-1)


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, also inside functions; of `from a import b` both a and a.b."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def test_the_walk_over_imports_sees_every_form(tmp_path: Path) -> None:
    images = ROOT / "transforms/images/fit/fit.py"
    assert {"PIL.Image", "transforms.core.reasons", "transforms.core.reasons.ImageError"} <= set(imports(images))
    assert "transforms.storage.gcs.store" in set(imports(ROOT / "transforms/storage/__init__.py"))  # inside a function
    assert [
        floor_of(name) for name in ("transforms.images.fit.fit", "transforms.storage.gcs.store", "transformsx", "json")
    ] == [
        3,
        2,
        -1,
        -1,
    ]


def test_imports_go_one_way() -> None:
    wrong = [
        f"{name_of(path)} imports {imported}"
        for path in PRODUCT
        for imported in imports(path)
        if 0 <= floor_of(imported) < floor_of(module_of(path))
    ]
    assert wrong == []


def test_the_core_uses_the_standard_library_and_three_packages() -> None:
    known = {*sys.stdlib_module_names, "transforms", "PIL", "pyarrow", "orjson"}
    network = {"socket", "ssl", "http", "urllib.request", "ftplib", "smtplib", "subprocess"}
    core = [path for path in PRODUCT if floor_of(module_of(path)) == 3]
    used = {(name_of(path), imported) for path in core for imported in imports(path)}
    assert sorted(use for use in used if use[1].partition(".")[0] not in known) == []
    assert sorted(use for use in used if use[1] in network) == []


def test_only_jsonl_imports_orjson() -> None:
    assert [name_of(path) for path in EVERY if "orjson" in set(imports(path))] == ["transforms/core/jsonl.py"]


def test_nothing_in_the_core_depends_on_chance_or_time() -> None:
    found = []
    for path in PRODUCT:
        if floor_of(module_of(path)) != 3:
            continue
        found += [(name_of(path), n) for n in imports(path) if n in ("random", "secrets", "time", "uuid", "datetime")]
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hash", "id"):
                found.append((name_of(path), f"{node.func.id}() in line {node.lineno}"))
    assert found == []


def test_every_module_says_what_it_is() -> None:
    assert [name_of(path) for path in EVERY if not ast.get_docstring(ast.parse(path.read_bytes()))] == []


def test_files_stay_short() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in PRODUCT}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_nothing_is_left_for_later() -> None:
    later = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X:")))
    texts = [
        *EVERY,
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*"),
        ROOT / "Makefile",
        ROOT / "pyproject.toml",
        ROOT / ".ci/run",
    ]
    assert [name_of(path) for path in texts if later.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("path", [p for p in PRODUCT if ">>> " in p.read_text(encoding="utf-8")], ids=name_of)
def test_examples_in_docstrings_hold(path: Path) -> None:
    result = doctest.testmod(importlib.import_module(module_of(path)))
    assert result.attempted and not result.failed


@pytest.mark.parametrize("name", [option.name for option in OPTIONS])
def test_every_option_has_a_test_of_its_effect(name: str) -> None:
    """At least a test that gives it; tests that only talk about options do not count."""
    judges = ("test_house.py", "test_docs.py")
    flag = re.compile(rf"--{name}\b")
    assert [path.name for path in TESTS if path.name not in judges and flag.search(path.read_text(encoding="utf-8"))]


def test_the_steps_keep_their_names() -> None:
    """A label is what metrics are shown under and what a running job is updated by: a change is to be seen in review."""
    golden = ROOT / "tests/golden/labels.txt"
    every = labels(*EVERYTHING)
    assert "".join(f"{label}\n" for label in every) == golden.read_text(encoding="utf-8")
    usual = labels()
    assert len(usual) < len(every) and set(usual) < set(every)


def test_every_step_is_named_by_hand() -> None:
    """Beam's own names (`Map(<lambda at graph.py:52>)`) hold line numbers and class names."""
    given = labels(*EVERYTHING)
    assert [label for label in given if re.search(r"[<>()]|\.py", label)] == []
