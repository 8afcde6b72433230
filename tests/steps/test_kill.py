"""Kill whole jobs, then give the same command again: the result is that of an undisturbed run, and nothing is left over."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from folders import assert_equal_folders, bmp, jpeg, png, put, read_folder, row, write_lines, write_rows
from launcher import At, Launcher
from usual_options import with_usual

from transforms.core.output_names import CLAIM, WORK

MOMENTS = 100 if os.environ.get("TUNESET_LONG") == "1" else 8


# The dataset


class Case:
    """An input, an output folder, and what undisturbed runs make of the one in the other."""

    def __init__(self, folder: Path, launcher: Launcher) -> None:
        self.input, self.output, self._launcher = folder / "in", folder / "out", launcher
        self._known: dict[tuple[str, ...], dict[str, Any]] = {}

    def command(self, *flags: str) -> list[str]:
        places = ["--input", f"{self.input}/*.jsonl", "--output", str(self.output)]
        return [*places, *with_usual(flags, {"block_bytes": "4096"}), "--no_pipeline_type_check"]

    def undisturbed(self, *flags: str) -> dict[str, Any]:
        """The folder of a run that nothing disturbed, by these options, in this output folder; then it is gone."""
        if flags not in self._known:
            self.wipe()
            job = self._launcher.start(self.command(*flags))
            assert job.wait() == 0, job.screen
            self._known[flags] = read_folder(self.output)
        self.wipe()
        return self._known[flags]

    def copied(self, folder: Path) -> Case:
        """The same input in another place, where a test may change it."""
        copy = Case(folder, self._launcher)
        shutil.copytree(self.input, copy.input)
        for file in copy.input.glob("*.jsonl"):
            file.write_bytes(file.read_bytes().replace(str(self.input).encode(), str(copy.input).encode()))
        return copy

    def wipe(self) -> None:
        shutil.rmtree(self.output, ignore_errors=True)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory, launcher: Launcher) -> Case:
    """300 rows in two files, some 20 blocks; 2 of 7 images have to be fitted, and some rows are rejected."""
    made = Case(tmp_path_factory.mktemp("case"), launcher)
    folder = made.input / "images"
    images = [put(folder / f"{i}.png", png(seed=i)) for i in range(3)]
    images += [put(folder / f"{i}.jpg", jpeg(seed=i)) for i in range(2)]
    images += [put(folder / f"{i}.bmp", bmp(seed=i)) for i in range(2)]
    write_rows(made.input / "a.jsonl", 200, seed=1, images=images, per_row=(0, 4))
    write_rows(made.input / "b.jsonl", 95, seed=2, images=images[:3], per_row=(1, 2))
    write_lines(made.input / "c.jsonl", [row(f"bad {i}", [str(folder / "none.png")]) for i in range(5)])
    return made


def assert_clean(case: Case, expected: dict[str, Any]) -> None:
    """The folder is what it should be, to the last file, and holds no empty folder either."""
    assert_equal_folders(case.output, expected)
    names = {path.name for path in case.output.iterdir()} - {"report.html", "report.json"}
    assert names == {name.partition("/")[0] for name in expected}


def assert_manifest_is_last(case: Case, expected: dict[str, Any]) -> bool:
    """If there is a manifest, everything it speaks of is there, whole -> whether there is one."""
    if not (case.output / "manifest.json").exists():
        return False
    found = read_folder(case.output)
    assert_equal_folders({name: found.get(name) for name in expected}, expected)
    return True


# Kills

POINTS = [
    ("link _tuneset/claim", 1),
    (r"link .*\.facts", 2),
    ("link images/", 1),
    ("link _tuneset/fits/", 1),
    (r"link .*\.receipt", 1),
    (r"unlink .*\.tmp-.*receipt", 9),
    ("link _tuneset/seal/", 2),
    ("replace train.jsonl", 1),
    ("link manifest", 1),
    ("unlink .tmp-.*manifest", 1),
    (r"unlink _tuneset/../[0-9a-f]{32}\.receipt", 1),
    (r"unlink _tuneset/../[0-9a-f]{32}\.", 60),
    ("unlink _tuneset/claim", 1),
    ("rmdir _tuneset$", 1),
]


@pytest.mark.parametrize("at", POINTS, ids=lambda at: f"{at[0]} {at[1]}")
def test_killed_at_a_point(at: At, case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    assert launcher.run(case.command(), at) == -signal.SIGKILL
    sealed = assert_manifest_is_last(case, expected)
    assert sealed == (POINTS.index(at) > POINTS.index(("link manifest", 1)))
    assert launcher.run(case.command()) == 0
    assert_clean(case, expected)


def test_killed_again_and_again(case: Case, launcher: Launcher) -> None:
    """Each run dies a little later than the one before, which is how a job on a failing machine comes to its end."""
    expected = case.undisturbed()
    later = [at for at in POINTS if at[0] not in (r"link .*\.facts", "link images/")][1::2]
    for at in later:
        assert launcher.run(case.command(), at) == -signal.SIGKILL, at
        assert_manifest_is_last(case, expected)
    assert launcher.run(case.command()) == 0
    assert_clean(case, expected)


@pytest.mark.timeout(60 + 15 * MOMENTS)
def test_killed_at_any_moment(case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    started = time.monotonic()
    assert launcher.run(case.command()) == 0
    lasts = time.monotonic() - started
    draw, killed = random.Random(20), 0
    while killed < MOMENTS:
        case.wipe()
        moment = draw.uniform(0, lasts)
        job = launcher.start(case.command())
        time.sleep(moment)
        os.killpg(job.pid, signal.SIGKILL)
        if job.wait() == -signal.SIGKILL:
            killed += 1
        else:  # the machine has become faster
            lasts = moment
        assert_manifest_is_last(case, expected)
        assert launcher.run(case.command()) == 0, f"kill {killed}, after {moment:.3f} of {lasts:.3f} s"
        assert_clean(case, expected)


def test_the_command_itself_is_killed(case: Case) -> None:
    """As a person's terminal or an operator does it: the real command, in its own session, all of it."""
    expected = case.undisturbed()
    command = [sys.executable, "-m", "beam_jobs", "prepare", *case.command()[:-1]]
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(case.output.rglob("*.receipt")):
        assert process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (case.output / "manifest.json").exists()
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, "Sealed" in done.stdout) == (0, True), done.stderr
    assert_clean(case, expected)


