"""The whole batch job with gs:// in and out, against a Cloud Storage server of this machine."""

from __future__ import annotations

import inspect
import json
import time
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud
from folders import assert_equal_folders, bmp, jpeg, png, put, read_folder, row, write_lines, write_rows
from gcs_jobs import OPTIONS, SPECIAL, lines, sealed, uris

from beam_jobs.commands.prepare import prepare
from beam_jobs.job import places
from beam_jobs.preflight import is_remote
from beam_jobs.settings import parse
from transforms.storage.gcs import store as gcs_store
from transforms.storage.reads import Pause

pytestmark = pytest.mark.usefixtures("closed_bucket")


def test_conforming_images_stay_and_others_are_rewritten_beside_the_dataset(raw: Cloud, tmp_path: Path) -> None:
    sealed("--input", f"{raw.uri}/raw/", "--output", f"{raw.uri}/out", *OPTIONS)
    found = raw.folder("out/", tmp_path / "found")
    rewritten = {name for name in found if name.startswith("images/")}
    assert set(found) - rewritten == {
        "examples.parquet",
        "images.parquet",
        "manifest.json",
        "rejected.jsonl",
        "train.jsonl",
        "validation.jsonl",
    }
    assert len(rewritten) == 6
    named = uris(lines(found["train.jsonl"]) + lines(found["validation.jsonl"]))
    assert named == {f"{raw.uri}/raw/images/{i}.jpg" for i in range(20)} | {
        f"{raw.uri}/out/{name}" for name in rewritten
    }
    blobs = raw.blobs("out/")
    assert {blobs[name].content_type for name in rewritten} <= {"image/jpeg", "image/png"}
    assert all(0 < blobs[name].size <= 20_000 for name in rewritten)
    told = {one["image"]: (one["reason"], one["class"], one["base"]) for one in lines(found["rejected.jsonl"])}
    assert told == {
        "images/none.jpg": ("image_not_found", "missing", f"{raw.uri}/raw"),
        "gs://tuneset-closed/a.jpg": ("image_forbidden", "missing", f"{raw.uri}/raw"),
        "gs://tuneset-never-made/a.jpg": ("image_not_found", "missing", f"{raw.uri}/raw"),
        "/etc/hostname": ("not_allowed", "yours", f"{raw.uri}/raw"),
    }
    dataset = found["manifest.json"]
    assert dataset["uploadable"] == "yes" and dataset["verified"]
    counters = dataset["counters"]
    assert counters["examples_read"] == 100 + 20 + 1 + SPECIAL and counters["pieces_written"] == 3
    assert counters["files_skipped"] == 26 and "images_local" not in counters and "images_staged" not in counters
    for file in dataset["files"]:
        if "bytes" in file:
            data = found[file["name"]]
            assert (len(data), data.count(b"\n")) == (file["bytes"], file["lines"])
    generations = raw.json("out/manifest.json")["run"]["generations"]
    assert generations == {
        name: str(blob.generation) for name, blob in blobs.items() if name in generations
    } and generations.keys() == {file["name"] for file in dataset["files"]}


def test_a_local_output_of_the_same_input_differs_in_its_own_place_alone(raw: Cloud, tmp_path: Path) -> None:
    local = tmp_path / "out"
    there = f"{raw.uri}/".ljust(len(str(local)), "o")  # as long as the local path, so that offsets are equal too
    assert len(there) == len(str(local)) > len(raw.uri) + 1
    sealed("--input", f"{raw.uri}/raw/*.jsonl", "--output", str(local), *OPTIONS)
    sealed("--input", f"{raw.uri}/raw/*.jsonl", "--output", there, *OPTIONS)
    here, cloud = read_folder(local), raw.folder(there[len(raw.uri) + 1 :] + "/", tmp_path / "found")
    assert here["manifest.json"].pop("uploadable") == "not yet"
    assert cloud["manifest.json"].pop("uploadable") == "yes"
    assert here["manifest.json"]["counters"].pop("images_local") > 0
    assert here["manifest.json"]["findings"]["counts"].pop("local_path") == 1
    for folder in (here, cloud):
        for file in folder["manifest.json"]["files"]:
            file.pop("crc32c", None)  # of lines that name rewritten images

    def moved(content: Any) -> Any:
        if isinstance(content, bytes):
            return content.replace(str(local).encode(), there.encode())
        return json.loads(json.dumps(content).replace(str(local), there))

    assert_equal_folders({name: moved(content) for name, content in here.items()}, cloud)


