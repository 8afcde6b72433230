"""Commands that the closing screen prints, pasted whole: what they upload is what the dataset names, and no file beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cloud import Cloud, Emulator
from folders import bmp, jpeg, png, put, row, write_lines
from laws import uris

from beam_jobs.__main__ import main
from transforms.dataset.sweep import written_at
from transforms.dataset.upload_list import UPLOADS
from transforms.storage.local import LocalStore

Screen = Callable[..., str]
SECRETS = (".env", ".git/config", "id_rsa", "notes.txt", "extra.png")
ODD = "it's [a] *cat?* $(touch gone) #1.jpg"


@pytest.fixture
def screen(capsys: pytest.CaptureFixture[str]) -> Screen:
    """Run `tuneset` -> what it prints; the last thing before a pasted command."""

    def run(*argv: str | Path) -> str:
        assert main(["prepare", *map(str, argv)]) == 0, capsys.readouterr().err
        return capsys.readouterr().out

    return run


def commands(text: str, *starts: str) -> list[str]:
    return [line[2:] for line in text.splitlines() if line.startswith(tuple(f"  {start}" for start in starts))]


def lines_of(folder: Path, *names: str) -> list[str]:
    return [line for name in names for line in (folder / name).read_text().splitlines()]


def project(folder: Path, name: str, rows: int = 3) -> Path:
    """A folder of somebody's work: rows, the images they name, and what nobody else may see -> the file of rows."""
    for secret in SECRETS:
        put(folder / secret, b"secret")
    images = [put(folder / "pictures" / f"{number} {ODD}", jpeg(seed=hash_of(name, number))) for number in range(rows)]
    images.append(put(folder / "-b.bmp", bmp(seed=hash_of(name, rows))))
    return Path(write_lines(folder / f"{name}.jsonl", [row(f"{name} {image}", [image]) for image in images]))


def hash_of(name: str, number: int) -> int:
    return sum(name.encode()) * 100 + number


# What is said


def test_images_are_named_by_content_wherever_they_lie(screen: Screen, tmp_path: Path) -> None:
    named = []
    for place in ("one/deep", "two"):
        source = project(tmp_path / place, "a")
        screen(
            "--input",
            source,
            "--output",
            tmp_path / f"{place}-out",
            "--uri_prefix",
            "gs://bucket/data/",
            "--splits",
            "train=1",
        )
        rows = [json.loads(line) for line in lines_of(tmp_path / f"{place}-out", "train.jsonl")]
        named.append([uris(one)[0] for one in rows[:3]])
    assert named[0] == named[1]
    for uri, number in zip(named[0], range(3)):
        name = uri.removeprefix("gs://bucket/data/images/")
        image = tmp_path / "two-out/images" / name[:2] / name
        assert image.samefile(tmp_path / "two/pictures" / f"{number} {ODD}")  # it takes no room
    manifest = json.loads((tmp_path / "two-out/manifest.json").read_bytes())["dataset"]
    assert manifest["upload"] == {"from": f"{tmp_path}/two-out/images", "to": "gs://bucket/data/images"}
    assert manifest["upload_list"]["lines"] == len(lines_of(tmp_path / "two-out", UPLOADS)) == 4


def test_the_list_holds_what_the_lines_name_and_no_more(screen: Screen, tmp_path: Path) -> None:
    """One image is fitted for an example that another image then spoils; one stands in many lines."""
    good, spare = put(tmp_path / "in/a.png", png()), put(tmp_path / "in/b.bmp", bmp())
    cut = put(tmp_path / "in/c.bmp", bmp(seed=3)[:-100])
    rows = [
        *(row(f"{number}?", [good]) for number in range(20)),
        row("both?", [spare, cut]),
        row("far?", ["gs://data/set/images/a.png"]),
    ]
    source = write_lines(tmp_path / "in/rows.jsonl", rows)
    screen("--input", source, "--output", tmp_path / "out", "--uri_prefix", "gs://data/set", "--allow_prefix", tmp_path)
    (listed,) = lines_of(tmp_path / "out", UPLOADS)
    assert (tmp_path / "out/images" / listed).samefile(good)


def test_a_linked_image_is_the_file_that_the_link_leads_to(screen: Screen, tmp_path: Path) -> None:
    real, link = put(tmp_path / "in/deep/a.png", png()), tmp_path / "in/link.png"
    link.symlink_to("deep/a.png")
    source = write_lines(tmp_path / "in/rows.jsonl", [row("what?", [str(link)])])
    argv = ("--input", source, "--output", tmp_path / "out", "--uri_prefix", "gs://data/set", "--splits", "train=1")
    screen(*argv)
    image = tmp_path / "out/images" / lines_of(tmp_path / "out", UPLOADS)[0]
    assert image.samefile(real) and not image.is_symlink()
    Path(real).write_bytes(png(seed=5))  # into the very file: what lies beside the dataset is put right by the next run
    screen(*argv, "--overwrite")
    assert len(lines_of(tmp_path / "out", UPLOADS)) == 1 and len(list((tmp_path / "out/images").rglob("*.png"))) == 1


