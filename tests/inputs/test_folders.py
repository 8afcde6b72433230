"""Folders of images as input: classes, splits, sidecars and metadata; and that one new file changes one block."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import laws
import pytest
from folders import assert_equal_folders, jpeg, png, put, write_lines
from inspecting import no_rights
from laws import counters, lines, rejections, texts, uris

from beam_jobs.commands.prepare import prepare
from beam_jobs.job import Job
from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms.core.listing_tally import ListingTally
from transforms.core.records import Block, Extent, Input
from transforms.dataset.claim import Claim
from transforms.dataset.receipts import ReceiptStore
from transforms.inputs.folder import read_folder
from transforms.inputs.patterns import list_pattern
from transforms.storage import store_for
from transforms.storage.api import Stat

Run = Callable[..., laws.Folder]
ASK = ("--prompt", "Which animal?", "--splits", "train=1")


def named(found: laws.Folder, split: str = "train") -> dict[str, str]:
    """Answers by the end of the image's path."""
    return {"/".join(uris(line)[0].split("/")[-2:]): texts(line)[-1] for line in lines(found, split)}


def test_the_class_is_the_folder_that_holds_the_image(
    run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("cat/b.jpg", "cat/a.PNG", "dog/é.jpeg", "root.jpg", "cat/.hidden.jpg", ".git/x.jpg", "notes.txt"):
        put(tmp_path / "in" / name, png() if name.endswith("PNG") else jpeg())
    os.symlink(tmp_path / "in/dog", tmp_path / "in/linked")
    found = run(tmp_path / "in", *ASK)
    assert named(found) == {"cat/a.PNG": "cat", "cat/b.jpg": "cat", "dog/é.jpeg": "dog", "in/root.jpg": "in"}
    assert [r["source"] for r in found["examples.parquet"]] == [
        f"{tmp_path}/in/{name}" for name in ("cat/a.PNG", "cat/b.jpg", "dog/é.jpeg", "root.jpg")
    ]
    assert {(r["source_line"], r["source_offset"]) for r in found["examples.parquet"]} == {(1, 0)}
    count = counters(found)
    assert (count["names_listed"], count["pictures_taken"], count["files_read"], count["files_skipped"]) == (8, 4, 4, 4)
    assert [count[f"left_out_{kind}"] for kind in ("hidden", "link", "sidecar", "system")] == [1, 1, 1, 1]
    said = capfd.readouterr().out.replace(str(tmp_path), ".")
    assert said.startswith(
        "./in: images, one a row (--input_format); answers are the names of their folders (--answer '{path.parent}')\n"
    )
    assert "--shuffle_seed 1 mixes them" in said


def test_several_folders_and_globs_go_together(run: Run, tmp_path: Path) -> None:
    for name in ("cat/a.jpg", "dog/b.jpg", "dog/b.png", "bird/deep/c.jpg"):
        put(tmp_path / "in" / name, jpeg())
    found = run(f"{tmp_path}/in/cat,{tmp_path}/in/dog/*.jpg,{tmp_path}/in/bird/deep/c.jpg", *ASK)
    assert named(found) == {"cat/a.jpg": "cat", "dog/b.jpg": "dog", "deep/c.jpg": "deep"}


def test_names_are_taken_as_they_are(run: Run, tmp_path: Path) -> None:
    names = (" a .jpg", "[1].jpg", "x%20y.jpg", "a:b.jpg", "{c}.jpg", "-d.jpg", "e\u2028.jpg", "#f?.jpg")
    for name in names:
        put(tmp_path / "in/cat" / name, jpeg())
    found = run(tmp_path / "in", "--prompt", "{path.name}", "--answer", "x", "--splits", "train=1")
    assert sorted(texts(line)[0] for line in lines(found)) == sorted(names)
    assert {uri for line in lines(found) for uri in uris(line)} == {f"{tmp_path}/in/cat/{name}" for name in names}


def test_names_of_objects_are_literal(bucket: str, tmp_path: Path) -> None:
    store = store_for(bucket)
    for name in ("in/cat/a.jpg", "in/cat//b.jpg", "in//c.jpg", "in/d.jpg"):
        store.create(f"{bucket}/{name}", jpeg())
    assert prepare(["--input", f"{bucket}/in/", "--output", f"{tmp_path}/out", *ASK]) == 0
    found = laws.sealed(tmp_path / "out")
    assert [uris(line)[0].removeprefix(bucket) for line in lines(found)] == [
        "/in//c.jpg", "/in/cat//b.jpg", "/in/cat/a.jpg", "/in/d.jpg",
    ]  # fmt: skip
    assert [texts(line)[1] for line in lines(found)] == ["in", "cat", "cat", "in"]


def test_ids_do_not_depend_on_where_the_folder_is(run: Run, tmp_path: Path) -> None:
    for number in range(20):
        put(tmp_path / f"in/cat/{number}.jpg", jpeg(seed=number))
    here = run(tmp_path / "in", "--prompt", "x")
    shutil.move(tmp_path / "in", tmp_path / "moved")
    there = run(tmp_path / "moved", "--prompt", "x", output="other")
    assert [(r["id"], r["split"]) for r in here["examples.parquet"]] == [
        (r["id"], r["split"]) for r in there["examples.parquet"]
    ]


def test_folders_of_splits_are_detected_and_said(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("train/cat/1.jpg", "train/dog/2.jpg", "validation/cat/3.jpg", "test/dog/4.jpg"):
        put(tmp_path / "in" / name, jpeg())
    found = run(tmp_path / "in", "--prompt", "x")
    assert found["manifest.json"]["splits"] == {"train": 2, "validation": 1, "test": 1}
    assert named(found, "test") == {"dog/4.jpg": "dog"}
    said = "folders decide the split: train 1 (train); validation 1 (validation); test 1 (test)"
    assert said in capfd.readouterr().out
    by_name = run(tmp_path / "in", *ASK, "--split_by", "path.2", output="by")
    assert by_name["manifest.json"]["splits"] == {"train": 4, "validation": 0}
    one = run(tmp_path / "in/train", *ASK, output="one")  # no folder of a split in it
    assert one["manifest.json"]["splits"] == {"train": 2, "validation": 0}


def test_sidecars_are_text_or_values(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "a.b", "both", "bad", "latin"):
        put(tmp_path / f"in/{name}.jpg", jpeg())
    put(tmp_path / "in/a.txt", "\ufeff Ünï\n".encode())
    put(tmp_path / "in/a.b.json", b'{"caption": "dotted"}')
    put(tmp_path / "in/b.json", b'\n{"caption": ["x", "y"]}\n')
    put(tmp_path / "in/both.json", b'{"caption": "json"}')
    put(tmp_path / "in/both.txt", b"text")
    put(tmp_path / "in/bad.json", b"{")
    put(tmp_path / "in/latin.txt", b"caf\xe9")
    put(tmp_path / "in/lonely.txt", b"no image")
    ask = ("--prompt", "x", "--answer", "{sidecar|json}", "--splits", "train=1", "--max_rejected_fraction", "1")
    found = run(tmp_path / "in", *ask)
    assert named(found) == {
        "in/a.jpg": '"Ünï"',
        "in/b.jpg": '{"caption":["x","y"]}',
        "in/c.jpg": "null",
        "in/a.b.jpg": '{"caption":"dotted"}',
        "in/both.jpg": '{"caption":"json"}',
    }
    assert {r["image"][-9:]: r["detail"].replace(str(tmp_path), ".") for r in rejections(found)} == {
        "n/bad.jpg": "./in/bad.json: unexpected end of data, at byte 13",
        "latin.jpg": "./in/latin.txt: byte 3 is not UTF-8",
    }
    assert counters(found)["files_skipped"] == 1
    inner = run(tmp_path / "in", "--prompt", "x", "--answer", "{sidecar.caption}", *ask[4:], output="inner")
    assert set(named(inner)) == {"in/b.jpg", "in/a.b.jpg", "in/both.jpg"}
    assert Counter(r["reason"] for r in rejections(inner)) == {"empty_answer": 2, "bad_sidecar": 2}


def test_a_sidecar_over_the_limit_is_not_read(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "in/a.jpg", jpeg())
    put(tmp_path / "in/b.jpg", jpeg())
    put(tmp_path / "in/a.txt", b"x" * 2000)
    put(tmp_path / "in/b.txt", b"x" * 2001)
    flags = ("--max_line_bytes", "2000", "--splits", "train=1", "--max_rejected_fraction", "1")
    found = run(tmp_path / "in", "--prompt", "x", "--answer", "{sidecar}", *flags)
    assert (list(named(found)), [r["reason"] for r in rejections(found)]) == (["in/a.jpg"], ["bad_sidecar"])


def test_a_sidecar_that_is_not_as_it_was_listed_costs_its_image_alone(tmp_path: Path) -> None:
    for name in ("changed", "folder", "forbidden", "gone", "whole"):
        put(tmp_path / f"in/{name}.jpg", jpeg())
        put(tmp_path / f"in/{name}.txt", b"text")
    listed = sorted(store_for("/").list(str(tmp_path / "in")), key=lambda found: found.uri)
    extents = [Extent(found.uri, found.generation, found.size, 0, found.size) for found in listed]
    block = Block((0, b"", 0), tuple(extents), "folder", base=f"{tmp_path}/in")
    put(tmp_path / "in/changed.txt", b"another text")
    for name in ("folder", "gone"):
        os.unlink(tmp_path / f"in/{name}.txt")
    os.mkdir(tmp_path / "in/folder.txt")
    os.chmod(tmp_path / "in/forbidden.txt", 0)
    opened = read_folder(block, lambda _: "key", 1000)
    assert {"whole.jpg"} <= {record.columns["image"] for record in opened.rows} <= {"whole.jpg", "forbidden.jpg"}
    left = [(r.reason, Path(r.image).stem) for r in opened.rejections if "forbidden" not in r.image]
    assert left == [("bad_sidecar", name) for name in ("changed", "folder", "gone")]
    with no_rights():  # root is stopped by none
        opened = read_folder(replace(block, extents=tuple(extents[4:6])), lambda _: "key", 1000)
    assert [(r.reason, Path(r.image).stem) for r in opened.rejections] == [("bad_sidecar", "forbidden")]
    assert ReceiptStore(str(tmp_path / "out"), 1, "run").commit(opened, [], {}).heals


def test_a_changed_sidecar_is_another_block_only_if_it_is_used(tmp_path: Path) -> None:
    put(tmp_path / "in/a.jpg", jpeg())
    put(tmp_path / "in/a.txt", b"one")
    used, unused = keys_of(tmp_path / "in", "--answer", "{sidecar}"), keys_of(tmp_path / "in")
    put(tmp_path / "in/a.txt", b"other")
    assert keys_of(tmp_path / "in", "--answer", "{sidecar}") != used
    assert keys_of(tmp_path / "in") == unused


# Hugging Face's metadata files


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_metadata_beside_the_images_names_their_rows(run: Run, tmp_path: Path, kind: str) -> None:
    rows = [{"file_name": f"sub/{number}.png", "text": f"text {number}"} for number in range(4)]
    for one in rows[:-1]:
        put(tmp_path / "in" / one["file_name"], png())
    if kind == "csv":
        text = "file_name,text\n" + "".join(f"{one['file_name']},{one['text']}\n" for one in rows)
        put(tmp_path / "in/metadata.csv", text.encode())
    else:
        write_lines(tmp_path / "in/metadata.jsonl", rows)
    ask = ("--prompt", "x", "--answer", "{text} {path.1}", "--splits", "train=1", "--max_rejected_fraction", "1")
    found = run(tmp_path / "in", *ask)
    assert named(found) == {f"sub/{number}.png": f"text {number} sub" for number in range(3)}
    assert [(r["reason"], r["row"], r["base"]) for r in rejections(found)] == [
        ("image_not_found", rows[-1], f"{tmp_path}/in")
    ]


def test_metadata_in_the_folders_of_splits(run: Run, tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_lines(tmp_path / f"in/{split}/metadata.jsonl", [{"file_name": "1.png", "label": split, "n": 1}])
        put(tmp_path / f"in/{split}/1.png", png())
    write_lines(tmp_path / "in/train/metadata.jsonl", [{"file_name": f"{n}.png", "label": "x"} for n in (1, 2)])
    ask = ("--prompt", "x", "--answer", "{label} {path}", "--max_rejected_fraction", "1")
    found = run(tmp_path / "in", *ask)
    assert named(found) == {"train/1.png": "x train/1.png"}
    assert named(found, "test") == {"test/1.png": "test test/1.png"}
    (lost,) = rejections(found)
    assert (lost["base"], lost["row"]["file_name"]) == (f"{tmp_path}/in", "train/2.png")
    put(tmp_path / "in/train/2.png", png())
    flags = (*ask, "--image_column", "file_name", "--split_column", "path.1", "--allow_prefix", str(tmp_path))
    again = run(tmp_path / "out/rejected.jsonl", *flags, output="again")
    assert named(again) == {"train/2.png": "x train/2.png"}


# What is refused


@pytest.mark.parametrize(
    "flags, said",
    [
        ((), "./in holds images: --prompt is missing. For example: --prompt 'What is this?'"),
        (
            ("--prompt", "{class}"),
            "./in: there is no column 'class'; an image of a folder has path, sidecar and 'image'",
        ),
        (
            ("--prompt", "x", "--input_format", "table"),
            "--input ./in finds no file to read (of a folder: *.jsonl, *.csv",
        ),
        (("--prompt", "x", "--input_format", "gemini"), "--input ./in finds no file to read (of a folder: *.jsonl"),
    ],
)
def test_what_cannot_be_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...], said: str
) -> None:
    put(tmp_path / "in/cat/a.jpg", jpeg())
    assert prepare(["--input", f"{tmp_path}/in", "--output", f"{tmp_path}/out", *flags]) == 2
    assert said in capfd.readouterr().err.replace(str(tmp_path), ".") and not (tmp_path / "out").exists()


def test_a_dataset_in_a_folder_of_images_is_read_unless_folder_is_named(run: Run, tmp_path: Path) -> None:
    put(tmp_path / "in/a.jpg", jpeg())
    put(tmp_path / "in/labels.csv", b"image,label\na.jpg,cat\n")
    ask = ("--prompt", "x", "--splits", "train=1")
    assert named(run(tmp_path / "in", *ask, "--answer", "{label}")) == {"in/a.jpg": "cat"}
    assert named(run(tmp_path / "in", *ask, "--input_format", "folder", output="b")) == {"in/a.jpg": "in"}


# Blocks


def plan_of(source: Path, *flags: str) -> Job:
    argv = ["--input", str(source), "--output", f"{source}-out", "--prompt", "x", *flags]
    return Job(look_at_inputs(on_this_machine(parse(argv)))[0], Claim("run", 1, False), False)


def keys_of(source: Path, *flags: str) -> list[str]:
    plan = plan_of(source, *flags)
    (one_input,) = plan.inputs
    wanted = (f for f in list_pattern(one_input.pattern) if f.uri.endswith(plan.cutter.suffixes("folder")))
    return [plan.keys(block) for block in plan.cutter.pack(0, one_input, wanted, ListingTally())]


def test_of_fifty_thousand_files_a_new_one_changes_one_block(tmp_path: Path) -> None:
    for folder in range(50):
        (tmp_path / f"in/{folder:02}").mkdir(parents=True)
        for number in range(1000):
            os.close(os.open(tmp_path / f"in/{folder:02}/{number:03}.jpg", os.O_CREAT))
    before = keys_of(tmp_path / "in")
    put(tmp_path / "in/17/500x.jpg", b"new")
    after = keys_of(tmp_path / "in")
    assert 60 < len(before) < 160
    assert len(set(after) - set(before)) == 1 and len(set(before) - set(after)) == 1
    os.unlink(tmp_path / "in/17/500x.jpg")
    put(tmp_path / "in/30/007.jpg", b"changed")
    assert len(set(keys_of(tmp_path / "in")) - set(before)) == 1


def test_a_job_works_on_the_block_of_a_new_file_and_no_other(tmp_path: Path) -> None:
    for number in range(300):
        put(tmp_path / f"in/{number % 3}/{number:03}.jpg", jpeg(8, 8, seed=number % 5))
    put(tmp_path / "in/0/bad.jpg", b"no image")
    argv = ["--input", f"{tmp_path}/in", "--output", f"{tmp_path}/out", *ASK, "--block_bytes", "8192", "--keep_blocks"]
    assert prepare([*argv, "--max_rejected_fraction", "0"]) == 1  # what was committed is kept
    put(tmp_path / "in/1/new.jpg", jpeg())
    assert prepare([*argv, "--max_rejected_fraction", "1"]) == 0
    runs = Counter(json.loads(path.read_bytes())["run"] for path in (tmp_path / "out/_tuneset").rglob("*.receipt"))
    first, second = sorted(runs.values(), reverse=True)
    assert second == 1 and first > 10
    resumed = laws.sealed_lines(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    assert prepare([*argv, "--max_rejected_fraction", "1"]) == 0
    assert laws.sealed_lines(tmp_path / "out") == resumed


def test_the_base_of_a_block_is_part_of_its_key(tmp_path: Path) -> None:
    put(tmp_path / "in/cat/a.jpg", jpeg())
    plan = plan_of(tmp_path / "in")
    block = next(plan.cutter.pack(0, Input("x", "folder", "/a"), [Stat("/a/b/c.jpg", 1, "1")], ListingTally()))
    other = Block(block.order, block.extents, "folder", base="/a/b")
    assert plan.keys(block) != plan.keys(other)


def test_block_sizes_and_workers_do_not_show(tmp_path: Path) -> None:
    for number in range(60):
        put(tmp_path / f"in/{number % 4}/{number}.jpg", jpeg(8, 8, seed=number))
    folders = []
    for extra in (
        (),
        ("--block_bytes", "1024", "--direct_num_workers", "2", "--direct_running_mode", "multi_threading"),
    ):
        argv = ["--input", f"{tmp_path}/in", "--output", f"{tmp_path}/out", "--overwrite", "--prompt", "x", *extra]
        assert prepare(argv) == 0
        folders.append(laws.sealed(tmp_path / "out"))
    assert_equal_folders(*folders, same_blocks=False)
