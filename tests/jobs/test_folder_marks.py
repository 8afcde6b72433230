"""A manifest widens what a check may read only if the user's own command led to it, in its place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from folders import png, put, row, write_lines

from beam_jobs.checking.row_files import choose_files
from transforms.images.folder_marks import is_marked, mark_of


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state/tuneset/key"


def dataset(folder: Path, **more: Any) -> dict[str, Any]:
    """What a manifest says of a dataset in a folder, whose rows and images were in /data/in."""
    files = [{"name": "train.jsonl"}]
    return {"output": str(folder), "inputs": ["/data/in/*.jsonl"], "files": files, "options": {}, **more}


def sealed(folder: Path, told: dict[str, Any], mark: Any) -> str:
    write_lines(folder / "train.jsonl", [row("?", [put(folder / "a.png", png())])])
    (folder / "manifest.json").write_text(json.dumps({"dataset": told, "run": {"mark": mark}}))
    return str(folder)


def test_a_marked_manifest_is_believed_where_it_was_written(tmp_path: Path, state: Path) -> None:
    told = dataset(tmp_path / "out", upload={"from": "/data/images", "to": "gs://b/images"})
    mark = mark_of(told, may_make=True)
    folder = sealed(tmp_path / "out", told, mark)
    chosen = choose_files({"input": folder})
    assert chosen.readable == ("/data/images", "/data/in") and chosen.unproven == ()
    assert chosen.uploads == (("gs://b/images", "/data/images"),)
    assert state.stat().st_mode & 0o777 == 0o600 and mark_of(told, may_make=True) == mark

    moved = str((tmp_path / "out").rename(tmp_path / "moved"))
    chosen = choose_files({"input": moved})
    assert (chosen.readable, chosen.unproven, chosen.uploads) == ((), ("/data/images", "/data/in"), ())


@pytest.mark.parametrize(
    "told",
    [
        {"inputs": ["/etc/*.jsonl"]},
        {"options": {"image_folder": "/etc"}},
        {"options": {"allow_prefix": ["/etc"]}},
        {"upload": {"from": "/etc", "to": "gs://b/images"}},
    ],
)
def test_a_manifest_that_names_other_folders_than_were_marked_widens_nothing(tmp_path: Path, told: Any) -> None:
    mark = mark_of(dataset(tmp_path / "out"), may_make=True)
    for forged in (mark, "", "0" * 32, None, 7, ["x"], "\u00e9"):
        folder = sealed(tmp_path / "out", dataset(tmp_path / "out", **told), forged)
        chosen = choose_files({"input": folder})
        assert chosen.readable == () and chosen.uploads == () and any("/etc" in one for one in chosen.unproven)
        assert choose_files({"train": f"{folder}/train.jsonl"}).readable == ()


def test_folders_below_the_rows_need_no_mark(tmp_path: Path) -> None:
    own = {
        "inputs": [f"{tmp_path}/out/rows.jsonl"],
        "upload": {"from": f"{tmp_path}/out/images", "to": "gs://b/images"},
    }
    chosen = choose_files({"input": sealed(tmp_path / "out", dataset(tmp_path / "out", **own), "")})
    assert (chosen.unproven, chosen.uploads) == ((), (("gs://b/images", f"{tmp_path}/out/images"),))


@pytest.mark.parametrize("fault", ["readable by others", "short", "a link", "another's"])
def test_a_secret_that_others_may_know_marks_nothing(tmp_path: Path, state: Path, fault: str) -> None:
    told = dataset(tmp_path / "out")
    mark = mark_of(told, may_make=True)
    manifest = {"dataset": told, "run": {"mark": mark}}
    assert is_marked(str(tmp_path / "out"), manifest)
    if fault == "readable by others":
        state.chmod(0o644)
    elif fault == "short":
        state.write_bytes(b"x" * 31)
    elif fault == "a link":
        state.rename(tmp_path / "key")
        state.symlink_to(tmp_path / "key")
    else:
        state.write_bytes(os.urandom(32))
    assert not is_marked(str(tmp_path / "out"), manifest)


def test_without_a_place_for_the_secret_there_is_no_mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "file", b"")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert mark_of(dataset(tmp_path / "out"), may_make=True) == ""
    assert not is_marked(str(tmp_path / "out"), {"dataset": dataset(tmp_path / "out"), "run": {"mark": ""}})
