"""Links to folders below an input: followed into what may be read, and no folder is read twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import laws
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from folders import jpeg, put
from laws import counters, rejections, uris

from beam_jobs.commands.prepare import prepare
from transforms.inputs.linked_folders import links_of
from transforms.inputs.patterns import list_names

Run = Callable[..., laws.Folder]
Told = pytest.CaptureFixture[str]
ASK = ("--prompt", "Which?", "--splits", "train=1")


def tree(root: Path, files: str, links: Mapping[str, str]) -> None:
    for name in files.split():
        put(root / name, b"x")
    for name, target in links.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(target if target.startswith(".") else root / target)


def listed(root: Path, pattern: str = "in", readable: tuple[str, ...] = ("in", "store"), *walked: str) -> list[str]:
    """Names that are given, below `root`; a link that is not followed has a slash at its end."""
    folders = [str(root / name) for name in (walked or ("in",))]
    links = links_of(folders, [str(root / name) for name in readable])
    names = [
        file.uri for file, place in list_names(str(root / pattern), links=links) if not place
    ]  # told links among them
    assert names == sorted(names, key=os.fsencode)
    return [name.removeprefix(f"{root}/") for name in names]


@pytest.mark.parametrize(
    "files, links, names",
    [
        ("store/cat/1", {"in/cat": "store/cat"}, "in/cat/1"),
        ("in/a/1", {"in/b": "in/a"}, "in/a/1 in/b/"),  # reached without a link
        ("in/b/1", {"in/a": "in/b"}, "in/a/ in/b/1"),  # also by a later name
        ("store/1", {"in/a": "store", "in/b": "store"}, "in/a/1 in/b/"),
        ("store/1", {"in/a/x": "store", "in/a-b": "store"}, "in/a-b/1 in/a/x/"),  # as bytes: `-` is before `/`
        ("store/1 store/sub/2", {"in/a": "store/sub", "in/b": "store"}, "in/a/2 in/b/1"),  # a part, then the rest
        ("store/1 store/sub/2", {"in/a": "store", "in/b": "store/sub"}, "in/a/1 in/a/sub/2 in/b/"),
        ("store/1 else/2", {"in/a": "store", "store/b": "else"}, "in/a/1 in/a/b/"),  # out of what may be read
        ("store/1", {"in/a": "store", "store/b": "store/c", "store/c": "in"}, "in/a/1 in/a/b/ in/a/c/"),
        ("store/1", {"in/a": "store", "store/loop": "store", "store/self": "store/self"}, "in/a/1 in/a/loop/ in/a/self/"),
        ("in/1", {"in/up": "."}, "in/1 in/up/"),
        ("in/1 in/.hidden/2", {"in/a": "in/.hidden"}, "in/1 in/a/2"),  # a hidden folder is reached by no other path
        ("store/1", {"in/.a": "store", "in/b": "store"}, "in/b/1"),  # a hidden link reaches nothing
        ("in/1 store/@eaDir/1 store/.x/2", {"in/a": "store"}, "in/1"),  # what systems keep, behind a link too
        ("store/1", {"in/a": "../store", "in/nothing": "store/nothing"}, "in/a/1 in/nothing/"),
    ],
)  # fmt: skip
def test_each_folder_is_read_by_one_path(tmp_path: Path, files: str, links: dict[str, str], names: str) -> None:
    (tmp_path / "in").mkdir()
    tree(tmp_path, files, links)
    found = listed(tmp_path)
    assert found == names.split()
    assert listed(tmp_path) == found  # it is a function of what is there


def test_a_link_to_a_folder_above_the_input_reads_what_else_is_there(tmp_path: Path) -> None:
    tree(tmp_path, "store/in/1 store/2", {"store/in/up": "store"})
    assert listed(tmp_path / "store", readable=(".",)) == ["in/1", "in/up/2"]


def test_another_input_reaches_a_folder_without_a_link(tmp_path: Path) -> None:
    tree(tmp_path, "one/1 two/2", {"one/b": "two"})
    assert listed(tmp_path, "one", ("one", "two"), "one") == ["one/1", "one/b/2"]
    assert listed(tmp_path, "one", ("one", "two"), "one", "two") == ["one/1", "one/b/"]


def test_a_long_chain_of_links_is_followed_to_its_end(tmp_path: Path) -> None:
    """Each folder holds a link to the next; the path grows, and what comes to be too long is told."""
    for number in range(100):
        tree(tmp_path, f"store/{number}/x", {f"store/{number}/n": f"store/{number + 1}"} if number < 99 else {})
    tree(tmp_path, "in/x", {"in/n": "store/0"})
    found = listed(tmp_path)
    assert 30 < len(found) < 101 and found[0].endswith("/n/")


def test_a_glob_follows_links_by_its_doubled_star(tmp_path: Path) -> None:
    tree(tmp_path, "in/1 store/2 store/sub/3 else/4", {"in/a": "store", "in/b": "store", "in/c": "else"})
    assert listed(tmp_path, "in/**/[0-9]") == ["in/1", "in/a/2", "in/a/sub/3"]
    assert listed(tmp_path, "in/*/[0-9]") == ["in/a/2", "in/b/2", "in/c/4"]  # as a shell does


def test_classes_that_are_links_are_read_where_they_may_be(run: Run, tmp_path: Path, capfd: Told) -> None:
    for name in ("in/ant/1", "store/bee/2", "store/cat/3"):
        put(tmp_path / f"{name}.jpg", jpeg(seed=int(name[-1])))
    tree(tmp_path, "", {"in/bee": "store/bee", "in/cat": "store/cat", "store/cat/4.jpg": "in/ant/1.jpg"})
    (tmp_path / "secret.jpg").write_bytes(jpeg())
    (tmp_path / "store/cat/5.jpg").symlink_to(tmp_path / "secret.jpg")
    ours, store = str(tmp_path / "in"), str(tmp_path / "store")

    found = run(ours, *ASK, output="alone")
    assert counters(found)["examples_read"] == 1 and counters(found)["left_out_link"] == 2
    said = capfd.readouterr().out
    assert f"--allow_prefix {ours},{store}/bee" in said

    found = run(ours, *ASK, "--allow_prefix", f"{ours},{store}", "--max_rejected_fraction", "1", output="both")
    named = [uri.removeprefix(f"{ours}/") for line in laws.lines(found) for uri in uris(line)]
    assert named == ["ant/1.jpg", "bee/2.jpg", "cat/3.jpg", "cat/4.jpg"]
    assert laws.texts(laws.lines(found)[1])[-1] == "bee"  # the class is the link's name
    (rejection,) = rejections(found)  # the opened file is asked where it lies
    assert rejection["reason"] == "not_a_file" and "--allow_prefix" in rejection["detail"]
    assert str(tmp_path / "secret.jpg") in rejection["detail"]
    assert counters(found)["left_out_link"] == 0


def test_a_folder_of_nothing_but_links_says_what_reads_it(tmp_path: Path, capfd: Told) -> None:
    put(tmp_path / "store/cat/1.jpg", jpeg())
    tree(tmp_path, "", {"in/cat": "store/cat"})
    argv = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), *ASK]
    assert prepare(argv) == 2
    assert f"--allow_prefix {tmp_path}/in,{tmp_path}/store/cat" in capfd.readouterr().err
    assert prepare([*argv, "--allow_prefix", f"{tmp_path}/in,{tmp_path}/store/cat"]) == 0


def hub_snapshot(root: Path) -> Path:
    """What huggingface_hub leaves of a dataset of pictures: names that link to blobs beside the snapshot."""
    snapshot = root / "datasets--me--pets/snapshots/0123abcd"
    for number, name in enumerate(("train/cat/1.jpg", "train/dog/2.jpg", "validation/cat/3.jpg")):
        blob = root / f"datasets--me--pets/blobs/{number:064x}"
        put(blob, jpeg(seed=number))
        link = snapshot / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(os.path.relpath(blob, link.parent))
    return snapshot


def test_a_snapshot_of_the_hub_names_the_option_that_reads_its_blobs(run: Run, tmp_path: Path, capfd: Told) -> None:
    snapshot = hub_snapshot(tmp_path)
    blobs = snapshot.parents[1] / "blobs"
    argv = ["--input", str(snapshot), "--output", str(tmp_path / "out"), "--prompt", "Which?"]
    assert prepare(argv) == 1
    said = "".join(capfd.readouterr())
    assert f"--allow_prefix {snapshot},{blobs}" in said and "! links_lead_out: " in said

    found = run(snapshot, "--prompt", "Which?", "--allow_prefix", f"{snapshot},{blobs}", output="whole")
    assert len(laws.lines(found)) == 2 and len(laws.lines(found, "validation")) == 1
    assert uris(laws.lines(found)[0]) == [f"{snapshot}/train/cat/1.jpg"]


def test_parquet_of_a_snapshot_is_read_through_its_links(run: Run, tmp_path: Path) -> None:

    snapshot = tmp_path / "snapshots/0123"
    (tmp_path / "blobs").mkdir(), (snapshot / "data").mkdir(parents=True)
    for split in ("train", "test"):
        rows = [{"image": {"bytes": jpeg(seed=number), "path": None}, "label": split} for number in range(4)]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"blobs/{split}")
        (snapshot / f"data/{split}-00000-of-00001.parquet").symlink_to(f"../../../blobs/{split}")
    found = run(snapshot, "--prompt", "Which?", "--answer", "{label}")
    assert {name: found["manifest.json"]["splits"][name] for name in ("test",)} == {"test": 4}
    assert counters(found)["examples_used"] == 8
    assert json.loads((tmp_path / "out/manifest.json").read_bytes())["dataset"]["counters"]["files_taken"] == 2


def test_metadata_behind_a_link_speaks_where_the_link_is_followed(run: Run, tmp_path: Path) -> None:
    """A second path to a class doubles no row; a class elsewhere is read once it may be."""
    for name in ("in/cat", "store/dog"):
        put(tmp_path / name / "1.jpg", jpeg(seed=len(name)))
        put(tmp_path / name / "metadata.csv", f"file_name,label\n1.jpg,{name[-3:]}\n".encode())
    tree(tmp_path, "", {"in/again": "in/cat", "in/dog": "store/dog"})
    ask = ("--prompt", "Which?", "--answer", "{label}", "--splits", "train=1")
    ours, store = f"{tmp_path}/in", f"{tmp_path}/store"
    for more, named in (((), ["cat/1.jpg"]), (("--allow_prefix", f"{ours},{store}"), ["cat/1.jpg", "dog/1.jpg"])):
        found = run(ours, *ask, *more, output=f"out{len(more)}")
        assert [uri.removeprefix(f"{ours}/") for line in laws.lines(found) for uri in uris(line)] == named


def test_a_look_before_the_work_is_not_used_up_by_links(tmp_path: Path, capfd: Told) -> None:
    """A link to the folder itself, and one out of it, hide no class from it and are not walked."""
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/3.jpg"):
        put(tmp_path / "in" / name, jpeg(seed=len(name)))
    tree(tmp_path, "", {"in/again": "in", "in/cat/up": "in", "in/out": ".."})
    argv = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--prompt", "Which?", "--dry_run"]
    assert prepare(argv) == 0
    said = "".join(capfd.readouterr())
    assert "answers_equal" not in said and "split_names_cut_short" not in said
