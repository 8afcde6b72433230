"""What patterns find: globs as Python's and a shell's, whatever links, rights, depths and lengths of names a folder holds."""

from __future__ import annotations

import glob
import inspect
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from folders import put
from hypothesis import given, settings
from hypothesis import strategies as st
from inspecting import no_rights
from listed_files import listed

from transforms.inputs.patterns import list_pattern, matches, static_folder
from transforms.storage.api import Forbidden
from transforms.storage.globs import compiled


def names(pattern: str) -> list[str]:
    return [found.uri for found in list_pattern(pattern)]


# Globs

_PART = st.sampled_from(["a", "b", "*", "**", "a*", "*b", "?", "[ab]", "[!a]", "*.*", ".*", ".a", "a**", "a.b"])
_NAME = st.sampled_from(["a", "b", "ab", "a.b", ".a", "b.a"])


@settings(max_examples=150)
@given(
    st.lists(st.lists(_NAME, min_size=1, max_size=4), max_size=8),
    st.lists(st.lists(_PART, min_size=1, max_size=4), min_size=1, max_size=8),
)
def test_a_local_glob_finds_what_pythons_does(files: list[list[str]], patterns: list[list[str]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        for parts in files:
            path = Path(root, *parts)
            if not path.exists() and not any(parent.is_file() for parent in path.parents):
                put(path, b"")
        for parts in patterns:
            pattern = "/".join([root, *parts])
            found = {path for path in glob.iglob(pattern, recursive=True) if os.path.isfile(path)}
            if glob.has_magic(pattern) or found:
                assert names(pattern) == sorted(found, key=os.fsencode), pattern


def plainly(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression that says what it means and may take for ever."""
    known = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]", "[ab]": "(?!/)[ab]", "[!a]": "(?!/)[^a]"}
    tokens = re.findall(r"\*\*/?|\[.*?\]|.", pattern)
    return re.compile("".join(known.get(token, re.escape(token)) for token in tokens), re.DOTALL)


_TOKENS = st.lists(st.sampled_from(["a", "b", "/", "*", "**", "**/", "?", "[ab]", "[!a]", "a*", "/**/"]), max_size=9)
_NAMES = st.lists(st.text("aab//c\n", max_size=12), min_size=1, max_size=20)


@settings(max_examples=500)
@given(_TOKENS, _NAMES)
def test_a_glob_of_objects_matches_what_it_says(tokens: list[str], uris: list[str]) -> None:
    pattern = "".join(tokens)
    fast, plain = compiled(pattern).fullmatch, plainly(pattern).fullmatch
    assert [bool(fast(uri)) for uri in uris] == [bool(plain(uri)) for uri in uris]


@pytest.mark.parametrize(
    "pattern, name, named",
    [
        ("**/" + "*_" * 30 + ".jsonl", "_" * 500, False),
        ("**/" + "*_" * 30 + ".jsonl", "d/" * 200 + "_" * 100, False),
        ("**" + "a**b**" * 20 + "x", "ab" * 250, False),
        ("**/" * 20 + "x", "a/" * 250, False),
        ("**/" + "*a*a/**/" * 10 + "x", "aaa/" * 120, False),
        ("**/" + "*a*a/**/" * 10 + "x", "aaa/" * 120 + "x", True),
    ],
)
def test_no_name_makes_a_glob_slow(pattern: str, name: str, named: bool) -> None:
    """Each of them would take hours if stars were tried at all lengths."""
    assert matches(f"gs://b/{pattern}", f"gs://b/{name}") is named


# Names that look like globs


def test_a_local_file_whose_name_looks_like_a_glob_is_that_file(tmp_path: Path) -> None:
    for name in ("in[1]/a[1].jsonl", "in[1]/a1.jsonl", "in1/a1.jsonl", "in[1]/b*.jsonl", "in[1]/bc.jsonl"):
        put(tmp_path / name, b"{}\n")
    folder = f"{tmp_path}/in[1]"
    assert names(f"{folder}/a[1].jsonl") == [f"{folder}/a[1].jsonl"]
    assert names(f"{folder}/b*.jsonl") == [f"{folder}/b*.jsonl"]
    assert names(f"{tmp_path}/in[1]/a?.jsonl") == [f"{tmp_path}/in1/a1.jsonl"]  # there is none of this name
    assert static_folder(f"{folder}/a[1].jsonl") == folder
    assert listed((f"{folder}/a[1].jsonl", folder)) == (
        [f"{folder}/{name}.jsonl" for name in ("a[1]", "a1", "b*", "bc")],
        0,
    )


# Links, rights, depths


def test_links_that_lead_in_circles_are_not_followed_for_ever(tmp_path: Path) -> None:
    put(tmp_path / "a.jsonl", b"{}\n")
    put(tmp_path / "d/b.jsonl", b"{}\n")
    for name in ("x", "y"):
        os.symlink(".", tmp_path / name)
    os.symlink("loop.jsonl", tmp_path / "loop.jsonl")
    os.symlink("../a.jsonl", tmp_path / "d/c.jsonl")
    os.symlink("loop", tmp_path / "d/loop")
    files = [f"{tmp_path}/a.jsonl", f"{tmp_path}/d/b.jsonl", f"{tmp_path}/d/c.jsonl"]
    assert names(f"{tmp_path}/**/*.jsonl") == names(f"{tmp_path}/**") == names(f"{tmp_path}/") == files
    assert names(f"{tmp_path}/[d]/loop") == names(f"{tmp_path}/[d]/loop/a.jsonl") == []
    assert names(f"{tmp_path}/*/*.jsonl") == [*files[1:], f"{tmp_path}/x/a.jsonl", f"{tmp_path}/y/a.jsonl"]


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with files in folders of another, who lets nobody in, or only by name, or only see names."""
    for name in ("open", "closed", "named", "seen", ".closed"):
        put(tmp_path / name / "a.jsonl", b"{}\n")
    for name, mode in {".": 0o755, "closed": 0o700, ".closed": 0o700, "named": 0o711, "seen": 0o744}.items():
        (tmp_path / name).chmod(mode if os.geteuid() == 0 else (mode & 7) << 6)
    monkeypatch.chdir(tmp_path)  # nobody may not be let into the folders around it


@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize(
    "pattern", ["./closed/", "./seen/", "./**/a.jsonl", "./*/*.jsonl", "./[sx]een/*", "./clos?d/a.jsonl"]
)
def test_what_may_not_be_looked_at_does_not_vanish(pattern: str) -> None:
    with no_rights(), pytest.raises(Forbidden, match="may not be opened"):
        names(pattern)


@pytest.mark.usefixtures("guarded")
def test_what_a_pattern_does_not_need_may_be_closed() -> None:
    with no_rights():
        assert names("./op*/*") == names("./op*/**") == ["./open/a.jsonl"]
        assert names("./n*/a.jsonl") == ["./named/a.jsonl"]  # which may be asked for by name alone
        assert names("./*.jsonl") == []


def test_a_folder_nested_deeper_than_python_goes_is_listed(tmp_path: Path) -> None:
    path = "/".join([str(tmp_path), *"d" * 150])
    os.makedirs(path)
    put(Path(path) / "a.jsonl", b"{}\n")
    limit = sys.getrecursionlimit()
    try:
        sys.setrecursionlimit(len(inspect.stack()) + 100)
        found = names(f"{tmp_path}/"), names(f"{tmp_path}/**/*.jsonl")
    finally:
        sys.setrecursionlimit(limit)
    assert found == ([f"{path}/a.jsonl"], [f"{path}/a.jsonl"])


def test_what_has_too_long_a_path_counts_as_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "in/a.jsonl", b"{}\n")
    os.chdir("in")
    for _ in range(18):
        os.mkdir("d" * 250)
        os.chdir("d" * 250)
    Path("b.jsonl").write_bytes(b"{}\n")
    os.chdir(tmp_path)
    assert listed((f"{tmp_path}/in",)) == listed((f"{tmp_path}/in/**/*.jsonl",)) == ([f"{tmp_path}/in/a.jsonl"], 1)
    shutil.rmtree(tmp_path / "in")
