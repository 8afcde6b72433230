"""Names cut into ranges: they cover everything once and in order, part nothing that belongs together, and share the work."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from typing import Any

import pytest
from cloud import Cloud
from folders import write_rows
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.commands.prepare import prepare
from transforms.core.places import FolderSet
from transforms.inputs import name_ranges
from transforms.inputs.name_ranges import after, cut_names
from transforms.storage.api import Stat
from transforms.storage.gcs.store import GcsStore

FOLDER = "gs://bucket/in"


class Names:
    """Names in memory that are listed as Cloud Storage lists them; counts requests."""

    def __init__(self, names: list[str]) -> None:
        self.uris, self.requests = sorted(f"{FOLDER}/{name}" for name in names), 0

    def list(
        self,
        prefix: str,
        *,
        deep: bool = True,
        start: str = "",
        end: str = "",
        page: int = 0,
        without: Collection[str] = (),
    ) -> Iterator[Stat]:
        self.requests += 1
        left_out = FolderSet(without)
        low = bisect_left(self.uris, start)
        high = bisect_left(self.uris, end) if end else len(self.uris)
        for uri in self.uris[low:high]:
            if not left_out.holding(uri):
                yield Stat(uri, 1, "1")


def cut(names: list[str]) -> tuple[list[list[str]], Names]:
    """The names in each range."""
    store: Any = Names(names)
    cuts = cut_names(store, FOLDER)
    return [[found.uri for found in store.list(FOLDER, start=start, end=end)] for start, end in cuts], store


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_ranges, "PAGE", 10)
    monkeypatch.setattr(name_ranges, "RANGES", 8)


LETTERS = st.text(st.sampled_from("ab./-é\U0010ffff\ud7ff"), min_size=1, max_size=6)


@settings(max_examples=150)
@given(st.sets(LETTERS, max_size=60))
def test_ranges_cover_everything_once_in_order_and_part_no_stem(names: set[str]) -> None:
    before = name_ranges.PAGE, name_ranges.RANGES
    name_ranges.PAGE, name_ranges.RANGES = 4, 8
    try:
        found, store = cut(sorted(names))
    finally:
        name_ranges.PAGE, name_ranges.RANGES = before
    assert [uri for some in found for uri in some] == store.uris

    def stem(uri: str) -> str:
        folder, slash, name = uri.rpartition("/")
        return folder + slash + name.partition(".")[0] + "."

    stems = [{stem(uri) for uri in some if "." in uri.rpartition("/")[2]} for some in found]
    assert sum(map(len, stems)) == len(set().union(*stems))


@pytest.mark.parametrize(
    "names",
    [
        [f"{i:09d}.jpg" for i in range(0, 100_000, 37)],
        [f"photos/{i % 7}/{i:06x}-{i}.jpg" for i in range(2_000)],
        [f"{i * 2654435761 % 2**32:08x}.png" for i in range(2_000)],
    ],
    ids=["numbers", "folders", "hashes"],
)
def test_many_names_are_shared_out(names: list[str], small_pages: None) -> None:
    found, store = cut(names)
    assert 8 <= len(found) <= 120 and max(map(len, found)) <= len(names) / 4
    assert [uri for some in found for uri in some] == store.uris


def test_names_that_are_left_out_move_no_cut(small_pages: None) -> None:
    """Blocks end at cuts: those of unchanged files must stay, whatever datasets come to lie beside them."""
    photos = [f"photos/{i:04d}.jpg" for i in range(300)] + [f"z{i}.jpg" for i in range(60)]
    nights = [f"nights/{night}" for night in range(30)]
    written = [f"{night}/images/{i:02x}/{i:032x}.jpg" for night in nights for i in range(0, 256, 7)]
    store: Any = Names([*photos, *written, *(f"{night}/train.jsonl" for night in nights)])
    without = [f"{FOLDER}/{night}" for night in nights]
    alone: Any = Names(photos)
    assert cut_names(store, FOLDER, without) == cut_names(alone, FOLDER) != cut_names(store, FOLDER)


def test_few_names_are_not_cut(small_pages: None) -> None:
    for number, most in ((0, 1), (9, 1), (10, 10)):
        found, _ = cut([f"{i}.jpg" for i in range(number)])
        assert len(found) <= most and sum(map(len, found)) == number
    assert cut_names(Names([]), "/local/folder") == [("", "")]  # type: ignore[arg-type]


def test_requests_are_limited(small_pages: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_ranges, "_REQUESTS", 20)
    found, store = cut([chr(0x4E00 + i) + f"{j}" for i in range(500) for j in range(20)])
    assert [uri for some in found for uri in some] == store.uris
    assert store.requests - len(found) <= 40


def test_the_first_text_after_a_beginning() -> None:
    assert after("ab") == "ac" and after("a\ud7ff") == "a\ue000"
    assert after("a\U0010ffff") == "b" and after("\U0010ffff") == ""


def test_a_folder_of_cloud_storage_is_listed_in_ranges(
    cloud: Cloud, small_pages: None, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server's own offsets; and a dataset does not depend on how its input was listed."""
    names = [f"{i:04d}" for i in range(0, 900, 31)] + ["b/é", "b/z", "c"]
    for number, name in enumerate(names):
        text = write_rows(tmp_path / "rows.jsonl", 2, seed=number)
        with open(text, "rb") as file:
            cloud.put(f"in/{name}.jsonl", file.read())
    store, folder = GcsStore(), f"{cloud.uri}/in"
    everything = list(store.list(folder))
    cuts = cut_names(store, folder)
    assert len(cuts) >= 8
    assert [found for start, end in cuts for found in store.list(folder, start=start, end=end)] == everything
    assert list(store.list(folder, page=3)) == everything
    datasets = []
    for output in ("cut", "whole"):
        argv = ["--input", f"{folder}/", "--output", f"{cloud.uri}/{output}"]
        assert prepare(argv) == 0
        datasets.append(cloud.bucket.blob(f"{output}/train.jsonl").download_as_bytes())
        monkeypatch.setattr(name_ranges, "RANGES", 1)
    assert datasets[0] == datasets[1] != b""
