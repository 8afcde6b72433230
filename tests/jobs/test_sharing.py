"""Whose images lie in a folder: no run, overwrite or sweep deletes an image that another dataset counts on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloud import Cloud
from folders import bmp, put, row, write_lines

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from beam_jobs.image_folders import check_image_folder, settle_image_folder
from beam_jobs.job import Job
from beam_jobs.settings import parse
from transforms.core.output_names import CLAIM
from transforms.dataset.claim import Claim, release_claim, take_claim
from transforms.dataset.sharing import User, add_user, is_shared, mark_of, owner_of, sweep_place, users_of
from transforms.dataset.sweep import images_of, remove_dataset, sweep_folder, unnamed_images
from transforms.storage import store_for


class World:
    """Datasets and folders of images below one root, local or gs://."""

    def __init__(self, root: str, cloud: Cloud | None, scratch: Path) -> None:
        self.root, self._cloud, self._scratch = root, cloud, scratch

    def put(self, name: str, data: bytes) -> str:
        return self._cloud.put(name, data) if self._cloud else put(f"{self.root}/{name}", data)

    def names(self, folder: str) -> set[str]:
        """Files below a folder."""
        return {found.uri.removeprefix(f"{self.root}/") for found in store_for(self.root).list(f"{self.root}/{folder}")}

    def rows(self, *seeds: int) -> str:
        """A file of a row for each seed, whose image has to be rewritten -> its URI."""
        uris = [self.put(f"raw/{seed}.bmp", bmp(seed=seed)) for seed in seeds]
        path = write_lines(self._scratch / "rows.jsonl", [row(f"row {uri}", [uri]) for uri in uris])
        return self.put(f"raw/{'-'.join(map(str, seeds))}.jsonl", Path(path).read_bytes())

    def run(self, output: str, source: str, *flags: str, images: str = "") -> int:
        shared = ["--image_folder", f"{self.root}/{images}"] if images else []
        return prepare(["--input", source, "--output", f"{self.root}/{output}", "--verify", "header", *shared, *flags])

    def outputs(self, output: str) -> set[str]:
        """Names of the rewritten images that a sealed dataset names."""
        table = pq.read_table(pa.BufferReader(store_for(self.root).read(f"{self.root}/{output}/images.parquet")[0]))
        return {uri.removeprefix(f"{self.root}/") for uri in table["output"].to_pylist() if uri}


