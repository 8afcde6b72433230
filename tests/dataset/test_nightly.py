"""Nights: what has not changed is taken from the night before, and the dataset is the one that a full run makes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cloud import Cloud
from fault_proxy import Proxy
from folders import assert_equal_folders, bmp, jpeg, png, put, read_folder, row, write_rows
from usual_options import with_usual

from beam_jobs.__main__ import main
from beam_jobs.commands.prepare import prepare
from transforms.dataset.sharing import add_user
from transforms.dataset.sweep import UsedImages
from transforms.steps.compare import kind_of_change

USUAL = {"block_bytes": "2000", "max_image_bytes": "20000"}


class Nights:
    """A world of rows and images, local or gs://, and the datasets that nights make of it."""

    def __init__(self, root: str, cloud: Cloud | None, scratch: Path) -> None:
        self.root, self._cloud, self._scratch = root, cloud, scratch

    def put(self, name: str, data: bytes) -> None:
        if self._cloud:
            self._cloud.put(name, data)
        else:
            put(f"{self.root}/{name}", data)

    def remove(self, name: str) -> None:
        if self._cloud:
            self._cloud.bucket.blob(name).delete()
        else:
            os.unlink(f"{self.root}/{name}")

    def exists(self, name: str) -> bool:
        return bool(self._cloud.bucket.blob(name).exists()) if self._cloud else os.path.exists(f"{self.root}/{name}")

    def rows(self, name: str, number: int, images: list[str], seed: int = 0) -> None:
        path = write_rows(self._scratch / "made.jsonl", number, seed=seed, images=images)
        self.put(name, Path(path).read_bytes())

    def run(self, output: str, *flags: str, images: str = "images", source: str = "raw/") -> int:
        where = ["--input", f"{self.root}/{source}", "--output", f"{self.root}/{output}"]
        return prepare([*where, "--image_folder", f"{self.root}/{images}", "--keep_blocks", *with_usual(flags, USUAL)])

    def manifest(self, output: str) -> dict[str, Any]:
        if self._cloud:
            return self._cloud.json(f"{output}/manifest.json")  # type: ignore[no-any-return]
        found: dict[str, Any] = json.loads(Path(self.root, output, "manifest.json").read_bytes())
        return found

    def folder(self, output: str) -> dict[str, Any]:
        """The dataset without the blocks that were kept."""
        if self._cloud:
            found = self._cloud.folder(f"{output}/", self._scratch / "found")
        else:
            found = read_folder(f"{self.root}/{output}")
        return {name: content for name, content in found.items() if not name.startswith("_tuneset/")}

    def move(self, output: str, to: str) -> None:
        """So that another run may have the same output URI."""
        if self._cloud:
            for name, blob in self._cloud.blobs(f"{output}/").items():
                self._cloud.bucket.copy_blob(blob, self._cloud.bucket, f"{to}/{name}")
                blob.delete()
        elif os.path.exists(f"{self.root}/{output}"):
            shutil.move(f"{self.root}/{output}", f"{self.root}/{to}")


@pytest.fixture(params=["local", "gs"])
def nights(request: pytest.FixtureRequest, tmp_path: Path) -> Nights:
    cloud = request.getfixturevalue("cloud") if request.param == "gs" else None
    made = Nights(cloud.uri if cloud else str(tmp_path / "world"), cloud, tmp_path / "scratch")
    for i in range(12):
        made.put(f"raw/images/{i}.jpg", jpeg(seed=i))
    made.put("raw/images/12.jpg", jpeg(300, 200, seed=12, quality=100))
    made.put("raw/images/13.bmp", bmp(seed=13))
    everyone = [f"images/{i}.jpg" for i in range(13)] + ["images/13.bmp"]
    for number in range(8):
        made.rows(f"raw/{number:02}.jsonl", 12, everyone, seed=number)
    made.put("raw/90.jsonl", json.dumps(row("gone?", ["images/none.jpg", "images/3.jpg"])).encode() + b"\n")
    return made


def assert_as_full(nights: Nights, night: str, previous: str, *flags: str) -> dict[str, Any]:
    """A night is what a full run at the same output URI makes -> the night's `run.night`."""
    assert nights.run(night, "--previous", f"{nights.root}/{previous}", *flags) == 0
    found, told = nights.folder(night), nights.manifest(night)["run"]["night"]
    for uri in outputs(nights, night):
        assert nights.exists(uri.removeprefix(nights.root + "/"))
    nights.move(night, f"{night}-as-it-was")
    nights.move("images", "images-of-nights")
    assert nights.run(night) == 0
    assert_equal_folders(found, nights.folder(night))
    shutil.rmtree(f"{nights.root}/images", ignore_errors=True)
    nights.move("images-of-nights", "images")
    nights.move(night, f"{night}-in-full")
    nights.move(f"{night}-as-it-was", night)
    return told  # type: ignore[no-any-return]


