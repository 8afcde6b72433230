"""What only one room knows: storage tells schemes apart, and the registry tells formats apart by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator

import pytest
from house_files import MODULES, PRODUCT, is_below, name_of

from transforms.inputs.registry import CONTAINERS, MEANINGS

SCHEME = re.compile(r"(?:\(\?:)?gs:|://$")  # what a text is held against to tell its scheme
ADDRESSES = "beam_jobs.engines"  # of engines, which no store reads
TELLS = ("startswith", "removeprefix", "match", "fullmatch", "search", "compile", "partition", "split")


def scheme_tests(tree: ast.AST) -> Iterator[int]:
    """The lines in which code asks a text, rather than its store, where it lies."""

    def names_a_scheme(*nodes: ast.AST) -> bool:
        inner = [part.value for node in nodes for part in ast.walk(node) if isinstance(part, ast.Constant)]
        return any(isinstance(value, str) and SCHEME.match(value) for value in inner)

    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and names_a_scheme(node.left, *node.comparators):
            yield node.lineno
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TELLS:
            if names_a_scheme(*node.args) and ast.unparse(node.args[0]) != "'://'":  # to part a URI tests nothing
                yield node.lineno
        elif isinstance(node, ast.ImportFrom) and "is_local" in {alias.name for alias in node.names}:
            yield node.lineno


def test_the_walk_over_schemes_sees_every_form() -> None:
    asked = """
from transforms.storage.uris import is_local
uri.startswith("gs://")
uri.startswith(("s3://", "gs://"))
"://" in uri
uri == "gs://"
re.compile(rf"(?:gs://.+|{more})")
uri.partition("://")
print(f"expected gs://BUCKET, found {uri}")
abilities(uri).has_paths
"""
    assert sorted(scheme_tests(ast.parse(asked))) == [2, 3, 4, 5, 6, 7]


def test_only_storage_tells_schemes_apart() -> None:
    """Whoever else wants to know asks what the store of a URI can do (transforms.storage.abilities)."""
    outside = [path for module, path in MODULES.items() if not is_below(module, "transforms.storage", ADDRESSES)]
    assert [f"{name_of(p)}:{line}" for p in outside for line in scheme_tests(ast.parse(p.read_bytes()))] == []


def names_compared(tree: ast.AST, names: Collection[str]) -> Iterator[str]:
    """Which of some texts a file compares with, asks to be among others, matches a case by, or has as the keys of a dictionary."""
    for node in ast.walk(tree):
        asked: list[ast.expr | None] = []
        if isinstance(node, ast.Compare):
            asked = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            asked = [node.value]
        elif isinstance(node, ast.Dict):
            asked = [*node.keys]
        for operand in asked:
            inner = operand.elts if isinstance(operand, ast.Tuple | ast.List | ast.Set) else [operand]
            yield from (
                str(one.value)
                for one in inner
                if isinstance(one, ast.Constant) and isinstance(one.value, str) and one.value in names
            )


def test_only_the_registry_knows_formats_by_name() -> None:
    """A new row format is one file, one line of the registry and one test."""
    names = {*MEANINGS, *CONTAINERS}
    known = ("registry.py", *(f"{name}.py" for name in names))  # a format's own file may speak of itself
    asking = {
        name_of(path): found
        for path in PRODUCT
        if path.name not in known and (found := sorted(names_compared(ast.parse(path.read_bytes()), names)))
    }
    assert asking == {}


@pytest.mark.parametrize(
    "code, found",
    [
        ('a.format == "folder"', ["folder"]),
        ('"csv" != kind', ["csv"]),
        ('kind in ("gemini", "x")', ["gemini"]),
        ('{"automl": 1, "x": 2}[format]', ["automl"]),
        ('match kind:\n    case "parquet":\n        pass', ["parquet"]),
        ('Block(order, extents, "folder")', []),
        ('"folders" in formats', []),
    ],
)
def test_what_counts_as_knowing_a_format_by_name(code: str, found: list[str]) -> None:
    assert list(names_compared(ast.parse(code), {*MEANINGS, *CONTAINERS})) == found
