"""The rules of the house: which way imports go, who knows Beam, what is pure, how large things are, what the steps are called."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from house_files import EVERY, MODULES, PRODUCT, ROOT, TESTS, is_below, module_of, name_of
from step_labels import EVERYTHING, labels

from beam_jobs.options import OPTIONS

# From the roof down: a module imports of its own wing and of the floors below; wings on one floor do not know each other.
FLOORS = (
    ("dataflow_templates",),
    ("beam_jobs",),
    ("transforms.steps",),
    ("transforms.arrivals",),
    ("transforms.images",),
    ("transforms.inputs", "transforms.dataset"),
    ("transforms.storage", "transforms.examples"),
    ("transforms.core",),
)
BEAM_BELOW = ("beam_jobs", "transforms.steps")
BEAM_FILES = ("transforms.storage.beam_files", "transforms.storage.throttling")
# These work with processes and locks of this machine, and so with its clock.
MACHINE = ("transforms.images.helper.memory_slots", "transforms.images.helper.pool", "transforms.images.helper.process")
CALENDARS = ("transforms.arrivals.windows",)  # reckons with given times by datetime, and asks no clock
WORLD = {
    "datetime", "ftplib", "google", "http", "random", "requests", "secrets", "smtplib", "socket", "ssl", "subprocess", "time",
    "urllib.request", "urllib3", "uuid",
}  # fmt: skip
PURE_PACKAGES = {"PIL", "pillow_heif", "pyarrow", "orjson", "numpy"}

MOST_MODULES, MOST_LINES = 20, 400
TOO_COMPLEX = {"transforms/examples/gemini_rules.py": "parse_example"}  # the hot path: the only C901 that is allowed


def floor_of(module: str) -> int:
    """The index into FLOORS, or -1 of a module that lies on none."""
    return next((i for i, wings in enumerate(FLOORS) if is_below(module, *wings)), -1)


def wing_of(module: str) -> str:
    """The folder that a module is a part of the house by; a file right in beam_jobs stands for itself."""
    return ".".join(module.split(".")[:2])


def imports(path: Path) -> Iterator[str]:
    """Full names of all that a file imports, also inside functions and for type checkers; of `from a import b` both a and a.b."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path} imports by dots"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(module: str) -> set[str]:
    """The modules of the house that one imports; of `from a import b` only a.b, if that is a module."""
    named = set(imports(MODULES[module])) & MODULES.keys()
    meant = set()
    for node in ast.walk(ast.parse(MODULES[module].read_bytes())):
        if isinstance(node, ast.ImportFrom):
            inner = [f"{node.module}.{alias.name}" in MODULES for alias in node.names]
            if not all(inner):
                meant.add(str(node.module))
        elif isinstance(node, ast.Import):
            meant.update(alias.name for alias in node.names)
    return {name for name in named if name in meant or not any(other.startswith(name + ".") for other in named)}


GRAPH = {module: own_imports(module) for module in MODULES}


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for after in graph[node]:
            if after not in index:
                visit(after)
            if after in stack:
                low[node] = min(low[node], low[after])
        if low[node] == index[node]:
            component = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(component) > 1:
                found.append(sorted(component))

    for node in graph:
        if node not in index:
            visit(node)
    return sorted(found)


def knows_beam(module: str) -> bool:
    return any(is_below(name, "apache_beam") for name in imports(MODULES[module]))


def is_pure(module: str) -> bool:
    """Whether a module of the wings imports neither Beam nor storage, and is no part of them."""
    outside = is_below(module, "dataflow_templates", *BEAM_BELOW, "transforms.storage") or module in MACHINE
    return not outside and not knows_beam(module) and not any(is_below(n, "transforms.storage") for n in GRAPH[module])


PURE = [module for module in MODULES if is_pure(module)]


def test_the_walk_over_imports_sees_every_form() -> None:
    assert {"PIL.Image", "transforms.core.reasons", "transforms.core.reasons.ImageError"} <= set(
        imports(ROOT / "transforms/images/fit/fit.py")
    )
    assert "transforms.storage.gcs.store" in GRAPH["transforms.storage"]  # inside a function
    assert {"transforms.core.jsonl", "transforms.core.reasons"} <= GRAPH["transforms.inputs.rows"]
    assert (
        "transforms.core" not in GRAPH["transforms.inputs.rows"]
    )  # `from transforms.core import jsonl` is jsonl alone
    assert [floor_of(name) for name in ("transforms.core.jsonl", "transforms.steps.fit", "transformsx", "json")] == [
        7,
        2,
        -1,
        -1,
    ]


def test_the_walk_over_circles_finds_them() -> None:
    graph = {"a": "bc", "b": "c", "c": "d", "d": "b", "e": "ef", "f": "g", "g": "f"}
    assert circles(graph) == [["b", "c", "d"], ["f", "g"]]
    assert circles({"a": "bc", "b": "c", "c": ""}) == []


def test_every_module_lies_on_a_floor() -> None:
    assert [module for module in MODULES if floor_of(module) < 0] == ["transforms"]


def test_imports_only_go_down() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in MODULES
        for imported in GRAPH[module]
        if floor_of(imported) < floor_of(module)
        or (floor_of(imported) == floor_of(module) != 1 and wing_of(imported) != wing_of(module))
    ]
    assert sorted(wrong) == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles(GRAPH) == []


