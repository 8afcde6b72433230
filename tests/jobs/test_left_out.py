"""What Tuneset wrote below an input is not read as input: it is looked for at launch, left out and said. And what is named is read."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import laws
import pytest
from cloud import Cloud
from fault_proxy import Proxy
from folders import bmp, jpeg, put, write_rows
from inspecting import no_rights
from laws import counters, uris

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from transforms import storage
from transforms.core.output_names import CLAIM, STREAM
from transforms.inputs.survey import own_datasets
from transforms.inputs.survey.own_datasets import find_own_datasets, is_own_dataset
from transforms.storage import api
from transforms.storage.gcs.store import GcsStore

Run = Callable[..., laws.Folder]
Told = pytest.CaptureFixture[str]
ASK = ("--prompt", "Which animal?", "--splits", "train=1")
SEALED = b'{"dataset": {}, "run": {}, "tuneset": "manifest/1"}'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pictures(folder: Path) -> None:
    """Two classes; a third of the images has to be rewritten."""
    for number in range(6):
        put(
            folder / f"c{number % 2}/{number}.{'jpg' if number % 3 else 'bmp'}",
            (jpeg if number % 3 else bmp)(seed=number),
        )


def without_place(found: laws.Folder, output: str) -> dict[str, Any]:
    """A dataset as it would be in any folder."""
    text = (
        json.dumps(found["manifest.json"]["counters"]),
        *(found[name].decode() for name in found if name.endswith("l")),
    )
    return {"text": "\n".join(text).replace(f"/{output}/", "/OUTPUT/"), "files": set(found)}


def warnings(capfd: Told) -> list[str]:
    """What was said to be left out, with paths below the current folder."""
    said = capfd.readouterr().out.replace(f"{Path.cwd()}/", "").replace(str(Path.cwd()), ".")
    return [line for line in said.splitlines() if line.startswith(("! datasets_left_out: ", "! datasets_not_sought: "))]


def left_out(*folders: str, of: str = ".") -> list[str]:
    return [
        f"! datasets_left_out: {of} without what Tuneset wrote: {', '.join(folders)}. To read some of it, name a file or folder in it."
    ]


# Runs in a row


def test_a_second_and_third_run_on_a_folder_of_images_make_the_same_dataset(here: Path, run: Run, capfd: Told) -> None:
    pictures(here)
    found, said = [], []
    for output in ("out", "out2", "nights/out3"):
        found.append(without_place(run(".", *ASK, output=output), output))
        said.append(warnings(capfd))
    assert found[0] == found[1] == found[2]
    assert said == [[], left_out("out"), left_out("out", "out2")]
    manifest = json.loads((here / "nights/out3/manifest.json").read_bytes())
    assert manifest["run"]["left_out"] == [f"{here}/out", f"{here}/out2"]
    for look, read in (
        (["--preview", "9"], "\n6 examples, and 0 rejected rows"),
        (["--dry_run"], "  examples_read                  6 "),
    ):
        assert prepare(["--input", ".", *ASK, *look]) == 0
        text = capfd.readouterr().out.replace(f"{here}/", "")
        assert f"\n{left_out('nights/out3', 'out', 'out2')[0].replace(': . ', f': {here} ')}\n" in text and read in text


def test_the_printed_command_reads_the_same(here: Path, run: Run, capfd: Told) -> None:
    pictures(here)
    first = without_place(run(".", *ASK), "out")
    command = next(line for line in capfd.readouterr().out.splitlines() if line.startswith("  tuneset prepare"))
    for name in ("out-for-upload", "again"):
        argv = shlex.split(command.replace("BUCKET/FOLDER", "bucket").replace("out-for-upload", name))[1:]
        assert main(argv) == 0
        again = laws.sealed(here / name)
        named = [uri for line in laws.lines(again) for uri in uris(line)]
        assert len(named) == 6 and all(uri.startswith("gs://bucket/images/") for uri in named)
        assert counters(again)["examples_read"] == json.loads(first["text"].split("\n")[0])["examples_read"]


@pytest.mark.parametrize("source", ["rows", "rows/", "rows/**", "rows/**/*.jsonl", "rows/*/*.jsonl"])
def test_rows_are_read_once_however_they_are_named(source: str, here: Path, run: Run, capfd: Told) -> None:
    write_rows(here / "rows/in/a.jsonl", 30)
    outputs = ("rows/out", "rows/z")
    found = [without_place(run(source, output=output), output) for output in outputs]
    assert found[0] == found[1]
    assert warnings(capfd) == left_out("rows/out", of=source)
    assert counters(laws.sealed(here / "rows/z"))["examples_read"] == 30


def test_runs_in_a_row_on_objects(cloud: Cloud, tmp_path: Path, capfd: Told) -> None:
    pictures(tmp_path / "pics")
    cloud.upload(tmp_path / "pics", "in/pics")
    cloud.put("in/rows/a.jsonl", Path(write_rows(tmp_path / "a.jsonl", 30)).read_bytes())
    for source, names, asked in (
        ("in/**/*.jsonl", ("out", "deep/out2"), ()),
        ("in/", ("p", "q"), ("--input_format", "folder", *ASK)),
    ):
        found = []
        for name in names:
            capfd.readouterr()
            assert prepare(["--input", f"{cloud.uri}/{source}", "--output", f"{cloud.uri}/in/{name}", *asked]) == 0
            found.append(without_place(cloud.folder(f"in/{name}/", tmp_path / "got"), name))
        assert found[0] == found[1] and json.loads(found[0]["text"].split("\n")[0])["examples_read"] == (
            6 if asked else 30
        )
        told = cloud.json(f"in/{names[1]}/manifest.json")["run"]["left_out"]
        assert f"{cloud.uri}/in/{names[0]}" in told and f"/in/{names[0]}" in capfd.readouterr().out


def test_blocks_of_unchanged_files_keep_their_keys(here: Path, run: Run) -> None:
    for number in range(40):
        write_rows(here / f"rows/{number:02}.jsonl", 20, seed=number)
    shared = ("--image_folder", f"{here}/images", "--keep_blocks", "--block_bytes", "20000")
    keys = []
    for output in ("rows/05", "rows/11", "rows/zz"):
        assert prepare(["--input", "rows", "--output", output, *shared]) == 0
        keys.append({path.name for path in (here / output).rglob("*.receipt")})
    assert len(keys[0]) > 3 and keys[0] == keys[1] == keys[2]


# What is named is read


def test_what_is_named_in_a_dataset_is_read(here: Path, run: Run, capfd: Told) -> None:
    pictures(here)
    write_rows(here / "in/a.jsonl", 30)
    run("in", output="in/out")
    put(here / "in/b.jsonl", b"no row\n")
    for number in (1, 2):
        run("in", output=f"nights/{number}")
    run(".", *ASK, "--input_format", "folder", output="p")
    capfd.readouterr()
    for source, read, *more in (
        ("in/out/train.jsonl", 27),
        ("in/out/[tv]*.jsonl", 30),
        ("in/b.jsonl,in/out/validation.jsonl", 1 + 3),
        ("in/,in/out/train.jsonl", 31 + 27),
        ("nights/*/rejected.jsonl", 2),
        ("p/images/", 2, *ASK),
    ):
        shutil.rmtree(here / "x", ignore_errors=True)
        prepare(["--input", source, "--output", "x", "--max_rejected_fraction", "1", *more])
        text = capfd.readouterr().out
        assert ("! datasets_left_out: " in text) is source.startswith("in/,"), source
        rejected = (here / "x/rejected.jsonl").read_bytes().count(b"\n")
        written = sum(path.read_bytes().count(b"\n") for path in (here / "x").glob("[tv]*.jsonl"))
        assert rejected + written == read, source


@pytest.mark.parametrize("source", ["out", "out/", "./in/../out"])
def test_a_dataset_as_an_input_folder_is_an_error_that_says_what_to_name(source: str, here: Path, capfd: Told) -> None:
    put(here / "out/manifest.json", SEALED)
    write_rows(here / "out/train.jsonl", 3)
    assert prepare(["--input", source, "--output", "x"]) == 2
    said = capfd.readouterr().err
    assert "is a dataset that Tuneset wrote" in said and f"as {here}/out/train.jsonl or {here}/out/images/" in said
    assert not (here / "x").exists()


def test_an_input_of_which_all_is_left_out_says_so(here: Path, capfd: Told) -> None:
    put(here / "in/out/manifest.json", SEALED)
    write_rows(here / "in/out/train.jsonl", 3)
    assert prepare(["--input", "in", "--output", "x"]) == 2
    assert "finds no file to read (of a folder: *.jsonl" in (said := capfd.readouterr().err)
    assert f"; left out what Tuneset wrote: {here}/in/out" in said


def test_a_dataset_called_test_decides_no_split(here: Path, run: Run) -> None:
    for name in ("train/a/1.jpg", "train/b/2.jpg", "c/3.jpg"):
        put(here / "in" / name, jpeg())
    for output in ("in/test", "in/validation", "in/x"):
        found = run("in", "--prompt", "?", "--splits", "train=1", output=output)
        assert counters(found)["examples_used"] == 3
        assert found["manifest.json"]["options"]["split_column"] == ""


def test_outputs_and_datasets_behind_links_are_left_out(here: Path, run: Run, capfd: Told) -> None:
    write_rows(here / "real/in/a.jsonl", 30)
    os.symlink("real", here / "data")
    os.symlink("out", here / "real/current")
    run("data/*/*.jsonl", output="real/out")
    capfd.readouterr()
    assert counters(run("data/*/*.jsonl", output="real/z"))["examples_read"] == 30
    assert warnings(capfd) == left_out("data/current", "data/out", "data/z", of="data/*/*.jsonl")


# What is a dataset


@pytest.mark.parametrize(
    "files, ours",
    [
        ({"manifest.json": SEALED}, True),
        ({CLAIM: b"{}"}, True),
        ({CLAIM: b""}, True),
        ({"manifest.json": SEALED[:30], "rejected.jsonl": b""}, True),
        ({"manifest.json": b"", "rejected.jsonl": b""}, True),
        ({"manifest.json": SEALED[:30]}, False),
        ({"manifest.json": b'{"tuneset": 1}'}, False),
        ({"manifest.json": b'{"name": "an app"}', "rejected.jsonl": b""}, False),
        ({"manifest.json": b"[" * 100_000}, False),
        ({"manifest.json/a": b""}, False),
        ({f"{CLAIM}/a": b""}, False),
        ({"train.jsonl": b"", "rejected.jsonl": b"", "_tuneset/a": b""}, False),
        ({}, False),
    ],
)
def test_what_is_taken_for_a_dataset(files: dict[str, bytes], ours: bool, tmp_path: Path, cloud: Cloud) -> None:
    for name, data in files.items():
        put(tmp_path / "d" / name, data)
        cloud.put(f"d/{name}", data)
    assert [is_own_dataset(f"{place}/d") for place in (tmp_path, cloud.uri)] == [ours, ours]


def test_a_folder_that_may_not_be_looked_at_is_none(tmp_path: Path) -> None:
    put(tmp_path / "closed/out/manifest.json", SEALED)
    (tmp_path / "closed").chmod(0o700 if os.geteuid() == 0 else 0)
    tmp_path.chmod(0o755)
    with no_rights():
        assert find_own_datasets(str(tmp_path), "/x").folders == ()


# How far is looked


@pytest.mark.parametrize("local", [True, False])
def test_datasets_are_found_two_levels_deep_and_beside_the_output(local: bool, tmp_path: Path, cloud: Cloud) -> None:
    root = str(tmp_path / "in") if local else f"{cloud.uri}/in"
    for name in ("one", "a/two", "a/b/three", "a/b/c/four", "x/y/z/out1", "x/y/z/out2", "a/two/images/five"):
        put(tmp_path / "in" / name / "manifest.json", SEALED)
    put(tmp_path / "other/six/manifest.json", SEALED)
    cloud.upload(tmp_path, "")
    cloud.upload(tmp_path / "in", "in")
    found = find_own_datasets(root, f"{root}/x/y/z/out2")
    assert found.whole and found.folders == tuple(f"{root}/{name}" for name in ("a/two", "one", "x/y/z/out1"))
    assert find_own_datasets(root, "/elsewhere").folders == (f"{root}/a/two", f"{root}/one")


class Wide:
    """A bucket of many folders and files, listed a thousand names a request; counts what is asked."""

    def __init__(self, folders: int, files: int = 0) -> None:
        self.names = [f"gs://b/in/{number:06}" for number in range(folders)]
        self.pages, self.listings, self.looked = files // 1000, 0, set[str]()

    def folders(self, folder: str) -> Iterator[tuple[Sequence[str], bool]]:
        names = self.names if folder == "gs://b/in" else []
        pages: list[list[str]] = [names[at : at + 1000] for at in range(0, len(names), 1000)] + [[]] * (
            self.pages if names else 0
        )
        for number, page in enumerate(pages or [[]], 1):
            self.listings += 1
            yield page, number < len(pages)

    def list(self, prefix: str, *, page: int) -> Iterator[api.Stat]:
        return iter(())

    def stat(self, uri: str) -> api.Stat:
        self.looked.add(uri.removesuffix(f"/{CLAIM}").removesuffix(f"/{STREAM}"))
        raise api.NotFound(uri)

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, api.Stat]:
        raise api.NotFound(uri)


@pytest.mark.parametrize(
    "folders, files, listings, looked, whole",
    [
        (0, 0, 1, 0, True),
        (18, 0, 19, 18, True),
        (200, 0, 201, 200, True),
        (201, 0, 202, 200, False),
        (100_000, 0, 220, 200, False),
        (5, 8_000, 14, 5, True),
        (5, 9_000, 15, 5, True),
        (5, 10_000, 15, 5, False),
    ],
)
def test_what_looking_costs_is_bounded(
    folders: int, files: int, listings: int, looked: int, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Wide(folders, files)
    monkeypatch.setitem(storage._stores, "gs", store)
    assert find_own_datasets("gs://b/in", "gs://b/in/000700").whole is whole
    assert (store.listings, len(store.looked)) == (listings, looked)
    assert folders < 701 or "gs://b/in/000701" in store.looked  # the output's neighbours come first


def test_what_was_not_looked_into_is_said(here: Path, run: Run, capfd: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_datasets, "_LOCAL", 1)
    for number in range(201):
        put(here / f"in/{number:03}/a.jpg", jpeg())
    run("in", *ASK)
    (line,) = warnings(capfd)
    assert line.startswith("! datasets_not_sought: ") and " (in). " in line


def test_a_folder_of_images_that_runs_share_is_left_out_by_others(here: Path, run: Run, capfd: Told) -> None:
    pictures(here / "in")
    first = run("in", *ASK, "--image_folder", "in/shared", output="one")
    capfd.readouterr()
    second = run("in", *ASK, output="two")
    assert warnings(capfd) == left_out("in/shared", of="in")
    assert first["train.jsonl"].count(b"\n") == second["train.jsonl"].count(b"\n")


# Listing past it


def test_objects_of_a_dataset_are_not_listed(cloud: Cloud, proxy: Proxy) -> None:
    for name in ("a.jpg", *(f"out/images/{number}.jpg" for number in range(40)), "out0.jpg", "out2/b.jpg", "z.jpg"):
        cloud.put(f"in/{name}", b"")
    before = len(proxy.seen)
    found = GcsStore().list(f"{cloud.uri}/in", page=3, without=[f"{cloud.uri}/in/out", f"{cloud.uri}/in/out2"])
    assert [one.uri for one in found] == [f"{cloud.uri}/in/{name}" for name in ("a.jpg", "out0.jpg", "z.jpg")]
    assert len(proxy.seen) - before == 2


def test_a_dataset_at_the_end_of_a_range_ends_the_listing(cloud: Cloud, proxy: Proxy) -> None:
    for number in range(10):
        cloud.put(f"in/out/{number}", b"")
    found = GcsStore().list(f"{cloud.uri}/in", end=f"{cloud.uri}/in/out/9", page=2, without=[f"{cloud.uri}/in/out"])
    assert list(found) == [] and len(proxy.seen) == 1
