"""A local file gets its name only if nothing has it, whatever the file system can do, and whoever dies meanwhile."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from folders import jpeg, put, read_folder, write_rows
from linkless import without_links

from beam_jobs.commands.prepare import prepare
from transforms.storage import local_create
from transforms.storage.api import Refused, Stat
from transforms.storage.local import LocalStore

NO_LINKS = [errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV]
NO_RENAME = [0, errno.EINVAL, errno.ENOSYS, errno.EPERM]
Told = pytest.CaptureFixture[str]


@pytest.mark.parametrize("rename", NO_RENAME)
@pytest.mark.parametrize("link", NO_LINKS)
def test_without_links_a_file_is_created_once_and_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, link: int, rename: int
) -> None:
    without_links(monkeypatch, link, rename)
    store, uri = LocalStore(), f"{tmp_path}/new/f"
    assert store.create(uri, b"first") and not store.create(uri, b"second!")
    assert store.copy(Stat(uri, 5, ""), f"{tmp_path}/copy") and not store.copy(Stat(uri, 5, ""), f"{tmp_path}/copy")
    assert read_folder(tmp_path) == {"new/f": b"first", "copy": b"first"}


def test_a_rename_never_replaces_what_came_meanwhile(tmp_path: Path) -> None:
    old, new = put(tmp_path / "old", b"1"), put(tmp_path / "new", b"2")
    with pytest.raises(FileExistsError):
        local_create._rename_noreplace(old, new)
    with pytest.raises(FileNotFoundError):
        local_create._rename_noreplace(f"{tmp_path}/none", f"{tmp_path}/other")
    local_create._rename_noreplace(old, f"{tmp_path}/other")
    assert read_folder(tmp_path) == {"new": b"2", "other": b"1"}


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_links_and_locks_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    without_links(monkeypatch, errno.EPERM, errno.EINVAL)
    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(Refused, match="it has no hard links, or no locks on folders"):
        LocalStore().create(f"{tmp_path}/out/f", b"data")
    assert read_folder(tmp_path) == {}


def test_a_job_there_says_why_it_cannot_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Told) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    without_links(monkeypatch, errno.EPERM, errno.EINVAL)
    monkeypatch.setattr(fcntl, "flock", refuse)
    rows = write_rows(tmp_path / "rows.jsonl", 2)
    assert prepare(["--input", rows, "--output", f"{tmp_path}/out"]) == 1
    assert "no locks on folders (No locks available): choose a folder on another one" in capsys.readouterr().err


WRITER = """
import errno, os, sys
from transforms.storage import local_create as placing
from transforms.storage.local import LocalStore

def refuse(code):
    def call(*_):
        raise OSError(code, os.strerror(code))
    return call

folder, name, way = sys.argv[1:]
os.link = refuse(errno.EPERM)
if way == "lock":
    placing._rename_noreplace = refuse(errno.EINVAL)
print("ready", flush=True)
sys.stdin.readline()
for number in range(400):
    if LocalStore().create(f"{folder}/{number:03}", name.encode() * 50_000):
        with open(f"{folder}/won.{name}", "a") as won:
            won.write(f"{number:03}\\n")
"""


@pytest.mark.parametrize("way", ["renameat2", "lock"])
def test_of_many_processes_one_creates_each_file_and_readers_see_it_whole(tmp_path: Path, way: str) -> None:
    """One of three writers is killed at work: nothing that it had begun is seen, and it keeps nobody waiting."""
    program = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*program, name, way], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for name in "abc"]
    for writer in writers:
        assert writer.stdout and writer.stdout.readline() == b"ready\n"
    for writer in writers:
        assert writer.stdin
        writer.stdin.write(b"go\n")
        writer.stdin.flush()

    whole, torn = {name.encode() * 50_000 for name in "abc"}, set[str]()
    while any(writer.poll() is None for writer in writers):
        there = [path for path in tmp_path.iterdir() if path.name.isdigit()]
        torn |= {path.name for path in there if path.read_bytes() not in whole}
        if len(there) > 50:
            writers[0].kill()
    for writer in writers:
        writer.communicate()

    assert torn == set()
    names = {path.name: path.read_bytes()[:1].decode() for path in tmp_path.iterdir() if path.name.isdigit()}
    assert len(names) == 400 and writers[0].returncode == -signal.SIGKILL
    for name in "abc":
        log = tmp_path / f"won.{name}"
        told = set(log.read_text().split()) if log.exists() else set()
        untold = {one for one, winner in names.items() if winner == name} ^ told
        assert len(untold) <= (name == "a")  # the one that was killed may have made a file that it did not tell of


def test_a_job_on_a_file_system_without_links_makes_the_same_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "rows/1.jpg", jpeg(seed=1))
    put(tmp_path / "rows/2.jpg", jpeg(300, 200, seed=2, quality=100))
    write_rows(tmp_path / "rows/a.jsonl", 12, images=["1.jpg", "2.jpg"])
    flags = ["--input", f"{tmp_path}/rows/", "--output", f"{tmp_path}/out", "--max_image_bytes", "20000"]

    def made(to: str) -> dict[str, object]:
        assert prepare(flags) == 0
        (tmp_path / "out").rename(tmp_path / to)
        return {name: data for name, data in read_folder(tmp_path / to).items() if name != "manifest.json"}

    expected = made("with")
    without_links(monkeypatch, errno.EOPNOTSUPP, errno.ENOSYS)
    assert made("without") == expected