def test_a_link_to_an_old_photograph_is_a_new_image(tmp_path: Path) -> None:
    """`tuneset sweep` leaves young images alone: what an unsealed run has just linked is one, however old its source."""
    photo, link = put(tmp_path / "photo.jpg", jpeg()), tmp_path / "link.jpg"
    os.utime(photo, (1, 1))
    before = LocalStore().stat(photo)
    assert written_at(before) == 1
    link.hardlink_to(photo)
    assert written_at(before) > time.time() - 60


def test_a_replay_has_places_of_its_own(screen: Screen, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in/rows.jsonl", [row("good"), row("bad", [f"{tmp_path}/in/gone.png"])])
    for prefix, own in (("gs://bucket/data", "gs://bucket/data-replayed"), ("gs://bucket", "gs://bucket/replayed")):
        argv = (
            "--input",
            source,
            "--output",
            tmp_path / "out",
            "--uri_prefix",
            prefix,
            "--overwrite",
            "--splits",
            "train=1",
        )
        (replay,) = commands(screen(*argv), "tuneset")
        assert f"--output {tmp_path}/out-replayed --uri_prefix {own} " in replay


def test_local_paths_are_said_to_be_bound_to_this_machine(screen: Screen, tmp_path: Path) -> None:
    source = project(tmp_path / "in", "a")
    said = screen("--input", source, "--output", tmp_path / "out")
    assert (
        "fileUri holds absolute paths of this machine" in said
        and "neither the images nor this folder are moved" in said
    )
    assert "Put a folder of yours in place of gs://BUCKET/FOLDER" in said
    assert "gcloud" not in said  # nothing can be uploaded yet, and nobody has to be let in


def test_what_nobody_looked_at_is_not_uploaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = project(tmp_path / "in", "a")
    argv = ["prepare", "--input", str(source), "--output", str(tmp_path / "out"), "--verify", "none"]
    assert main([*argv, "--uri_prefix", "gs://bucket/data"]) == 2
    assert "--verify none looks at no image: --uri_prefix needs another level" in capsys.readouterr().err
    assert main(argv) == 0
    assert "--verify" not in commands(capsys.readouterr().out, "tuneset")[-1]  # the usual level


def test_a_cloud_dataset_of_local_paths_is_made_again_with_another_level(
    screen: Screen, cloud: Cloud, tmp_path: Path
) -> None:
    source = project(tmp_path / "in", "a")
    said = screen("--input", source, "--output", f"{cloud.uri}/out", "--verify", "none")
    again = commands(said, "tuneset")[-1]
    assert "--verify" not in again and "--uri_prefix" not in again and f"{cloud.uri}/out-for-upload" in again


@pytest.mark.parametrize("letter", "*?#[]")
def test_a_prefix_that_gcloud_would_take_for_a_pattern(
    letter: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "rows.jsonl", b"{}")
    argv = ["--input", str(tmp_path / "rows.jsonl"), "--output", str(tmp_path / "out")]
    assert main(["prepare", *argv, "--uri_prefix", f"gs://bucket/a{letter}b"]) == 2
    assert "gcloud takes" in capsys.readouterr().err


# What is pasted


@pytest.fixture
def paste(gcs: Emulator, tmp_path: Path) -> Callable[[str], str]:
    """Run a printed command as a shell reads it, in a folder of its own, with the real gcloud."""
    assert shutil.which("gcloud"), "gcloud is not installed"
    environment = os.environ | {
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "true",
        "CLOUDSDK_CORE_PROJECT": "test",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{gcs.url}/storage/v1/",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()

    def run(command: str) -> str:
        done = subprocess.run(
            ["bash", "-ec", command], cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert list(elsewhere.iterdir()) == []
        return done.stdout

    return run


def named_by(folder: Path, prefix: str) -> set[str]:
    """URIs of what a local dataset names: its files, and the images of its lines below `prefix`."""
    files = [file["name"] for file in json.loads((folder / "manifest.json").read_bytes())["dataset"]["files"]]
    lines = [one for one in files if one.endswith(".jsonl") and one != "rejected.jsonl"]
    images = {uri for line in lines_of(folder, *lines) for uri in uris(json.loads(line))}
    return {
        *(uri for uri in images if uri.startswith(prefix)),
        *(f"{prefix}/{name}" for name in (*files, "manifest.json")),
    }


def objects(cloud: Cloud) -> set[str]:
    return {f"{cloud.uri}/{name}" for name in cloud.blobs()}


@pytest.mark.engines
def test_nothing_but_the_dataset_is_uploaded(
    screen: Screen, cloud: Cloud, paste: Callable[[str], str], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two inputs with no folder in common but the root, one of which is somebody's project."""
    folder, output = tmp_path / "my [work] * 'n' $HOME", tmp_path / "a [set] ?"
    far = Path("/dev/shm") / tmp_path_factory.mktemp("far").relative_to("/").as_posix().replace("/", "-")
    try:
        sources = f"{project(folder, 'a')},{project(far, 'b')}"
        prefix = f"{cloud.uri}/it's here"
        said = screen(
            "--input", sources, "--output", output, "--uri_prefix", prefix, "--image_folder", tmp_path / "shared [1]"
        )
        uploads = commands(said, "(cd")
        assert len(uploads) == 2
        for command in uploads:
            paste(command)
        assert objects(cloud) == named_by(output, prefix)
        for uri in named_by(output, prefix):
            assert not any(secret in uri for secret in SECRETS)
        images = {name: blob.generation for name, blob in cloud.blobs("it's here/images/").items()}
        assert len(images) == 8
        first = next(iter(images))
        cloud.bucket.blob(f"it's here/images/{first}").delete()
        paste(uploads[0])  # goes on: what is there is left
        after = {name: blob.generation for name, blob in cloud.blobs("it's here/images/").items()}
        assert after.keys() == images.keys() and {n for n in after if after[n] != images[n]} == {first}
        data = cloud.bucket.blob(f"it's here/images/{first}").download_as_bytes()
        assert data == (tmp_path / "shared [1]" / first[:2] / first).read_bytes()
    finally:
        shutil.rmtree(far)


@pytest.mark.engines
def test_a_dataset_of_cloud_images_is_uploaded_by_its_files(
    screen: Screen, cloud: Cloud, paste: Callable[[str], str], tmp_path: Path
) -> None:
    source = write_lines(tmp_path / "in/rows.jsonl", [row("a", [cloud.put("raw/a.jpg", jpeg())])])
    said = screen("--input", source, "--output", tmp_path / "out", "--splits", "train=1", "--keep_blocks")
    assert (
        "with a folder of yours in place of gs://BUCKET/FOLDER" in said and " and the bucket that you upload to" in said
    )
    (upload,) = commands(said, "(cd")
    paste(upload.replace("gs://BUCKET/FOLDER", f"{cloud.uri}/set"))
    assert objects(cloud) - {f"{cloud.uri}/raw/a.jpg"} == named_by(tmp_path / "out", f"{cloud.uri}/set")


def spoilt(folder: Path) -> str:
    """28 rows, of which one names a missing image and one is none; the good ones have a local image."""
    good = [row(f"what is {number}?", [put(folder / f"{number}.png", png(seed=number))]) for number in range(26)]
    rows = [*good[:13], row("missing?", [f"{folder}/gone.png"]), *good[13:], {"contents": []}]
    return write_lines(folder / "rows.jsonl", rows)


def mend(folder: Path, rejected: bytes) -> bytes:
    """The missing image comes, and the broken row is written anew -> rejected.jsonl."""
    put(folder / "gone.png", png(seed=99))
    lines = [json.loads(line) for line in rejected.splitlines()]
    for line in lines:
        if not line["row"]["contents"]:
            line["row"] = row("mended")
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


@pytest.mark.engines
def test_a_replay_and_its_first_run_become_one(
    screen: Screen, cloud: Cloud, paste: Callable[[str], str], tmp_path: Path
) -> None:
    source, prefix, names = spoilt(tmp_path / "in"), f"{cloud.uri}/data", ["train", "validation"]
    splits = "train=0.5,validation=0.5"
    said = screen("--input", source, "--output", tmp_path / "out", "--uri_prefix", prefix, "--splits", splits)
    (replay,), uploads = commands(said, "tuneset"), commands(said, "(cd")
    path = tmp_path / "out/rejected.jsonl"
    path.write_bytes(mend(tmp_path / "in", path.read_bytes()))
    said = paste(replay)
    for command in [*uploads, *commands(said, "(cd", "mkdir")]:
        paste(command)
    parts = {folder: text_of(cloud, folder, names) for folder in ("data", "data-replayed", "data-whole")}
    assert [len(part) for part in parts.values()] == [26, 2, 28]
    assert sorted(parts["data-whole"]) == sorted(parts["data"] + parts["data-replayed"])
    named = [uri for line in parts["data-whole"] for uri in uris(json.loads(line))]
    assert len(set(named)) == 27 and set(named) <= objects(cloud)


def text_of(cloud: Cloud, folder: str, names: list[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        blob: Any = cloud.bucket.get_blob(f"{folder}/{name}.jsonl")
        found += blob.download_as_text().splitlines() if blob else []
    return found


@pytest.mark.engines
def test_a_replay_in_the_cloud_and_its_first_run_become_one(
    screen: Screen, cloud: Cloud, paste: Callable[[str], str], tmp_path: Path
) -> None:
    source = spoilt(tmp_path / "in")
    (replay,) = commands(screen("--input", source, "--output", f"{cloud.uri}/out", "--splits", "train=1"), "tuneset")
    cloud.put("out/rejected.jsonl", mend(tmp_path / "in", cloud.bucket.blob("out/rejected.jsonl").download_as_bytes()))
    for command in commands(paste(replay), "gcloud storage cat"):
        paste(command)
    parts = [text_of(cloud, folder, ["train"]) for folder in ("out", "out-replayed", "out-whole")]
    assert [len(part) for part in parts] == [26, 2, 28] and parts[2] == parts[0] + parts[1]