def test_no_wings_import_each_other_in_a_circle() -> None:
    """Also the folders of beam_jobs, which is one floor."""
    wings: dict[str, set[str]] = {}
    for module in MODULES:
        wings.setdefault(wing_of(module), set()).update(map(wing_of, GRAPH[module]))
    assert circles(wings) == []


def test_only_the_steps_and_jobs_know_beam() -> None:
    know = {module for module in MODULES if knows_beam(module)}
    assert sorted(module for module in know if not is_below(module, *BEAM_BELOW) and module not in BEAM_FILES) == []
    assert set(BEAM_FILES) <= know


def drawn_errors() -> dict[str, str]:
    """The tree in the docstring of core/reasons.py: class -> the class above it."""
    above: list[str] = ["Exception"]
    drawn: dict[str, str] = {}
    text = str(ast.get_docstring(ast.parse(MODULES["transforms.core.reasons"].read_bytes())))
    for edge, names in re.findall(r"^    ([│├└─ ]*)([A-Z]\w+(?:, [A-Z]\w+)*)", text, re.MULTILINE):
        del above[len(edge) // 4 + 1 :]
        drawn.update(dict.fromkeys(names.split(", "), above[-1]))
        above.append(names)
    return drawn


def test_the_tree_of_errors_is_drawn_as_it_is() -> None:
    classes = [
        n for path in MODULES.values() for n in ast.walk(ast.parse(path.read_bytes())) if isinstance(n, ast.ClassDef)
    ]
    bases = {node.name: ast.unparse(node.bases[0]) for node in classes if node.bases}
    drawn, signals = drawn_errors(), {"Damaged", "NeedMore", "Died", "TextAsked"}
    errors = {name: base for name, base in bases.items() if base in {*drawn, "Exception", "ValueError", "OSError"}}
    assert {name: base for name, base in errors.items() if name not in signals} == drawn
    assert signals <= errors.keys()


def test_what_knows_neither_beam_nor_storage_asks_nothing_of_the_world() -> None:
    """No clock, no chance, no network; and of packages only those that compute."""
    known = {*sys.stdlib_module_names, "transforms", *PURE_PACKAGES}
    used = [(module, imported) for module in PURE for imported in imports(MODULES[module])]
    assert sorted(use for use in used if use[1].partition(".")[0] not in known) == []
    asked = [use for use in used if is_below(use[1], *WORLD) and use[0] not in CALENDARS]
    assert sorted(asked) == []
    assert "transforms.images.fit.fit" in PURE and "transforms.dataset.seal_plan" in PURE


def test_nothing_pure_depends_on_where_or_when_python_runs() -> None:
    found = []
    for module in PURE:
        for node in ast.walk(ast.parse(MODULES[module].read_bytes())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("hash", "id"):
                found.append((module, f"{node.func.id}() in line {node.lineno}"))
    assert found == []


def test_only_jsonl_imports_orjson() -> None:
    assert [name_of(path) for path in EVERY if "orjson" in set(imports(path))] == ["transforms/core/jsonl.py"]


def test_every_module_says_what_it_is() -> None:
    assert [name_of(path) for path in EVERY if not ast.get_docstring(ast.parse(path.read_bytes()))] == []


def test_files_stay_short() -> None:
    lines = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in EVERY}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}


def test_folders_stay_small() -> None:
    sizes = Counter(path.parent for path in PRODUCT if path.name != "__init__.py")
    assert {name_of(folder): count for folder, count in sizes.items() if count > MOST_MODULES} == {}


def test_every_folder_is_a_package() -> None:
    """Else no distribution would hold it."""
    folders = {path.parent for path in PRODUCT if is_below(module_of(path), "beam_jobs", "transforms")}
    assert [name_of(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_only_the_hot_path_is_complex() -> None:
    allowed = re.compile(r"^def (\w+)\(.*# noqa:.*C901", re.MULTILINE)
    found = {name_of(path): allowed.findall(path.read_text(encoding="utf-8")) for path in EVERY}
    assert {name: functions for name, functions in found.items() if functions} == {
        n: [f] for n, f in TOO_COMPLEX.items()
    }


def test_tests_stand_by_wing() -> None:
    wings = {wing.rpartition(".")[2] for wings in FLOORS[2:] for wing in wings} | {"jobs", "dataflow", "house"}
    stray = [path for path in TESTS if path.name.startswith("test_") and path.parent.name not in wings]
    assert [name_of(path) for path in stray] == []
    names = Counter(path.name for path in TESTS if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_nothing_is_left_for_later() -> None:
    later = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X:")))
    texts = [
        *EVERY,
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
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
    every, usual = labels(*EVERYTHING), labels()
    by_image = [label for label in labels("--split_by", "image") if label not in usual]
    for name, some in (("labels", every), ("labels_by_image", by_image)):
        golden = ROOT / f"tests/golden/{name}.txt"
        assert "".join(f"{label}\n" for label in some) == golden.read_text(encoding="utf-8")
    assert len(usual) < len(every) and set(usual) < set(every)


def test_every_step_is_named_by_hand() -> None:
    """Beam's own names (`Map(<lambda at graph.py:52>)`) hold line numbers and class names."""
    given = [*labels(*EVERYTHING), *labels("--split_by", "image", "--previous", "/before", "--image_folder", "/images")]
    assert [label for label in given if re.search(r"[<>()]|\.py", label)] == []