def test_three_nights_equal_full_runs(nights: Nights) -> None:
    assert nights.run("one") == 0
    # New rows with new images; a file and an image overwritten; a file gone; an image that was missing is there.
    nights.put("raw/images/20.png", png(seed=20))
    nights.rows("raw/05b.jsonl", 5, ["images/20.png", "images/1.jpg"], seed=50)
    nights.rows("raw/02.jsonl", 9, ["images/4.jpg"], seed=51)
    nights.remove("raw/07.jsonl")
    nights.put("raw/images/none.jpg", jpeg(seed=21))
    told = assert_as_full(nights, "two", "one")
    names = {kind: [uri.removeprefix(nights.root) for uri in told[kind]] for kind in ("new", "changed", "gone")}
    assert names == {"new": ["/raw/05b.jsonl"], "changed": ["/raw/02.jsonl"], "gone": ["/raw/07.jsonl"]}
    assert told["files"] == {"new": 1, "changed": 1, "gone": 1, "same": 7}
    assert told["previous"] == f"{nights.root}/one" and told["blocks"]["reused"] >= 2
    nights.put("raw/images/3.jpg", jpeg(seed=33, quality=60))  # overwritten: most rows name it
    nights.put("raw/images/13.bmp", bmp(seed=34))
    told = assert_as_full(nights, "three", "two")
    assert told["files"] == {"new": 0, "changed": 0, "gone": 0, "same": 9}
    assert told["blocks"]["reused"] < told["blocks"]["worked"]