def test_lines_that_name_only_conforming_objects_are_the_same_bytes_anywhere(cloud: Cloud, tmp_path: Path) -> None:
    images = [cloud.put(f"pictures/{i}.jpg", jpeg(seed=i)) for i in range(10)]
    source = write_rows(tmp_path / "rows.jsonl", 60, images=images)
    cloud.put("in/rows.jsonl", Path(source).read_bytes())
    sealed("--input", source, "--output", str(tmp_path / "out"), "--block_bytes", "4096")
    sealed("--input", f"{cloud.uri}/in/rows.jsonl", "--output", f"{cloud.uri}/out", "--block_bytes", "4096")
    here, there = read_folder(tmp_path / "out"), cloud.folder("out/", tmp_path / "found")
    assert here.keys() == there.keys() and here["manifest.json"]["uploadable"] == "yes"
    for name in ("train.jsonl", "validation.jsonl", "rejected.jsonl", "images.parquet"):
        assert here[name] == there[name]
    assert here["manifest.json"]["files"] == there["manifest.json"]["files"]


def test_local_images_are_staged_under_a_gs_output(cloud: Cloud, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    same = jpeg(seed=1)
    put(folder / "a.jpg", same)
    put(folder / "copy of a.jpg", same)
    put(folder / "b.png", png(seed=2))
    put(folder / "c.bmp", bmp(seed=3))
    remote = cloud.put("d.jpg", jpeg(seed=4))
    rows = [row("1", ["a.jpg"]), row("2", ["copy of a.jpg", "b.png"]), row("3", ["c.bmp", remote]), row("4", ["a.jpg"])]
    write_lines(folder / "rows.jsonl", rows)
    sealed("--input", str(folder / "rows.jsonl"), "--output", f"{cloud.uri}/out", "--splits", "train=1")
    found = cloud.folder("out/", tmp_path / "found")
    counters, written = found["manifest.json"]["counters"], lines(found["train.jsonl"])
    fates = {name: counters.get(name) for name in ("images_untouched", "images_converted", "images_staged")}
    assert fates == {"images_untouched": 5, "images_converted": 1, "images_staged": 4}
    assert "images_local" not in counters and found["manifest.json"]["uploadable"] == "yes"
    first, second, third, fourth = ([part["fileData"] for part in one["contents"][0]["parts"][:-1]] for one in written)
    assert first == fourth == second[:1]  # named by their content
    objects = {f"{cloud.uri}/out/{name}": data for name, data in found.items() if name.startswith("images/")}
    assert objects[first[0]["fileUri"]] == same and objects[second[1]["fileUri"]] == png(seed=2)
    assert third[1] == {"mimeType": "image/jpeg", "fileUri": remote}
    assert set(objects) == uris(written) - {remote} and len(objects) == 3
    assert {one["fate"] for one in found["images.parquet"]} == {"untouched", "converted"}
    assert cloud.blobs()[first[0]["fileUri"].removeprefix(cloud.uri + "/")].content_type == "image/jpeg"


def rewritten(raw: Cloud) -> dict[str, int]:
    """The images of the shared folder, without the marks of who uses it."""
    found = raw.generations("shared/images/")
    return {name: generation for name, generation in found.items() if not name.startswith("_tuneset-shared/")}


def test_a_shared_image_folder_serves_several_nights(raw: Cloud) -> None:
    shared = ["--image_folder", f"{raw.uri}/shared/images", *OPTIONS]
    sealed("--input", f"{raw.uri}/raw/a.jsonl", "--output", f"{raw.uri}/night1", *shared)
    first = rewritten(raw)
    sealed("--input", f"{raw.uri}/raw/a.jsonl,{raw.uri}/raw/b.jsonl.gz", "--output", f"{raw.uri}/night2", *shared)
    assert rewritten(raw) == first and len(first) == 6
    assert not [name for name in raw.blobs() if name.startswith(("night1/images/", "night2/images/"))]
    assert not [name for name in raw.blobs() if "_tuneset/" in name]
    named = uris(lines(raw.bucket.blob("night2/train.jsonl").download_as_bytes()))
    assert {uri for uri in named if "/shared/" in uri} == {f"{raw.uri}/shared/images/{name}" for name in first}


@pytest.mark.parametrize("pattern", ["raw/none*.jsonl", "raw/none.jsonl", "none/"])
def test_an_input_that_is_not_there_is_a_wrong_option(
    pattern: str, raw: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    assert prepare(["--input", f"{raw.uri}/{pattern}", "--output", f"{raw.uri}/out"]) == 2
    assert f"--input {raw.uri}/{pattern} finds no file to read" in capsys.readouterr().err
    assert not raw.blobs("out/")


def test_a_folder_without_its_slash_and_images_that_nobody_could_read(
    texts: Cloud, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = ["--output", f"{texts.uri}/out"]
    assert prepare(["--input", f"{texts.uri}/raw", *output]) == 2
    assert "a gs:// folder is named with a / at its end" in capsys.readouterr().err
    assert prepare(["--input", f"{texts.uri}/raw/", *output, "--image_folder", str(tmp_path / "images")]) == 2
    assert f"--image_folder {tmp_path}/images is local, but --output is not" in capsys.readouterr().err


# --- --threads


def test_threads_is_how_many_images_are_read_at_once(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [cloud.put(f"{i}.jpg", jpeg(seed=i)) for i in range(10)]
    cloud.put("rows.jsonl", json.dumps(row("look", images)).encode() + b"\n")
    given = gcs_store.given

    class Looks:
        now = most = 0

        def look(self, *how: Any) -> Any:
            self.now += 1
            self.most = max(self.most, self.now)
            yield Pause(0.03)  # room for one too many
            self.now -= 1
            return (yield from given(*how))

    for threads in (1, 5):
        looks = Looks()
        monkeypatch.setattr(gcs_store, "given", lambda *how, looks=looks: looks.look(*how))
        output = f"{cloud.uri}/out{threads}"
        sealed("--input", f"{cloud.uri}/rows.jsonl", "--output", output, "--threads", str(threads))
        assert looks.most == threads


def test_a_block_is_read_before_the_one_before_it_is_back(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    images = [cloud.put(f"{i}.jpg", jpeg(seed=i)) for i in range(2)]
    cloud.put("rows.jsonl", b"".join(json.dumps(row("look " * 300, [uri])).encode() + b"\n" for uri in images))
    given, begun = gcs_store.given, set[str]()

    def waiting(reads: Any, read: Any) -> Any:
        begun.add(inspect.getclosurevars(read).nonlocals["uri"])
        deadline = time.monotonic() + 20
        while len(begun) < 2:
            assert time.monotonic() < deadline
            yield Pause(0.01)
        return (yield from given(reads, read))

    monkeypatch.setattr(gcs_store, "given", waiting)
    sealed("--input", f"{cloud.uri}/rows.jsonl", "--output", f"{cloud.uri}/out", "--block_bytes", "1024")
    assert begun == set(images) and cloud.json("out/manifest.json")["dataset"]["counters"]["images_untouched"] == 2


# --- whose local files


@pytest.mark.parametrize(
    "remote, flags",
    [
        (False, ""),
        (False, "--runner=DirectRunner"),
        (False, "--runner=PrismRunner"),
        (True, "--runner=PrismRunner --environment_type=DOCKER"),
        (False, "--runner=FlinkRunner"),
        (True, "--runner=FlinkRunner --flink_master=cluster:8081"),
        (False, "--runner=FlinkRunner --flink_master=cluster:8081 --environment_type=LOOPBACK"),
        (True, "--runner=PortableRunner --job_endpoint=localhost:8099"),
        (False, "--runner=PortableRunner --job_endpoint=localhost:8099 --environment_type=LOOPBACK"),
        (True, "--runner=PortableRunner --job_endpoint=localhost:8099 --environment_type=PROCESS"),
        (True, "--runner=DataflowRunner"),
    ],
)
def test_local_images_are_read_by_workers_of_this_process_alone(remote: bool, flags: str) -> None:
    settings = parse(["--input", "/data/rows.jsonl", "--output", "gs://bucket/out", *flags.split()])
    assert is_remote(settings) is remote
    assert places(settings, remote).folders == (("gs://",) if remote else ("gs://", "/data"))
