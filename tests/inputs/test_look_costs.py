"""What a look before the work costs in Cloud Storage: names and requests, however large a folder is."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence

import pytest

from beam_jobs.preflight import look_at_inputs, on_this_machine
from beam_jobs.settings import parse
from transforms import storage
from transforms.inputs.patterns import rows_on_top
from transforms.storage.api import NotFound, Stat

PAGE = 1000


class Bucket:
    """Names of empty objects, listed as Cloud Storage lists them; counts what is told."""

    def __init__(self, names: Sequence[str]) -> None:
        self.uris = sorted(f"gs://bucket/in/{name}" for name in names)
        self.names = self.requests = 0

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
        asked, below = 0, prefix.rstrip("/") + "/"
        at = bisect_left(self.uris, max(start, below))
        self.requests += 1
        while at < len(self.uris) and self.uris[at].startswith(below) and (not end or self.uris[at] < end):
            uri = self.uris[at]
            name = uri[len(below) :]
            if not deep and "/" in name:
                at = bisect_left(self.uris, f"{below}{name.partition('/')[0]}0")
                continue
            if asked and asked % (page or PAGE) == 0:
                self.requests += 1
            at, asked, self.names = at + 1, asked + 1, self.names + 1
            yield Stat(uri, 1, "1")

    def folders(self, folder: str) -> Iterator[tuple[Sequence[str], bool]]:
        below = folder.rstrip("/") + "/"
        names = dict.fromkeys(
            below + uri[len(below) :].partition("/")[0]
            for uri in self.uris
            if uri.startswith(below) and "/" in uri[len(below) :]
        )
        self.requests, self.names = self.requests + 1, self.names + len(names)
        yield list(names), False

    def stat(self, uri: str) -> Stat:
        raise NotFound(uri)

    def read(self, uri: str, start: int = 0, end: int | None = None, generation: str = "") -> tuple[bytes, Stat]:
        raise NotFound(uri)


LAYOUTS = pytest.mark.parametrize(
    "names",
    [
        [f"IMG_{number:06}.jpg" for number in range(200_000)],
        [f"{number:06}.jpg" for number in range(200_000)],
        [f"{number * 2654435761 % 2**32:08x}.jpg" for number in range(200_000)],
        [f"class{number % 5}/{number:06}.jpg" for number in range(200_000)],
        [f"{split}/class{number % 5}/{number:06}.jpg" for split in ("train", "val") for number in range(100_000)],
    ],
    ids=["one word", "numbers", "hashes", "classes", "splits"],
)


@LAYOUTS
def test_a_look_at_200_000_images(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = Bucket(names)
    monkeypatch.setitem(storage._stores, "gs", bucket)
    settings, _ = look_at_inputs(
        on_this_machine(parse(["--input", "gs://bucket/in/", "--output", "gs://bucket/out", "--prompt", "x"]))
    )
    assert settings.inputs[0].format == "folder"
    assert bucket.names <= 1000 and bucket.requests <= 85


@LAYOUTS
@pytest.mark.parametrize("table", ["train.csv", "labels.csv"])
def test_a_table_on_top_is_found_whatever_sorts_before(
    names: list[str], table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = Bucket([*names, table])
    monkeypatch.setitem(storage._stores, "gs", bucket)
    found = rows_on_top("gs://bucket/in/", ["table"])
    assert [file.uri for file in found.values()] == [f"gs://bucket/in/{table}"] and bucket.names <= 240
