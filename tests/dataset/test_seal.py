"""The seal: written once, by whose folder it is, and the same in whatever order anything arrives."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from claim_files import forge
from folders import png, put, row, write_lines
from protocol_run import Run, snapshot

from transforms.core.output_names import WORK
from transforms.dataset.block_files import Caps
from transforms.dataset.join import join_chunks
from transforms.dataset.seal_plan import Cuts, SealPlan, fault_of, make_plan
from transforms.dataset.segments import Chunk, SegmentWriter, Unsealed
from transforms.inputs.cutting import cut_blocks
from transforms.steps.seal import SealDataset
from transforms.storage.api import Piece, crc32c

pytestmark = pytest.mark.usefixtures("file_system")


def test_seal_touches_nothing_of_a_folder_that_was_taken_over(tmp_path: Path) -> None:
    """A job that was taken for dead may be alive, and about to join files, or to write its manifest."""
    part, data = put(tmp_path / WORK / "ab" / "part.train", b"mine\n"), b"mine\n"
    chunk = Chunk((0,), (Piece(part, 0, 5, 5, crc32c(data)),), 1)
    writer = SegmentWriter(str(tmp_path), False, "mine")
    seal = SealDataset(
        writer=writer, caps=Caps(), names=("train",), max_lines=9, max_bytes=99, max_rejected_fraction=0.1
    )
    forge(tmp_path, run="theirs")
    before = snapshot(tmp_path)
    steps = [lambda: join_chunks(("train.jsonl", [chunk]), writer), lambda: seal._manifest(None, [], SealPlan())]
    for step in steps:
        with pytest.raises(Unsealed, match="Another job took"):
            step()
    assert snapshot(tmp_path) == before
    forge(tmp_path / "ours", run="mine")
    ours = dataclasses.replace(writer, folder=str(tmp_path / "ours"))
    assert join_chunks(("train.jsonl", [chunk]), ours).size == 5


def test_a_manifest_is_written_once_and_another_is_refused(tmp_path: Path) -> None:
    forge(tmp_path, run="mine")
    seal = SealDataset(
        writer=SegmentWriter(str(tmp_path), False, "mine"),
        caps=Caps(),
        names=("train",),
        max_lines=9,
        max_bytes=99,
        max_rejected_fraction=0.1,
        dataset={
            "output": str(tmp_path),
            "options": {"shuffle_seed": "1", "uri_prefix": ""},
            "formats": [],
            "verified": True,
        },
    )
    assert seal._manifest(None, [], SealPlan()) == f"{tmp_path}/manifest.json"
    before = snapshot(tmp_path)
    seal.run = {"id": "of another execution"}
    assert seal._manifest(None, [], SealPlan()) == f"{tmp_path}/manifest.json"
    seal.dataset = seal.dataset | {"options": {"shuffle_seed": "2", "uri_prefix": ""}}
    with pytest.raises(Unsealed, match="already names another dataset"):
        seal._manifest(None, [], SealPlan())
    assert snapshot(tmp_path) == before


def test_the_seal_does_not_depend_on_the_order_in_which_anything_arrives(tmp_path: Path) -> None:
    """One file of rows, some of them bad, in many blocks and three segments; cuts of files fall where they like."""
    image = put(tmp_path / "in" / "i.png", png())
    rows = [row(f"row {n}", [image] * (n % 2)) if n % 5 else {"contents": []} for n in range(40)]
    write_lines(tmp_path / "in" / "a.jsonl", rows)
    run = Run(tmp_path, flags=("--splits", "train=1"))
    blocks = [block for whole in run.blocks() for block in cut_blocks(whole, 400, 10_000)]
    receipts = [run.execute(block) for block in blocks]
    third, writer, cuts = len(receipts) // 3, run.plan.writer, Cuts()
    segments = [receipts[:third], receipts[third : 2 * third], receipts[2 * third :]]
    assert third > 3 and forge(tmp_path / "out", run="run1")

    def sealed(turned: int) -> tuple[SealPlan, dict[str, bytes], list[dict[str, Any]]]:
        given = [(n, some[::turned]) for n, some in enumerate(segments)][::turned]
        summaries = [writer.sum_up(one, cuts) for one in given]
        limits = {"max_lines": 7, "max_bytes": 1 << 30, "sampled": False}
        plan = make_plan(summaries, **limits, line_sizes=lambda name, group: writer.line_sizes(name, group, cuts))
        chunks: dict[str, list[Chunk]] = {}
        for name, chunk in (told for one in given for told in writer.write(one, plan, cuts)):
            chunks.setdefault(name, []).append(chunk)
        for name, some in chunks.items():
            join_chunks((name, some[::turned]), writer)
        files = {name: (tmp_path / "out" / name).read_bytes() for name in chunks}
        return plan, files, pq.read_table(tmp_path / "out" / "examples.parquet").to_pylist()

    plan, files, table = sealed(1)
    assert sealed(-1) == (plan, files, table)
    lines = b"".join(files[f"train-{n:05d}-of-00005.jsonl"] for n in range(5)).splitlines()
    assert [json.loads(line)["contents"][0]["parts"][-1]["text"] for line in lines] == [
        f"row {n}" for n in range(40) if n % 5
    ]
    assert [one["source_line"] for one in table] == [n + 1 for n in range(40) if n % 5]
    assert [json.loads(line)["line"] for line in files["rejected.jsonl"].splitlines()] == list(range(1, 41, 5))


def test_a_line_that_is_missing_without_a_sample_is_a_fault(tmp_path: Path) -> None:
    write_lines(tmp_path / "in" / "a.jsonl", [row(f"row {n}") for n in range(9)])
    run = Run(tmp_path, flags=("--splits", "train=1"))
    receipts = [run.execute(block) for block in run.blocks()]
    faults = []
    for missing, sampled in ((0, False), (1, True), (1, False)):
        summary = run.plan.writer.sum_up((0, receipts), Cuts())
        summary.lines[0][0] -= missing
        plan = make_plan([summary], max_lines=99, max_bytes=1 << 30, sampled=sampled, line_sizes=lambda *_: [])
        faults.append(fault_of(plan, 1.0, ""))
    assert faults[:2] == ["", ""] and "8 is not 9" in faults[2]