def test_a_night_needs_the_one_before_no_longer_once_it_is_sealed(
    nights: Nights, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nights.run("one") == 0
    capsys.readouterr()
    assert nights.run("two", "--previous", f"{nights.root}/one") == 0
    assert (
        f"blocks are those of {nights.root}/one; input files: 0 new, 0 changed, 0 gone, 9 same."
        in capsys.readouterr().out
    )
    nights.move("one", "elsewhere")
    assert nights.run("three", "--previous", f"{nights.root}/two") == 0
    blocks = nights.manifest("three")["run"]["night"]["blocks"]
    assert blocks["worked"] == 1 < blocks["reused"]  # one image is missing still
    two, three = nights.folder("two"), nights.folder("three")
    assert two["train.jsonl"] == three["train.jsonl"] and two["images.parquet"] == three["images.parquet"]


def test_what_is_damaged_is_worked_anew_and_named(tmp_path: Path) -> None:
    """A machine that loses its power may leave files that are there, and empty or cut off."""
    nights = Nights(str(tmp_path), None, tmp_path / "scratch")
    nights.put("raw/images/1.jpg", jpeg(seed=1))
    for number in range(3):
        nights.rows(f"raw/{number}.jsonl", 12, ["images/1.jpg"], seed=number)
    assert nights.run("one") == 0
    parts = sorted(Path(nights.root, "one/_tuneset").rglob("*.*"))
    keys = sorted({path.name.split(".")[0] for path in parts if path.suffix == ".train"})
    for key, kind, left in zip(keys, ("receipt", "images", "train", "images"), (0, 200, 200, None)):
        (path,) = (path for path in parts if path.name.startswith(key) and path.suffix == f".{kind}")
        data = path.read_bytes()
        path.unlink()  # the dataset may be linked to it
        if left is not None:
            path.write_bytes(data[:left])
    nights.put(f"one/_tuneset/00/{0:032}.receipt", b"")  # of a block that tonight has not
    assert nights.run("two", "--previous", f"{nights.root}/one") == 0
    blocks = sum(path.suffix == ".receipt" for path in parts)
    night = nights.manifest("two")["run"]["night"]
    assert night["blocks"] == {"reused": blocks - 4, "worked": 4} and night["damaged_parts"] == 4
    assert sorted(name.rpartition(".")[2] for name in night["damaged"]) == ["images", "images", "receipt", "train"]
    one, two = (nights.folder(name) for name in ("one", "two"))
    two["manifest.json"] |= {key: one["manifest.json"][key] for key in ("output", "options")}
    assert_equal_folders(one, two)


def test_a_rewritten_image_that_is_gone_is_made_again(nights: Nights) -> None:
    assert nights.run("one") == 0
    (rewritten,) = {
        image["output"] for image in nights.folder("one")["images.parquet"] if image["fate"] == "recompressed"
    }
    nights.remove(rewritten.removeprefix(nights.root + "/"))
    assert_as_full(nights, "two", "one")


# --- what it costs


@pytest.fixture
def cloudy(cloud: Cloud, tmp_path: Path) -> Nights:
    made = Nights(cloud.uri, cloud, tmp_path / "scratch")
    for i in range(40):
        made.put(f"raw/images/{i}.jpg", jpeg(seed=i))
    for number in range(4):
        made.rows(
            f"raw/{number}.jsonl", 30, [f"images/{i}.jpg" for i in range(10 * number, 10 * number + 10)], seed=number
        )
    made.rows("raw/9.jsonl", 1, ["images/none.jpg", "images/0.jpg", "images/1.jpg"], seed=9)
    return made


def asked(proxy: Proxy) -> Counter[str]:
    """Requests for images since the last time: whole looks (GET of bytes) and questions (metadata)."""
    of_images = [r for r in proxy.seen if r.name.startswith("raw/images/") and not r.name.endswith(".json")]
    found = Counter("looks" if r.reads else "questions" for r in of_images)
    proxy.forget()
    return found


@pytest.mark.parametrize("flag", ["", "--trust_uris"])
def test_unchanged_images_cost_one_question_or_none(cloudy: Nights, proxy: Proxy, flag: str) -> None:
    assert cloudy.run("one", "--block_bytes", "1000000") == 0
    proxy.forget()
    flags = ["--block_bytes", "1000000", "--previous", f"{cloudy.root}/one", *([flag] if flag else [])]
    assert cloudy.run("two", *flags) == 0
    # One block in all, which holds a missing image: it is worked again, and only that image is looked at.
    assert cloudy.manifest("two")["run"]["night"]["blocks"] == {"reused": 0, "worked": 1}
    assert asked(proxy) == Counter({"looks": 1} | ({} if flag else {"questions": 40}))
    cloudy.put("raw/images/none.jpg", jpeg(seed=99))
    assert cloudy.run("three", *flags) == 0
    asked(proxy)
    again = [*flags[:3], f"{cloudy.root}/three", *flags[4:]]
    assert cloudy.run("four", *again) == 0
    assert cloudy.manifest("four")["run"]["night"]["blocks"] == {"reused": 1, "worked": 0}
    assert asked(proxy) == ({} if flag else {"questions": 41})
    assert cloudy.folder("four")["train.jsonl"] == cloudy.folder("three")["train.jsonl"]


def test_one_changed_image_of_a_block_is_the_only_one_that_is_read(cloudy: Nights, proxy: Proxy) -> None:
    cloudy.put("raw/images/none.jpg", jpeg(seed=99))
    flags = ["--block_bytes", "1000000"]
    assert cloudy.run("one", *flags) == 0
    cloudy.put("raw/images/7.jpg", jpeg(seed=77))
    asked(proxy)
    assert cloudy.run("two", *flags, "--previous", f"{cloudy.root}/one") == 0
    assert asked(proxy) == {"looks": 1, "questions": 41}


# --- what is refused


def test_options_that_need_another_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = ["--input", f"{tmp_path}/raw.jsonl", "--output", f"{tmp_path}/out"]
    for flags, said in (
        (["--previous", f"{tmp_path}/one"], "--previous needs --image_folder"),
        (["--trust_uris"], "--trust_uris says something"),
        (["--require_previous"], "--require_previous says that --previous FOLDER has to be of use"),
    ):
        assert prepare([*base, *flags]) == 2
        assert said in capsys.readouterr().err


def test_what_runs_write_is_not_the_input_of_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "raw/cat/a.bmp", bmp())
    write_rows(tmp_path / "rows/a.jsonl", 5)
    asks = ["--prompt", "?", "--answer", "{path.parent}"]

    def run(source: str, output: str, *flags: str) -> tuple[int, str, int]:
        """-> (exit status, what was said, examples read)."""
        status = prepare(["--input", f"{tmp_path}/{source}", "--output", f"{tmp_path}/{output}", *flags])
        told = capsys.readouterr()
        manifest = tmp_path / output / "manifest.json"
        counters = json.loads(manifest.read_bytes())["dataset"]["counters"] if manifest.exists() else {}
        return status, told.out + told.err, counters.get("examples_read", 0)

    made = ["--image_folder", f"{tmp_path}/raw/made", *asks]
    for output in ("one", "two"):
        status, said, read = run("raw/", output, *made)
        assert (status, read) == (0, 1)
        assert f"! datasets_left_out: {tmp_path}/raw/ without what Tuneset wrote: {tmp_path}/raw/made. " in said
    shared = ["--image_folder", f"{tmp_path}/rows/images", "--keep_blocks"]  # of rows only the files of rows are read
    status, said, read = run("rows/", "rows/one", *shared)
    assert (status, read) == (0, 5) and "datasets_left_out" not in said
    status, said, read = run("rows/", "rows/two", *shared, "--previous", f"{tmp_path}/rows/one")
    assert (status, read) == (0, 5)
    assert f"! datasets_left_out: {tmp_path}/rows/ without what Tuneset wrote: {tmp_path}/rows/one. " in said
    assert json.loads((tmp_path / "rows/two/manifest.json").read_bytes())["run"]["night"]["blocks"]["worked"] == 0


