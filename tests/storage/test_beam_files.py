"""Other schemes: rows of a file system that only Beam knows are read through it, and what it cannot do is said."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem
from folders import read_folder, write_rows

from beam_jobs.commands.prepare import prepare
from beam_jobs.preflight import beam_options
from beam_jobs.settings import parse
from transforms.storage import api, store_for
from transforms.storage.api import NotFound, Stat, StorageError


class Shelf(LocalFileSystem):
    """A file system that Beam knows and Tuneset does not: shelf://NAME is NAME in a folder of this machine."""

    root = Path()

    @classmethod
    def scheme(cls) -> str:
        return "shelf"

    def _here(self, path: str) -> str:
        return str(self.root / path.removeprefix("shelf://"))

    def _list(self, dir_or_prefix: str) -> Any:
        for found in super()._list(self._here(dir_or_prefix).rstrip("/") + "/"):
            name = f"shelf://{Path(found.path).relative_to(self.root)}"
            yield FileMetadata(name, found.size_in_bytes, found.last_updated_in_seconds)

    def exists(self, path: str) -> bool:
        return super().exists(self._here(path))

    def split(self, path: str) -> tuple[str, str]:
        return tuple(path.rsplit("/", 1)) if path.count("/") > 2 else (path, "")  # type: ignore[return-value]

    def open(self, path: str, *how: Any, **named: Any) -> Any:
        return super().open(self._here(path), *how, **named)

    def _path_open(self, path: str, *how: Any, **named: Any) -> Any:
        return super()._path_open(path, *how, **named)

    def metadata(self, path: str) -> FileMetadata:
        found = super().metadata(self._here(path))
        return FileMetadata(path, found.size_in_bytes, found.last_updated_in_seconds)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Shelf, "root", tmp_path / "shelf")
    return tmp_path / "shelf"


def test_rows_of_another_scheme_are_read_through_beam(shelf: Path, tmp_path: Path) -> None:
    local = Path(write_rows(tmp_path / "rows.jsonl", 300))
    (shelf / "in").mkdir(parents=True)
    (shelf / "in/rows.jsonl").write_bytes(local.read_bytes())
    (shelf / "in/notes.md").write_text("not rows")
    outputs = []
    for source, name in (("shelf://in/", "a"), (str(local), "b")):
        flags = ["--block_bytes", "4096"]
        assert prepare(["--input", source, "--output", str(tmp_path / name), *flags]) == 0
        outputs.append(read_folder(tmp_path / name))
    assert outputs[0]["train.jsonl"] == outputs[1]["train.jsonl"] != b""
    assert outputs[0]["validation.jsonl"] == outputs[1]["validation.jsonl"]


def test_what_another_scheme_cannot_do_is_said(
    shelf: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (shelf / "in").mkdir(parents=True)
    (shelf / "in/a").write_bytes(b"0123456789")
    store = store_for("shelf://in/a")
    found = store.stat("shelf://in/a")
    assert store.read("shelf://in/a", 2, 5, found.generation) == (b"234", found)
    assert store.read("shelf://in/a", 8, 20) == (b"89", found) and store.read("shelf://in/a", 10, 20) == (b"", found)
    assert list(store.list("shelf://in")) == [found]
    with pytest.raises(NotFound):
        store.stat("shelf://in/b")
    with pytest.raises(api.Changed):
        store.read("shelf://in/a", 0, 1, "9-9")
    with monkeypatch.context() as patch, pytest.raises(api.Unavailable, match="3 bytes came of 5"):
        patch.setattr(Shelf, "open", lambda *_, **__: io.BytesIO(b"01234"))
        store.read("shelf://in/a", 2, 7)
    for call in (store.create, store.replace):
        with pytest.raises(StorageError, match="cannot create a file only if it is absent"):
            call("shelf://in/c", b"", "")
    with pytest.raises(StorageError, match="can only be read"):
        store.copy(Stat("shelf://in/a", 10, ""), "shelf://in/d")
    assert prepare(["--input", "shelf://in/", "--output", "shelf://out"]) == 2
    assert "cannot create a file only if it is absent" in capsys.readouterr().err
    assert beam_options(parse(["--input", "x", "--output", "y"])) is not None
