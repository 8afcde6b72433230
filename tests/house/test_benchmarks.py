"""The benchmarks run end to end at a small scale; their peers do equal work (each benchmark asserts it)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Minutes in all, and no one who mends a job waits for them
pytestmark = pytest.mark.engines

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "script, sizes",
    [
        ("text_scale", ["--examples", "300", "--elementwise", "100"]),
        ("findings", ["--examples", "300", "--references", "40"]),
        ("small_files", ["--examples", "200"]),
        ("readers", ["--rows", "2000", "--files", "300", "--kinds", "csv,folder"]),
        ("local_images", ["--references", "40", "--copied", "20"]),
        ("urls", ["--images", "40"]),
        ("nightly", ["--images", "400", "--late", "1", "--kinds", "folder"]),
        ("stream", ["--rates", "50", "--seconds", "6", "--window", "2", "--windows", "3", "--lines", "5"]),
        ("fit", ["--percent", "8", "--peers", "0", "--repeat", "1"]),
        (
            "storage",
            [
                "--images",
                "40",
                "--downloads",
                "20",
                "--late",
                "1",
                "--kinds",
                "plain",
                "--swept",
                "16",
                "--scheme",
                "https",
            ],
        ),
    ],
)
def test_a_benchmark_prints_its_ratios(script: str, sizes: list[str], tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / f"{script}.py"),
        "--workdir",
        str(tmp_path),
        "--repeat",
        "1",
        *sizes,
    ]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    assert "too short a run to tell" in result.stdout or "(at " in result.stdout, result.stdout


def test_a_seal_is_counted(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks/seal.py"), "--blocks", "300"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, cwd=tmp_path)
    assert "seal of 300 blocks" in result.stdout and "compose" in result.stdout


@pytest.mark.timeout(900)  # a job on a cluster whose workers are processes takes a minute, mostly their start
@pytest.mark.parametrize(
    "script, sizes, told",
    [
        (
            "engines",
            ["--examples", "400", "--distinct", "20", "--grown", "400", "--repeat", "1"],
            "both wrote the same files",
        ),
        ("allocators", ["--pictures", "2", "--examples", "100"], "MALLOC_ARENA_MAX=2"),
    ],
)
def test_a_benchmark_of_engines_runs(script: str, sizes: list[str], told: str, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "benchmarks" / f"{script}.py"), "--workdir", str(tmp_path), *sizes]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, cwd=tmp_path)
    assert result.returncode == 0, result.stdout[-1000:] + result.stderr[-2000:]
    assert told in result.stdout