@pytest.fixture(params=["local", "gs"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    cloud = request.getfixturevalue("cloud") if request.param == "gs" else None
    return World(cloud.uri if cloud else str(tmp_path / "world"), cloud, tmp_path / "scratch")


def plan_of(world: World, output: str, images: str) -> Job:
    flags = ["--output", f"{world.root}/{output}", "--image_folder", f"{world.root}/{images}"]
    return Job(parse(["--input", "rows.jsonl", *flags]), Claim("", 0, False), remote=False)


def manifest(**options: Any) -> bytes:
    return json.dumps({"tuneset": "manifest/1", "dataset": {"files": [], "options": options}}).encode()


PLACES = ("a/images", "a/images/", "a/images/of/b", "a", "a/pictures")


@pytest.mark.parametrize("state", ["sealed", "claimed", "ended"])
@pytest.mark.parametrize("place", PLACES)
def test_another_datasets_folder_is_refused(
    place: str, state: str, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    if state == "sealed":
        world.put("a/manifest.json", manifest(image_folder=""))
    else:
        take_claim(f"{world.root}/a", "run", take_over=False)
        if state == "ended":
            release_claim(f"{world.root}/a", "run")
    before = world.names("a")
    assert world.run("b", world.rows(1), images=place) == 2
    said = capsys.readouterr().err
    assert f"belongs to the dataset in {world.root}/a" in said and "--overwrite" in said
    assert world.names("b") == set() and world.names("a") == before


@pytest.mark.parametrize("place", ["link", "world/../world/a/images", "file", "relative"])
def test_it_is_refused_however_it_is_called(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(f"{tmp_path}/world", None, tmp_path / "scratch")
    world.put("a/manifest.json", manifest())
    (tmp_path / "world/a/images").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "world/a/images")
    monkeypatch.chdir(tmp_path / "world/a")
    named = {"file": f"file://{tmp_path}/world/a/images", "relative": "images"}.get(place, f"{tmp_path}/{place}")
    assert prepare(["--input", world.rows(1), "--output", f"{tmp_path}/b", "--image_folder", named]) == 2
    assert f"belongs to the dataset in {tmp_path}/world/a" in capsys.readouterr().err


def test_a_folder_of_images_that_leads_into_another_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No --image_folder was given, but OUTPUT/images is a link."""
    world = World(str(tmp_path), None, tmp_path / "scratch")
    world.put("a/manifest.json", manifest())
    (tmp_path / "a/images").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b/images").symlink_to(tmp_path / "a/images")
    assert world.run("b", world.rows(1)) == 2
    assert f"{tmp_path}/b/images leads to {tmp_path}/a/images" in capsys.readouterr().err


def test_folders_that_are_nobodys_are_taken(world: World) -> None:
    world.put("web/manifest.json", b'{"name": "an app"}')
    world.put("odd/manifest.json", b'{"tuneset": "manifest/1", "dataset": 3}')
    world.put("old/manifest.json", manifest(image_folder=f"{world.root}/old/images"))  # shared, says an earlier version
    output = f"{world.root}/b"
    assert owner_of(f"{world.root}/web/images", output) == ""
    assert owner_of(f"{world.root}/odd/images", output) == f"{world.root}/odd"
    assert owner_of(f"{world.root}/old/images", output) == ""
    assert owner_of(f"{world.root}/old/other", output) == f"{world.root}/old"
    assert owner_of(f"{world.root}/b/images", output) == owner_of(f"{world.root}/images", output) == ""


@pytest.mark.parametrize("option", ["output", "image_folder"])
@pytest.mark.parametrize("name", ["x//y", "x/./y", "x/../y", "_tuneset/y", "x/_tuneset-shared"])
def test_names_that_are_read_in_two_ways_are_refused(
    option: str, name: str, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    source = cloud.put("rows.jsonl", b"")
    folders = {"output": f"{cloud.uri}/out", "image_folder": f"{cloud.uri}/images", option: f"{cloud.uri}/{name}"}
    assert prepare(["--input", source, *(f"--{key}={value}" for key, value in folders.items())]) == 2
    said = capsys.readouterr().err
    assert f"--{option} {cloud.uri}/{name}" in said and ("choose another" in said or "leave it out" in said)


def test_a_dataset_that_shares_its_images_never_deletes_them_again(world: World) -> None:
    assert world.run("a", world.rows(1, 2), images="a/images") == 0
    assert world.run("b", world.rows(2, 3), images="a/images") == 0
    named = world.outputs("b")
    assert len(named) == 2
    assert world.run("a", world.rows(4), "--overwrite") == 0  # not even where a's own folder is meant
    assert world.outputs("b") == named and named | world.outputs("a") <= world.names("a/images")


def test_a_dataset_that_comes_to_lie_around_a_shared_folder_shares_it(world: World) -> None:
    assert world.run("b", world.rows(1), images="a/images") == 0
    assert world.run("a", world.rows(1)) == 0
    assert {user.output for user in users_of(f"{world.root}/a/images")} == {f"{world.root}/{name}" for name in "ab"}
    check_image_folder(plan_of(world, "c", "a/images"))


@pytest.fixture
def local(tmp_path: Path) -> World:
    return World(f"{tmp_path}/world", None, tmp_path / "scratch")


def test_an_overwrite_removes_the_images_that_its_dataset_named(local: World) -> None:
    assert local.run("a", local.rows(1)) == 0
    strange = f"a/images/ab/{'ab' * 16}.jpg"
    local.put(strange, b"copied here from another dataset")
    first = local.outputs("a")
    assert local.run("a", local.rows(2), "--overwrite") == 0
    assert local.names("a/images") == {strange, *local.outputs("a")} and not first & local.outputs("a")


def test_images_that_lie_where_an_output_begins_are_somebody_elses(local: World) -> None:
    local.put(f"a/images/ab/{'ab' * 16}.jpg", b"of a dataset that was made before there were marks")
    assert local.run("a", local.rows(1)) == 0
    assert is_shared(f"{local.root}/a/images")


@pytest.mark.parametrize("late", [-1, 0, 1])
def test_a_resumed_run_sweeps_what_its_own_runs_wrote(late: int, tmp_path: Path) -> None:
    """Images of before the first of these runs are another's, whose dataset may name them."""
    output = str(tmp_path)
    image = put(tmp_path / f"images/ab/{'ab' * 16}.jpg", b"x")
    take_claim(output, "first", take_over=False)
    begun = json.loads((tmp_path / CLAIM).read_bytes())["begun"]
    os.utime(image, ns=((begun + late) * 1_000_000,) * 2)
    release_claim(output, "first")
    assert take_claim(output, "second", take_over=False).resumed
    put(tmp_path / "manifest.json", manifest())
    sweep_folder(output, "second", False)
    assert os.path.exists(image) == (late < 0)


def test_an_image_of_the_same_name_in_another_folder_counts_for_nothing(tmp_path: Path) -> None:
    """As where a run is gone on with by --image_folder."""
    output, name = f"{tmp_path}/a", f"ab/{'ab' * 16}.jpg"
    (tmp_path / "link").symlink_to(tmp_path / "a")
    put(tmp_path / "a/images" / name, b"x")
    for folder, used in ((f"{tmp_path}/shared", False), (f"{output}/images", True), (f"{tmp_path}/link/images", True)):
        pq.write_table(pa.table({"output": [f"{folder}/{name}"], "source": [""]}), tmp_path / "a/images.parquet")
        assert unnamed_images(output, ["images.parquet"], 0) == ([] if used else [f"{output}/images/{name}"])
        assert images_of(output, ["images.parquet"]) == ([f"{output}/images/{name}"] if used else [])


def test_a_dataset_whose_files_are_damaged_keeps_its_images(tmp_path: Path) -> None:
    image = put(tmp_path / f"images/ab/{'ab' * 16}.jpg", b"x")
    put(tmp_path / "images.parquet", b"half a file")
    put(tmp_path / "manifest.json", manifest())
    remove_dataset(str(tmp_path))
    assert os.path.exists(image) and not (tmp_path / "images.parquet").exists()


def sweep(world: World, *datasets: str, images: str = "images", remove: bool = True) -> int:
    named = ",".join(f"{world.root}/{name}" for name in datasets)
    flags = ["--image_folder", f"{world.root}/{images}", "--datasets", named, "--min_age_hours", "0"]
    return main(["sweep", *flags, *(["--remove"] if remove else [])])


@pytest.mark.parametrize("remove", [False, True])
def test_a_sweep_waits_for_whoever_may_count_on_images(
    world: World, remove: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    images, old = f"{world.root}/images", f"images/ab/{'ab' * 16}.jpg"
    world.put("a/manifest.json", manifest())
    world.put(old, b"named by nobody who is sealed")
    for name in "ab":
        add_user(images, f"{world.root}/{name}")
    take_claim(f"{world.root}/b", "run", take_over=False)
    assert sweep(world, "a", remove=remove) == 1
    assert f"a run is at work on {world.root}/b" in capsys.readouterr().err
    release_claim(f"{world.root}/b", "run")
    assert sweep(world, "a", remove=remove) == 1
    assert "stopped before it was sealed" in capsys.readouterr().err
    world.put("b/manifest.json", manifest())
    assert sweep(world, "a", remove=remove) == 2
    assert f"{world.root}/b uses {images} too, and is not among --datasets" in capsys.readouterr().err
    assert old in world.names("images")
    assert sweep(world, "a", "b", remove=remove) == 0
    assert (old in world.names("images")) == (not remove)
    assert len(list(users_of(images))) == 2


def test_a_sweep_of_a_datasets_own_images_is_refused(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put("a/manifest.json", manifest())
    image = f"a/images/ab/{'ab' * 16}.jpg"
    world.put(image, b"x")
    assert sweep(world, "a", images="a/images") == 2
    assert "is not a shared folder" in capsys.readouterr().err
    # Shared by another's run alone, as an earlier version leaves it: its own dataset has to be named.
    world.put("b/manifest.json", manifest())
    add_user(f"{world.root}/a/images", f"{world.root}/b")
    assert sweep(world, "b", images="a/images") == 2
    assert f"{world.root}/a uses" in capsys.readouterr().err and image in world.names("a/images")


def test_a_run_waits_for_a_sweep(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    images = f"{world.root}/images"
    add_user(images, f"{world.root}/a")
    take_claim(sweep_place(images), "sweep", take_over=False)
    source = world.rows(1)
    assert world.run("b", source, images="images") == 1
    assert "`tuneset sweep` is removing images" in capsys.readouterr().err
    assert [user.output for user in users_of(images)] == [f"{world.root}/a"]
    assert sweep(world, "a") == 1 and "is being swept by another command" in capsys.readouterr().err
    release_claim(sweep_place(images), "sweep")
    settle_image_folder(plan_of(world, "b", "images"), fresh=True)
    assert len(list(users_of(images))) == 2


def test_a_damaged_mark_stops_a_sweep_and_is_mended_by_a_run(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    images, output = f"{world.root}/images", f"{world.root}/a"
    world.put("a/manifest.json", manifest())
    assert add_user(images, output)
    mark = next(name for name in world.names("images") if name.endswith(".user"))
    world.put(mark, b"")
    assert sweep(world, "a") == 2 and "is damaged" in capsys.readouterr().err
    assert not add_user(images, output)
    assert sweep(world, "a") == 0


@pytest.mark.parametrize(
    ("parent", "images", "status"), [("there", "local", 0), ("gone", "local", 2), ("there", "gs", 2)]
)
def test_a_dataset_of_another_machine(
    parent: str, images: str, status: int, tmp_path: Path, cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that machines share shows whether it is gone; a bucket does not."""
    folder = f"{tmp_path}/images" if images == "local" else f"{cloud.uri}/images"
    put(tmp_path / "a/manifest.json", manifest())
    add_user(folder, f"{tmp_path}/a")
    theirs = User(f"{tmp_path}/{'b' if parent == 'there' else 'other/b'}", "elsewhere")
    mark = mark_of(folder, theirs)
    store_for(mark).create(mark, json.dumps({"tuneset": "user/1"} | vars(theirs)).encode())
    assert main(["sweep", "--image_folder", folder, "--datasets", f"{tmp_path}/a"]) == status
    assert (
        status == 0
        or f"cannot be seen from here: sweep there, or, if it is gone, delete {mark}" in capsys.readouterr().err
    )
