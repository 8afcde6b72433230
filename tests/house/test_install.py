"""Installed as a worker would: the sdist into an empty environment, and into one of pinned and hashed packages, as in the image."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from apache_beam.runners.portability.stager import Stager
from checkouts import NOT_COPIED, modules

from beam_jobs.dataflow.templates import PYTHON
from transforms.core import VERSION

pytestmark = [pytest.mark.engines, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
IMPORT = "import beam_jobs, transforms, sys; print(beam_jobs.__file__, transforms.__file__, sys.prefix)"


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Beam stages for --setup_file."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT, folder / "checkout", ignore=NOT_COPIED)
    return Path(Stager._build_setup_package(str(folder / "checkout/setup.py"), str(folder)))


def run(folder: Path, *words: str | Path) -> str:
    """Run a command far from the checkout and without what this environment adds -> its output."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(
        [str(word) for word in words], cwd=folder, env=kept, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def assert_it_works(python: Path, folder: Path) -> None:
    """Both packages are the installed ones and whole, what they need fits together, and the commands run."""
    run(folder, python, "-m", "pip", "check")
    at = [Path(word) for word in run(folder, python, "-c", IMPORT).split()]
    assert [file.is_relative_to(at[2]) for file in at] == [True] * 3
    assert modules(at[0].parents[1]) == modules(ROOT)
    assert run(folder, python.parent / "tuneset", "--version") == f"tuneset {VERSION}\n"
    run(folder, python.parent / "tuneset", "demo", "demo")
    manifest = json.loads((folder / "demo/dataset/manifest.json").read_bytes())
    assert manifest["dataset"]["counters"]["examples_used"] == 63


def test_the_staged_sdist_installs_into_an_empty_environment(sdist: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "empty", with_pip=True)
    python = tmp_path / "empty/bin/python"
    run(tmp_path, python, "-m", "pip", "install", "--quiet", sdist)
    assert_it_works(python, tmp_path)


def test_the_images_packages_install_with_their_hashes(sdist: Path, tmp_path: Path) -> None:
    """The Dockerfile's own steps, with the Python of its base."""
    this = f"{sys.version_info[0]}.{sys.version_info[1]}"
    base = sys.executable if this == PYTHON else shutil.which(f"python{PYTHON}")
    assert base, f"python{PYTHON}, which the image has, is not installed"
    run(tmp_path, base, "-m", "venv", tmp_path / "image")
    python = tmp_path / "image/bin/python"
    pip = (python, "-m", "pip", "install", "--quiet")
    run(tmp_path, *pip, "--require-hashes", "--requirement", ROOT / "dataflow_templates/requirements.txt")
    run(tmp_path, *pip, "--no-deps", "--no-build-isolation", sdist)
    assert_it_works(python, tmp_path)
    help_text = run(tmp_path, python, "-c", "from beam_jobs.template_main import run; print(run('batch', []))")
    assert help_text == "2\n"  # the main file's one call is there, and asks for --input
