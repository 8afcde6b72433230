"""The source distribution, built as Beam stages it to workers: it unpacks and imports where no checkout is."""

from __future__ import annotations

import configparser
import email
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from apache_beam.runners.portability.stager import Stager
from checkouts import NOT_COPIED, modules

from beam_jobs.__main__ import command_line, main
from transforms.core import VERSION

ROOT = Path(__file__).resolve().parents[2]

# Run by an interpreter that knows the unpacked distribution, and of the environment only what is no editable install.
IMPORT_ALL = """
import importlib, json, pkgutil, sys
unpacked, checkout = sys.argv[1:]
sys.meta_path[:] = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path[:] = [unpacked] + [entry for entry in sys.path if entry != checkout and "editable" not in entry]
found = {}
for package in ("beam_jobs", "transforms"):
    module = importlib.import_module(package)
    found[package] = module.__file__
    for info in pkgutil.walk_packages(module.__path__, package + "."):
        found[info.name] = importlib.import_module(info.name).__file__
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds setup.py after building and unpacking."""
    folder = tmp_path_factory.mktemp("package")
    checkout, out = folder / "checkout", folder / "out"
    shutil.copytree(ROOT, checkout, ignore=NOT_COPIED)  # a build writes beside its sources
    out.mkdir()
    archive = Stager._build_setup_package(str(checkout / "setup.py"), str(out))
    assert Path(archive).name == f"tuneset-{VERSION}.tar.gz"
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
    shutil.rmtree(checkout)
    return folder / "unpacked" / f"tuneset-{VERSION}"


def test_it_holds_every_module_and_the_papers(unpacked: Path) -> None:
    assert modules(unpacked) == modules(ROOT)
    assert "beam_jobs/sample/rows.py" in modules(unpacked)
    papers = ("setup.py", "pyproject.toml", "README.md", "LICENSE", "beam_jobs/py.typed", "transforms/py.typed")
    for name in (*papers, "beam_jobs/report/page/page.html"):
        assert (unpacked / name).read_bytes() == (ROOT / name).read_bytes(), name


def test_everything_imports_elsewhere(unpacked: Path) -> None:
    command = [sys.executable, "-I", "-c", IMPORT_ALL, str(unpacked), str(ROOT)]
    done = subprocess.run(command, cwd=unpacked.parent, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    expected = {name.removesuffix(".py").removesuffix("/__init__").replace("/", "."): name for name in modules(ROOT)}
    assert found == {module: str(unpacked / name) for module, name in expected.items()}


def test_the_metadata_says_what_is_needed(unpacked: Path) -> None:
    told = email.message_from_string((unpacked / "PKG-INFO").read_text(encoding="utf-8"))
    assert (told["Name"], told["Version"], told["Requires-Python"]) == ("tuneset", VERSION, ">=3.10")
    needed = (unpacked / "tuneset.egg-info/requires.txt").read_text(encoding="utf-8").partition("\n[")[0]
    packages = sorted(re.split("[<>=]", line)[0] for line in needed.split())
    assert packages == [
        *(
            "Jinja2",
            "Pillow",
            "apache-beam[gcp]",
            "google-cloud-storage",
            "orjson",
            "pillow-heif",
            "pyarrow",
            "pycurl",
            "rich",
        ),
    ]


def test_the_console_script_is_the_command_line(unpacked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = configparser.ConfigParser()
    told.read(unpacked / "tuneset.egg-info/entry_points.txt", encoding="utf-8")
    assert dict(told["console_scripts"]) == {"tuneset": f"{command_line.__module__}:{command_line.__qualname__}"}
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"tuneset {VERSION}\n"
