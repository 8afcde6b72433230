"""`tuneset check` of whole datasets: Tuneset's own, before their upload, in a bucket, and of folders named otherwise."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from check_runs import Check, question, turned
from cloud import Cloud
from folders import bmp, jpeg, png, put, write_lines

from beam_jobs.__main__ import main


def test_our_own_dataset_is_read_by_its_manifest(check: Check, tmp_path: Path) -> None:
    """Its images lie where its inputs did; validation-unused.jsonl and rejected.jsonl are none of it; its model's limits hold."""
    rows = [question(f"{i}", *[f"{i % 40}-{n}.png" for n in range(20)]) for i in range(120)]
    for i in range(40):
        for n in range(20):
            put(tmp_path / f"in/{i}-{n}.png", png(80, 80, i * 20 + n))
    write_lines(tmp_path / "in/rows.jsonl", [*rows, {"contents": []}])
    made = main([
        *("prepare", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--model", "gemini-3"),
        *("--splits", "train=0.5,validation=0.5", "--max_validation", "10"),
    ])  # fmt: skip
    assert made == 0
    checked = check("--input", tmp_path / "out")
    assert checked.status == 0 and {"local_path", "image_in_two_splits"} <= set(checked.codes)
    assert not {"not_allowed", "too_many_images", "duplicate_example"} & set(checked.codes)
    assert {name: one["files"] for name, one in checked.summary["splits"].items()} == {
        name: [f"{tmp_path}/out/{name}.jsonl"] for name in ("train", "validation")
    }
    alone = check("--train", tmp_path / "out/train.jsonl")
    assert not {"not_allowed", "too_many_images"} & set(alone.codes)
    shutil.copy(tmp_path / "out/train.jsonl", tmp_path / "train.jsonl")
    moved = check("--input", tmp_path / "train.jsonl").codes
    assert moved["not_allowed"] == 0  # they lie below the folder of the rows
    assert moved["too_many_images"] == alone.summary["splits"]["train"]["examples"]
    (tmp_path / "out/train.jsonl").unlink()
    assert main(["check", "--input", str(tmp_path / "out")]) == 2


def test_prepare_tells_of_its_dataset_what_a_check_finds_in_it(
    check: Check, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the order of lines, the cuts of blocks, and what caps leave out."""
    images = [put(tmp_path / f"in/{seed}.png", png(80, 80, seed)) for seed in range(20)]
    images += [put(tmp_path / "in/copy.png", png(80, 80, 3)), put(tmp_path / "in/turned.jpg", turned())]
    images += [put(tmp_path / "in/small.png", png(20, 300, 902)), put(tmp_path / "in/made.bmp", bmp(80, 80, 907))]
    rows = [question(f"{n}?", images[n % len(images)]) for n in range(120)]
    rows += [question("many?", *images[:18])] + [question("twice?", images[0], answer=x) for x in "aab"]
    source = write_lines(tmp_path / "in/rows.jsonl", rows)
    command = ["prepare", "--input", source, "--output", str(tmp_path / "out"), "--block_bytes", "2048"]
    assert main([*command, "--shuffle_seed", "x", "--max_validation", "9"]) == 0
    told = json.loads((tmp_path / "out/manifest.json").read_bytes())["dataset"]["findings"]
    screen = capsys.readouterr().out
    assert told["counts"] == check("--input", tmp_path / "out").summary["counts"]
    assert told["counts"]["image_in_two_splits"] >= 5 and told["counts"]["duplicate_example"] == 1
    assert f"! image_in_two_splits: {told['counts']['image_in_two_splits']} x " in screen and "local_path" not in screen
    assert told["level"] == "all" and len(told["leaks"]) == 6


def test_a_dataset_is_looked_at_before_it_is_uploaded(check: Check, tmp_path: Path) -> None:
    """Under the addresses that its images will have; what is not among them is missing, and no name leads out of their folder."""
    for number in range(30):
        put(tmp_path / f"in/{number}.png", png(80, 80, number))
    write_lines(tmp_path / "in/rows.jsonl", [question(f"{i}", f"{i}.png") for i in range(30)])
    prefix = "gs://bucket/data"
    made = main(["prepare", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--uri_prefix", prefix])
    assert made == 0
    assert {finding["severity"] for finding in check("--input", tmp_path / "out").findings} <= {"warning", "note"}
    lines = (tmp_path / "out/train.jsonl").read_bytes()
    wrong = [question("x", f"{prefix}/images/{'0' * 32}.png"), question("y", f"{prefix}/images/...png")]
    put(tmp_path / "out/train.jsonl", lines + b"".join(json.dumps(one).encode() + b"\n" for one in wrong))
    count = lines.count(b"\n")
    put(tmp_path / "...png", png(80, 80, 99))
    missing = {place for place in check("--input", tmp_path / "out").places if place[0] == "image_not_found"}
    assert missing == {("image_not_found", "train", count + 1), ("image_not_found", "train", count + 2)}


def test_names_tell_the_splits_of_other_folders(check: Check, tmp_path: Path) -> None:
    for name in (
        "a/train/1.jsonl",
        "a/valid/1.jsonl",
        "b_test.jsonl",
        "more.jsonl",
        "a/train/rejected.jsonl",
        "x.json",
    ):
        write_lines(tmp_path / name, [question(name)])
    splits = check("--input", tmp_path).summary["splits"]
    assert {name: one["files"] for name, one in splits.items()} == {
        "train": [f"{tmp_path}/a/train/1.jsonl"],
        "validation": [f"{tmp_path}/a/valid/1.jsonl"],
        "test": [f"{tmp_path}/b_test.jsonl"],
    }
    given = check("--train", tmp_path / "more.jsonl", "--test", f"{tmp_path}/a/*/1.jsonl").summary["splits"]
    assert {name: len(one["files"]) for name, one in given.items()} == {"train": 1, "test": 2}


def test_images_that_only_begin_and_end_alike_are_two(check: Check, tmp_path: Path) -> None:
    """Whole reads tell them apart; without any, URIs do."""
    begun = jpeg(800, 800, 1, quality=95)
    assert len(begun) > 24_000
    other = bytearray(begun)
    other[18_000] ^= 1
    for name, data in (("a", begun), ("b", bytes(other)), ("c", begun)):
        put(tmp_path / f"{name}.jpg", data)
    write_lines(tmp_path / "train.jsonl", [question("1", "a.jpg")])
    write_lines(tmp_path / "test.jsonl", [question("2", "b.jpg"), question("3", "c.jpg")])
    found = {place for place in check("--input", tmp_path).places if place[0] == "image_in_two_splits"}
    assert found == {("image_in_two_splits", "test", 2)}
    assert "image_in_two_splits" not in check("--input", tmp_path, "--findings", "rows").codes
    assert "image_in_two_splits" not in check("--input", tmp_path, "--verify", "none").codes


def test_a_dataset_in_a_bucket(check: Check, cloud: Cloud) -> None:
    """Storage tells CRC32C with the first bytes; a bucket that is not there is told once, beside its images."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        cloud.put(f"img/{name}.png", png(80, 80, seed))
    uri = f"{cloud.uri}/img"
    gone = "gs://tuneset-no-such-bucket"
    train = [question("1", f"{uri}/a.png"), question("2", f"{gone}/1.png"), question("3", f"{gone}/2.png")]
    for name, rows in (
        ("train", train),
        ("validation", [question("4", f"{uri}/b.png"), question("5", f"{uri}/c.png")]),
    ):
        cloud.put(f"set/{name}.jsonl", "".join(json.dumps(one) + "\n" for one in rows).encode())
    before = cloud.generations("")
    checked = check("--input", f"{cloud.uri}/set")
    assert {
        place for place in checked.places if place[0] in ("image_in_two_splits", "image_not_found", "bucket_unreadable")
    } == {
        ("image_in_two_splits", "validation", 1),
        ("image_not_found", "train", 2),
        ("image_not_found", "train", 3),
        ("bucket_unreadable", None, None),
    }
    assert [one["image"] for one in checked.findings if one["code"] == "bucket_unreadable"] == [gone]
    assert checked.summary["identity"] == "CRC32C and size, as storage tells them"
    assert cloud.generations("") == before
