"""The store of local files: what is no file, names, relative paths, and writes that fail."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from transforms.storage import local
from transforms.storage.api import Forbidden, NotAFile, NotFound, Piece, StorageError
from transforms.storage.local import LocalStore
from transforms.storage.local_walk import translate


@pytest.fixture
def odd_files(tmp_path: Path) -> Iterator[dict[str, str]]:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "folder").mkdir()
    names = {name: str(tmp_path / name) for name in ("fifo", "dangling", "loop", "folder")}
    yield names | {"device": "/dev/zero", "nul": str(tmp_path / "a\0b"), "long": str(tmp_path / ("n" * 256))}


@pytest.mark.parametrize(
    "which, error",
    [
        ("fifo", NotAFile),
        ("device", NotAFile),
        ("folder", NotAFile),
        ("loop", NotAFile),
        ("long", NotAFile),
        ("dangling", NotFound),
        ("nul", NotFound),
    ],
)
def test_local_what_is_no_file(odd_files: dict[str, str], which: str, error: type[StorageError]) -> None:
    for ask in (LocalStore().stat, LocalStore().read):
        with pytest.raises(error):
            ask(odd_files[which])


def test_local_list_passes_over_what_is_no_file(odd_files: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    (tmp_path / "folder link").symlink_to(tmp_path / "folder")
    assert [found.uri for found in LocalStore().list(str(tmp_path))] == [str(tmp_path / "file"), str(tmp_path / "link")]
    assert list(LocalStore().list(odd_files["nul"])) == []


def test_local_relative_paths_stay_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = LocalStore()
    assert store.create("a", b"abc") and store.replace("b", b"def", "")
    store.join("c", [Piece("a", 0, 3, 3), Piece("b", 0, 3, 3)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"abc", "b": b"def", "c": b"abcdef"}


def test_local_longest_names_can_be_written(tmp_path: Path) -> None:
    for name in ("n" * 255, "😀" * 63):
        assert LocalStore().create(str(tmp_path / name), b"x") and LocalStore().replace(str(tmp_path / name), b"y", "")
    assert len(list(tmp_path.iterdir())) == 2


def test_local_writers_of_two_machines_never_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two containers that share a folder may both be process 1, in threads of one number."""
    store, uri = LocalStore(), str(tmp_path / "f")
    with store._aside(uri) as one:
        monkeypatch.setattr(local, "_TOKEN", os.urandom(4).hex())  # as in a process of its own
        with store._aside(uri) as other:
            assert one != other


def test_local_failed_writes_leave_nothing(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"x")
    store = LocalStore()
    with pytest.raises(NotAFile):
        store.replace(str(tmp_path / "folder"), b"x", "")
    with pytest.raises(NotAFile):
        store.create(str(tmp_path / "file" / "f"), b"x")
    missing = str(tmp_path / "missing")
    with pytest.raises(NotFound, match="missing does not exist"):
        store.join(str(tmp_path / "out"), [Piece(missing, 0, 3, 3)])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_what_may_not_be_written_is_forbidden(number: int) -> None:
    """So that whoever wrote to a read-only disk is told to choose another folder, and nothing is tried again."""
    assert isinstance(translate(OSError(number, os.strerror(number)), "/disk/a"), Forbidden)
