"""The files of the house, and the modules that they are."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PRODUCT = sorted(
    path for folder in ("dataflow_templates", "beam_jobs", "transforms") for path in (ROOT / folder).rglob("*.py")
)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
EVERY = [*PRODUCT, *TESTS, *sorted((ROOT / "benchmarks").glob("*.py")), ROOT / "setup.py"]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return name_of(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


MODULES = {module_of(path): path for path in PRODUCT}
FOLDERS = {module for module, path in MODULES.items() if path.name == "__init__.py"}


def is_below(module: str, *folders: str) -> bool:
    return any(module == folder or module.startswith(folder + ".") for folder in folders)
