"""Whose images lie in a folder, in every order of runs, overwrites, removals and sweeps."""

from __future__ import annotations

import json
import os
import time
import uuid
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import put
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import begin, sealed_before
from beam_jobs.image_folders import check_image_folder
from beam_jobs.job import Job
from beam_jobs.options import OptionError
from beam_jobs.preflight import check_folders
from beam_jobs.settings import parse
from transforms.core.output_names import CLAIM
from transforms.dataset.claim import Claim, Claimed, release_claim
from transforms.dataset.sweep import sweep_folder
from transforms.storage import store_for

parsed = cache(lambda: parse(["--input", "/in.jsonl", "--output", "/out"]))  # argparse would take a third of the time


class History:
    """Runs whose steps are taken one by one, between those of others: the real ones but for the job, which only writes images."""

    def __init__(self, root: Path) -> None:
        self.root, self.runs, self.receipts = root, dict[str, Job](), dict[tuple[str, str], set[str]]()
        (root / "a/images").mkdir(parents=True)
        (root / "link").symlink_to(root / "a/images")

    def launch(self, output: str, folder: str, overwrite: bool) -> None:
        """Launch a run; one that stopped is gone on with."""
        settings = replace(
            parsed(),
            output=f"{self.root}/{output}",
            image_folder=f"{self.root}/{folder}" if folder else "",
            overwrite=overwrite,
        )
        try:
            check_folders(settings, remote=False)
            check_image_folder(Job(settings, Claim("", 0, False), False))
            if sealed_before(settings) is not None:
                return
            plan = begin(settings, run := uuid.uuid4().hex[:12], remote=False)
        except OptionError:
            return
        except Claimed:
            release_claim(settings.output, run)  # as `prepare` does
            return
        if overwrite:
            self.receipts = {key: names for key, names in self.receipts.items() if key[0] != output}
        self.runs[output] = plan

    def work(self, output: str, number: int) -> None:
        """A block is committed that names an image, which is made if it is not there."""
        if plan := self.runs.get(output):
            uri = f"{plan.image_folder}/{number:02x}/{number:032x}.jpg"
            if store_for(uri).create(uri, b"image"):
                os.utime(uri, ns=(time.time_ns(),) * 2)  # the file system's own clock may lag some milliseconds
            self.receipts.setdefault((output, plan.image_folder), set()).add(uri)

    def run(self, output: str, folder: str, overwrite: bool, numbers: set[int], end: str) -> None:
        """A run from its launch to its end, with nothing in between."""
        self.launch(output, folder, overwrite)
        for number in sorted(numbers):
            self.work(output, number)
        getattr(self, end)(output)

    def stop(self, output: str) -> None:
        if plan := self.runs.pop(output, None):
            release_claim(plan.settings.output, plan.claim.run)

    def seal(self, output: str) -> None:
        if plan := self.runs.get(output):
            folder, names = self.root / output, sorted(self.receipts.get((output, plan.image_folder), ()))
            pq.write_table(pa.table({"output": names, "source": [""] * len(names)}), folder / "images.parquet")
            dataset = plan.dataset | {"files": [{"name": "images.parquet"}]}
            put(folder / "manifest.json", json.dumps({"tuneset": "manifest/1", "dataset": dataset}).encode())

    def finish(self, output: str) -> None:
        """Seal, and clean up."""
        self.seal(output)
        if plan := self.runs.pop(output, None):
            sweep_folder(plan.settings.output, plan.claim.run, False)
            self.receipts = {key: names for key, names in self.receipts.items() if key[0] != output}

    def retire(self, output: str) -> None:
        """An operator removes a dataset, but for its images."""
        if output not in self.runs:
            for name in ("manifest.json", "images.parquet", CLAIM):
                (self.root / output / name).unlink(missing_ok=True)
            self.receipts = {key: names for key, names in self.receipts.items() if key[0] != output}

    def sweep(self, folder: str, datasets: str) -> None:
        named = ",".join(f"{self.root}/{name}" for name in datasets)
        flags = ["--image_folder", f"{self.root}/{folder}", "--datasets", named, "--min_age_hours", "0"]
        main(["sweep", *flags, "--remove"])

    def lost(self) -> list[str]:
        """Images that a sealed dataset names, and that are gone."""
        named = [
            uri
            for output in "ab"
            if (self.root / output / "manifest.json").exists()
            for uri in pq.read_table(self.root / output / "images.parquet")["output"].to_pylist()
        ]
        return [uri for uri in named if not os.path.exists(uri)]


MOVES = (
    ("run", "a", "", False, {0, 1}, "finish"),
    ("run", "a", "", False, {0}, "stop"),
    ("run", "a", "", True, {2}, "finish"),
    ("run", "a", "a/images", True, {0}, "finish"),
    ("run", "a", "images", True, {1}, "finish"),
    ("run", "b", "a/images", False, {0, 1}, "finish"),
    ("run", "b", "link", True, {0}, "finish"),
    ("run", "b", "images", False, {0, 1}, "finish"),
    ("launch", "a", "", True),
    ("launch", "b", "a/images", False),
    ("launch", "b", "images", False),
    *((name, output) for name in ("finish", "seal", "stop", "retire") for output in "ab"),
    *(("work", output, number) for output in "ab" for number in (0, 2)),
    *(("sweep", folder, datasets) for folder in ("a/images", "images") for datasets in "ab"),
)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(MOVES), min_size=4, max_size=12))
def test_no_image_that_a_sealed_dataset_names_is_ever_gone(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[Any, ...]]
) -> None:
    history = History(tmp_path_factory.mktemp("history"))
    for name, *arguments in steps:
        getattr(history, name)(*arguments)
        assert history.lost() == []
