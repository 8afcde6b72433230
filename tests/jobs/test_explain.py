"""`tuneset explain`: each line of a dataset leads back to its row and images, however the lines came to stand where they are."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from folders import bmp, jpeg, png, put, row, write_lines

from beam_jobs.__main__ import main
from transforms.core import limits
from transforms.dataset import seal_plan

Explain = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def explain(capsys: pytest.CaptureFixture[str]) -> Explain:
    """Run `tuneset explain ... --format json` -> its lines."""

    def run(*argv: Any) -> list[dict[str, Any]]:
        capsys.readouterr()
        assert main(["explain", *map(str, argv), "--format", "json"]) == 0, capsys.readouterr().err
        told: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["lines"]
        return told

    return run


def refused(capsys: pytest.CaptureFixture[str], *argv: Any) -> str:
    capsys.readouterr()
    assert main(["explain", *map(str, argv)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def make(*argv: Any) -> None:
    assert main(["prepare", *map(str, argv)]) == 0


def rows_with_pictures(folder: Path, count: int) -> list[dict[str, Any]]:
    """Rows with one picture, every fifth with 20, of which one has to be converted."""
    put(folder / "a.png", png())
    put(folder / "b.jpg", jpeg(seed=3))
    put(folder / "c.bmp", bmp(seed=2))
    return [
        row(f"question {number}", ["a.png"] * 18 + ["b.jpg", "c.bmp"] if number % 5 == 0 else ["b.jpg"])
        for number in range(count)
    ]


def check_every_line(
    explain: Explain, output: str | Path, read: Callable[[str], bytes], rows: list[dict[str, Any]]
) -> set[str]:
    """Explain every line of every file, and compare with the lines and the rows themselves -> the files."""
    files = [file for file in json.loads(read("manifest.json"))["dataset"]["files"] if file["name"].endswith(".jsonl")]
    named = {file["name"] for file in files if file["lines"] and file["name"] != "rejected.jsonl"}
    pieces: dict[int, set[int]] = {}
    for name in named:
        lines = [json.loads(line) for line in read(name).splitlines()]
        told = explain(output, "--file", name, "--lines", ",".join(str(number + 1) for number in range(len(lines))))
        assert [one["line"] for one in told] == list(range(1, len(lines) + 1))
        for one, line in zip(told, lines):
            source = rows[one["source_line"] - 1]
            assert line["contents"][0]["parts"][-1] == source["contents"][0]["parts"][-1]  # the question
            images = [part["fileData"]["fileUri"] for part in line["contents"][0]["parts"] if "fileData" in part]
            assert [image["uri"] for image in one["images"]] == images and one["image_count"] == len(images)
            check_images(one["images"])
            pieces.setdefault(one["source_line"], set()).add(one["piece"])
            assert one["pieces"] == (2 if len(source["contents"][0]["parts"]) > 17 else 1) and one["tokens"] > 0
    assert all(len(found) == (2 if number % 5 == 1 else 1) for number, found in pieces.items())
    return named


def check_images(images: list[dict[str, Any]]) -> None:
    for image in images:
        name = image["source"].rpartition("/")[2]
        kind, fate = {"a.png": ("png", "untouched"), "b.jpg": ("jpeg", "untouched"), "c.bmp": ("bmp", "converted")}[
            name
        ]
        assert (image["type"], image["fate"], image["width"], image["height"]) == (kind, fate, 64, 48)
        assert image["generation"] and image["bytes"] > 0 and image["served_type"] == kind.replace("bmp", "png")


def test_pieces_caps_shuffling_and_numbered_files(
    explain: Explain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_with_pictures(tmp_path / "in", 60)
    source = write_lines(tmp_path / "in/rows.jsonl", rows)
    profile = dataclasses.replace(limits.PROFILES["image-tuning"], max_file_examples=30)
    monkeypatch.setitem(limits.PROFILES, "image-tuning", profile)
    monkeypatch.setattr(seal_plan, "TABLE_ROWS", 20)
    options = ("--splits", "train=0.6,validation=0.2,test=0.2", "--max_validation", "3", "--shuffle_seed", "a")
    make(
        "--input",
        source,
        "--output",
        tmp_path / "out",
        "--block_bytes",
        "2048",
        *options,
        "--uri_prefix",
        "gs://upload/set",
    )
    moved = shutil.move(tmp_path / "out", tmp_path / "moved")  # a dataset says where it came from wherever it lies
    named = check_every_line(explain, moved, lambda name: (moved / name).read_bytes(), rows)
    assert len(list(moved.glob("examples-*.parquet"))) > 1
    assert {"train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl", "test.jsonl"} < named
    assert {"validation.jsonl", "validation-unused.jsonl"} < named
    (told,) = explain(moved, "--lines", "3", "--split", "validation")
    assert (told["file"], told["line"]) == ("validation.jsonl", 3)


def test_a_dataset_in_the_cloud_and_the_night_after(explain: Explain, cloud: Cloud, tmp_path: Path) -> None:
    for name, data in (("a.png", png()), ("b.jpg", jpeg(seed=3)), ("c.bmp", bmp(seed=2))):
        cloud.put(f"in/{name}", data)
    rows = rows_with_pictures(tmp_path, 12)
    text = b"".join(json.dumps(one).encode() + b"\n" for one in rows)
    cloud.put("in/rows.jsonl", text)
    flags = ("--image_folder", f"{cloud.uri}/images", "--keep_blocks", "--block_bytes", "1024")
    make("--input", f"{cloud.uri}/in/rows.jsonl", "--output", f"{cloud.uri}/one", *flags)

    def read(output: str) -> Callable[[str], bytes]:
        return lambda name: cloud.bucket.blob(f"{output}/{name}").download_as_bytes()

    check_every_line(explain, f"{cloud.uri}/one", read("one"), rows)
    cloud.put("in/rows2.jsonl", text)
    make(
        "--input",
        f"{cloud.uri}/in/rows*.jsonl",
        "--output",
        f"{cloud.uri}/two",
        *flags,
        "--previous",
        f"{cloud.uri}/one",
    )
    assert json.loads(read("two")("manifest.json"))["run"]["night"]["blocks"]["reused"]
    check_every_line(explain, f"{cloud.uri}/two/", read("two"), rows)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four lines of train, none of validation."""
    folder = tmp_path_factory.mktemp("four")
    put(folder / "in/a.png", png())
    rows = [row(f"question {number}", ["a.png"]) for number in range(4)]
    make("--input", write_lines(folder / "in/rows.jsonl", rows), "--output", folder / "out", "--splits", "train=1")
    return folder / "out"