def test_what_runs_write_may_not_lie_where_they_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path / "raw/a.bmp", bmp())
    given = ["--input", f"{tmp_path}/raw", "--output", f"{tmp_path}/out", "--prompt", "?"]
    assert prepare([*given, "--image_folder", f"{tmp_path}/raw"]) == 2
    assert "raw lies inside --input" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_kinds_of_change() -> None:
    before, tonight = ("before", "1"), ("tonight", "1")
    assert kind_of_change("a", [tonight]) == ("new", "a")
    assert kind_of_change("a", [before]) == ("gone", "a")
    assert kind_of_change("a", [tonight, before]) == ("same", "a")
    assert kind_of_change("a", [("tonight", "2"), before]) == ("changed", "a")


# --- tuneset sweep


def swept(capsys: pytest.CaptureFixture[str], nights: Nights, *flags: str) -> tuple[int, set[str], str]:
    capsys.readouterr()
    status = main(["sweep", "--image_folder", f"{nights.root}/images", *flags])
    told = capsys.readouterr()
    return status, set(told.out.split()), told.err


def outputs(nights: Nights, night: str) -> set[str]:
    return {image["output"] for image in nights.folder(night)["images.parquet"] if image["output"]}


def test_sweep_lists_and_removes_what_no_dataset_names(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    assert nights.run("one") == 0
    nights.put("raw/images/13.bmp", bmp(seed=40))
    nights.put("images/notes.txt", b"somebody's own")
    assert nights.run("two", "--previous", f"{nights.root}/one") == 0
    old = outputs(nights, "one") - outputs(nights, "two")
    assert len(old) == 1
    forgotten = swept(capsys, nights, "--datasets", f"{nights.root}/two", "--min_age_hours", "0", "--remove")
    assert forgotten[:2] == (2, set()) and f"{nights.root}/one uses {nights.root}/images too" in forgotten[2]
    both = f"{nights.root}/one,{nights.root}/two/"
    assert swept(capsys, nights, "--datasets", both, "--min_age_hours", "0")[:2] == (0, set())
    each = [word for night in both.split(",") for word in ("--datasets", night)]
    assert swept(capsys, nights, *each, "--min_age_hours", "0", "--remove")[:2] == (0, set())
    nights.move("one", "elsewhere")
    assert swept(capsys, nights, "--datasets", f"{nights.root}/two")[:2] == (0, set())  # too young
    now = ("--datasets", f"{nights.root}/two", "--min_age_hours", "0")
    status, listed, said = swept(capsys, nights, *now)
    assert (status, listed) == (0, old) and "1 images" in said and "--remove removes them" in said
    assert swept(capsys, nights, *now, "--remove")[:2] == (0, old)
    assert swept(capsys, nights, *now)[:2] == (0, set())
    assert nights.run("three", "--previous", f"{nights.root}/two") == 0  # nothing that it needs is gone
    assert nights.manifest("three")["run"]["night"]["blocks"]["worked"] == 1


def test_sweep_refuses_what_it_cannot_know(nights: Nights, capsys: pytest.CaptureFixture[str]) -> None:
    nights.put("images/readme.txt", b"a folder that is there")
    none = ("--datasets", f"{nights.root}/none")
    status, listed, said = swept(capsys, nights, *none)
    assert (status, listed) == (2, set()) and "is not a shared folder" in said
    add_user(f"{nights.root}/images", f"{nights.root}/gone")
    status, listed, said = swept(capsys, nights, *none)
    assert (status, listed) == (2, set()) and "is not a sealed dataset" in said
    assert swept(capsys, nights, "--datasets", f"{nights.root}/none", "--min_age_hours", "-1")[0] == 2
    assert swept(capsys, nights)[0] == 2


def test_sweep_leaves_images_whose_name_ends_in_zeros(tmp_path: Path) -> None:
    digests = ["ab" * 15 + end for end in ("00", "01", "ab")] + ["00" * 15 + "01"]
    named = [put(tmp_path / f"images/{digest[:2]}/{digest}.jpg", b"x") for digest in digests]
    stale = put(tmp_path / f"images/cd/{'cd' * 15}00.jpg", b"x")
    files = [f"images-{number:05d}-of-00002.parquet" for number in range(2)]
    for number, name in enumerate(files):
        some = named[number::2]
        pq.write_table(pa.table({"output": some, "source": [""] * len(some)}), tmp_path / name)
    put(tmp_path / "manifest.json", json.dumps({"dataset": {"files": [{"name": name} for name in files]}}).encode())
    used = UsedImages()
    assert used.add(str(tmp_path)) == len(named) and used.add(str(tmp_path)) == 0
    assert [found.uri for found in used.unnamed(f"{tmp_path}/images", time.time() + 1)] == [stale]
