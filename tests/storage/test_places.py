"""Places that rows name: what a URI says, and which places the options allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.job import places
from beam_jobs.preflight import on_this_machine
from beam_jobs.settings import parse
from transforms.core.places import LONGEST, inside
from transforms.core.reasons import ImageError
from transforms.storage.places import Places, normalise, plain_objects, plain_paths


@pytest.mark.parametrize(
    "uri, base, path",
    [
        ("/data/a.png", "", "/data/a.png"),
        ("/data//x/./a.png", "", "/data/x/a.png"),
        ("//data/a.png", "", "/data/a.png"),  # posixpath keeps two leading slashes
        ("/data/../../../etc/a.png", "", "/etc/a.png"),
        ("/data/%2e%2e/a.png", "", "/data/%2e%2e/a.png"),  # a path is literal: this is a folder of that name
        ("a.png", "/data", "/data/a.png"),
        ("../a.png", "/data/in", "/data/a.png"),
        ("x:y.png", "/data", "/data/x:y.png"),
        ("a.png", "/", "/a.png"),
        ("file:///data/a.png", "", "/data/a.png"),
        ("file://localhost/data/a%20b.png", "", "/data/a b.png"),
        ("file://localhost//data/./a.png", "", "/data/a.png"),
        ("file:///data/%2e%2E/etc/a.png", "", "/etc/a.png"),
        ("file:///data/..%2Fa.png", "", "/a.png"),
        ("file:///data/%252e%252e/a.png", "", "/data/%2e%2e/a.png"),  # decoded once
        ("gs://b/a.png", "/data", "gs://b/a.png"),
        ("gs://b/x//a.png", "", "gs://b/x//a.png"),  # an object name is literal too
        ("gs://b/a..b/...png", "", "gs://b/a..b/...png"),
        ("a.png", "gs://b/in", "gs://b/in/a.png"),
        ("../a.png", "gs://b/in", "gs://b/a.png"),
        ("../../../a.png", "gs://b/in", "gs://b/a.png"),  # no way out of the bucket
    ],
)
def test_every_place_has_one_spelling(uri: str, base: str, path: str) -> None:
    assert normalise(uri, base) == path
    assert normalise(path) == path


@pytest.mark.parametrize(
    "uri, reason",
    [
        ("", "bad_uri"),
        ("/data/a\0.png", "bad_uri"),
        ("/data/a\n.png", "bad_uri"),
        ("file:///data/a%00.png", "bad_uri"),
        ("a.png", "bad_uri"),  # relative, and the row stands in no folder
        ("gs://", "bad_uri"),
        ("gs://b", "bad_uri"),
        ("gs://b/", "bad_uri"),
        ("gs:///a.png", "bad_uri"),
        ("gs://b/x/", "bad_uri"),
        ("gs://b/../a.png", "bad_uri"),
        ("gs://b/x/./a.png", "bad_uri"),
        ("gs://b/x/..", "bad_uri"),
        ("gs://b/%2e%2e/a.png", "bad_uri"),
        ("gs://b/x/.%2E/a.png", "bad_uri"),
        ("gs://b/%2e/a.png", "bad_uri"),
        ("http:/x/a.png", "unsupported_scheme"),
        ("ftp://x/a.png", "unsupported_scheme"),
        ("s3://b/a.png", "unsupported_scheme"),
        ("GS://b/a.png", "unsupported_scheme"),
        ("data:image/png;base64,AAAA", "unsupported_scheme"),
        ("javascript:alert(1)", "unsupported_scheme"),
        ("data:image/png;base64," + "A" * 9000, "unsupported_scheme"),
        ("gs://b/" + "a" * 8186, "bad_uri"),
        ("/" + "a" * 8192, "bad_uri"),
        ("file://other/data/a.png", "unsupported_scheme"),
        ("file://localhost", "unsupported_scheme"),
        ("file://localhost.evil/data/a.png", "unsupported_scheme"),
    ],
)
def test_what_is_no_place_has_its_reason(uri: str, reason: str) -> None:
    with pytest.raises(ImageError) as caught:
        normalise(uri)
    assert caught.value.reason == reason


@settings(max_examples=500)
@given(
    st.lists(
        st.sampled_from(["..", ".", "%2e%2e", "%2E", "/", "//", "a", "file://", "localhost", "gs://b", "%2f", "x"])
    )
)
def test_no_spelling_leads_out_of_a_folder(pieces: list[str]) -> None:
    for uri in (
        "".join(pieces),
        "/".join(pieces),
        "/allowed/" + "/".join(pieces),
        "file:///allowed/" + "/".join(pieces),
    ):
        try:
            path = Places(("/allowed",)).resolve(uri, "/allowed/in")
        except ImageError:
            continue
        # Judged by the system's own walk, in which nothing is decoded any more.
        assert os.path.abspath(path) == path and (path + "/").startswith("/allowed/")


@pytest.mark.parametrize("longer", [0, 1, 5000])
@pytest.mark.parametrize("before", [0, 1, 137, 138])
def test_the_longest_uri_is_read_and_no_longer_one_is_plain(before: int, longer: int) -> None:
    """Wherever it stands among others."""
    long = "a" * (LONGEST - 7 + longer)
    for quick, start in ((plain_objects, "gs://b/"), (plain_paths, "b/c/d/e")):
        assert not quick([f"{start}x.jpg"] * before + [start + long, f"{start}x.jpg"]) or not longer
        assert quick([f"{start}x.jpg"] * 2000)
    if not longer:
        assert normalise(f"gs://b/{long}") == f"gs://b/{long}"


ODD = st.sampled_from(
    ["a", "b.jpg", "c d", "é", "/", "//", "/.", ".", "..", "%2e", ":", "\n", "\0", "\x7f", "gs://", "b/"]
)
NAMES = st.lists(ODD, max_size=5).map("".join)


@settings(max_examples=500)
@given(st.lists(NAMES.map("gs://b/".__add__) | NAMES, max_size=4))
def test_what_is_plain_needs_no_resolving(uris: list[str]) -> None:
    """The quick test of many at once agrees with the slow one of each; that it says yes at all is tested in its docstring."""
    if plain_objects(uris):
        assert [normalise(uri, "/data") for uri in uris] == uris and all(uri.startswith("gs://") for uri in uris)
    if plain_paths(uris):
        assert [normalise(uri, "/data") for uri in uris] == [f"/data/{uri}" for uri in uris]


@settings(max_examples=300)
@given(st.sampled_from(["gs://b/a.jpg", "gs://b/c d/é.jpg"]), NAMES, st.integers(0, 2))
def test_one_odd_name_among_plain_ones_is_seen(plain: str, odd: str, at: int) -> None:
    many = [plain, plain]
    many.insert(at, odd)
    assert plain_objects(many) == plain_objects([odd])
    paths = [plain[7:], plain[7:]]
    paths.insert(at, odd)
    assert plain_paths(paths) == plain_paths([odd])


@pytest.mark.parametrize(
    "path, folder, within",
    [
        ("/data/a.png", "/data", True),
        ("/data", "/data", True),
        ("/database/a.png", "/data", False),
        ("/a.png", "/", True),
        ("gs://b/x/a.png", "gs://b/x", True),
        ("gs://b/xy/a.png", "gs://b/x", False),
        ("gs://b/a.png", "gs://b", True),
        ("gs://bb/a.png", "gs://b", False),
    ],
)
def test_a_prefix_is_of_whole_segments(path: str, folder: str, within: bool) -> None:
    assert inside(path, folder) is within
    assert (why_not_resolved(path, folder) == "") is within


def why_not_resolved(uri: str, *folders: str) -> str:
    try:
        Places(folders).resolve(uri, "")
    except ImageError as error:
        return error.reason
    return ""


def allowed(*argv: str, remote: bool = False) -> Places:
    return places(on_this_machine(parse([*argv, "--output", "/tmp/nowhere"])), remote)


def test_by_default_any_object_and_local_files_below_the_inputs(tmp_path: Path) -> None:
    given = allowed("--input", f"{tmp_path}/a/*.jsonl,{tmp_path}/b/in.jsonl,gs://bucket/in.jsonl")
    assert given.folders == ("gs://", f"{tmp_path}/a", f"{tmp_path}/b")
    assert allowed("--input", "/in.jsonl").folders == ("gs://", "/")


def test_a_folder_whose_name_looks_like_a_glob_allows_itself_alone(tmp_path: Path) -> None:
    for name in ("set [1]", "what?", "a*"):
        (tmp_path / name).mkdir()
        for slash in ("", "/"):
            given = allowed("--input", f"{tmp_path}/{name}{slash}")
            assert given.folders == ("gs://", f"{tmp_path}/{name}")


def test_allow_prefix_replaces_both_defaults(tmp_path: Path) -> None:
    given = allowed("--input", f"{tmp_path}/in.jsonl", "--allow_prefix", "gs://bucket/x/, /data/../pics//")
    assert given.folders == ("gs://bucket/x", "/pics")
    for uri, reason in {
        "gs://bucket/x/a.png": "",
        "gs://bucket/xy/a.png": "not_allowed",
        "gs://other/x/a.png": "not_allowed",
        "/pics/a.png": "",
        "/pictures/a.png": "not_allowed",
        f"{tmp_path}/a.png": "not_allowed",
        "file://localhost/pics/%2e%2e/a.png": "not_allowed",
    }.items():
        assert why_not_resolved(uri, *given.folders) == reason, uri


def test_a_remote_runner_reads_no_local_file(tmp_path: Path) -> None:
    for more in ((), ("--allow_prefix", f"gs://,{tmp_path}")):
        given = allowed("--input", f"{tmp_path}/in.jsonl", *more, remote=True)
        assert given.folders == ("gs://",)
        assert why_not_resolved(f"{tmp_path}/a.png", *given.folders) == "not_allowed"