@pytest.mark.parametrize(
    "lines, unknown", [("0", "0"), ("1", ""), ("4", ""), ("5", "5"), ("-1,2,5,0", "-1, 0, 5"), ("4,1,4", "")]
)
def test_unknown_lines_name_the_range(
    lines: str, unknown: str, dataset: Path, explain: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    if unknown:
        said = refused(capsys, dataset, f"--lines={lines}")
        assert said == f"tuneset: there is no line {unknown}: train.jsonl has lines 1 to 4\n"
    else:
        told = explain(dataset, "--lines", lines)
        assert [one["line"] for one in told] == list(dict.fromkeys(map(int, lines.split(","))))


@pytest.mark.parametrize(
    "argv, why",
    [
        ((), "give --lines, or --job FILE"),
        (("--lines", "1", "--job", "a"), "give --lines, or --job FILE"),
        (("--lines", "1,x"), "--lines x: expected line numbers"),
        (("--lines", "1", "--split", "validation"), "there is no line 1: validation.jsonl is empty"),
        (
            ("--lines", "1", "--split", "test"),
            "the dataset has no test.jsonl: its files of lines are train.jsonl, validation.jsonl",
        ),
        (
            ("--lines", "1", "--file", "rejected.jsonl"),
            "the dataset's files of lines are train.jsonl",
        ),
        (("--lines", "1", "--file", "a", "--split", "train"), "--split and --file"),
        (("--job", "nowhere.json"), "--job nowhere.json: there is no such file"),
    ],
)
def test_what_cannot_be_explained(
    argv: tuple[str, ...], why: str, dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused(capsys, dataset, *argv)


def test_a_folder_that_holds_no_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds no manifest.json" in refused(capsys, tmp_path, "--lines", "1")
    for text in (b"{}", b'{"dataset": {"files": [{"name": "train.jsonl"}]}, "run": {}}'):
        put(tmp_path / "manifest.json", text)
        assert "is damaged, or none of Tuneset's" in refused(capsys, tmp_path, "--lines", "1")


def test_files_that_were_changed_since(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = Path(shutil.copytree(dataset, tmp_path / "copy"))
    (copy / "train.jsonl").write_bytes(b"{}\n" * 400)
    assert "does not hold line 2 where it was sealed" in refused(capsys, copy, "--lines", "2")
    (copy / "examples.parquet").write_bytes(b"PAR1 no table")
    assert "examples.parquet is damaged" in refused(capsys, copy, "--lines", "2")


def job(**stats: Any) -> bytes:
    return json.dumps({"tuningDataStats": {"supervisedTuningDataStats": stats}}).encode()


def test_lines_that_a_job_dropped(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = put(
        tmp_path / "job.json",
        job(
            truncatedExampleIndices=["4", "1"],
            droppedExampleReasons=["too many\x1b tokens"],
            totalTruncatedExampleCount="3",
            tuningDatasetExampleCount="5",
        ),
    )
    assert main(["explain", str(dataset), "--job", saved]) == 0
    first, *said = capsys.readouterr().out.splitlines()
    assert first == "! the job dropped 3 examples, of which it names 2"
    assert said[0] == "! the job counted 5 examples, and train.jsonl has 4 lines: is it this dataset's?"
    assert [line for line in said if line.startswith("train.jsonl")] == [
        "train.jsonl line 1",
        "train.jsonl line 4: too many\\x1b tokens",
    ]
    assert f"  row      {dataset.parent}/in/rows.jsonl, line 4 (byte " in "\n".join(said)
    assert f"  image 1  {dataset.parent}/in/a.png: png, 64 x 48, 1,282 bytes, generation " in "\n".join(said)


@pytest.mark.parametrize("index, known", [(0, False), (1, True), (4, True), (5, False)])
def test_a_job_of_another_dataset(
    index: int, known: bool, dataset: Path, tmp_path: Path, explain: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = put(tmp_path / "job.json", job(truncatedExampleIndices=[index]))
    if known:
        assert [one["line"] for one in explain(dataset, "--job", saved)] == [index]
    else:
        assert f"there is no line {index}: train.jsonl has lines 1 to 4. Is it this dataset's?" in refused(
            capsys, dataset, "--job", saved
        )


def test_the_job_says_which_file(
    dataset: Path, tmp_path: Path, explain: Explain, capsys: pytest.CaptureFixture[str]
) -> None:
    stats = {"tuning_data_stats": {"supervised_tuning_data_stats": {"truncated_example_indices": [1]}}}
    for uri, known in (("gs://b/train.jsonl", True), ("gs://b/other.jsonl", False), ("projects/1/datasets/2", True)):
        saved = put(
            tmp_path / "job.json",
            json.dumps(stats | {"supervised_tuning_spec": {"training_dataset_uri": uri}}).encode(),
        )
        if known:
            assert explain(dataset, "--job", saved)[0]["file"] == "train.jsonl"
        else:
            assert "was trained on gs://b/other.jsonl: other.jsonl: the dataset's files" in refused(
                capsys, dataset, "--job", saved
            )
            assert explain(dataset, "--job", saved, "--split", "train")[0]["line"] == 1  # a person knows better


def test_what_a_job_says_does_nothing_to_a_terminal(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = {"supervisedTuningSpec": {"trainingDatasetUri": "gs://b/\x1b[31m.jsonl"}}
    saved = put(tmp_path / "job.json", json.dumps(spec | json.loads(job(truncatedExampleIndices=[1]))).encode())
    assert "gs://b/\\x1b[31m.jsonl" in refused(capsys, dataset, "--job", saved)


def test_images_that_nobody_looked_at(tmp_path: Path, explain: Explain, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_lines(tmp_path / "in/rows.jsonl", [row("what?", ["gs://never/a.png"])])
    make("--input", source, "--output", tmp_path / "out", "--splits", "train=1", "--verify", "none")
    (told,) = explain(tmp_path / "out", "--lines", "1")
    assert told["images"] == [
        {"uri": "gs://never/a.png", "served_type": "png", "served_bytes": 0, "fate": "", "escalated": False}
    ]
    assert told["close_to"] == ["image 1 was not looked at, so it may be missing or no image"]
    assert main(["explain", str(tmp_path / "out"), "--lines", "1"]) == 0
    said = capsys.readouterr().out
    assert "  image 1  gs://never/a.png: png, not looked at\n  rule     image 1 was not looked at" in said
