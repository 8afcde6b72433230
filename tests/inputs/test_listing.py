"""Listing: which files a pattern gives, in which order, and which it leaves out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from folders import put
from listed_files import listed

from transforms.inputs.patterns import absolute, first_files, list_pattern, matches, static_folder
from transforms.storage.api import NotFound, Stat

pytestmark = pytest.mark.usefixtures("no_stores_left")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    names = (
        "a.jsonl",
        "b.txt",
        ".hidden.jsonl",
        ".git/c.jsonl",
        "d/e.jsonl",
        "d/f.ndjson",
        "d/g/h.JSONL.gz",
        "d.jsonl",
    )
    for name in names:
        put(tmp_path / name, b"{}\n")
    os.symlink(tmp_path / "d", tmp_path / "linked")
    os.symlink(tmp_path / "nowhere", tmp_path / "dangling.jsonl")
    return tmp_path


@pytest.mark.parametrize(
    "pattern, names",
    [
        ("a.jsonl", ["a.jsonl"]),
        ("*.jsonl", ["a.jsonl", "d.jsonl"]),
        ("?.jsonl", ["a.jsonl", "d.jsonl"]),
        ("[ab].*", ["a.jsonl", "b.txt"]),
        ("*/*.jsonl", ["d/e.jsonl", "linked/e.jsonl"]),
        ("d/**/*", ["d/e.jsonl", "d/f.ndjson", "d/g/h.JSONL.gz"]),
        ("d/**/**/*.jsonl", ["d/e.jsonl"]),
        # A folder: by full name as bytes; hidden ones and linked folders are passed over.
        ("", ["a.jsonl", "b.txt", "d.jsonl", "d/e.jsonl", "d/f.ndjson", "d/g/h.JSONL.gz"]),
        ("d", ["d/e.jsonl", "d/f.ndjson", "d/g/h.JSONL.gz"]),
        ("d/", ["d/e.jsonl", "d/f.ndjson", "d/g/h.JSONL.gz"]),
        ("no*.jsonl", []),
    ],
)
def test_a_pattern_gives_its_files_in_order(tree: Path, pattern: str, names: list[str]) -> None:
    found = [str(Path(f.uri).relative_to(tree)) for f in list_pattern(f"{tree}/{pattern}")]
    assert found == names
    assert found == sorted(found, key=os.fsencode)


def test_a_missing_file_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        list(list_pattern(f"{tmp_path}/no.jsonl"))


@pytest.mark.parametrize(
    "pattern, folder",
    [("/a/b/*.jsonl", "/a/b"), ("/a/b*/c.jsonl", "/a"), ("/a/b.jsonl", "/a"), ("gs://b/x/**", "gs://b/x"),
     ("gs://b/x/", "gs://b/x/"), ("/*.jsonl", "/"), ("gs://b/x [1]/", "gs://b/x [1]/")],
)  # fmt: skip
def test_the_static_folder_of_a_pattern_holds_all_it_can_match(pattern: str, folder: str) -> None:
    assert static_folder(pattern) == folder


@pytest.mark.parametrize(
    "pattern, uri, named",
    [
        ("gs://b/x/*.jsonl", "gs://b/x/a.jsonl", True),
        ("gs://b/x/*.jsonl", "gs://b/x/y/a.jsonl", False),
        ("gs://b/x/a?b.jsonl", "gs://b/x/a/b.jsonl", False),
        ("gs://b/x/a?b.jsonl", "gs://b/x/a-b.jsonl", True),
        ("gs://b/x/[ab].jsonl", "gs://b/x/b.jsonl", True),
        ("gs://b/x/[!ab].jsonl", "gs://b/x/b.jsonl", False),
        ("gs://b/x/[!ab].jsonl", "gs://b/x/c.jsonl", True),
        ("gs://b/**/a.jsonl", "gs://b/a.jsonl", True),
        ("gs://b/**/a.jsonl", "gs://b/x/y/a.jsonl", True),
        ("gs://b/**/a.jsonl", "gs://b/x/ya.jsonl", False),
        ("gs://b/**", "gs://b/x/y.jsonl", True),
        ("gs://b/a.c", "gs://b/abc", False),
        ("gs://b/a+.*", "gs://b/a+.jsonl", True),
        ("gs://b/x/", "gs://b/x/a.jsonl", True),
        ("gs://b/x/", "gs://b/xy/a.jsonl", False),
        ("/d/a.jsonl", "/d/a.jsonl", True),
        ("/d", "/d/e/a.jsonl", True),
        # What a folder passes over is free for a later pattern to name.
        ("/d", "/d/notes.txt", False),
        ("/d", "/d/.hidden/a.jsonl", False),
        ("/d [1]/", "/d [1]/a.jsonl", True),
    ],
)
def test_whether_a_pattern_names_a_file_is_a_matter_of_strings(pattern: str, uri: str, named: bool) -> None:
    assert matches(pattern, uri) is named


def test_a_file_that_two_patterns_name_is_read_once_where_the_first_stands(tree: Path) -> None:
    d, root = f"{tree}/d", str(tree)
    assert listed((f"{d}/f.ndjson", d, f"{root}/*.jsonl")) == (
        [f"{d}/f.ndjson", f"{d}/e.jsonl", f"{d}/g/h.JSONL.gz", f"{root}/a.jsonl", f"{root}/d.jsonl"],
        0,
    )


def test_a_file_that_a_folder_skips_is_read_if_it_is_named(tree: Path) -> None:
    named = (str(tree), f"{tree}/b.txt", f"{tree}/.hidden.jsonl")
    files, skipped = listed(named)
    assert (files[-2:], skipped) == ([f"{tree}/b.txt", f"{tree}/.hidden.jsonl"], 5)
    assert len(files) == len(set(files)) == 7


def first(pattern: str, output: str) -> dict[str, Stat]:
    return first_files(pattern, ["gemini", "folder", "table"], [output], bool)


def test_files_below_the_output_are_no_input(tree: Path) -> None:
    assert listed((f"{tree}/**/*.jsonl",), output=f"{tree}/d") == (
        [f"{tree}/a.jsonl", f"{tree}/d.jsonl"],  # not linked/e.jsonl: `**` follows no link
        0,
    )
    assert first(f"{tree}/d", f"{tree}/other") and not first(f"{tree}/d", f"{tree}/d")


def test_a_folder_without_a_dataset_finds_no_file(tmp_path: Path) -> None:
    put(tmp_path / "notes.txt", b"x")
    put(tmp_path / ".hidden.jsonl", b"{}\n")
    assert not first(str(tmp_path), "/nowhere")
    assert first(f"{tmp_path}/notes.txt", "/nowhere")


def test_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    (tmp_path / "d").mkdir()
    assert [absolute(p) for p in ("a/../b.jsonl", "d/", "file:///x/a.jsonl", "file://localhost/x", "~/a", "gs://b/./x")] == [
        f"{tmp_path}/b.jsonl", f"{tmp_path}/d/", "/x/a.jsonl", "/x", "/home/someone/a", "gs://b/./x",
    ]  # fmt: skip
