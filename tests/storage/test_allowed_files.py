"""What is opened: files inside allowed folders, and for every other place a row can name the reason why it is not read."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from folders import jpeg, png, put, read_folder, row, write_lines
from inspecting import inspector, no_rights

from beam_jobs.commands.prepare import prepare
from transforms import storage
from transforms.core.reasons import ImageError
from transforms.core.records import ImageFacts
from transforms.images.inspection import look, look_at
from transforms.storage.allowed_files import open_allowed, opened_folder
from transforms.storage.api import Changed, Forbidden, NotAFile, NotFound, Stat, StorageError, Unavailable
from transforms.storage.uris import is_local


def why(uri: str, base: str, *folders: str) -> str:
    """The reason why a written URI is not read, or "" if it is."""
    asked = inspector(*folders)
    try:
        source = asked.places.resolve(uri, base)
    except ImageError as error:
        assert error.image in (uri, "") and error.detail
        return error.reason
    facts = look(source, asked)
    if is_local(source):  # several of a folder are opened from it, and come to the same
        assert list(look_at([source, source], asked)[1]) == [facts, facts]
    return facts.reason


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """`in` may be read, `out` may not."""
    put(tmp_path / "in/a.jpg", jpeg())
    put(tmp_path / "out/secret.jpg", jpeg(seed=1))
    put(tmp_path / "in/deep/b.png", png())
    links = {
        "in/out.jpg": "../out/secret.jpg",
        "in/outside": "../out",
        "in/within.jpg": "deep/b.png",
        "in/twice.jpg": "out.jpg",
        "in/loop.jpg": "loop.jpg",
        "in/dangling.jpg": "nowhere.jpg",
        "in/there_and_back": "../out/back",
        "out/back": "../in/deep",
        "door": "in",
    }
    for name, target in links.items():
        os.symlink(target, tmp_path / name)
    os.mkfifo(tmp_path / "in/pipe.jpg")
    put(tmp_path / "in/empty.jpg", b"")
    put(tmp_path / "in/text.jpg", b"no image at all")
    return tmp_path


OPENED = {
    "a.jpg": "",
    "./deep//../a.jpg": "",
    "deep/b.png": "",
    "within.jpg": "",
    "there_and_back/b.png": "",  # links lead out and in again: what is opened lies inside
    "out.jpg": "not_a_file",
    "twice.jpg": "not_a_file",
    "outside/secret.jpg": "not_a_file",
    "loop.jpg": "not_a_file",
    "pipe.jpg": "not_a_file",
    "deep": "not_a_file",
    "x" * 300: "not_a_file",
    "dangling.jpg": "image_not_found",
    "missing.jpg": "image_not_found",
    "a.jpg/b.jpg": "image_not_found",
    "%2e%2e/out/secret.jpg": "image_not_found",
    "../out/secret.jpg": "not_allowed",
    "deep/../../out/secret.jpg": "not_allowed",
    "/etc/passwd": "not_allowed",
    "/dev/zero": "not_allowed",
    "file:///etc/passwd": "not_allowed",
    "empty.jpg": "empty_image",
    "text.jpg": "not_an_image",
    "http://127.0.0.1/a.jpg": "not_allowed",
    "ftp://127.0.0.1/a.jpg": "unsupported_scheme",
    "gs://bucket/x/../a.jpg": "bad_uri",
}


@pytest.mark.parametrize("named", OPENED)
def test_what_is_opened_is_a_file_inside(world: Path, named: str) -> None:
    assert why(named, f"{world}/in", f"{world}/in") == OPENED[named]


def test_file_uris_are_decoded_before_they_are_judged(world: Path) -> None:
    for middle, reason in (
        ("in/", ""),
        ("in/%2e%2e/out/../in/", ""),
        ("in/%2e%2E/in/deep/../", ""),
        ("", "image_not_found"),
    ):
        for host in ("", "localhost"):
            assert why(f"file://{host}{world}/{middle}a.jpg", "", str(world)) == reason
    assert why(f"file://localhost{world}/in/%2e%2e/out/secret.jpg", "", f"{world}/in") == "not_allowed"


def test_an_allowed_folder_may_itself_be_a_link(world: Path) -> None:
    door = f"{world}/door"
    assert why("a.jpg", door, door) == ""
    assert why("within.jpg", door, door) == ""
    assert why("out.jpg", door, door) == "not_a_file"


def test_what_is_put_in_a_folders_place_is_not_followed(world: Path) -> None:
    """Whatever happens between the check of a folder and the opening of its files."""
    folder, allowed = f"{world}/in/deep", (f"{world}/in",)
    with opened_folder(folder, allowed) as descriptor:
        os.rename(folder, f"{world}/in/moved")
        os.symlink(f"{world}/out", folder)
        put(world / "out/b.png", b"of another folder")
        os.symlink(f"{world}/out/secret.jpg", f"{world}/in/moved/c.png")
        opened, found = open_allowed(f"{folder}/b.png", allowed, descriptor)
        assert os.path.samestat(os.fstat(opened), os.stat(f"{world}/in/moved/b.png")) and found.size == len(png())
        with pytest.raises(FileNotFoundError):
            open_allowed(f"{folder}/secret.jpg", allowed, descriptor)
        with pytest.raises(FileNotFoundError):  # a link in the folder is opened by its whole path
            open_allowed(f"{folder}/c.png", allowed, descriptor)
        os.symlink("secret.jpg", f"{world}/out/c.png")
        with pytest.raises(NotAFile, match="leads out"):
            open_allowed(f"{folder}/c.png", allowed, descriptor)
        os.close(opened)


def test_a_folder_stands_for_its_files_only_where_it_lies_in_an_allowed_one(world: Path) -> None:
    def told(folder: str, allowed: str) -> bool:
        with opened_folder(f"{world}/{folder}", (f"{world}/{allowed}",)) as descriptor:
            return descriptor >= 0

    assert told("in", "in") and told("in/deep", "in") and told("in/there_and_back", "in")
    assert told("door", "door") and told("door/deep", "door")  # the allowed folder is itself a link
    assert not any(told(folder, "in") for folder in ("in/outside", "in/none", "in/a.jpg"))


def test_without_proc_the_path_is_asked_instead(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readlink = os.readlink

    def no_proc(path: Any, **options: Any) -> Any:
        if str(path).startswith("/proc/"):
            raise FileNotFoundError(path)
        return readlink(path, **options)

    monkeypatch.setattr(os, "readlink", no_proc)
    for named, reason in OPENED.items():
        assert why(named, f"{world}/in", f"{world}/in") == reason, named


def test_devices_and_sockets_are_not_opened_for_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket")  # a whole path may be too long for one
    assert why(f"{tmp_path}/socket", "", str(tmp_path)) == "not_a_file"
    server.close()
    for device in ("/dev/null", "/dev/zero", "/dev/tty"):
        assert why(device, "", "/dev") == "not_a_file"


def test_a_file_without_the_right_to_read_it_is_forbidden(world: Path) -> None:
    path = world / "in/a.jpg"
    assert why(str(path), "", str(world)) == ""
    path.chmod(0)
    with no_rights():
        assert why(str(path), "", str(world)) == "image_forbidden"


class Refusing:
    """A Cloud Storage that gives one answer to everything."""

    def __init__(self, error: StorageError) -> None:
        self._error = error

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        raise self._error


@pytest.mark.parametrize(
    "error, reason",
    [
        (NotFound("no such object"), "image_not_found"),
        (Forbidden("no access to the bucket"), "image_forbidden"),
        (Changed("overwritten between two reads, again and again"), "image_changed"),
    ],
)
def test_what_cloud_storage_refuses_has_its_reason(
    error: StorageError, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(storage._stores, "gs", Refusing(error))
    assert look("gs://bucket/a.jpg", inspector("gs://")) == ImageFacts(
        "gs://bucket/a.jpg", reason=reason, detail=str(error)
    )


def test_cloud_storage_that_is_away_rejects_no_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(storage._stores, "gs", Refusing(Unavailable("429, after retries")))
    monkeypatch.setattr(storage, "PAUSES", (0.0, 0.0))
    with pytest.raises(Unavailable, match="429"):
        look("gs://bucket/a.jpg", inspector("gs://"))


def test_a_job_gives_every_row_its_reason_and_reads_nothing_else(world: Path) -> None:
    rows = [row(f"What is it? {number}", [named]) for number, named in enumerate(OPENED)]
    source = write_lines(world / "in/rows.jsonl", rows)
    output = world / "dataset"
    assert prepare(["--input", source, "--output", str(output)]) == 0
    found = read_folder(output)
    told = [json.loads(line) for line in found["rejected.jsonl"].splitlines()]
    assert {r["image"]: r["reason"] for r in told} == {named: reason for named, reason in OPENED.items() if reason}
    assert [r["class"] for r in told] == ["missing" if r["reason"] == "image_not_found" else "yours" for r in told]
    assert all(r["base"] == f"{world}/in" and r["source"] == source for r in told)
    for image in found["images.parquet"]:
        if not image["source"].startswith(f"{world}/in/"):
            assert (image["bytes"], image["width"]) == (0, 0)
    used = (found["train.jsonl"] + found["validation.jsonl"]).decode()
    assert sorted(
        json.loads(line)["contents"][0]["parts"][0]["fileData"]["fileUri"] for line in used.splitlines()
    ) == sorted(os.path.normpath(f"{world}/in/{named}") for named, reason in OPENED.items() if not reason)
    assert "secret" not in used