def test_bundles_repeated(case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    job = launcher.start([*case.command(), "--direct_runner_bundle_repeat=1"])
    assert job.wait() == 0, job.screen
    assert_clean(case, expected)


# A changed command, a changed world

LATE: At = ("link manifest", 1)
HALFWAY: At = (r"unlink .*\.tmp-.*receipt", 9)
SWEEPING_KEPT: At = (r"unlink _tuneset/../[0-9a-f]{32}\.", 5)
SWEEPING: At = (r"unlink _tuneset/../[0-9a-f]{32}\.receipt", 5)


@pytest.mark.parametrize(
    ("before", "at", "after"),
    [
        (("--max_images", "2"), HALFWAY, ("--max_images", "16")),
        (("--types", "png"), LATE, ()),  # images that are not wanted any more
        (("--splits", "train=0.5,test=0.5"), LATE, ()),  # a file that is not wanted any more
        ((), LATE, ("--verify", "none", "--max_rejected_fraction", "1")),
        ((), HALFWAY, ("--block_bytes", "9000")),
        ((), LATE, ("--image_folder", "SHARED")),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else None,
)
def test_other_options_over_an_unsealed_folder_are_a_fresh_run(
    before: tuple[str, ...], at: At, after: tuple[str, ...], case: Case, launcher: Launcher
) -> None:
    shared = case.output.parent / "shared"
    before, after = (tuple(str(shared) if flag == "SHARED" else flag for flag in flags) for flags in (before, after))
    expected = case.undisturbed(*after)
    assert launcher.run(case.command(*before), at) == -signal.SIGKILL
    for stale in ("train-00000-of-00003.jsonl", "images-00001-of-00002.parquet"):
        put(case.output / stale, b"as a limit on a file would have numbered it")
    assert launcher.run(case.command(*after)) == 0
    assert_clean(case, expected)


def test_other_inputs_over_an_unsealed_folder_are_a_fresh_run(case: Case, launcher: Launcher, tmp_path: Path) -> None:
    grown = case.copied(tmp_path)
    assert launcher.run(grown.command(), HALFWAY) == -signal.SIGKILL
    aside = grown.output.rename(tmp_path / "aside")
    write_rows(grown.input / "a0.jsonl", 80, seed=3)
    write_rows(grown.input / "b.jsonl", 30, seed=4)
    expected = grown.undisturbed()
    aside.rename(grown.output)
    assert launcher.run(grown.command()) == 0
    assert_clean(grown, expected)


def committed_lines(output: Path) -> list[bytes]:
    """The training lines of the blocks that have a receipt."""
    keys = [path.name.partition(".")[0] for path in output.rglob("*.receipt")]
    parts = [path for key in keys for path in (output / WORK / key[:2]).glob(f"{key}.*.train")]
    return [line for path in sorted(parts) for line in path.read_bytes().splitlines()]


def test_images_that_come_and_go_between_two_runs(case: Case, launcher: Launcher, tmp_path: Path) -> None:
    """What came is found; what went stays in the blocks that are committed, and the ledger balances either way."""
    here = case.copied(tmp_path)
    command = here.command("--max_rejected_fraction", "1")
    came, went = here.input / "images" / "none.png", here.input / "images" / "1.png"
    assert launcher.run(command, (r"link .*\.receipt", 15)) == -signal.SIGKILL
    kept = committed_lines(here.output)
    assert any(str(went).encode() in line for line in kept)
    put(came, png(seed=9))
    went.unlink()
    assert launcher.run(command) == 0
    written = (here.output / "train.jsonl").read_bytes().splitlines()
    assert set(kept) <= set(written)
    dataset = read_folder(here.output)["manifest.json"]
    assert dataset["counters"]["examples_read"] == 300
    assert set(dataset["reasons"]) == {"image_not_found"}
    refused = (here.output / "rejected.jsonl").read_bytes()
    assert (b"none.png" in refused, b"1.png" in refused) == (False, True)


# Two jobs on one folder


@pytest.mark.parametrize(
    "at",
    [HALFWAY, ("unlink _tuneset/.tmp-.*claim", 1)],  # its parts will be swept away; all its work is still to be done
    ids=["halfway", "before it begins"],
)
def test_a_second_job_is_told_and_may_take_over(at: At, case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    other = case.command("--max_images", "1", "--types", "png")
    first = launcher.start(other, at, signal.SIGSTOP)
    assert first.wait() == -signal.SIGSTOP
    before = files(case.output)
    claim = json.loads((case.output / CLAIM).read_bytes())

    second = launcher.start(case.command())
    assert second.wait() == 1
    told = re.search(r"run (\S+) on (\S+) \(process (\d+)\)", second.screen)
    assert told, second.screen
    assert told.groups() == (claim["run"], socket.gethostname(), str(first.pid))
    assert "--take_over" in second.screen
    assert files(case.output) == before

    assert launcher.run(case.command("--take_over")) == 0
    assert_clean(case, expected)

    os.killpg(first.pid, signal.SIGCONT)  # it wakes up in a folder that is another's, and sealed
    assert first.wait() == 1
    words = re.search(r"Another job (took|sealed) (\S+) (over|just now)", first.screen)
    assert words and words[2] == str(case.output), first.screen
    assert assert_manifest_is_last(case, expected)
    assert read_folder(case.output).keys() - expected.keys() == {
        name for name in read_folder(case.output) if name.startswith((WORK, "images/")) and name not in expected
    }


def test_a_claim_of_another_host_holds(case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    assert launcher.run(case.command(), HALFWAY) == -signal.SIGKILL
    claim = json.loads((case.output / CLAIM).read_bytes())
    put(case.output / CLAIM, json.dumps(claim | {"host": "elsewhere"}).encode())
    before = files(case.output)
    job = launcher.start(case.command())
    assert job.wait() == 1
    assert f"run {claim['run']} on elsewhere (process {claim['pid']})" in job.screen
    assert files(case.output) == before
    assert launcher.run(case.command("--take_over")) == 0
    assert_clean(case, expected)


def test_a_sealed_folder_whose_sweep_is_still_at_work_is_another_jobs(case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    first = launcher.start(case.command(), SWEEPING, signal.SIGSTOP)
    assert first.wait() == -signal.SIGSTOP
    second = launcher.start(case.command())
    assert second.wait() == 1
    assert f"(process {first.pid})" in second.screen
    assert "Traceback" not in second.screen
    os.killpg(first.pid, signal.SIGCONT)
    assert first.wait() == 0
    assert_clean(case, expected)


# Sealed folders


def files(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and mtime of every file."""
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in found}


def test_a_sealed_folder(case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    other = case.undisturbed("--max_images", "2")
    put(case.output / "notes.txt", b"mine")
    notes = {"notes.txt": b"mine"}
    assert launcher.run(case.command()) == 0
    assert_clean(case, expected | notes)
    before = files(case.output)

    again = launcher.start(case.command("--threads", "3"))
    assert (again.wait(), "Sealed" in again.screen or "sealed" in again.screen) == (0, True)
    for flags in (["--max_images", "2"], ["--seed", "1"], ["--splits", "train=1"], ["--verify", "decode"]):
        refused = launcher.start(case.command(*flags))
        assert (refused.wait(), "--overwrite" in refused.screen) == (2, True), flags
    assert files(case.output) == before

    overwrite = case.command("--max_images", "2", "--overwrite")
    assert launcher.run(overwrite, ("unlink train.jsonl", 1)) == -signal.SIGKILL
    assert not (case.output / "manifest.json").exists()
    assert launcher.run(overwrite) == 0
    assert_clean(case, other | notes)

    assert launcher.run(case.command("--overwrite"), ("unlink train.jsonl", 1)) == -signal.SIGKILL
    assert launcher.run(case.command()) == 0  # what was being removed is nobody's dataset any more
    assert_clean(case, expected | notes)


def test_files_that_no_run_explains(case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    put(case.output / "train.jsonl", b"written by hand\n")
    put(case.output / "images" / "logo.png", b"not ours")
    before = files(case.output)
    job = launcher.start(case.command())
    assert (job.wait(), "train.jsonl" in job.screen, "--overwrite" in job.screen) == (2, True, True)
    assert files(case.output) == before
    assert launcher.run(case.command("--overwrite")) == 0
    assert_clean(case, expected | {"images/logo.png": b"not ours"})

    case.wipe()
    for manifest in (b"not JSON", b"[]", b'{"dataset": {"tool": "another"}}'):
        put(case.output / "manifest.json", manifest)
        job = launcher.start(case.command())
        assert (job.wait(), "--overwrite" in job.screen, "Traceback" in job.screen) == (2, True, False)
    assert launcher.run(case.command("--overwrite")) == 0
    assert_clean(case, expected)


def test_kept_blocks_are_kept_and_nothing_else(case: Case, launcher: Launcher) -> None:
    expected = case.undisturbed()
    assert launcher.run(case.command("--keep_blocks"), (r"unlink .*\.tmp-.*receipt", 9)) == -signal.SIGKILL
    assert launcher.run(case.command("--keep_blocks"), SWEEPING_KEPT) == -signal.SIGKILL
    assert launcher.run(case.command("--keep_blocks")) == 0
    found = read_folder(case.output)
    kept = [name for name in found if name.startswith(WORK)]
    assert_equal_folders({name: found[name] for name in found.keys() - set(kept)}, expected)
    kinds = "train|validation|examples|images|rejected|findings|receipt"
    named = re.compile(WORK + rf"/../[0-9a-f]{{32}}(\.[0-9a-f]{{20}})?\.({kinds})")
    assert [name for name in kept if not named.fullmatch(name)] == []
    assert sum(name.endswith(".receipt") for name in kept) > 15
