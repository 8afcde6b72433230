"""--shuffle_seed: the same lines in the order of a hash, whatever the blocks, buckets and caps."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import laws
import pyarrow as pa
import pytest
from folders import assert_equal_folders, row, write_lines

from beam_jobs.commands.prepare import prepare
from transforms.core.arrow_stream import stream
from transforms.dataset import seal_plan, shuffle
from transforms.dataset.segments import SegmentWriter
from transforms.dataset.shuffle import rank_of, sort_bucket

ROWS = [row(f"question {number}", ["gs://bucket/a.jpg"]) for number in range(300)]
ROWS += [row("the same question", ["gs://bucket/b.jpg"], number=number) for number in range(4)]


def shuffled(tmp_path: Path, *options: str, seed: str = "7") -> laws.Folder:
    source = write_lines(tmp_path / "rows.jsonl", ROWS)
    (tmp_path / "bad.jsonl").write_text("no JSON\n")
    output = tmp_path / "out"
    command = [
        "--input",
        f"{source},{tmp_path / 'bad.jsonl'}",
        "--output",
        str(output),
        "--verify",
        "none",
        "--overwrite",
    ]
    seeded = ["--shuffle_seed", seed] if seed else []
    assert prepare([*command, *seeded, *options]) == 0
    return laws.sealed(output)


def test_the_lines_are_those_of_the_unshuffled_dataset_in_the_order_of_their_hash(tmp_path: Path) -> None:
    plain = shuffled(tmp_path, seed="")
    found = shuffled(tmp_path)
    for split in ("train", "validation"):
        ours, theirs = (folder[f"{split}.jsonl"].splitlines() for folder in (found, plain))
        assert sorted(ours) == sorted(theirs) and ours != theirs
        rows = [one for one in found["examples.parquet"] if one["split"] == split]
        ranks = [rank_of(int(one["id"], 16), b"7") for one in rows]
        assert ranks == sorted(ranks)
    same = [one["source_line"] for one in found["examples.parquet"] if one["source_line"] > 300]
    assert same == [301, 302, 303, 304]  # equal examples stay together, in the order of the input
    assert found["rejected.jsonl"] == plain["rejected.jsonl"] != b""
    assert shuffled(tmp_path, seed="8")["train.jsonl"] != found["train.jsonl"]


@pytest.mark.parametrize("options", [[], ["--max_validation", "5"], ["--sample", "50"]])
def test_blocks_buckets_and_segments_change_nothing(
    tmp_path: Path, options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = shuffled(tmp_path, *options)
    monkeypatch.setattr(shuffle, "BUCKET_BYTES", 6_000)
    monkeypatch.setattr(seal_plan, "SEGMENT_BLOCKS", 3)
    assert_equal_folders(shuffled(tmp_path, *options, "--block_bytes", "4096"), whole, same_blocks=False)


def test_equal_examples_stay_in_the_order_of_the_input_whatever_arrives_first(tmp_path: Path) -> None:
    writer, objects = SegmentWriter(str(tmp_path), False, "me"), []
    for segment in range(3):
        row = dict.fromkeys(shuffle._SCATTERED.names, 0) | {
            "source": "/rows.jsonl",
            "text": b"line %d\n" % segment,
            "bytes": 7,
        }
        data = stream(pa.Table.from_pylist([row], schema=shuffle._SCATTERED).to_batches()[0])
        objects.append((segment, writer.put(data, f"{segment}.0.scattered").uri))
    sorted_bucket = sort_bucket((0, objects), writer)
    assert sort_bucket((0, objects[::-1]), writer) == sorted_bucket
    (train,) = (part.name for part in sorted_bucket.parts if part.kind == "train")
    assert Path(train).read_bytes() == b"line 0\nline 1\nline 2\n"


class Parted:
    """A table that Arrow keeps in several batches, as it does those of over 2 GiB."""

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def combine_chunks(self) -> Parted:
        return self

    def to_batches(self) -> list[pa.RecordBatch]:
        return [batch for at in range(len(self._rows)) for batch in self._rows.slice(at, 1).to_batches()]


def test_no_batch_of_a_large_bucket_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shuffled(tmp_path)

    def parted(rows: list[dict[str, Any]], schema: pa.Schema) -> Parted:
        return Parted(pa.Table.from_pylist(rows, schema=schema))

    arrow = vars(pa) | {"Table": SimpleNamespace(from_pylist=parted)}
    monkeypatch.setattr(shuffle, "pa", SimpleNamespace(**arrow))
    assert_equal_folders(shuffled(tmp_path), whole)


def test_a_seed_that_keys_no_hash_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_lines(tmp_path / "rows.jsonl", ROWS[:1])
    command = ["--input", str(tmp_path / "rows.jsonl"), "--output", str(tmp_path / "out")]
    assert prepare([*command, "--shuffle_seed", "x" * 65]) == 2
    assert "at most 64 bytes" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
