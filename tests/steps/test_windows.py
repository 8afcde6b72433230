"""The trunk runs inside windows: what comes of a block stays in the block's window, and nothing waits for another window's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import apache_beam as beam
import flink
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from cloud import Cloud
from folders import bmp, jpeg, put, row, write_lines

from beam_jobs.graph import front, trunk, trunk_steps
from beam_jobs.job import Job
from beam_jobs.preflight import on_this_machine
from beam_jobs.settings import parse
from transforms.core.records import Block, FitOrder, ImageFacts, Receipt
from transforms.dataset.claim import take_claim
from transforms.inputs.name_ranges import EVERYTHING
from transforms.steps.fit import first_of
from transforms.steps.listing import _ListFiles, listed_blocks
from transforms.steps.writer import StorageWriter

PRISM = flink.PARTS / "prism"
SECONDS = 10  # of a window


def plan_of(source: Path, output: Path) -> Job:
    settings = on_this_machine(parse(["--input", str(source), "--output", str(output)]))
    return Job(settings, take_claim(settings.output, "run", take_over=False), remote=False)


@pytest.fixture
def raw(cloud: Cloud, tmp_path: Path) -> Path:
    """Four files of rows: their images lie in a bucket, so that a block is held until the next one's reads have begun.

    The first two files have images to fit, one of them in common; the third has none to fit, and the last no images at all.
    """
    images = [cloud.put(f"{i}.bmp", bmp(seed=i)) for i in range(3)] + [cloud.put("3.jpg", jpeg(seed=3))]
    used = ([images[0], images[1]], [images[1], images[2]], [images[3]], [])
    for number, of_file in enumerate(used):
        write_lines(tmp_path / f"raw/{number}.jsonl", [row(f"question {number}"), row("what?", of_file)])
    return tmp_path / "raw"


def blocks_of(plan: Job) -> list[Block]:
    """A block a file, in order."""
    files = sorted(extent.uri for block in listed_blocks(front(plan)) for extent in block.extents)
    steps = front(plan)
    return [
        block
        for uri in files
        for block in listed_blocks(replace(steps, inputs=(replace(plan.inputs[0], pattern=uri),)))
    ]


def windowed(values: list[tuple[Any, int]]) -> beam.PTransform:
    """(value, seconds) -> the values in fixed windows, all of them in one bundle."""
    return (
        beam.Create(values, reshuffle=False)
        | "Date" >> beam.MapTuple(TimestampedValue)
        | "Window" >> beam.WindowInto(FixedWindows(SECONDS))
    )


def note(value: str, folder: Path, window: Any = beam.DoFn.WindowParam) -> None:
    """Leave a value where the test finds it, below the start of its window."""
    path = folder / str(int(window.start))
    path.mkdir(parents=True, exist_ok=True)
    (path / value).touch()


def noted(folder: Path) -> dict[int, set[str]]:
    return {int(path.name): {one.name for one in path.iterdir()} for path in folder.iterdir()}


def engine_flags(engine: str) -> list[str]:
    if engine == "FnApiRunner":
        return ["--runner=FnApiRunner"]
    flink.need(PRISM.exists(), "engines/prism is not there")
    return ["--runner=PrismRunner", f"--prism_location={PRISM}", "--environment_type=LOOPBACK"]


@pytest.mark.parametrize("engine", ["FnApiRunner", pytest.param("Prism", marks=pytest.mark.engines)])
def test_the_trunk_ends_in_the_windows_that_it_began_in(engine: str, raw: Path, tmp_path: Path) -> None:
    plan = plan_of(raw, tmp_path / "out")
    steps = trunk_steps(plan, StorageWriter(plan.rewriter, plan.caps))
    # Neighbours in the bundle are of two windows; each window has a block that waits and one that does not.
    starts = [0, SECONDS, 0, SECONDS]
    blocks = blocks_of(plan)
    own = [replace(block, folder=f"{tmp_path}/out/windows/{start}") for block, start in zip(blocks, starts)]

    with beam.Pipeline(options=PipelineOptions(engine_flags(engine))) as pipeline:
        worked = trunk(pipeline | windowed([(block, start + 5) for block, start in zip(own, starts)]), steps)
        receipts = worked.receipts | beam.Flatten()
        _ = receipts | "Key of block" >> beam.Map(lambda receipt: receipt.key) | beam.Map(note, tmp_path / "blocks")
        _ = worked.fitted | "Source" >> beam.Map(source_name) | "Note" >> beam.Map(note, tmp_path / "images")

    keys = [plan.keys(block) for block in blocks]
    assert noted(tmp_path / "blocks") == {0: {keys[0], keys[2]}, SECONDS: {keys[1], keys[3]}}
    assert noted(tmp_path / "images") == {0: {"0.bmp", "1.bmp"}, SECONDS: {"1.bmp", "2.bmp"}}
    assert not list((tmp_path / "out/_tuneset").rglob("*.receipt"))

    # A block comes to the same, whatever window and folder it is worked in.
    in_windows = [plan.receipt_store.find(block, key) for block, key in zip(own, keys)]
    with beam.Pipeline(options=PipelineOptions(engine_flags("FnApiRunner"))) as pipeline:
        _ = trunk(pipeline | beam.Create(blocks, reshuffle=False), steps)
    at_once = [plan.receipt_store.find(block, key) for block, key in zip(blocks, keys)]
    assert [contents(one) for one in in_windows] == [contents(one) for one in at_once]
    assert [dict(one.counters).get("images_converted", 0) for one in at_once if one] == [2, 2, 0, 0]


def source_name(order: FitOrder) -> str:
    return order.facts.uri.rpartition("/")[2]


def contents(receipt: Receipt | None) -> Any:
    """What a receipt tells, with the bytes of its parts in place of where they lie."""
    assert receipt
    parts = [(part.kind, part.lines, Path(part.name).read_bytes()) for part in receipt.parts]
    return parts, receipt.lines, receipt.counters, receipt.reasons


def test_files_are_listed_in_the_window_of_their_pattern(tmp_path: Path) -> None:
    names = [write_lines(tmp_path / f"raw/{number}.jsonl", [row("x")]) for number in range(2)]
    put(tmp_path / "raw/notes.txt", b"no dataset")
    plan = plan_of(tmp_path / "raw", tmp_path / "out")
    patterns = [(0, replace(plan.inputs[0], pattern=name), EVERYTHING) for name in (*names, str(tmp_path / "raw/"))]

    def name_of(block: Block) -> str:
        return "+".join(Path(extent.uri).name for extent in block.extents)

    with beam.Pipeline(options=PipelineOptions(engine_flags("FnApiRunner"))) as pipeline:
        ranges = pipeline | windowed([(one, number * SECONDS) for number, one in enumerate(patterns)])
        listed = ranges | beam.ParDo(_ListFiles(front(plan))).with_outputs("tallies", main="files")
        _ = listed.files | "Names" >> beam.Map(name_of) | beam.Map(note, tmp_path / "files")
        skipped = (
            listed.tallies | "Counts" >> beam.Map(lambda tally: tally.counters["files_skipped"]) | beam.Filter(bool)
        )
        _ = skipped | "Numbers" >> beam.Map(str) | "Note" >> beam.Map(note, tmp_path / "skipped")
    everything = {0: {"0.jsonl"}, SECONDS: {"1.jsonl"}, 2 * SECONDS: {"0.jsonl+1.jsonl"}}
    assert noted(tmp_path / "files") == everything
    assert noted(tmp_path / "skipped") == {2 * SECONDS: {"1"}}


@pytest.mark.parametrize("orders, expected", [(0, 0), (1, 1), (3, 1)])
def test_of_equal_orders_one_is_worked_and_of_an_empty_pane_none(orders: int, expected: int) -> None:
    order = FitOrder("key", ImageFacts("gs://b/a"), stage=False)
    assert list(first_of("key", iter([order] * orders))) == [order] * expected
