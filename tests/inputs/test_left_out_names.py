"""Names that are listed and not read: which kind each is, locally and in Cloud Storage, of folders and globs."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from cloud import Cloud
from folders import put
from hypothesis import given
from hypothesis import strategies as st

from transforms.core.counters import broken_laws
from transforms.core.listing_tally import OTHER_ENDINGS, ListingTally, added_up
from transforms.core.records import Block, Input
from transforms.inputs.cells.csv_dialect import Wanted
from transforms.inputs.cutting import Cutter
from transforms.inputs.metadata_files import find_metadata
from transforms.inputs.name_kinds import kind_of_unread, unread_place
from transforms.steps import listing

NAMES = {
    "cat/1.jpg": "",
    "cat/1.txt": "sidecar",
    "cat/2.jpg_large": "almost_image",
    "cat/3.jpg?w=1": "almost_image",
    "cat/4.jpeg~": "almost_image",
    "cat/LICENSE": "no_ending",
    "cat/clip.MP4": "ending",
    "cat/labels.csv": "table",
    "cat/labels.ODS": "other_rows",
    "cat/more.tar.gz": "archive",
    "cat/.x.jpg": "hidden",
    "cat/._1.jpg": "system",
    "cat/@eaDir/1.jpg/SYNOPHOTO_THUMB_M.jpg": "system",
    "__MACOSX/cat/._1.jpg": "system",
    "#recycle/5.jpg": "system",
    "$RECYCLE.BIN/6.jpg": "system",
    "lost+found/7.jpg": "system",
    ".thumbnails/8.jpg": "system",
    "Thumbs.db": "system",
    "thumbs.db.jpg": "",
    "my@eaDir/9.jpg": "",
    "sample_submission.csv": "submission",
    "submission.csv": "table",
}


def listed(one_input: Input, columns: tuple[str, ...] = ()) -> tuple[list[str], ListingTally]:
    """Files that are taken of an input, and what became of its names."""
    cutter = Cutter(1000, 1000, Wanted(columns=columns))
    options = listing.ListBlocks(inputs=(one_input,), cutter=cutter, output="/nowhere")
    taken: list[str] = []
    tallies = []
    for some in listing.cut_input((0, one_input), "/nowhere"):
        for found in listing._ListFiles(options).begin(some):
            if isinstance(found, Block):
                taken += [extent.uri for extent in found.extents]
            else:
                tallies.append(found.value)
    return taken, added_up(tallies)


def expected(row_format: str = "folder") -> Counter[str]:
    kinds = Counter(f"left_out_{kind}" for kind in NAMES.values() if kind)
    total = sum(kinds.values())
    taken = len(NAMES) - total
    return kinds + Counter(names_listed=len(NAMES), files_skipped=total, pictures_taken=taken)


def test_names_of_a_local_folder_are_counted_by_kind(tmp_path: Path) -> None:
    for name in NAMES:
        put(tmp_path / name, b"x")
    os.symlink(tmp_path / "cat", tmp_path / "linked")
    os.symlink(tmp_path / "nothing", tmp_path / "dangling.jpg")
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    os.symlink(tmp_path / "cat/1.jpg", tmp_path / "to-a-file.jpg")
    taken, tally = listed(Input(str(tmp_path), "folder", str(tmp_path)))
    assert tally.counters == expected() + Counter(names_listed=4, left_out_link=3, files_skipped=3, pictures_taken=1)
    assert taken == [f"{tmp_path}/{name}" for name in ("cat/1.jpg", "my@eaDir/9.jpg", "thumbs.db.jpg", "to-a-file.jpg")]
    assert broken_laws(tally.counters) == []
    assert tally.warnings.counts["left_out_link"] == (3, f"{tmp_path}/dangling.jpg/")


def test_names_of_a_cloud_folder_and_of_globs_are_counted_alike(cloud: Cloud, bucket: str) -> None:
    for name in NAMES:
        cloud.put(f"in/{name}", b"x")
    taken, tally = listed(Input(f"{bucket}/in/", "folder", f"{bucket}/in"))
    assert tally.counters == expected() and len(taken) == 3
    taken, tally = listed(Input(f"{bucket}/in/**/*.jpg", "folder", f"{bucket}/in"))
    assert "left_out_hidden" not in tally.counters and tally.counters["left_out_system"] == 7
    taken, tally = listed(Input(f"{bucket}/in/lost+found/*.jpg", "folder", f"{bucket}/in"))
    assert taken == [f"{bucket}/in/lost+found/7.jpg"] and tally.counters["files_skipped"] == 0


def test_metadata_is_found_in_cloud_storage(cloud: Cloud, bucket: str) -> None:
    names = (
        "metadata.csv",
        "cat/metadata.jsonl",
        "cat/metadata.txt",
        "a/b/images/metadata.parquet",
        "@eaDir/metadata.csv",
    )
    for name in names:
        cloud.put(f"in/{name}", b"x")
    found = find_metadata(f"{bucket}/in", [])
    assert found.uris == tuple(f"{bucket}/in/{names[at]}" for at in (3, 1, 0)) and found.whole
    assert found.nearer(f"{bucket}/in/metadata.csv") == (f"{bucket}/in/a/b/images", f"{bucket}/in/cat")


@pytest.mark.parametrize(
    "row_format, name, kind",
    [
        ("table", "a.jpg", "picture"),
        ("gemini", "a.csv", "table"),
        ("gemini", "a.txt", "ending"),
        ("table", "a\udcff.csv", "unreadable"),
        ("table", "a.csv/", "unreadable"),
        ("table", "a.csv", ""),
    ],
)
def test_kinds_of_other_formats(row_format: str, name: str, kind: str) -> None:
    suffixes = Cutter(1, 1, Wanted()).suffixes(row_format)
    assert kind_of_unread(f"/in/{name}", "1", row_format, suffixes) == kind


def test_a_name_that_a_pattern_spells_is_meant() -> None:
    assert unread_place("@eaDir/a/.DS_Store", "@eaDir/*/*", hidden=False) == "system"
    assert unread_place("@eaDir/a/b", "@eaDir/*/*", hidden=False) == ""
    assert unread_place("x/._a.jpg", "*/._*.jpg", hidden=False) == ""


@given(st.lists(st.tuples(st.sampled_from(["ending", "system"]), st.integers(0, 5)), max_size=30), st.integers(0, 30))
def test_tallies_add_up_in_any_order(names: list[tuple[str, int]], cut: int) -> None:
    def tally(some: list[tuple[str, int]]) -> ListingTally:
        made = ListingTally()
        for kind, number in some:
            made.leave_out(kind, f"/in/{number}", f".{number % 3}")
        return made

    parts = tally(names[:cut]), tally(names[cut:])
    assert added_up(parts) == added_up(reversed(parts)) == tally(names)


def test_more_endings_than_are_told_apart_are_counted_together() -> None:
    tally = ListingTally()
    for number in range(1002):
        tally.leave_out("ending", f"/in/x.{number:04}", f".{number:04}")
    assert tally.endings[OTHER_ENDINGS] == (2, "/in/x.1000") and len(tally.frequent_endings()) == 20
